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

#include "mcugen.h"

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
    const int64_t sum =
        ((int64_t)acc * multiplier) + ((int64_t)rounding * ((int64_t)1 << (32u + shift)));

    return (int8_t)mcugen_clamp((int32_t)(sum >> (33u + shift)), INT8_MIN, INT8_MAX);
}

/** Narrow saturated values to [low, high], where that is less than int8. */
static inline void mcugen_dsp_clamp(int8_t *values, int32_t len, int32_t low, int32_t high)
{
    if ((low == INT8_MIN) && (high == INT8_MAX)) {
        return;
    }
    for (int32_t i = 0; i < len; i++) {
        values[i] = (int8_t)mcugen_clamp(values[i], low, high);
    }
}

#if defined(__ARM_FEATURE_DSP)
/* The next of the four shifts in r2, and with it the rounding of the high word into r12. */
#define MCUGEN_DSP_NEXT_SHIFT                                                                      \
    "lsr r2, r2, #8\n"                                                                             \
    "lsl r12, r3, r2\n"
#endif

#ifdef __cplusplus
}
#endif

#endif /* MCUGEN_DSP_H_INCLUDED */
