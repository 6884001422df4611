/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file mcugen_conv_s16_dsp.h
 * @brief Convolution of int16 images with int8 weights on the DSP extension.
 *
 * A word of activations is two int16 as they lie in memory. A word of weights holds four of one
 * channel, the second and the third exchanged: SXTB16 makes the first two of it, and of the word
 * rotated the last two. Four output channels take the same activations. int16 has zero point 0, so
 * what a window reads outside of the image adds nothing, and is left out.
 */
#ifndef MCUGEN_CONV_S16_DSP_H_INCLUDED
#define MCUGEN_CONV_S16_DSP_H_INCLUDED

#include "mcugen_conv.h"
#include "mcugen_dsp.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct {
    int32_t in_h;
    int32_t in_w;
    int32_t in_ch; /* a multiple of 4 */
    int32_t out_h;
    int32_t out_w;
    int32_t out_ch;
    int32_t kernel_h;
    int32_t kernel_w;
    int32_t stride_h;
    int32_t stride_w;
    int32_t dilation_h;
    int32_t pad_top;
    int32_t pad_left;
    const uint32_t *weight;    /* [out_ch / 4, kernel_h, kernel_w, in_ch / 4, 4] */
    const int32_t *bias;       /* [row classes, col_classes, out_ch] */
    const uint16_t *row_class; /* [out_h], null where the bias is the same everywhere */
    const uint16_t *col_class; /* [out_w], null likewise */
    int32_t col_classes;
    const int32_t *multiplier; /* [out_ch] */
    const uint8_t *shift;      /* [out_ch] */
    int32_t zero_point;
    int32_t low;
    int32_t high;
} mcugen_conv_s16_dsp_params_t;

typedef mcugen_conv_s16_dsp_params_t mcugen_conv_s16_s8_dsp_params_t;

/** acc + the products of two pairs of int16. */
static inline int32_t mcugen_conv_s16_dsp_pair(uint32_t weights, uint32_t values, int32_t acc)
{
#if defined(__ARM_FEATURE_DSP)
    int32_t sum;

    __asm("smlad %0, %1, %2, %3" : "=r"(sum) : "r"(weights), "r"(values), "r"(acc));
    return sum;
#else
    return acc + (mcugen_dsp_half(weights, 0) * mcugen_dsp_half(values, 0)) +
           (mcugen_dsp_half(weights, 1) * mcugen_dsp_half(values, 1));
#endif
}

/** acc + the products of four weights and four values. */
static inline int32_t mcugen_conv_s16_dsp_four(uint32_t weights, uint32_t first, uint32_t last,
                                               int32_t acc)
{
    acc = mcugen_conv_s16_dsp_pair(mcugen_dsp_even(weights), first, acc);
    return mcugen_conv_s16_dsp_pair(mcugen_dsp_odd(weights), last, acc);
}

/** acc[k] += sum w * x of `fours` times four values and four channels. */
static inline void mcugen_conv_s16_dsp_row(const uint32_t *weight, const int16_t *input,
                                           int32_t fours, int32_t *acc)
{
    int32_t a = acc[0];
    int32_t b = acc[1];
    int32_t c = acc[2];
    int32_t d = acc[3];

    for (int32_t i = 0; i < fours; i++) {
        const uint32_t first = mcugen_dsp_load((const int8_t *)(const void *)input);
        const uint32_t last = mcugen_dsp_load((const int8_t *)(const void *)&input[2]);

        a = mcugen_conv_s16_dsp_four(weight[0], first, last, a);
        b = mcugen_conv_s16_dsp_four(weight[1], first, last, b);
        c = mcugen_conv_s16_dsp_four(weight[2], first, last, c);
        d = mcugen_conv_s16_dsp_four(weight[3], first, last, d);
        weight = &weight[4];
        input = &input[4];
    }
    acc[0] = a;
    acc[1] = b;
    acc[2] = c;
    acc[3] = d;
}

