/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file mcugen_linear.h
 * @brief Fully connected layer on int8 rows.
 */
#ifndef MCUGEN_LINEAR_H_INCLUDED
#define MCUGEN_LINEAR_H_INCLUDED

#include "mcugen.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct {
    int32_t rows;
    int32_t in_ch;
    int32_t out_ch;
    const int8_t *weight;      /* [out_ch, in_ch] */
    const int32_t *bias;       /* [out_ch] */
    const int32_t *multiplier; /* [out_ch] */
    const uint8_t *shift;      /* [out_ch] */
    int32_t zero_point;
    int32_t low;
    int32_t high;
    int32_t double_rounding;
} mcugen_linear_s8_params_t;

/**
 * y = requantize(bias + W x) for each row.
 *
 * @param[in]  p      Sizes, weights and requantization.
 * @param[in]  input  int8 [rows, in_ch].
 * @param[out] output int8 [rows, out_ch]; must not overlap the input.
 */
static inline void mcugen_linear_s8(const mcugen_linear_s8_params_t *p, const int8_t *input,
                                    int8_t *output)
{
    for (int32_t row = 0; row < p->rows; row++) {
        const int8_t *weight = p->weight;
        for (int32_t o = 0; o < p->out_ch; o++) {
            int32_t acc = p->bias[o];
            for (int32_t i = 0; i < p->in_ch; i++) {
                acc += weight[i] * input[i];
            }
            *output = mcugen_requantize(acc, p->multiplier[o], p->shift[o], p->double_rounding,
                                        p->zero_point, p->low, p->high);
            output++;
            weight += p->in_ch;
        }
        input += p->in_ch;
    }
}

#ifdef __cplusplus
}
#endif

#endif /* MCUGEN_LINEAR_H_INCLUDED */
