/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file mcugen_affine.h
 * @brief Linear functions of one int8 value, per channel: scale and shift, and PReLU.
 *
 * Each is clamp((x * factor + bias) >> shift); zero points and the rounding half are in the bias,
 * and the compiler proved that no int8 value leaves int32.
 */
#ifndef MCUGEN_AFFINE_H_INCLUDED
#define MCUGEN_AFFINE_H_INCLUDED

#include "mcugen.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct {
    int32_t pixels;
    int32_t ch;
    const int32_t *factor; /* [ch] */
    const int32_t *bias;   /* [ch] */
    const uint8_t *shift;  /* [ch] */
    int32_t low;
    int32_t high;
} mcugen_scale_shift_s8_params_t;

typedef struct {
    int32_t pixels;
    int32_t ch;
    int32_t zero_point;
    int32_t positive_factor;
    int32_t positive_bias;
    int32_t positive_shift;
    const int32_t *factor; /* [ch], for values below the zero point */
    const int32_t *bias;   /* [ch] */
    const uint8_t *shift;  /* [ch] */
    int32_t low;
    int32_t high;
} mcugen_prelu_s8_params_t;

/**
 * y = scale * x + shift, channel by channel.
 *
 * @param[in]  p      Sizes and the linear form of each channel.
 * @param[in]  input  int8 [pixels, ch].
 * @param[out] output int8 [pixels, ch]; may be the input.
 */
static inline void mcugen_scale_shift_s8(const mcugen_scale_shift_s8_params_t *p,
                                         const int8_t *input, int8_t *output)
{
    const int32_t ch = p->ch;
    const int32_t len = p->pixels * ch;
    const int32_t low = p->low;
    const int32_t high = p->high;

    /* channel after channel, so that its linear form stays in registers */
    for (int32_t c = 0; c < ch; c++) {
        const int32_t factor = p->factor[c];
        const int32_t bias = p->bias[c];
        const int32_t shift = p->shift[c];
        for (int32_t i = c; i < len; i += ch) {
            const int32_t scaled = mcugen_asr32((input[i] * factor) + bias, shift);
            output[i] = (int8_t)mcugen_clamp(scaled, low, high);
        }
    }
}

/**
 * y = x at and above the zero point, slope * x below, the slope being each channel's own.
 *
 * @param[in]  p      Sizes and the linear forms of both branches.
 * @param[in]  input  int8 [pixels, ch].
 * @param[out] output int8 [pixels, ch]; may be the input.
 */
static inline void mcugen_prelu_s8(const mcugen_prelu_s8_params_t *p, const int8_t *input,
                                   int8_t *output)
{
    const int32_t ch = p->ch;
    const int32_t len = p->pixels * ch;
    const int32_t zero_point = p->zero_point;
    const int32_t positive_factor = p->positive_factor;
    const int32_t positive_bias = p->positive_bias;
    const int32_t positive_shift = p->positive_shift;
    const int32_t low = p->low;
    const int32_t high = p->high;

    for (int32_t c = 0; c < ch; c++) {
        const int32_t factor = p->factor[c];
        const int32_t bias = p->bias[c];
        const int32_t shift = p->shift[c];
        for (int32_t i = c; i < len; i += ch) {
            const int32_t x = input[i];
            const int32_t scaled =
                (x < zero_point)
                    ? mcugen_asr32((x * factor) + bias, shift)
                    : mcugen_asr32((x * positive_factor) + positive_bias, positive_shift);
            output[i] = (int8_t)mcugen_clamp(scaled, low, high);
        }
    }
}

#ifdef __cplusplus
}
#endif

#endif /* MCUGEN_AFFINE_H_INCLUDED */
