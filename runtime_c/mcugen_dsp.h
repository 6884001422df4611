/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file mcugen_dsp.h
 * @brief What the kernels for cores with the DSP extension share: int8 pairs and their products.
 *
 * SMLAD adds two 16-bit products at once. A word of activations holds two int8 values as int16; a
 * word of weights holds, for each of the same two values, the weights of two output channels as
 * one int16: first + 256 * second. Multiplied as it is, the word gives the sum of the first
 * channel plus 256 times that of the second; SXTB16 of the word gives the first alone. The
 * difference is 256 times the second, exact as long as that sum stays within 24 bits, which is
 * proved when the network is compiled. So two channels cost one load and one SXTB16.
 *
 * The packed words of four channels ("a quad") lie one after the other: four biases (those of the
 * second channels mixed in the same way), two words of weights for each pair of values, four
 * multipliers, and one word with a byte for each channel: the shift of the high word, less one.
 */
#ifndef MCUGEN_DSP_H_INCLUDED
#define MCUGEN_DSP_H_INCLUDED

#include "mcugen_dsp_bytes.h"

#ifdef __cplusplus
extern "C" {
#endif

#if defined(__GNUC__)
#define MCUGEN_UNUSED __attribute__((unused))
#else
#define MCUGEN_UNUSED
#endif

/* A function that is all assembly, which the compiler must not look into. */
#if defined(__clang__)
#define MCUGEN_NAKED __attribute__((naked, noinline, unused))
#elif defined(__GNUC__)
#define MCUGEN_NAKED __attribute__((naked, noipa, unused))
#endif

/* Output channels that are computed at once. */
#define MCUGEN_DSP_QUAD 4

/** Words of one quad for `pairs` pairs of values. */
static inline int32_t mcugen_dsp_quad_words(int32_t pairs)
{
    return (2 * MCUGEN_DSP_QUAD) + 1 + (2 * pairs);
}

/** The first channel's weight in half a word of weights. */
static inline int32_t mcugen_dsp_first(int32_t half)
{
    return (int32_t)(int8_t)(uint8_t)((uint32_t)half & 0xffu);
}

/** Lower (0) or upper (1) half of a word, as int16. */
static inline int32_t mcugen_dsp_half(uint32_t word, int32_t upper)
{
    return (int32_t)(int16_t)(uint16_t)((word >> (16 * upper)) & 0xffffu);
}

/**
 * One output: high word of acc * multiplier, rounded, shifted and saturated.
 *
 * @param[in] acc        Accumulator; of a second channel 256 times that.
 * @param[in] multiplier In [0, 2^31).
 * @param[in] shift      Bits that are dropped from the high word, less one.
 * @param[in] rounding   2 * zero point + 1: the zero point and one half, in halves.
 */
static inline int8_t mcugen_dsp_requantize(int32_t acc, int32_t multiplier, uint32_t shift,
                                           int32_t rounding)
{
    const int32_t high = (int32_t)(((int64_t)acc * multiplier) >> 32);
    const int32_t sum = high + (rounding * ((int32_t)1 << shift));

    return (int8_t)mcugen_clamp(mcugen_asr32(sum, (int32_t)shift + 1), INT8_MIN, INT8_MAX);
}

/** Narrow values to [low, high]. */
static MCUGEN_NOINLINE MCUGEN_UNUSED void mcugen_dsp_narrow(int8_t *values, int32_t len,
                                                            int32_t low, int32_t high)
{
    int32_t i = 0;
#if defined(__ARM_FEATURE_DSP)
    const uint32_t lowest = 0x01010101u * ((uint32_t)low & 0xffu);
    const uint32_t highest = 0x01010101u * ((uint32_t)high & 0xffu);

    for (; i < (len - 3); i += 4) {
        const uint32_t word = mcugen_max_bytes(mcugen_load_bytes(&values[i]), lowest);
        mcugen_store_bytes(&values[i], mcugen_min_bytes(word, highest));
    }
#endif
    for (; i < len; i++) {
        values[i] = (int8_t)mcugen_clamp(values[i], low, high);
    }
}

/** Narrow saturated values to [low, high], where that is less than int8. */
static inline void mcugen_dsp_clamp(int8_t *values, int32_t len, int32_t low, int32_t high)
{
    if ((low != INT8_MIN) || (high != INT8_MAX)) {
        mcugen_dsp_narrow(values, len, low, high);
    }
}

/** Fill words with one value; `target` is aligned to 4, `len` a multiple of that. */
static inline void mcugen_dsp_fill(int8_t *target, int32_t value, int32_t len)
{
    uint32_t *words = (uint32_t *)(void *)target;

    for (int32_t i = 0; i < (len / 4); i++) {
        words[i] = 0x01010101u * ((uint32_t)value & 0xffu);
    }
}

#if defined(__ARM_FEATURE_DSP)

/** A word that need not be aligned. */
typedef struct {
    uint32_t word;
} __attribute__((packed, may_alias)) mcugen_dsp_bytes_t;

/** Copy bytes, by words as long as there are four. */
static inline void mcugen_dsp_copy(int8_t *target, const int8_t *source, int32_t len)
{
    int32_t i = 0;

    for (; (i + 4) <= len; i += 4) {
        ((mcugen_dsp_bytes_t *)(void *)&target[i])->word =
            ((const mcugen_dsp_bytes_t *)(const void *)&source[i])->word;
    }
    for (; i < len; i++) {
        target[i] = source[i];
    }
}

/** Four int8 values, which need not be aligned. */
static inline uint32_t mcugen_dsp_load(const int8_t *values)
{
    return ((const mcugen_dsp_bytes_t *)(const void *)values)->word;
}

/** The first and the third of four int8 values, as int16. */
static inline uint32_t mcugen_dsp_even(uint32_t word)
{
    uint32_t pair;

    __asm__("sxtb16 %0, %1" : "=r"(pair) : "r"(word));
    return pair;
}

/** The second and the fourth. */
static inline uint32_t mcugen_dsp_odd(uint32_t word)
{
    uint32_t pair;

    __asm__("sxtb16 %0, %1, ror #8" : "=r"(pair) : "r"(word));
    return pair;
}

/** Sums of the halves of two words. */
static inline uint32_t mcugen_dsp_add16(uint32_t a, uint32_t b)
{
    uint32_t sum;

    __asm__("sadd16 %0, %1, %2" : "=r"(sum) : "r"(a), "r"(b));
    return sum;
}

/** Differences of the halves of two words. */
static inline uint32_t mcugen_dsp_sub16(uint32_t a, uint32_t b)
{
    uint32_t difference;

    __asm__("ssub16 %0, %1, %2" : "=r"(difference) : "r"(a), "r"(b));
    return difference;
}

/* The outputs of four channels, in one word. */
#define MCUGEN_DSP_SATURATE(a, b, c, d)                                                            \
    "ssat " a ", #8, " a ", asr #1\n"                                                              \
    "ssat " b ", #8, " b ", asr #1\n"                                                              \
    "ssat " c ", #8, " c ", asr #1\n"                                                              \
    "ssat " d ", #8, " d ", asr #1\n"                                                              \
    "bfi " a ", " b ", #8, #8\n"                                                                   \
    "bfi " a ", " c ", #16, #8\n"                                                                  \
    "bfi " a ", " d ", #24, #8\n"

#else /* what the assembly of the kernels does, in C */

static inline void mcugen_dsp_copy(int8_t *target, const int8_t *source, int32_t len)
{
    for (int32_t i = 0; i < len; i++) {
        target[i] = source[i];
    }
}

static inline uint32_t mcugen_dsp_join(int32_t lower, int32_t upper)
{
    return ((uint32_t)lower & 0xffffu) | ((uint32_t)upper << 16);
}

static inline uint32_t mcugen_dsp_load(const int8_t *values)
{
    uint32_t word = 0;

    for (uint32_t i = 0; i < 4u; i++) {
        word |= ((uint32_t)values[i] & 0xffu) << (8u * i);
    }
    return word;
}

static inline uint32_t mcugen_dsp_even(uint32_t word)
{
    return mcugen_dsp_join(mcugen_dsp_first((int32_t)(word & 0xffu)),
                           mcugen_dsp_first((int32_t)((word >> 16) & 0xffu)));
}

static inline uint32_t mcugen_dsp_odd(uint32_t word)
{
    return mcugen_dsp_even(word >> 8);
}

static inline uint32_t mcugen_dsp_add16(uint32_t a, uint32_t b)
{
    return mcugen_dsp_join(mcugen_dsp_half(a, 0) + mcugen_dsp_half(b, 0),
                           mcugen_dsp_half(a, 1) + mcugen_dsp_half(b, 1));
}

static inline uint32_t mcugen_dsp_sub16(uint32_t a, uint32_t b)
{
    return mcugen_dsp_join(mcugen_dsp_half(a, 0) - mcugen_dsp_half(b, 0),
                           mcugen_dsp_half(a, 1) - mcugen_dsp_half(b, 1));
}

/** Accumulators of a quad from its biases, which are mixed like the weights. */
static inline void mcugen_dsp_unmix(const int32_t *bias, int32_t acc[MCUGEN_DSP_QUAD])
{
    for (int32_t c = 0; c < MCUGEN_DSP_QUAD; c += 2) {
        acc[c] = bias[c];
        /* 256 times a bias of less than 2^23, whatever wraps */
        acc[c + 1] = (int32_t)((uint32_t)bias[c + 1] - (uint32_t)bias[c]) / 256;
    }
}

/** Add the products of one value with a quad's weights, in the lower or upper half of two words. */
static inline void mcugen_dsp_products(const uint32_t *weights, int32_t upper, int32_t value,
                                       int32_t acc[MCUGEN_DSP_QUAD])
{
    for (int32_t c = 0; c < MCUGEN_DSP_QUAD; c += 2) {
        const int32_t both = mcugen_dsp_half(weights[c / 2], upper);
        const int32_t first = mcugen_dsp_first(both);
        acc[c] += first * value;
        acc[c + 1] += ((both - first) / 256) * value;
    }
}

/** Outputs of up to four channels; `scale` are the quad's last words. */
static inline void mcugen_dsp_finish(const int32_t acc[MCUGEN_DSP_QUAD], const uint32_t *scale,
                                     int32_t rounding, int8_t *output, int32_t channels)
{
    for (int32_t c = 0; c < channels; c++) {
        const uint32_t shift = (scale[MCUGEN_DSP_QUAD] >> (8 * c)) & 0xffu;
        const int32_t mixed = ((c % 2) == 0) ? acc[c] : (256 * acc[c]);
        output[c] = mcugen_dsp_requantize(mixed, (int32_t)scale[c], shift, rounding);
    }
}

#endif

#ifdef __cplusplus
}
#endif

#endif /* MCUGEN_DSP_H_INCLUDED */
