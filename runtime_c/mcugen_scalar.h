/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file mcugen_scalar.h
 * @brief What the kernels for cores without the DSP extension share: requantization by high words.
 *
 * A Cortex-M0+ multiplies 32 by 32 bits to the lower 32 alone, so the high word of a product is put
 * together there from 16-bit halves.
 */
#ifndef MCUGEN_SCALAR_H_INCLUDED
#define MCUGEN_SCALAR_H_INCLUDED

#include "mcugen.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Assembly for Armv6-M. */
#if defined(__ARM_ARCH_6M__) && defined(__GNUC__)
#define MCUGEN_ARMV6M 1
#else
#define MCUGEN_ARMV6M 0
#endif

/* Assembly for Armv7-M, and for what came later, where the DSP extension is missing. */
#if (defined(__ARM_ARCH_7M__) || defined(__ARM_ARCH_8M_MAIN__)) && !defined(__ARM_FEATURE_DSP) &&  \
    defined(__GNUC__)
#define MCUGEN_ARMV7M 1
#else
#define MCUGEN_ARMV7M 0
#endif

/** The high word of a * b, for |a| < 2^29 and b in [0, 2^31). */
static inline int32_t mcugen_scalar_high_word(int32_t a, int32_t b)
{
#if MCUGEN_ARMV6M
    /* a = 2^16 upper + lower, lower signed, so that no sum of products leaves 32 bits */
    const int32_t lower = (int32_t)(int16_t)(uint16_t)((uint32_t)a & 0xffffu);
    const int32_t upper = mcugen_asr32(a - lower, 16);
    const int32_t b_lower = (int32_t)((uint32_t)b & 0xffffu);
    const int32_t b_upper = mcugen_asr32(b, 16);
    const int32_t middle =
        (upper * b_lower) + (lower * b_upper) + mcugen_asr32(lower * b_lower, 16);

    return (upper * b_upper) + mcugen_asr32(middle, 16);
#else
    return (int32_t)(((int64_t)a * b) >> 32);
#endif
}

/**
 * One output: the high word of acc * multiplier, rounded, shifted and clamped.
 *
 * @param[in] acc        Accumulator, |acc| < 2^29.
 * @param[in] multiplier In [0, 2^31).
 * @param[in] shift      Bits that are dropped from the high word, less one: in [0, 20].
 * @param[in] rounding   2 * zero point + 1.
 * @param[in] low        Smallest output.
 * @param[in] high       Largest output.
 */
static inline int8_t mcugen_scalar_requantize(int32_t acc, int32_t multiplier, uint32_t shift,
                                              int32_t rounding, int32_t low, int32_t high)
{
    const int32_t sum =
        mcugen_scalar_high_word(acc, multiplier) + (int32_t)((uint32_t)rounding << shift);

    return (int8_t)mcugen_clamp(mcugen_asr32(sum, (int32_t)shift + 1), low, high);
}

/** Byte `place` of a word of weights, counted from the lowest. */
static inline uint32_t mcugen_scalar_weight(const uint32_t *word, uint32_t place)
{
#if defined(__riscv)
    /* little-endian; a load extends the sign for nothing */
    return (uint32_t)(int32_t)((const int8_t *)(const void *)word)[place];
#else
    return (uint32_t)(int32_t)(int8_t)(uint8_t)((*word >> (8u * place)) & 0xffu);
#endif
}

/** S1 of a sum of two products. */
static inline int32_t mcugen_scalar_upper(uint32_t products)
{
    return mcugen_asr32((int32_t)(products + 0x8000u), 16);
}

