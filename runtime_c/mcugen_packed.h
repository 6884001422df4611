/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file mcugen_packed.h
 * @brief Convolution and fully connected layers whose weights are packed, several in a byte.
 *
 * Weights of 2 or 4 bits are two's complement, the first one in a byte's lowest bits. Every filter
 * begins with a new byte. Apart from how weights are read these are the kernels of mcugen_conv.h and
 * mcugen_linear.h; a depthwise convolution is one with as many groups as channels.
 */
#ifndef MCUGEN_PACKED_H_INCLUDED
#define MCUGEN_PACKED_H_INCLUDED

#include "mcugen_conv.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct {
    int32_t bits; /* of a weight: 2 or 4 */
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
    int32_t filter_bytes;
    const uint8_t *weight;     /* [out_ch, filter_bytes] */
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
} mcugen_conv_packed_s8_params_t;

typedef struct {
    int32_t bits; /* of a weight: 2 or 4 */
    int32_t rows;
    int32_t in_ch;
    int32_t out_ch;
    int32_t filter_bytes;
    const uint8_t *weight;     /* [out_ch, filter_bytes] */
    const int32_t *bias;       /* [out_ch] */
    const int32_t *multiplier; /* [out_ch] */
    const uint8_t *shift;      /* [out_ch] */
    int32_t zero_point;
    int32_t low;
    int32_t high;
    int32_t double_rounding;
} mcugen_linear_packed_s8_params_t;

/** Weight number `i` of a filter. */
static inline int32_t mcugen_packed_weight(const uint8_t *filter, int32_t i, int32_t bits)
{
    const int32_t first = (i * bits) & 7;
    const uint32_t top = ((uint32_t)filter[(i * bits) >> 3] << (8 - bits - first)) & 0xffu;

    return mcugen_asr32((int32_t)(int8_t)(uint8_t)top, 8 - bits);
}

/** sum w * x of `len` values with the weights from number `first` on. */
static inline int32_t mcugen_packed_products(const uint8_t *filter, int32_t first, int32_t bits,
                                             const int8_t *values, int32_t len)
{
    int32_t acc = 0;

    for (int32_t c = 0; c < len; c++) {
        acc += mcugen_packed_weight(filter, first + c, bits) * values[c];
    }
    return acc;
}

/** sum w of as many weights, times the value that pads. */
static inline int32_t mcugen_packed_padding(const uint8_t *filter, int32_t first, int32_t bits,
                                            int32_t value, int32_t len)
{
    int32_t acc = 0;

    for (int32_t c = 0; c < len; c++) {
        acc += mcugen_packed_weight(filter, first + c, bits) * value;
    }
    return acc;
}

/** sum w * x of one kernel window and output channel; (y, x) is the window's first input pixel. */
static inline int32_t mcugen_packed_window(const mcugen_conv_packed_s8_params_t *p,
                                           const int8_t *input, const uint8_t *filter, int32_t y,
                                           int32_t x)
{
    int32_t acc = 0;
    int32_t tap = 0;

    for (int32_t i = 0; i < p->kernel_h; i++) {
        const int32_t in_y = y + (i * p->dilation_h);
        for (int32_t j = 0; j < p->kernel_w; j++) {
            const int32_t in_x = x + (j * p->dilation_w);
            if ((in_y < 0) || (in_y >= p->in_h) || (in_x < 0) || (in_x >= p->in_w)) {
                acc += mcugen_packed_padding(filter, tap, p->bits, p->pad_value, p->group_in_ch);
            } else {
                acc += mcugen_packed_products(filter, tap, p->bits,
                                              &input[((in_y * p->in_w) + in_x) * p->in_ch],
                                              p->group_in_ch);
            }
            tap += p->group_in_ch;
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
static inline void mcugen_conv_packed_s8(const mcugen_conv_packed_s8_params_t *p,
                                         const int8_t *input, int8_t *output)
{
    for (int32_t y = 0; y < p->out_h; y++) {
        for (int32_t x = 0; x < p->out_w; x++) {
            const int32_t *bias = mcugen_conv_bias(p->bias, p->row_class, p->col_class,
                                                   p->col_classes, p->out_ch, y, x);
            for (int32_t o = 0; o < p->out_ch; o++) {
                const int8_t *group = &input[(o / p->group_out_ch) * p->group_in_ch];
                const int32_t acc =
                    bias[o] + mcugen_packed_window(p, group, &p->weight[o * p->filter_bytes],
                                                   (y * p->stride_h) - p->pad_top,
                                                   (x * p->stride_w) - p->pad_left);
                *output = mcugen_requantize(acc, p->multiplier[o], p->shift[o], p->double_rounding,
                                            p->zero_point, p->low, p->high);
                output++;
            }
        }
    }
}

/**
 * y = requantize(bias + W x) for each row.
 *
 * @param[in]  p      Sizes, weights and requantization.
 * @param[in]  input  int8 [rows, in_ch].
 * @param[out] output int8 [rows, out_ch]; must not overlap the input.
 */
static inline void mcugen_linear_packed_s8(const mcugen_linear_packed_s8_params_t *p,
                                           const int8_t *input, int8_t *output)
{
    for (int32_t row = 0; row < p->rows; row++) {
        for (int32_t o = 0; o < p->out_ch; o++) {
            const int32_t acc = p->bias[o] + mcugen_packed_products(&p->weight[o * p->filter_bytes],
                                                                    0, p->bits, input, p->in_ch);
            *output = mcugen_requantize(acc, p->multiplier[o], p->shift[o], p->double_rounding,
                                        p->zero_point, p->low, p->high);
            output++;
        }
        input += p->in_ch;
    }
}

#ifdef __cplusplus
}
#endif

#endif /* MCUGEN_PACKED_H_INCLUDED */
