/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file mcugen_mean_mve.h
 * @brief Mean and sum of int8 values over whole axes on the M-profile Vector Extension.
 */
#ifndef MCUGEN_MEAN_MVE_H_INCLUDED
#define MCUGEN_MEAN_MVE_H_INCLUDED

#include "mcugen_mean.h"
#include "mcugen_mve.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef mcugen_mean_s8_params_t mcugen_mean_mve_s8_params_t;

/**
 * y = requantize(bias + sum of x over the middle axis), in one rounding.
 *
 * @param[in]  p      Sizes and requantization.
 * @param[in]  input  int8 [outer, count, inner].
 * @param[out] output int8 [outer, inner]; must not overlap the input.
 */
MCUGEN_KERNEL void mcugen_mean_mve_s8(const mcugen_mean_mve_s8_params_t *p, const int8_t *input,
                                      int8_t *output)
{
#if MCUGEN_HAS_MVE
    const mcugen_mve_shift_t shift = mcugen_mve_shift(p->shift[0]);
    const int32x4_t multiplier = vdupq_n_s32(p->multiplier[0]);
    const int32x4_t low = vdupq_n_s32(p->low);
    const int32x4_t high = vdupq_n_s32(p->high);

    for (int32_t o = 0; o < p->outer; o++) {
        for (int32_t c = 0; c < p->inner; c += 4) {
            const mve_pred16_t some = vctp32q((uint32_t)(p->inner - c));
            const int8_t *x = &input[c];
            int32x4_t sum = vdupq_n_s32(p->bias);
            for (int32_t i = p->count; i > 0; i--) {
                sum = vaddq_s32(sum, vldrbq_z_s32(x, some));
                x += p->inner;
            }
            sum = mcugen_mve_requantize(vshlq_r_s32(sum, shift.up), multiplier,
                                        vdupq_n_s32(shift.down), p->zero_point, low, high);
            vstrbq_p_s32(&output[c], sum, some);
        }
        input += p->count * p->inner;
        output += p->inner;
    }
#else
    mcugen_mean_s8(p, input, output);
#endif
}

#ifdef __cplusplus
}
#endif

#endif /* MCUGEN_MEAN_MVE_H_INCLUDED */
