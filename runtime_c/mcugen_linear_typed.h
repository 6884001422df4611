/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file mcugen_linear_typed.h
 * @brief Kernels of mcugen_linear.h, for the integers that mcugen_types.h has chosen.
 */
#ifdef MCUGEN_TYPED

typedef struct {
    int32_t rows;
    int32_t in_ch;
    int32_t out_ch;
    const int8_t *weight;      /* [out_ch, in_ch] */
    const MCUGEN_SUM *bias;    /* [out_ch] */
    const int32_t *multiplier; /* [out_ch] */
    const uint8_t *shift;      /* [out_ch] */
    int32_t zero_point;
    int32_t low;
    int32_t high;
    int32_t double_rounding;
} MCUGEN_TYPED_PARAMS(mcugen_linear);

/**
 * y = requantize(bias + W x) for each row.
 *
 * @param[in]  p      Sizes, weights and requantization.
 * @param[in]  input  Integers [rows, in_ch].
 * @param[out] output Integers [rows, out_ch]; must not overlap the input.
 */
static inline void MCUGEN_TYPED(mcugen_linear)(const MCUGEN_TYPED_PARAMS(mcugen_linear) * p,
                                               const MCUGEN_IN *input, MCUGEN_OUT *output)
{
    for (int32_t row = 0; row < p->rows; row++) {
        const int8_t *weight = p->weight;
        for (int32_t o = 0; o < p->out_ch; o++) {
            MCUGEN_SUM acc = p->bias[o];
            for (int32_t i = 0; i < p->in_ch; i++) {
                acc += weight[i] * input[i];
            }
            *output = (MCUGEN_OUT)MCUGEN_REQUANTIZE(acc, p->multiplier[o], p->shift[o], p);
            output++;
            weight += p->in_ch;
        }
        input += p->in_ch;
    }
}

#endif
