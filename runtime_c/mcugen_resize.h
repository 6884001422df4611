/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file mcugen_resize.h
 * @brief Linear interpolation of images and sequences.
 */
#ifndef MCUGEN_RESIZE_H_INCLUDED
#define MCUGEN_RESIZE_H_INCLUDED

#include "mcugen.h"

#ifdef __cplusplus
extern "C" {
#endif

/* A weight of 1 in an interpolation table; weights of both axes multiply, times 2^7 below 2^31. */
#define MCUGEN_LINEAR_BITS 11
#define MCUGEN_LINEAR_ONE 2048

typedef struct {
    int32_t in_rows;
    int32_t in_cols;
    int32_t out_rows;
    int32_t out_cols;
    int32_t ch;
    const uint16_t *row;        /* [out_rows], the upper of two neighbours */
    const uint16_t *row_weight; /* [out_rows], of the lower one */
    const uint16_t *col;        /* [out_cols], the left of two neighbours */
    const uint16_t *col_weight; /* [out_cols], of the right one */
} mcugen_linear_resize_s8_params_t;

/**
 * Linear interpolation along both axes, one rounding, half up.
 *
 * @param[in]  p      Sizes and tables; a position's second neighbour is the next one, or itself at
 *                    the end of the axis. Weights are in steps of 2^-11.
 * @param[in]  input  int8 [in_rows, in_cols, ch].
 * @param[out] output int8 [out_rows, out_cols, ch]; must not overlap the input.
 */
static inline void mcugen_linear_resize_s8(const mcugen_linear_resize_s8_params_t *p,
                                           const int8_t *input, int8_t *output)
{
    const int32_t half = (int32_t)1 << ((2 * MCUGEN_LINEAR_BITS) - 1);

    for (int32_t i = 0; i < p->out_rows; i++) {
        const int32_t row = p->row[i];
        const int32_t low_weight = p->row_weight[i];
        const int32_t high_weight = MCUGEN_LINEAR_ONE - low_weight;
        const int32_t down = (row < (p->in_rows - 1)) ? (p->in_cols * p->ch) : 0;
        const int8_t *line = &input[row * p->in_cols * p->ch];
        for (int32_t j = 0; j < p->out_cols; j++) {
            const int32_t col = p->col[j];
            const int32_t right_weight = p->col_weight[j];
            const int32_t left_weight = MCUGEN_LINEAR_ONE - right_weight;
            const int32_t next = (col < (p->in_cols - 1)) ? p->ch : 0;
            const int8_t *high = &line[col * p->ch];
            const int8_t *low = &high[down];
            for (int32_t k = 0; k < p->ch; k++) {
                const int32_t above = (left_weight * high[k]) + (right_weight * high[k + next]);
                const int32_t below = (left_weight * low[k]) + (right_weight * low[k + next]);
                const int32_t acc = (high_weight * above) + (low_weight * below) + half;
                output[k] = (int8_t)mcugen_asr32(acc, 2 * MCUGEN_LINEAR_BITS);
            }
            output += p->ch;
        }
    }
}

#ifdef __cplusplus
}
#endif

#endif /* MCUGEN_RESIZE_H_INCLUDED */
