/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file mcugen_narrow_dsp.h
 * @brief Weights of 4 and 2 bits for cores with the DSP extension: how they are packed and taken.
 *
 * A word holds what one pair of values is multiplied with, for four channels: in each half four
 * nibbles n0 to n3 from the lowest, n0 and n2 being weight + 8, n1 and n3 the weight in two's
 * complement. One instruction each makes of it four words of two int16 for SMLAD:
 *
 *     word & 0x000f000f   n0                 A0
 *     SXTB16 word         16 w1 + n0         A1
 *     word & 0x0f000f00   256 n2             A2
 *     SXTB16 word, ROR 8  16 w3 + n2         A3
 *
 * and from the four sums follow those of the weights, X being the sum of the values:
 *
 *     S0 = A0 - 8 X   16 S1 = A1 - A0   256 S2 = A2 - 256 * 8 X   16 S3 = A3 - A2 / 256
 *
 * Sums begin with the bias and with what X takes away, which makes A0 and A2 the channel's own, and
 * A2 a multiple of 256. They count modulo 2^32; that 256 S2 and the others stay within int32 is
 * proved when the network is compiled.
 *
 * Weights of 2 bits are all stored as weight + 2, those of two pairs in one word: the first pair's
 * in the lower byte of each half. The masks 0x00030003, 0x000c000c, 0x00300030 and 0x00c000c0 make
 * n0, 4 n1, 16 n2 and 64 n3.
 *
 * A quad of channels is: four words bias * 256 + shift, the words of its weights, four multipliers.
 * Multipliers and shifts are for accumulators times 16, 16, 256, 16, or times 64 for 2 bits. Biases
 * that depend on the place are words bias * 256 too.
 */
#ifndef MCUGEN_NARROW_DSP_H_INCLUDED
#define MCUGEN_NARROW_DSP_H_INCLUDED

#include "mcugen_dsp.h"

