/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file mcugen_conv.h
 * @brief Convolution on int8 images [H, W, C]: dense, grouped, dilated and depthwise.
 *
 * The accumulator is bias + sum w * x over raw int8 values; positions outside the image read
 * pad_value, the input's zero point, whose share is already in the bias.
 */
#ifndef MCUGEN_CONV_H_INCLUDED
#define MCUGEN_CONV_H_INCLUDED

#include "mcugen.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct {
    int32_t in_h;
    int32_t in_w;
    int32_t in_ch;
    int32_t out_h;
    int32_t out_w;
    int32_t out_ch;
    int32_t group_in_ch;
    int32_t group_out_ch;
    int32_t kernel_h;
    int32_t kernel_w;
    int32_t stride_h;
    int32_t stride_w;
    int32_t dilation_h;
    int32_t dilation_w;
    int32_t pad_top;
    int32_t pad_left;
    int32_t pad_value;
    const int8_t *weight;      /* [out_ch, kernel_h, kernel_w, group_in_ch] */
    const int32_t *bias;       /* [row classes, col_classes, out_ch] */
    const uint16_t *row_class; /* [out_h], null where the bias is the same everywhere */
    const uint16_t *col_class; /* [out_w], null likewise */
    int32_t col_classes;
    const int32_t *multiplier; /* [out_ch] */
    const uint8_t *shift;      /* [out_ch] */
    int32_t zero_point;
    int32_t low;
    int32_t high;
    int32_t double_rounding;
} mcugen_conv_s8_params_t;

typedef struct {
    int32_t in_h;
    int32_t in_w;
    int32_t in_ch;
    int32_t out_h;
    int32_t out_w;
    int32_t out_ch;
    int32_t kernel_h;
    int32_t kernel_w;
    int32_t stride_h;
    int32_t stride_w;
    int32_t dilation_h;
    int32_t dilation_w;
    int32_t pad_top;
    int32_t pad_left;
    int32_t pad_value;
    const int8_t *weight; /* [kernel_h, kernel_w, ch] */
    const int32_t *bias;  /* [row classes, col_classes, ch] */
    const uint16_t *row_class;
    const uint16_t *col_class;
    int32_t col_classes;
    const int32_t *multiplier; /* [ch] */
    const uint8_t *shift;      /* [ch] */
    int32_t zero_point;
    int32_t low;
    int32_t high;
    int32_t double_rounding;
} mcugen_depthwise_s8_params_t;

/** The biases of output pixel (y, x): those of its row and column class. */
static inline const int32_t *mcugen_conv_bias(const int32_t *bias, const uint16_t *row_class,
                                              const uint16_t *col_class, int32_t col_classes,
                                              int32_t out_ch, int32_t y, int32_t x)
{
    if (row_class == NULL) {
        return bias;
    }
    return &bias[((row_class[y] * col_classes) + col_class[x]) * out_ch];
}

/** sum w * x of one kernel window and output channel; (y, x) is the window's first input pixel. */
static inline int32_t mcugen_conv_window(const mcugen_conv_s8_params_t *p, const int8_t *input,
                                         const int8_t *weight, int32_t y, int32_t x)
{
    int32_t acc = 0;

    for (int32_t i = 0; i < p->kernel_h; i++) {
        const int32_t in_y = y + (i * p->dilation_h);
        for (int32_t j = 0; j < p->kernel_w; j++) {
            const int32_t in_x = x + (j * p->dilation_w);
            if ((in_y < 0) || (in_y >= p->in_h) || (in_x < 0) || (in_x >= p->in_w)) {
                for (int32_t c = 0; c < p->group_in_ch; c++) {
                    acc += weight[c] * p->pad_value;
                }
            } else {
                const int8_t *pixel = &input[((in_y * p->in_w) + in_x) * p->in_ch];
                for (int32_t c = 0; c < p->group_in_ch; c++) {
                    acc += weight[c] * pixel[c];
                }
            }
            weight += p->group_in_ch;
        }
    }
    return acc;
}

/**
 * Convolution.
 *
 * @param[in]  p      Geometry, weights and requantization.
 * @param[in]  input  int8 [in_h, in_w, in_ch].
 * @param[out] output int8 [out_h, out_w, out_ch]; must not overlap the input.
 */
static inline void mcugen_conv_s8(const mcugen_conv_s8_params_t *p, const int8_t *input,
                                  int8_t *output)
{
    const int32_t filter_len = p->kernel_h * p->kernel_w * p->group_in_ch;

    for (int32_t y = 0; y < p->out_h; y++) {
        for (int32_t x = 0; x < p->out_w; x++) {
            const int32_t *bias = mcugen_conv_bias(p->bias, p->row_class, p->col_class,
                                                   p->col_classes, p->out_ch, y, x);
            for (int32_t o = 0; o < p->out_ch; o++) {
                const int8_t *group = &input[(o / p->group_out_ch) * p->group_in_ch];
                const int32_t acc =
                    bias[o] + mcugen_conv_window(p, group, &p->weight[o * filter_len],
                                                 (y * p->stride_h) - p->pad_top,
                                                 (x * p->stride_w) - p->pad_left);
                *output = mcugen_requantize(acc, p->multiplier[o], p->shift[o], p->double_rounding,
                                            p->zero_point, p->low, p->high);
                output++;
            }
        }
    }
}

/** sum w * x of one depthwise window and channel; (y, x) is the window's first input pixel. */
static inline int32_t mcugen_depthwise_window(const mcugen_depthwise_s8_params_t *p,
                                              const int8_t *input, const int8_t *weight, int32_t y,
                                              int32_t x)
{
    int32_t acc = 0;

    for (int32_t i = 0; i < p->kernel_h; i++) {
        const int32_t in_y = y + (i * p->dilation_h);
        for (int32_t j = 0; j < p->kernel_w; j++) {
            const int32_t in_x = x + (j * p->dilation_w);
            const int32_t tap = weight[((i * p->kernel_w) + j) * p->in_ch];
            if ((in_y < 0) || (in_y >= p->in_h) || (in_x < 0) || (in_x >= p->in_w)) {
                acc += tap * p->pad_value;
            } else {
                acc += tap * input[((in_y * p->in_w) + in_x) * p->in_ch];
            }
        }
    }
    return acc;
}

/**
 * Depthwise convolution: output channel c reads input channel c alone.
 *
 * @param[in]  p      Geometry, weights and requantization.
 * @param[in]  input  int8 [in_h, in_w, in_ch].
 * @param[out] output int8 [out_h, out_w, in_ch]; must not overlap the input.
 */
static inline void mcugen_depthwise_s8(const mcugen_depthwise_s8_params_t *p, const int8_t *input,
                                       int8_t *output)
{
    for (int32_t y = 0; y < p->out_h; y++) {
        for (int32_t x = 0; x < p->out_w; x++) {
            const int32_t *bias = mcugen_conv_bias(p->bias, p->row_class, p->col_class,
                                                   p->col_classes, p->out_ch, y, x);
            for (int32_t c = 0; c < p->out_ch; c++) {
                const int32_t acc =
                    bias[c] + mcugen_depthwise_window(p, &input[c], &p->weight[c],
                                                      (y * p->stride_h) - p->pad_top,
                                                      (x * p->stride_w) - p->pad_left);
                *output = mcugen_requantize(acc, p->multiplier[c], p->shift[c], p->double_rounding,
                                            p->zero_point, p->low, p->high);
                output++;
            }
        }
    }
}

#ifdef __cplusplus
}
#endif

#endif /* MCUGEN_CONV_H_INCLUDED */
