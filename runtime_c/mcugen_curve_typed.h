/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file mcugen_curve_typed.h
 * @brief Kernels of mcugen_table_s16.h, for the integers that mcugen_types.h has chosen.
 */
#ifdef MCUGEN_TYPED

typedef struct {
    int32_t len;
    const int16_t *table;  /* [2^(16 - fraction_bits) + 1] */
    int32_t fraction_bits; /* of x, by which neighbouring entries are weighted */
    int32_t value_bits;    /* of the entries below a step of the output */
    int32_t low;
    int32_t high;
} MCUGEN_TYPED_PARAMS(mcugen_curve);

/**
 * Any function of one int16 value: a line from each entry of a table to the next.
 *
 * @param[in]  p      Length and table.
 * @param[in]  input  Integers [len].
 * @param[out] output Integers [len]; may be the input.
 */
static inline void MCUGEN_TYPED(mcugen_curve)(const MCUGEN_TYPED_PARAMS(mcugen_curve) * p,
                                              const MCUGEN_IN *input, MCUGEN_OUT *output)
{
    const int32_t one = (int32_t)1 << p->fraction_bits;
    const int32_t shift = p->fraction_bits + p->value_bits;
    const int32_t half = (int32_t)1 << (shift - 1);
    const int16_t *table = p->table;
    const int32_t low = p->low;
    const int32_t high = p->high;

    for (int32_t i = 0; i < p->len; i++) {
        const int32_t x = input[i] + 32768;
        const int16_t *entry = &table[mcugen_asr32(x, p->fraction_bits)];
        const int32_t far = x & (one - 1);
        const int32_t y = (entry[0] * (one - far)) + (entry[1] * far) + half;
        output[i] = (MCUGEN_OUT)mcugen_clamp(mcugen_asr32(y, shift), low, high);
    }
}

#endif
