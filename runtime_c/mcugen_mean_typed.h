/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file mcugen_mean_typed.h
 * @brief Kernels of mcugen_mean.h, for the integers that mcugen_types.h has chosen.
 */
#ifdef MCUGEN_TYPED

typedef struct {
    int32_t outer;
    int32_t count;
    int32_t inner;
    int32_t bias;              /* -count * zero point of the input */
    const int32_t *multiplier; /* [1] */
    const uint8_t *shift;      /* [1] */
    int32_t zero_point;
    int32_t low;
    int32_t high;
    int32_t double_rounding;
} MCUGEN_TYPED_PARAMS(mcugen_mean);

/**
 * y = requantize(bias + sum of x over the middle axis).
 *
 * @param[in]  p      Sizes and requantization.
 * @param[in]  input  Integers [outer, count, inner].
 * @param[out] output Integers [outer, inner]; may begin with the input or before it.
 */
static inline void MCUGEN_TYPED(mcugen_mean)(const MCUGEN_TYPED_PARAMS(mcugen_mean) * p,
                                             const MCUGEN_IN *input, MCUGEN_OUT *output)
{
    const int32_t block = p->count * p->inner;

    for (int32_t o = 0; o < p->outer; o++) {
        for (int32_t i = 0; i < p->inner; i++) {
            int32_t acc = p->bias;
            for (int32_t k = i; k < block; k += p->inner) {
                acc += input[k];
            }
            *output = (MCUGEN_OUT)MCUGEN_REQUANTIZE(acc, p->multiplier[0], p->shift[0], p);
            output++;
        }
        input += block;
    }
}

#endif
