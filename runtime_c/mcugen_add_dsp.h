/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file mcugen_add_dsp.h
 * @brief Weighted sum of two int8 tensors of one shape for cores with the DSP extension.
 */
#ifndef MCUGEN_ADD_DSP_H_INCLUDED
#define MCUGEN_ADD_DSP_H_INCLUDED

#include "mcugen_add.h"
#include "mcugen_dsp.h"
#include "mcugen_dsp_bytes.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef mcugen_add_s8_params_t mcugen_add_s8_dsp_params_t;

/**
 * y = clamp((left * left_factor + right * right_factor + bias) >> shift), within int32.
 *
 * @param[in]  p      The linear form; one row, whose values both operands have.
 * @param[in]  left   int8 [row_len].
 * @param[in]  right  int8 [row_len].
 * @param[out] output int8 [row_len]; may be an operand.
 */
static MCUGEN_NOINLINE MCUGEN_UNUSED void mcugen_add_s8_dsp(const mcugen_add_s8_dsp_params_t *p,
                                                            const int8_t *left, const int8_t *right,
                                                            int8_t *output)
{
    const int32_t len = p->axes.row_len;
    const int32_t left_factor = p->left_factor;
    const int32_t right_factor = p->right_factor;
    const int32_t bias = p->bias;
    const int32_t shift = p->shift;
    int32_t i = 0;

    for (; i < (len - 3); i += 4) {
        /* all loads first: those that follow a load take one cycle */
        const int32_t x0 = left[i];
        const int32_t x1 = left[i + 1];
        const int32_t x2 = left[i + 2];
        const int32_t x3 = left[i + 3];
        const int32_t y0 = right[i];
        const int32_t y1 = right[i + 1];
        const int32_t y2 = right[i + 2];
        const int32_t y3 = right[i + 3];
        const int32_t sum0 = (y0 * right_factor) + ((x0 * left_factor) + bias);
        const int32_t sum1 = (y1 * right_factor) + ((x1 * left_factor) + bias);
        const int32_t sum2 = (y2 * right_factor) + ((x2 * left_factor) + bias);
        const int32_t sum3 = (y3 * right_factor) + ((x3 * left_factor) + bias);
        output[i] = (int8_t)mcugen_saturate(mcugen_asr32(sum0, shift));
        output[i + 1] = (int8_t)mcugen_saturate(mcugen_asr32(sum1, shift));
        output[i + 2] = (int8_t)mcugen_saturate(mcugen_asr32(sum2, shift));
        output[i + 3] = (int8_t)mcugen_saturate(mcugen_asr32(sum3, shift));
    }
    for (; i < len; i++) {
        const int32_t sum = (right[i] * right_factor) + ((left[i] * left_factor) + bias);
        output[i] = (int8_t)mcugen_saturate(mcugen_asr32(sum, shift));
    }
    mcugen_dsp_clamp(output, len, p->low, p->high);
}

#ifdef __cplusplus
}
#endif

#endif /* MCUGEN_ADD_DSP_H_INCLUDED */
