/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file mcugen_add_mve.h
 * @brief Weighted sum of two int8 tensors of one shape on the M-profile Vector Extension.
 */
#ifndef MCUGEN_ADD_MVE_H_INCLUDED
#define MCUGEN_ADD_MVE_H_INCLUDED

#include "mcugen_add.h"
#include "mcugen_mve.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef mcugen_add_s8_params_t mcugen_add_mve_s8_params_t;

/**
 * y = clamp((left * left_factor + right * right_factor + bias) >> shift), within int32.
 *
 * @param[in]  p      The linear form; one row, whose values both operands have.
 * @param[in]  left   int8 [row_len].
 * @param[in]  right  int8 [row_len].
 * @param[out] output int8 [row_len]; may be an operand.
 */
MCUGEN_KERNEL void mcugen_add_mve_s8(const mcugen_add_mve_s8_params_t *p, const int8_t *left,
                                     const int8_t *right, int8_t *output)
{
#if MCUGEN_HAS_MVE
    const int32x4_t low = vdupq_n_s32(p->low);
    const int32x4_t high = vdupq_n_s32(p->high);
    const int32x4_t left_factor = vdupq_n_s32(p->left_factor);
    const int32_t right_factor = p->right_factor;
    const int32_t bias = p->bias;
    const int32_t down = -p->shift;
    const int32_t len = p->axes.row_len;

    for (int32_t i = len / 4; i > 0; i--) {
        const int32x4_t first = vmlasq_n_s32(vldrbq_s32(left), left_factor, bias);
        const int32x4_t sum = vmlaq_n_s32(first, vldrbq_s32(right), right_factor);
        vstrbq_s32(output, vminq_s32(vmaxq_s32(vshlq_r_s32(sum, down), low), high));
        left += 4;
        right += 4;
        output += 4;
    }
    if ((len % 4) != 0) {
        const mve_pred16_t some = vctp32q((uint32_t)(len % 4));
        const int32x4_t first = vmlasq_n_s32(vldrbq_z_s32(left, some), left_factor, bias);
        const int32x4_t sum = vmlaq_n_s32(first, vldrbq_z_s32(right, some), right_factor);
        vstrbq_p_s32(output, vminq_s32(vmaxq_s32(vshlq_r_s32(sum, down), low), high), some);
    }
#else
    mcugen_add_s8(p, left, right, output);
#endif
}

#ifdef __cplusplus
}
#endif

#endif /* MCUGEN_ADD_MVE_H_INCLUDED */