#ifdef __cplusplus
extern "C" {
#endif

#if defined(__ARM_FEATURE_DSP)

/* clang-format off */
/* One pair of values of each pixel times the nibbles in r2. */
#define MCUGEN_NARROW_PRODUCTS_4                                                                   \
    "and r3, r2, #0x000f000f\n"                                                                    \
    "smlad r4, r3, r12, r4\n"                                                                      \
    "smlad r8, r3, lr, r8\n"                                                                       \
    "sxtb16 r3, r2\n"                                                                              \
    "smlad r5, r3, r12, r5\n"                                                                      \
    "smlad r9, r3, lr, r9\n"                                                                       \
    "and r3, r2, #0x0f000f00\n"                                                                    \
    "smlad r6, r3, r12, r6\n"                                                                      \
    "smlad r10, r3, lr, r10\n"                                                                     \
    "sxtb16 r3, r2, ror #8\n"                                                                      \
    "smlad r7, r3, r12, r7\n"                                                                      \
    "smlad r11, r3, lr, r11\n"

#define MCUGEN_NARROW_PRODUCTS_2                                                                   \
    "and r3, r2, #0x00030003\n"                                                                    \
    "smlad r4, r3, r12, r4\n"                                                                      \
    "smlad r8, r3, lr, r8\n"                                                                       \
    "and r3, r2, #0x000c000c\n"                                                                    \
    "smlad r5, r3, r12, r5\n"                                                                      \
    "smlad r9, r3, lr, r9\n"                                                                       \
    "and r3, r2, #0x00300030\n"                                                                    \
    "smlad r6, r3, r12, r6\n"                                                                      \
    "smlad r10, r3, lr, r10\n"                                                                     \
    "and r3, r2, #0x00c000c0\n"                                                                    \
    "smlad r7, r3, r12, r7\n"                                                                      \
    "smlad r11, r3, lr, r11\n"

/* Two pairs of values, `at` bytes of weights behind r0. */
#define MCUGEN_NARROW_PAIRS_4                                                                      \
    "ldr.n r2, [r0, #\\at]\n"                                                                      \
    "ldr.w r12, [r1, #2 * \\at]\n"                                                                 \
    "ldr.w lr, [r1, #2 * \\at + 4]\n"                                                              \
    MCUGEN_NARROW_PRODUCTS_4                                                                       \
    "ldr.n r2, [r0, #\\at + 4]\n"                                                                  \
    "ldr.w r12, [r1, #2 * \\at + 8]\n"                                                             \
    "ldr.w lr, [r1, #2 * \\at + 12]\n"                                                             \
    MCUGEN_NARROW_PRODUCTS_4

#define MCUGEN_NARROW_PAIRS_2                                                                      \
    "ldr.n r2, [r0, #\\at]\n"                                                                      \
    "ldr.w r12, [r1, #4 * \\at]\n"                                                                 \
    "ldr.w lr, [r1, #4 * \\at + 4]\n"                                                              \
    MCUGEN_NARROW_PRODUCTS_2                                                                       \
    "ldr.w r12, [r1, #4 * \\at + 8]\n"                                                             \
    "ldr.w lr, [r1, #4 * \\at + 12]\n"                                                             \
    "lsrs.n r2, r2, #8\n"                                                                          \
    MCUGEN_NARROW_PRODUCTS_2

/*
 * From the words bias * 256, and minus the offset times the sum of the values in `x`, the first
 * sums of four channels.
 */
#define MCUGEN_NARROW_START_4(a, b, c, d, x)                                                       \
    "add " a ", " x ", " a ", asr #8\n"                                                            \
    "add " b ", " a ", " b ", asr #4\n"                                                            \
    "add " d ", " x ", " d ", asr #4\n"                                                            \
    "add " d ", " d ", " c ", asr #8\n"                                                            \
    "add " c ", " c ", " x ", lsl #8\n"

#define MCUGEN_NARROW_START_2(a, b, c, d, x)                                                       \
    "add " a ", " x ", " a ", asr #8\n"                                                            \
    "add " b ", " x ", " b ", asr #8\n"                                                            \
    "add " c ", " x ", " c ", asr #8\n"                                                            \
    "add " d ", " x ", " d ", asr #8\n"                                                            \
    "lsl " b ", " b ", #2\n"                                                                       \
    "lsl " c ", " c ", #4\n"                                                                       \
    "lsl " d ", " d ", #6\n"

/* From the sums of four channels their accumulators, times what the multipliers expect. */
#define MCUGEN_NARROW_FINISH_4(a, b, c, d)                                                         \
    "sub " b ", " b ", " a "\n"                                                                    \
    "sub " d ", " d ", " c ", asr #8\n"                                                            \
    "lsl " a ", " a ", #4\n"

#define MCUGEN_NARROW_FINISH_2(a, b, c, d)                                                         \
    "lsl " a ", " a ", #6\n"                                                                       \
    "lsl " b ", " b ", #4\n"                                                                       \
    "lsl " c ", " c ", #2\n"

/* clang-format on */

#else

/** The weight of channel `c` of a quad for one value of a pair, in the lower or upper half. */
static inline int32_t mcugen_narrow_weight(const uint32_t *weights, int32_t pair, int32_t upper,
                                           int32_t c, int32_t bits)
{
    const uint32_t half = (16u * (uint32_t)upper);

    if (bits == 2) {
        const uint32_t at = half + (8u * ((uint32_t)pair % 2u)) + (2u * (uint32_t)c);
        return (int32_t)((weights[pair / 2] >> at) & 3u) - 2;
    }
    const int32_t nibble = (int32_t)((weights[pair] >> (half + (4u * (uint32_t)c))) & 15u);
    return ((c % 2) == 0) ? (nibble - 8) : (((nibble + 8) & 15) - 8);
}

/** One output: `acc` as the multipliers expect it. */
static inline int8_t mcugen_narrow_output(int32_t acc, int32_t c, const uint32_t *quad,
                                          const uint32_t *multipliers, int32_t rounding,
                                          int32_t bits)
{
    const int32_t wide = (c == 2) ? 256 : 16;

    return mcugen_dsp_requantize(acc * ((bits == 2) ? 64 : wide), (int32_t)multipliers[c],
                                 quad[c] & 0xffu, rounding);
}

#endif

#ifdef __cplusplus
}
#endif

#endif /* MCUGEN_NARROW_DSP_H_INCLUDED */
