/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file mcugen_mean.h
 * @brief Mean and sum of int8 values over whole axes.
 */
#ifndef MCUGEN_MEAN_H_INCLUDED
#define MCUGEN_MEAN_H_INCLUDED

#include "mcugen.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct {
    int32_t outer;
    int32_t count;
    int32_t inner;
    int32_t bias;              /* -count * zero point of the input */
    const int32_t *multiplier; /* [1] */
    const uint8_t *shift;      /* [1] */
    int32_t zero_point;
    int32_t low;
    int32_t high;
    int32_t double_rounding;
} mcugen_mean_s8_params_t;

/**
 * y = requantize(bias + sum of x over the middle axis).
 *
 * @param[in]  p      Sizes and requantization.
 * @param[in]  input  int8 [outer, count, inner].
 * @param[out] output int8 [outer, inner]; may begin with the input or before it.
 */
static inline void mcugen_mean_s8(const mcugen_mean_s8_params_t *p, const int8_t *input,
                                  int8_t *output)
{
    const int32_t block = p->count * p->inner;

    for (int32_t o = 0; o < p->outer; o++) {
        for (int32_t i = 0; i < p->inner; i++) {
            int32_t acc = p->bias;
            for (int32_t k = i; k < block; k += p->inner) {
                acc += input[k];
            }
            *output = mcugen_requantize(acc, p->multiplier[0], p->shift[0], p->double_rounding,
                                        p->zero_point, p->low, p->high);
            output++;
        }
        input += block;
    }
}

#ifdef __cplusplus
}
#endif

#endif /* MCUGEN_MEAN_H_INCLUDED */
