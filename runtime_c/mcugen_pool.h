/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file mcugen_pool.h
 * @brief Maximum and average pooling of int8 images [H, W, C]: padded, dilated, adaptive.
 *
 * Windows are clipped to the image: padding takes no part in a maximum and adds nothing to a sum.
 */
#ifndef MCUGEN_POOL_H_INCLUDED
#define MCUGEN_POOL_H_INCLUDED

#include "mcugen_dsp_bytes.h"

#ifdef __cplusplus
extern "C" {
#endif

/**
 * The windows along one axis. Window i covers every dilation-th position from
 * floor(i * step / parts) - pad up to, not including, floor((i * step + span) / parts) - pad.
 */
typedef struct {
    int32_t in_len;
    int32_t out_len;
    int32_t step;
    int32_t span;
    int32_t parts;
    int32_t pad;
    int32_t dilation;
} mcugen_axis_windows_t;

/** The positions that one window reads: from first, by the dilation, below end. */
typedef struct {
    int32_t first;
    int32_t end;
} mcugen_extent_t;

/** numerator / denominator, at little cost where that is 1: not every core can divide. */
static inline int32_t mcugen_window_quotient(int32_t numerator, int32_t denominator)
{
    return (denominator == 1) ? numerator : (numerator / denominator);
}

/** Window i along one axis, clipped to the axis. */
static inline mcugen_extent_t mcugen_window_extent(const mcugen_axis_windows_t *axis, int32_t i)
{
    const int32_t start = i * axis->step;
    mcugen_extent_t extent;

    extent.first = mcugen_window_quotient(start, axis->parts) - axis->pad;
    extent.end = mcugen_window_quotient(start + axis->span, axis->parts) - axis->pad;
    while (extent.first < 0) {
        extent.first += axis->dilation;
    }
    if (extent.end > axis->in_len) {
        extent.end = axis->in_len;
    }
    return extent;
}

#define MCUGEN_TYPES MCUGEN_TYPES_S8
#include "mcugen_types.h"
#include "mcugen_max_pool_typed.h"
#include "mcugen_avg_pool_typed.h"
#include "mcugen_types.h"

#ifdef __cplusplus
}
#endif

#endif /* MCUGEN_POOL_H_INCLUDED */