#if MCUGEN_ARMV6M
/** words[i] = a[i * step] + 2^16 b[i * step] for i in [0, len), len > 0. */
MCUGEN_NAKED static void mcugen_scalar_unfold(const int8_t *a __attribute__((unused)),
                                              const int8_t *b __attribute__((unused)),
                                              int32_t step __attribute__((unused)),
                                              int32_t len __attribute__((unused)),
                                              uint32_t *words __attribute__((unused)))
{
    __asm__ volatile(".syntax unified\n"
                     "push {r4-r7, lr}\n"
                     "ldr r4, [sp, #20]\n"
                     "movs r7, #0\n"
                     "lsrs r5, r3, #1\n" /* leaves the lowest bit in the carry */
                     "bcc 1f\n"
                     "ldrsb r5, [r0, r7]\n"
                     "ldrsb r6, [r1, r7]\n"
                     "lsls r6, r6, #16\n"
                     "adds r5, r5, r6\n"
                     "stmia r4!, {r5}\n"
                     "adds r7, r7, r2\n"
                     "1:\n"
                     "muls r3, r2\n"
                     "mov r12, r3\n"
                     "b 3f\n"
                     "2:\n"
                     "ldrsb r5, [r0, r7]\n"
                     "ldrsb r6, [r1, r7]\n"
                     "lsls r6, r6, #16\n"
                     "adds r5, r5, r6\n"
                     "adds r7, r7, r2\n"
                     "ldrsb r6, [r0, r7]\n"
                     "ldrsb r3, [r1, r7]\n"
                     "lsls r3, r3, #16\n"
                     "adds r6, r6, r3\n"
                     "adds r7, r7, r2\n"
                     "stmia r4!, {r5, r6}\n"
                     "3:\n"
                     "cmp r7, r12\n"
                     "bne 2b\n"
                     "pop {r4-r7, pc}\n");
}
#else
/** words[i] = a[i * step] + 2^16 b[i * step] for i in [0, len), len > 0. */
static inline void mcugen_scalar_unfold(const int8_t *a, const int8_t *b, int32_t step, int32_t len,
                                        uint32_t *words)
{
    for (int32_t i = 0; i < len; i++) {
        words[i] = (uint32_t)(int32_t)*a + ((uint32_t)(int32_t)*b << 16);
        a = &a[step];
        b = &b[step];
    }
}
#endif

/** Copy bytes, by words where that is possible. */
static inline void mcugen_scalar_copy(const int8_t *source, int32_t len, int8_t *target)
{
    if ((((uintptr_t)source | (uintptr_t)target | (uintptr_t)len) % 4u) == 0u) {
        const uint32_t *from = (const uint32_t *)(const void *)source;
        uint32_t *to = (uint32_t *)(void *)target;
        for (int32_t i = 0; i < len / 4; i++) {
            to[i] = from[i];
        }
    } else {
        for (int32_t i = 0; i < len; i++) {
            target[i] = source[i];
        }
    }
}

#if MCUGEN_ARMV6M
/*
 * r0 = requantized r0, for |r0| < 2^29. In: multiplier's upper half r2 and lower half r3, shift r1,
 * rounding << shift r10, low r12, high lr. Uses r4 and r5. With a = 2^16 ah + al, al signed, the
 * high word is ah mh + (ah ml + al mh + (al ml >> 16) >> 16), and no sum leaves 32 bits.
 */
#define MCUGEN_ARMV6M_REQUANTIZE                                                                   \
    "sxth r4, r0\n"                                                                                \
    "subs r0, r0, r4\n"                                                                            \
    "asrs r0, r0, #16\n"                                                                           \
    "movs r5, r4\n"                                                                                \
    "muls r5, r3\n"                                                                                \
    "asrs r5, r5, #16\n"                                                                           \
    "muls r4, r2\n"                                                                                \
    "adds r4, r4, r5\n"                                                                            \
    "movs r5, r0\n"                                                                                \
    "muls r5, r3\n"                                                                                \
    "adds r4, r4, r5\n"                                                                            \
    "asrs r4, r4, #16\n"                                                                           \
    "muls r0, r2\n"                                                                                \
    "adds r0, r0, r4\n"                                                                            \
    "add r0, r10\n"                                                                                \
    "asrs r0, r1\n"                                                                                \
    "asrs r0, r0, #1\n"                                                                            \
    "cmp r0, r12\n"                                                                                \
    "bge 8f\n"                                                                                     \
    "mov r0, r12\n"                                                                                \
    "8:\n"                                                                                         \
    "cmp r0, lr\n"                                                                                 \
    "ble 8f\n"                                                                                     \
    "mov r0, lr\n"                                                                                 \
    "8:\n"
#endif

#ifdef __cplusplus
}
#endif

#endif /* MCUGEN_SCALAR_H_INCLUDED */
