/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file mcugen_sparse.h
 * @brief What convolutions by weights that are mostly zero share on all cores: strips of pixels.
 *
 * Outputs are computed in strips of four pixels of one row. The activations that a strip needs are
 * laid out as words, so that an entry of the weights serves all pixels: docs/SPARSE.md has the
 * layouts. Padding is laid out like anything else, so that no inner loop asks for it.
 */
#ifndef MCUGEN_SPARSE_H_INCLUDED
#define MCUGEN_SPARSE_H_INCLUDED

#include "mcugen.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Output pixels of one row that are computed at once. */
#define MCUGEN_SPARSE_STRIP 4

typedef struct {
    int32_t in_h;
    int32_t in_w;
    int32_t in_ch;
    int32_t out_h;
    int32_t out_w;
    int32_t out_ch;
    int32_t kernel_h;
    int32_t stride_h;
    int32_t stride_w;
    int32_t dilation_h;
    int32_t pad_top;
    int32_t pad_left;
    int32_t pad_value;
    int32_t span;           /* columns of the input that a strip reads */
    const int16_t *columns; /* [span], from the first pixel's window on */
} mcugen_sparse_image_t;

/** Copy bytes. */
static MCUGEN_NOINLINE MCUGEN_UNUSED void mcugen_sparse_copy(int8_t *target, const int8_t *source,
                                                             int32_t len)
{
    for (int32_t i = 0; i < len; i++) {
        target[i] = source[i];
    }
}

/** Where a strip begins, and how many pixels it has. */
typedef struct {
    int32_t y;
    int32_t x;
    int32_t len;
} mcugen_sparse_strip_t;

/** To the next strip. */
static inline void mcugen_sparse_step(const mcugen_sparse_image_t *p, mcugen_sparse_strip_t *strip)
{
    strip->x += MCUGEN_SPARSE_STRIP;
    if (strip->x >= p->out_w) {
        strip->x = 0;
        strip->y++;
    }
    strip->len =
        ((p->out_w - strip->x) < MCUGEN_SPARSE_STRIP) ? (p->out_w - strip->x) : MCUGEN_SPARSE_STRIP;
}

/** The first strip. */
static inline mcugen_sparse_strip_t mcugen_sparse_first(const mcugen_sparse_image_t *p)
{
    mcugen_sparse_strip_t strip = {0, -MCUGEN_SPARSE_STRIP, 0};

    mcugen_sparse_step(p, &strip);
    return strip;
}

/** How many strips there are. */
static inline int32_t mcugen_sparse_strips(const mcugen_sparse_image_t *p)
{
    return p->out_h * ((p->out_w + MCUGEN_SPARSE_STRIP - 1) / MCUGEN_SPARSE_STRIP);
}

/** The channels of the input that a strip reads in a row and a column of its windows. */
static inline const int8_t *mcugen_sparse_source(const mcugen_sparse_image_t *p,
                                                 const int8_t *input, const int8_t *padding,
                                                 const mcugen_sparse_strip_t *strip, int32_t row,
                                                 int32_t column)
{
    const int32_t y = (strip->y * p->stride_h) - p->pad_top + (row * p->dilation_h);
    const int32_t x = (strip->x * p->stride_w) - p->pad_left + p->columns[column];

    if (((uint32_t)y >= (uint32_t)p->in_h) || ((uint32_t)x >= (uint32_t)p->in_w)) {
        return padding;
    }
    return &input[((y * p->in_w) + x) * p->in_ch];
}

/** Where the outputs of a strip go: to their place, or aside where there are less than it takes. */
static inline int8_t *mcugen_sparse_target(const mcugen_sparse_image_t *p,
                                           const mcugen_sparse_strip_t *strip, int8_t *output,
                                           int8_t *aside)
{
    return (strip->len == MCUGEN_SPARSE_STRIP)
               ? &output[((strip->y * p->out_w) + strip->x) * p->out_ch]
               : aside;
}

/** Outputs that were put aside to their place. */
static inline void mcugen_sparse_settle(const mcugen_sparse_image_t *p,
                                        const mcugen_sparse_strip_t *strip, int8_t *output,
                                        const int8_t *aside)
{
    if (strip->len < MCUGEN_SPARSE_STRIP) {
        mcugen_sparse_copy(&output[((strip->y * p->out_w) + strip->x) * p->out_ch], aside,
                           strip->len * p->out_ch);
    }
}

/** Bytes that padding takes. */
static inline int32_t mcugen_sparse_padding_len(const mcugen_sparse_image_t *p)
{
    return (p->in_ch + 3) & ~3;
}

#ifdef __cplusplus
}
#endif

#endif /* MCUGEN_SPARSE_H_INCLUDED */
