/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file mcugen_mean_dsp.h
 * @brief Mean and sum of int8 values over whole axes for cores with the DSP extension.
 */
#ifndef MCUGEN_MEAN_DSP_H_INCLUDED
#define MCUGEN_MEAN_DSP_H_INCLUDED

#include "mcugen_dsp_bytes.h"
#include "mcugen_mean.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef mcugen_mean_s8_params_t mcugen_mean_s8_dsp_params_t;

/** One mean of its sum; a function, as several places call it. */
static MCUGEN_NOINLINE MCUGEN_UNUSED int8_t mcugen_mean_scale(const mcugen_mean_s8_params_t *p,
                                                              int32_t acc)
{
    const int32_t scaled = mcugen_scale_single(acc, p->multiplier[0], p->shift[0]);

    return (int8_t)mcugen_clamp(scaled + p->zero_point, p->low, p->high);
}

/**
 * y = requantize(bias + sum of x over the middle axis), in one rounding.
 *
 * @param[in]  p      Sizes and requantization; inner at least 4.
 * @param[in]  input  int8 [outer, count, inner].
 * @param[out] output int8 [outer, inner]; may begin with the input or before it.
 */
static MCUGEN_NOINLINE MCUGEN_UNUSED void mcugen_mean_s8_dsp(const mcugen_mean_s8_dsp_params_t *p,
                                                             const int8_t *input, int8_t *output)
{
    const int32_t inner = p->inner;

    for (int32_t o = 0; o < p->outer; o++) {
        for (int32_t i = 0; i < inner; i += 4) {
            /* of the last four some may be stored already */
            const int32_t first = ((i + 4) <= inner) ? i : (inner - 4);
            int32_t acc[4] = {p->bias, p->bias, p->bias, p->bias};
            mcugen_sum_bytes(&input[first], inner, p->count, acc);
            for (int32_t k = i - first; k < 4; k++) {
                output[first + k] = mcugen_mean_scale(p, acc[k]);
            }
        }
        input += p->count * inner;
        output += inner;
    }
}

#ifdef __cplusplus
}
#endif

#endif /* MCUGEN_MEAN_DSP_H_INCLUDED */
