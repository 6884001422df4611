/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file mcugen_conv_typed.h
 * @brief Kernels of mcugen_conv.h, for the integers that mcugen_types.h has chosen.
 */
#ifdef MCUGEN_TYPED

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
} MCUGEN_TYPED_PARAMS(mcugen_conv);

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
    const int8_t *weight;   /* [kernel_h, kernel_w, ch] */
    const MCUGEN_SUM *bias; /* [row classes, col_classes, ch] */
    const uint16_t *row_class;
    const uint16_t *col_class;
    int32_t col_classes;
    const int32_t *multiplier; /* [ch] */
    const uint8_t *shift;      /* [ch] */
    int32_t zero_point;
    int32_t low;
    int32_t high;
    int32_t double_rounding;
} MCUGEN_TYPED_PARAMS(mcugen_depthwise);

/** sum w * x of one kernel window and output channel; (y, x) is the window's first input pixel. */
static inline MCUGEN_SUM
MCUGEN_TYPED(mcugen_conv_window)(const MCUGEN_TYPED_PARAMS(mcugen_conv) * p, const MCUGEN_IN *input,
                                 const int8_t *weight, int32_t y, int32_t x)
{
    MCUGEN_SUM acc = 0;

    for (int32_t i = 0; i < p->kernel_h; i++) {
        const int32_t in_y = y + (i * p->dilation_h);
        for (int32_t j = 0; j < p->kernel_w; j++) {
            const int32_t in_x = x + (j * p->dilation_w);
            if ((in_y < 0) || (in_y >= p->in_h) || (in_x < 0) || (in_x >= p->in_w)) {
                for (int32_t c = 0; c < p->group_in_ch; c++) {
                    acc += weight[c] * p->pad_value;
                }
            } else {
                const MCUGEN_IN *pixel = &input[((in_y * p->in_w) + in_x) * p->in_ch];
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
 * @param[in]  input  Integers [in_h, in_w, in_ch].
 * @param[out] output Integers [out_h, out_w, out_ch]; must not overlap the input.
 */
static inline void MCUGEN_TYPED(mcugen_conv)(const MCUGEN_TYPED_PARAMS(mcugen_conv) * p,
                                             const MCUGEN_IN *input, MCUGEN_OUT *output)
{
    const int32_t filter_len = p->kernel_h * p->kernel_w * p->group_in_ch;

    for (int32_t y = 0; y < p->out_h; y++) {
        for (int32_t x = 0; x < p->out_w; x++) {
            const MCUGEN_SUM *bias = &p->bias[mcugen_conv_bias_place(
                p->row_class, p->col_class, p->col_classes, p->out_ch, y, x)];
            for (int32_t o = 0; o < p->out_ch; o++) {
                const MCUGEN_IN *group = &input[(o / p->group_out_ch) * p->group_in_ch];
                const MCUGEN_SUM acc =
                    bias[o] + MCUGEN_TYPED(mcugen_conv_window)(p, group, &p->weight[o * filter_len],
                                                               (y * p->stride_h) - p->pad_top,
                                                               (x * p->stride_w) - p->pad_left);
                *output = (MCUGEN_OUT)MCUGEN_REQUANTIZE(acc, p->multiplier[o], p->shift[o], p);
                output++;
            }
        }
    }
}

/** sum w * x of one depthwise window and channel; (y, x) is the window's first input pixel. */
static inline MCUGEN_SUM
MCUGEN_TYPED(mcugen_depthwise_window)(const MCUGEN_TYPED_PARAMS(mcugen_depthwise) * p,
                                      const MCUGEN_IN *input, const int8_t *weight, int32_t y,
                                      int32_t x)
{
    MCUGEN_SUM acc = 0;

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
 * @param[in]  input  Integers [in_h, in_w, in_ch].
 * @param[out] output Integers [out_h, out_w, in_ch]; must not overlap the input.
 */
static inline void MCUGEN_TYPED(mcugen_depthwise)(const MCUGEN_TYPED_PARAMS(mcugen_depthwise) * p,
                                                  const MCUGEN_IN *input, MCUGEN_OUT *output)
{
    for (int32_t y = 0; y < p->out_h; y++) {
        for (int32_t x = 0; x < p->out_w; x++) {
            const MCUGEN_SUM *bias = &p->bias[mcugen_conv_bias_place(
                p->row_class, p->col_class, p->col_classes, p->out_ch, y, x)];
            for (int32_t c = 0; c < p->out_ch; c++) {
                const MCUGEN_SUM acc =
                    bias[c] + MCUGEN_TYPED(mcugen_depthwise_window)(
                                  p, &input[c], &p->weight[c], (y * p->stride_h) - p->pad_top,
                                  (x * p->stride_w) - p->pad_left);
                *output = (MCUGEN_OUT)MCUGEN_REQUANTIZE(acc, p->multiplier[c], p->shift[c], p);
                output++;
            }
        }
    }
}

#endif
