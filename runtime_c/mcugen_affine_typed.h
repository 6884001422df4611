/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file mcugen_affine_typed.h
 * @brief Kernels of mcugen_affine.h, for the integers that mcugen_types.h has chosen.
 */
#ifdef MCUGEN_TYPED

typedef struct {
    int32_t pixels;
    int32_t ch;
    const int32_t *factor;  /* [ch] */
    const MCUGEN_SUM *bias; /* [ch] */
    const uint8_t *shift;   /* [ch] */
    int32_t low;
    int32_t high;
} MCUGEN_TYPED_PARAMS(mcugen_scale_shift);

typedef struct {
    int32_t pixels;
    int32_t ch;
    int32_t zero_point;
    int32_t positive_factor;
    MCUGEN_SUM positive_bias;
    int32_t positive_shift;
    const int32_t *factor;  /* [ch], for values below the zero point */
    const MCUGEN_SUM *bias; /* [ch] */
    const uint8_t *shift;   /* [ch] */
    int32_t low;
    int32_t high;
} MCUGEN_TYPED_PARAMS(mcugen_prelu);

/**
 * y = scale * x + shift, channel by channel.
 *
 * @param[in]  p      Sizes and the linear form of each channel.
 * @param[in]  input  Integers [pixels, ch].
 * @param[out] output Integers [pixels, ch]; may be the input.
 */
static inline void MCUGEN_TYPED(mcugen_scale_shift)(const MCUGEN_TYPED_PARAMS(mcugen_scale_shift) *
                                                        p,
                                                    const MCUGEN_IN *input, MCUGEN_OUT *output)
{
    const int32_t ch = p->ch;
    const int32_t len = p->pixels * ch;
    const int32_t low = p->low;
    const int32_t high = p->high;

    /* channel after channel, so that its linear form stays in registers */
    for (int32_t c = 0; c < ch; c++) {
        const int32_t factor = p->factor[c];
        const MCUGEN_SUM bias = p->bias[c];
        const int32_t shift = p->shift[c];
        for (int32_t i = c; i < len; i += ch) {
            const int32_t scaled = MCUGEN_ASR(((MCUGEN_SUM)input[i] * factor) + bias, shift);
            output[i] = (MCUGEN_OUT)mcugen_clamp(scaled, low, high);
        }
    }
}

/**
 * y = x at and above the zero point, slope * x below, the slope being each channel's own.
 *
 * @param[in]  p      Sizes and the linear forms of both branches.
 * @param[in]  input  Integers [pixels, ch].
 * @param[out] output Integers [pixels, ch]; may be the input.
 */
static inline void MCUGEN_TYPED(mcugen_prelu)(const MCUGEN_TYPED_PARAMS(mcugen_prelu) * p,
                                              const MCUGEN_IN *input, MCUGEN_OUT *output)
{
    const int32_t ch = p->ch;
    const int32_t len = p->pixels * ch;
    const int32_t zero_point = p->zero_point;
    const int32_t positive_factor = p->positive_factor;
    const MCUGEN_SUM positive_bias = p->positive_bias;
    const int32_t positive_shift = p->positive_shift;
    const int32_t low = p->low;
    const int32_t high = p->high;

    for (int32_t c = 0; c < ch; c++) {
        const int32_t factor = p->factor[c];
        const MCUGEN_SUM bias = p->bias[c];
        const int32_t shift = p->shift[c];
        for (int32_t i = c; i < len; i += ch) {
            const MCUGEN_SUM x = input[i];
            const int32_t scaled =
                (x < zero_point)
                    ? MCUGEN_ASR((x * factor) + bias, shift)
                    : MCUGEN_ASR((x * positive_factor) + positive_bias, positive_shift);
            output[i] = (MCUGEN_OUT)mcugen_clamp(scaled, low, high);
        }
    }
}

#endif