/** The sums of four channels over one window, whose first input pixel is (y, x). */
static inline void mcugen_conv_s16_dsp_window(const mcugen_conv_s16_dsp_params_t *p,
                                              const int16_t *input, const uint32_t *weight,
                                              int32_t y, int32_t x, int32_t *acc)
{
    const int32_t first = (x < 0) ? -x : 0;
    const int32_t room = p->in_w - x;
    const int32_t taps = ((room < p->kernel_w) ? room : p->kernel_w) - first;

    weight = &weight[first * p->in_ch];
    for (int32_t i = 0; i < p->kernel_h; i++) {
        if ((y >= 0) && (y < p->in_h) && (taps > 0)) {
            const int16_t *pixel = &input[((y * p->in_w) + x + first) * p->in_ch];

            mcugen_conv_s16_dsp_row(weight, pixel, (taps * p->in_ch) / 4, acc);
        }
        weight = &weight[p->kernel_w * p->in_ch];
        y += p->dilation_h;
    }
}

/** One output pixel; `output` is int16 where `result_bytes` is 2. */
static MCUGEN_ALWAYS_INLINE void mcugen_conv_s16_dsp_pixel(const mcugen_conv_s16_dsp_params_t *p,
                                                           const int16_t *input, int32_t y,
                                                           int32_t x, void *output,
                                                           int32_t result_bytes)
{
    const int32_t *bias =
        mcugen_conv_bias(p->bias, p->row_class, p->col_class, p->col_classes, p->out_ch, y, x);
    const uint32_t *weight = p->weight;

    for (int32_t o = 0; o < p->out_ch; o += 4) {
        const int32_t count = ((p->out_ch - o) < 4) ? (p->out_ch - o) : 4;
        int32_t acc[4] = {0, 0, 0, 0};

        mcugen_conv_s16_dsp_window(p, input, weight, (y * p->stride_h) - p->pad_top,
                                   (x * p->stride_w) - p->pad_left, acc);
        for (int32_t k = o; k < (o + count); k++) {
            const int32_t value =
                mcugen_requantize_s32(acc[k - o] + bias[k], p->multiplier[k], p->shift[k],
                                      p->zero_point, p->low, p->high);
            if (result_bytes == 2) {
                ((int16_t *)output)[k] = (int16_t)value;
            } else {
                ((int8_t *)output)[k] = (int8_t)value;
            }
        }
        weight = &weight[p->kernel_h * p->kernel_w * p->in_ch];
    }
}

/**
 * Convolution.
 *
 * @param[in]  p      Geometry, weights and requantization.
 * @param[in]  input  int16 [in_h, in_w, in_ch].
 * @param[out] output int16 [out_h, out_w, out_ch]; may lie on pixels that no window reads any more.
 */
static inline void mcugen_conv_s16_dsp(const mcugen_conv_s16_dsp_params_t *p, const int16_t *input,
                                       int16_t *output)
{
    for (int32_t y = 0; y < p->out_h; y++) {
        for (int32_t x = 0; x < p->out_w; x++) {
            mcugen_conv_s16_dsp_pixel(p, input, y, x, output, 2);
            output += p->out_ch;
        }
    }
}

/**
 * Convolution.
 *
 * @param[in]  p      Geometry, weights and requantization.
 * @param[in]  input  int16 [in_h, in_w, in_ch].
 * @param[out] output int8 [out_h, out_w, out_ch]; may lie on pixels that no window reads any more.
 */
static inline void mcugen_conv_s16_s8_dsp(const mcugen_conv_s16_s8_dsp_params_t *p,
                                          const int16_t *input, int8_t *output)
{
    for (int32_t y = 0; y < p->out_h; y++) {
        for (int32_t x = 0; x < p->out_w; x++) {
            mcugen_conv_s16_dsp_pixel(p, input, y, x, output, 1);
            output += p->out_ch;
        }
    }
}

#ifdef __cplusplus
}
#endif

#endif /* MCUGEN_CONV_S16_DSP_H_INCLUDED */
