/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file mcugen_pool_mve.h
 * @brief Maximum and average pooling on the M-profile Vector Extension, channels side by side.
 */
#ifndef MCUGEN_POOL_MVE_H_INCLUDED
#define MCUGEN_POOL_MVE_H_INCLUDED

#include "mcugen_mve.h"
#include "mcugen_pool.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef mcugen_max_pool_s8_params_t mcugen_max_pool_mve_s8_params_t;
typedef mcugen_avg_pool_s8_params_t mcugen_avg_pool_mve_s8_params_t;

#if MCUGEN_HAS_MVE
/** The largest values of one window: rows and cols tell its pixels. */
static inline void mcugen_max_pool_mve_window(const mcugen_max_pool_s8_params_t *p,
                                              const int8_t *input, mcugen_extent_t rows,
                                              mcugen_extent_t cols, int8_t *output)
{
    const int32_t step = p->cols.dilation * p->ch;

    for (int32_t c = 0; c < p->ch; c += MCUGEN_VECTOR) {
        const mve_pred16_t some = vctp8q((uint32_t)(p->ch - c));
        int8x16_t most = vdupq_n_s8(INT8_MIN);
        for (int32_t y = rows.first; y < rows.end; y += p->rows.dilation) {
            const int8_t *x = &input[(((y * p->cols.in_len) + cols.first) * p->ch) + c];
            for (int32_t j = cols.first; j < cols.end; j += p->cols.dilation) {
                most = vmaxq_s8(most, vldrbq_z_s8(x, some));
                x += step;
            }
        }
        vstrbq_p_s8(&output[c], most, some);
    }
}
#endif

/**
 * Maximum pooling.
 *
 * @param[in]  p      Windows and channels.
 * @param[in]  input  int8 [in_h, in_w, ch].
 * @param[out] output int8 [out_h, out_w, ch].
 */
MCUGEN_KERNEL void mcugen_max_pool_mve_s8(const mcugen_max_pool_mve_s8_params_t *p,
                                          const int8_t *input, int8_t *output)
{
#if MCUGEN_HAS_MVE
    for (int32_t i = 0; i < p->rows.out_len; i++) {
        const mcugen_extent_t rows = mcugen_window_extent(&p->rows, i);
        for (int32_t j = 0; j < p->cols.out_len; j++) {
            mcugen_max_pool_mve_window(p, input, rows, mcugen_window_extent(&p->cols, j), output);
            output += p->ch;
        }
    }
#else
    mcugen_max_pool_s8(p, input, output);
#endif
}

#if MCUGEN_HAS_MVE
/** The means of one window of h rows and w columns; place tells its divisor. */
static inline void mcugen_avg_pool_mve_window(const mcugen_avg_pool_s8_params_t *p,
                                              const int8_t *input, int32_t h, int32_t w,
                                              int32_t place, int8_t *output)
{
    const mcugen_mve_shift_t shift = mcugen_mve_shift(p->shift[place]);
    const int32x4_t multiplier = vdupq_n_s32(p->multiplier[place]);
    const int32x4_t low = vdupq_n_s32(p->low);
    const int32x4_t high = vdupq_n_s32(p->high);
    const int32_t offset = h * w * p->in_zero_point;

    for (int32_t c = 0; c < p->ch; c += 4) {
        const mve_pred16_t some = vctp32q((uint32_t)(p->ch - c));
        const int8_t *row = &input[c];
        int32x4_t sum = vdupq_n_s32(-offset);
        for (int32_t y = h; y > 0; y--) {
            const int8_t *x = row;
            for (int32_t j = w; j > 0; j--) {
                sum = vaddq_s32(sum, vldrbq_z_s32(x, some));
                x += p->ch;
            }
            row += p->cols.in_len * p->ch;
        }
        sum = mcugen_mve_requantize(vshlq_r_s32(sum, shift.up), multiplier, vdupq_n_s32(shift.down),
                                    p->zero_point, low, high);
        vstrbq_p_s32(&output[c], sum, some);
    }
}
#endif

/**
 * Average pooling: y = requantize(sum of (x - in_zero_point)), in one rounding.
 *
 * @param[in]  p      Windows, channels, divisors and requantization.
 * @param[in]  input  int8 [in_h, in_w, ch].
 * @param[out] output int8 [out_h, out_w, ch].
 */
MCUGEN_KERNEL void mcugen_avg_pool_mve_s8(const mcugen_avg_pool_mve_s8_params_t *p,
                                          const int8_t *input, int8_t *output)
{
#if MCUGEN_HAS_MVE
    for (int32_t i = 0; i < p->rows.out_len; i++) {
        const mcugen_extent_t rows = mcugen_window_extent(&p->rows, i);
        const int32_t row_class = (p->row_class != NULL) ? p->row_class[i] : 0;
        for (int32_t j = 0; j < p->cols.out_len; j++) {
            const mcugen_extent_t cols = mcugen_window_extent(&p->cols, j);
            const int32_t col_class = (p->col_class != NULL) ? p->col_class[j] : 0;
            const int32_t first = ((rows.first * p->cols.in_len) + cols.first) * p->ch;
            mcugen_avg_pool_mve_window(p, &input[first], rows.end - rows.first,
                                       cols.end - cols.first,
                                       (row_class * p->col_classes) + col_class, output);
            output += p->ch;
        }
    }
#else
    mcugen_avg_pool_s8(p, input, output);
#endif
}

#ifdef __cplusplus
}
#endif

#endif /* MCUGEN_POOL_MVE_H_INCLUDED */
