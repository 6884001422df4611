/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file mcugen_packed_typed.h
 * @brief Kernels of mcugen_packed.h, for the integers that mcugen_types.h has chosen.
 */
#ifdef MCUGEN_TYPED

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
    const MCUGEN_SUM *bias;    /* [row classes, col_classes, out_ch] */
    const uint16_t *row_class; /* [out_h], null where the bias is the same everywhere */
    const uint16_t *col_class; /* [out_w], null likewise */
    int32_t col_classes;
    const int32_t *multiplier; /* [out_ch] */
    const uint8_t *shift;      /* [out_ch] */
    int32_t zero_point;
    int32_t low;
    int32_t high;
    int32_t double_rounding;
} MCUGEN_TYPED_PARAMS(mcugen_conv_packed);

typedef struct {
    int32_t bits; /* of a weight: 2 or 4 */
    int32_t rows;
    int32_t in_ch;
    int32_t out_ch;
    int32_t filter_bytes;
    const uint8_t *weight;     /* [out_ch, filter_bytes] */
    const MCUGEN_SUM *bias;    /* [out_ch] */
    const int32_t *multiplier; /* [out_ch] */
    const uint8_t *shift;      /* [out_ch] */
    int32_t zero_point;
    int32_t low;
    int32_t high;
    int32_t double_rounding;
} MCUGEN_TYPED_PARAMS(mcugen_linear_packed);

/** sum w * x of `len` values with the weights from number `first` on. */
static inline MCUGEN_SUM MCUGEN_TYPED(mcugen_packed_products)(const uint8_t *filter, int32_t first,
                                                              int32_t bits, const MCUGEN_IN *values,
                                                              int32_t len)
{
    MCUGEN_SUM acc = 0;

    for (int32_t c = 0; c < len; c++) {
        acc += mcugen_packed_weight(filter, first + c, bits) * values[c];
    }
    return acc;
}

/** sum w of as many weights, times the value that pads. */
static inline MCUGEN_SUM MCUGEN_TYPED(mcugen_packed_padding)(const uint8_t *filter, int32_t first,
                                                             int32_t bits, int32_t value,
                                                             int32_t len)
{
    MCUGEN_SUM acc = 0;

    for (int32_t c = 0; c < len; c++) {
        acc += mcugen_packed_weight(filter, first + c, bits) * value;
    }
    return acc;
}

/** sum w * x of one kernel window and output channel; (y, x) is the window's first input pixel. */
static inline MCUGEN_SUM
MCUGEN_TYPED(mcugen_packed_window)(const MCUGEN_TYPED_PARAMS(mcugen_conv_packed) * p,
                                   const MCUGEN_IN *input, const uint8_t *filter, int32_t y,
                                   int32_t x)
{
    MCUGEN_SUM acc = 0;
    int32_t tap = 0;

    for (int32_t i = 0; i < p->kernel_h; i++) {
        const int32_t in_y = y + (i * p->dilation_h);
        for (int32_t j = 0; j < p->kernel_w; j++) {
            const int32_t in_x = x + (j * p->dilation_w);
            if ((in_y < 0) || (in_y >= p->in_h) || (in_x < 0) || (in_x >= p->in_w)) {
                acc += MCUGEN_TYPED(mcugen_packed_padding)(filter, tap, p->bits, p->pad_value,
                                                           p->group_in_ch);
            } else {
                acc += MCUGEN_TYPED(mcugen_packed_products)(
                    filter, tap, p->bits, &input[((in_y * p->in_w) + in_x) * p->in_ch],
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
 * @param[in]  input  Integers [in_h, in_w, in_ch].
 * @param[out] output Integers [out_h, out_w, out_ch]; must not overlap the input.
 */
static inline void MCUGEN_TYPED(mcugen_conv_packed)(const MCUGEN_TYPED_PARAMS(mcugen_conv_packed) *
                                                        p,
                                                    const MCUGEN_IN *input, MCUGEN_OUT *output)
{
    for (int32_t y = 0; y < p->out_h; y++) {
        for (int32_t x = 0; x < p->out_w; x++) {
            const MCUGEN_SUM *bias = &p->bias[mcugen_conv_bias_place(
                p->row_class, p->col_class, p->col_classes, p->out_ch, y, x)];
            for (int32_t o = 0; o < p->out_ch; o++) {
                const MCUGEN_IN *group = &input[(o / p->group_out_ch) * p->group_in_ch];
                const MCUGEN_SUM acc =
                    bias[o] + MCUGEN_TYPED(mcugen_packed_window)(
                                  p, group, &p->weight[o * p->filter_bytes],
                                  (y * p->stride_h) - p->pad_top, (x * p->stride_w) - p->pad_left);
                *output = (MCUGEN_OUT)MCUGEN_REQUANTIZE(acc, p->multiplier[o], p->shift[o], p);
                output++;
            }
        }
    }
}

/**
 * y = requantize(bias + W x) for each row.
 *
 * @param[in]  p      Sizes, weights and requantization.
 * @param[in]  input  Integers [rows, in_ch].
 * @param[out] output Integers [rows, out_ch]; must not overlap the input.
 */
static inline void
MCUGEN_TYPED(mcugen_linear_packed)(const MCUGEN_TYPED_PARAMS(mcugen_linear_packed) * p,
                                   const MCUGEN_IN *input, MCUGEN_OUT *output)
{
    for (int32_t row = 0; row < p->rows; row++) {
        for (int32_t o = 0; o < p->out_ch; o++) {
            const MCUGEN_SUM acc =
                p->bias[o] + MCUGEN_TYPED(mcugen_packed_products)(&p->weight[o * p->filter_bytes],
                                                                  0, p->bits, input, p->in_ch);
            *output = (MCUGEN_OUT)MCUGEN_REQUANTIZE(acc, p->multiplier[o], p->shift[o], p);
            output++;
        }
        input += p->in_ch;
    }
}

#endif
