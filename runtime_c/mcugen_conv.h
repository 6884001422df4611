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

/** Where the biases of output pixel (y, x) begin: those of its row and column class. */
static inline int32_t mcugen_conv_bias_place(const uint16_t *row_class, const uint16_t *col_class,
                                             int32_t col_classes, int32_t out_ch, int32_t y,
                                             int32_t x)
{
    if (row_class == NULL) {
        return 0;
    }
    return ((row_class[y] * col_classes) + col_class[x]) * out_ch;
}

/** The biases of output pixel (y, x) themselves. */
static inline const int32_t *mcugen_conv_bias(const int32_t *bias, const uint16_t *row_class,
                                              const uint16_t *col_class, int32_t col_classes,
                                              int32_t out_ch, int32_t y, int32_t x)
{
    return &bias[mcugen_conv_bias_place(row_class, col_class, col_classes, out_ch, y, x)];
}

#define MCUGEN_TYPES MCUGEN_TYPES_S8
#include "mcugen_types.h"
#include "mcugen_conv_typed.h"
#include "mcugen_types.h"

#ifdef __cplusplus
}
#endif

#endif /* MCUGEN_CONV_H_INCLUDED */
