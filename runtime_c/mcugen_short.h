/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file mcugen_short.h
 * @brief Requantization by products of 32 bits, for cores that have no longer ones.
 *
 * The factor has two parts, upper + lower / 2^fraction, and the bias, the rounding and the zero point
 * are one offset. The compiler finds factors and offsets that give the same outputs as the
 * multiplier for every sum that int8 inputs can reach, or takes another kernel.
 */
#ifndef MCUGEN_SHORT_H_INCLUDED
#define MCUGEN_SHORT_H_INCLUDED

#include "mcugen.h"

#ifdef __cplusplus
extern "C" {
#endif

#if defined(__ARM_ARCH_6M__) && defined(__GNUC__)
/*
 * x = requantized x. In: lower factor r1, upper factor r2, shift r5, span lr, offset and low as
 * named. Uses r4.
 */
#define MCUGEN_SHORT_OUTPUT(x, OFFSET, LOW, FRACTION)                                              \
    "movs r4, " x "\n"                                                                             \
    "muls r4, r1\n"                                                                                \
    "asrs r4, r4, #" FRACTION "\n"                                                                 \
    "muls " x ", r2\n"                                                                             \
    "adds " x ", " x ", r4\n"                                                                      \
    "add " x ", " OFFSET "\n"                                                                      \
    "asrs r4, " x ", #31\n"                                                                        \
    "bics " x ", r4\n"                                                                             \
    "lsrs " x ", r5\n"                                                                             \
    "cmp " x ", lr\n"                                                                              \
    "bls 8f\n"                                                                                     \
    "mov " x ", lr\n"                                                                              \
    "8:\n"                                                                                         \
    "add " x ", " LOW "\n"

/* The factors in `both` to r1 and r2. */
#define MCUGEN_SHORT_FACTORS(both, FRACTION)                                                       \
    "lsls r1, " both ", #32 - " FRACTION "\n"                                                      \
    "asrs r1, r1, #32 - " FRACTION "\n"                                                            \
    "asrs r2, " both ", #" FRACTION "\n"
#else
/**
 * One output.
 *
 * @param[in] sum      Of products, |sum| < 2^(32 - fraction).
 * @param[in] scale    Offset, and the factors, the lower one in so many bits.
 * @param[in] fraction 13 or 12.
 * @param[in] shift    Bits that are dropped.
 * @param[in] low      Smallest output.
 * @param[in] span     From the smallest to the largest output.
 */
static inline int8_t mcugen_short_requantize(int32_t sum, const uint32_t *scale, int32_t fraction,
                                             int32_t shift, int32_t low, int32_t span)
{
    const int32_t upper = mcugen_asr32((int32_t)scale[1], fraction);
    const int32_t lower = mcugen_asr32((int32_t)(scale[1] << (32 - fraction)), 32 - fraction);
    const int32_t scaled = (upper * sum) + mcugen_asr32(lower * sum, fraction) + (int32_t)scale[0];

    return (int8_t)(low + mcugen_clamp(mcugen_asr32(scaled, shift), 0, span));
}
#endif

#ifdef __cplusplus
}
#endif

#endif /* MCUGEN_SHORT_H_INCLUDED */
