/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file mcugen_conv_narrow_pair.h
 * @brief Sums of four channels and two pixels with weights of 4 and 2 bits, without DSP extension.
 *
 * Columns are those of mcugen_conv_pair.h, words x0 + 2^16 x1. A word of weights holds four channels
 * of two taps (4 bits) or four taps (2 bits), the first tap highest, and of each tap the first
 * channel highest: that one in two's complement, of the others weight + 2^(bits - 1). Shifted right
 * so that one, two, three or all channels of a tap are left, sign and all, it is multiplied as it
 * is: no weight is ever taken out. Each of these sums less 2^bits times the one before it is that of
 * one channel alone, modulo 2^32, and as long as its two pixels stay within 16 bits each they can be
 * told apart: for 16 taps of 4 bits, 15 * 128 * 16 < 2^15, or 64 of 2 bits, 3 * 128 * 64 < 2^15.
 */
#ifndef MCUGEN_CONV_NARROW_PAIR_H_INCLUDED
#define MCUGEN_CONV_NARROW_PAIR_H_INCLUDED

#include "mcugen_scalar.h"

#ifdef __cplusplus
extern "C" {
#endif

#define MCUGEN_NARROW_PAIR_CHANNELS 4

/** Of each channel the second pixel's sum, and that of both, x0 + 2^16 x1, modulo 2^32. */
typedef struct {
    int32_t upper;
    uint32_t both;
} mcugen_narrow_pair_sum_t;

#if MCUGEN_ARMV6M
/* Of the tap whose channels are the upper bits of r4, left after shifts of s0 to s3 bits; times X. */
#define MCUGEN_NARROW_PAIR_TAP(x, s0, s1, s2, s3)                                                  \
    "asrs r5, r4, #" s0 "\n"                                                                       \
    "muls r5, " x "\n"                                                                             \
    "adds r6, r6, r5\n"                                                                            \
    "asrs r5, r4, #" s1 "\n"                                                                       \
    "muls r5, " x "\n"                                                                             \
    "adds r7, r7, r5\n"                                                                            \
    "asrs r5, r4, #" s2 "\n"                                                                       \
    "muls r5, " x "\n"                                                                             \
    "add r8, r5\n"                                                                                 \
    "asrs r5, r4, #" s3 "\n"                                                                       \
    "muls r5, " x "\n"                                                                             \
    "add r9, r5\n"

/* 54 bytes of code */
#define MCUGEN_NARROW_PAIR_WORD_4                                                                  \
    "ldmia r0!, {r2, r3}\n"                                                                        \
    "ldmia r1!, {r4}\n" MCUGEN_NARROW_PAIR_TAP(                                                    \
        "r2", "28", "24", "20",                                                                    \
        "16") "lsls r4, r4, #16\n" MCUGEN_NARROW_PAIR_TAP("r3", "28", "24", "20", "16")

/* 108 bytes of code */
#define MCUGEN_NARROW_PAIR_WORD_2                                                                     \
    "ldmia r0!, {r2, r3}\n"                                                                           \
    "ldmia r1!, {r4}\n" MCUGEN_NARROW_PAIR_TAP(                                                       \
        "r2", "30", "28", "26",                                                                       \
        "24") "lsls r4, r4, #8\n" MCUGEN_NARROW_PAIR_TAP("r3", "30", "28", "26",                      \
                                                         "24") "ldmia r0!, {r2, r3}\n"                \
                                                               "lsls r4, r4, "                        \
                                                               "#8\n" MCUGEN_NARROW_PAIR_TAP(         \
                                                                   "r2", "30", "28", "26",            \
                                                                   "24") "lsls r4, r4, "              \
                                                                         "#8"                         \
                                                                         "\n" MCUGEN_NARROW_PAIR_TAP( \
                                                                             "r3", "30", "28",        \
                                                                             "26", "24")

/* Add r4 to the sum at r5, as both pixels, and its second pixel alone. */
#define MCUGEN_NARROW_PAIR_SPLIT                                                                   \
    "ldr r2, [r5, #0]\n"                                                                           \
    "ldr r3, [r5, #4]\n"                                                                           \
    "adds r3, r3, r4\n"                                                                            \
    "asrs r4, r4, #16\n"                                                                           \
    "adcs r2, r4\n"                                                                                \
    "stmia r5!, {r2, r3}\n"

/*
 * Parts of `most` words, the last one first begun in the midst of its code, of `bytes` for a word.
 * r10 words left after this part, r11 the sums.
 */
#define MCUGEN_NARROW_PAIR_SUMS(bits, most, bytes, words)                                          \
    ".syntax unified\n"                                                                            \
    "push {r4-r7, lr}\n"                                                                           \
    "mov r4, r8\n"                                                                                 \
    "mov r5, r9\n"                                                                                 \
    "mov r6, r10\n"                                                                                \
    "mov r7, r11\n"                                                                                \
    "push {r4-r7}\n"                                                                               \
    "mov r11, r3\n"                                                                                \
    "1:\n"                                                                                         \
    "movs r5, #0\n"                                                                                \
    "subs r2, #" most "\n"                                                                         \
    "bge 2f\n"                                                                                     \
    "movs r5, #" bytes "\n"                                                                        \
    "rsbs r2, r2, #0\n"                                                                            \
    "muls r5, r2\n"                                                                                \
    "movs r2, #0\n"                                                                                \
    "2:\n"                                                                                         \
    "mov r10, r2\n"                                                                                \
    "movs r6, #0\n"                                                                                \
    "movs r7, #0\n"                                                                                \
    "mov r8, r6\n"                                                                                 \
    "mov r9, r6\n"                                                                                 \
    "add pc, r5\n"                                                                                 \
    "nop\n" words "mov r5, r11\n"                                                                  \
    "movs r4, r6\n" MCUGEN_NARROW_PAIR_SPLIT "lsls r4, r6, #" bits "\n"                            \
    "subs r4, r7, r4\n" MCUGEN_NARROW_PAIR_SPLIT "lsls r4, r7, #" bits "\n"                        \
    "mov r2, r8\n"                                                                                 \
    "subs r4, r2, r4\n" MCUGEN_NARROW_PAIR_SPLIT "mov r2, r8\n"                                    \
    "lsls r4, r2, #" bits "\n"                                                                     \
    "mov r2, r9\n"                                                                                 \
    "subs r4, r2, r4\n" MCUGEN_NARROW_PAIR_SPLIT "mov r2, r10\n"                                   \
    "cmp r2, #0\n"                                                                                 \
    "beq 3f\n"                                                                                     \
    "b 1b\n"                                                                                       \
    "3:\n"                                                                                         \
    "pop {r4-r7}\n"                                                                                \
    "mov r8, r4\n"                                                                                 \
    "mov r9, r5\n"                                                                                 \
    "mov r10, r6\n"                                                                                \
    "mov r11, r7\n"                                                                                \
    "pop {r4-r7, pc}\n"

/** Add the products of `words` words of weights, at least one, to the sums of four channels. */
MCUGEN_NAKED static void mcugen_narrow_pair_sums_4(const uint32_t *column MCUGEN_UNUSED,
                                                   const uint32_t *weight MCUGEN_UNUSED,
                                                   int32_t words MCUGEN_UNUSED,
                                                   mcugen_narrow_pair_sum_t *sums MCUGEN_UNUSED)
{
    __asm__ volatile(MCUGEN_NARROW_PAIR_SUMS(
        "4", "8", "54",
        MCUGEN_NARROW_PAIR_WORD_4 MCUGEN_NARROW_PAIR_WORD_4 MCUGEN_NARROW_PAIR_WORD_4
            MCUGEN_NARROW_PAIR_WORD_4 MCUGEN_NARROW_PAIR_WORD_4 MCUGEN_NARROW_PAIR_WORD_4
                MCUGEN_NARROW_PAIR_WORD_4 MCUGEN_NARROW_PAIR_WORD_4));
}

MCUGEN_NAKED static void mcugen_narrow_pair_sums_2(const uint32_t *column MCUGEN_UNUSED,
                                                   const uint32_t *weight MCUGEN_UNUSED,
                                                   int32_t words MCUGEN_UNUSED,
                                                   mcugen_narrow_pair_sum_t *sums MCUGEN_UNUSED)
{
    __asm__ volatile(MCUGEN_NARROW_PAIR_SUMS(
        "2", "8", "108",
        MCUGEN_NARROW_PAIR_WORD_2 MCUGEN_NARROW_PAIR_WORD_2 MCUGEN_NARROW_PAIR_WORD_2
            MCUGEN_NARROW_PAIR_WORD_2 MCUGEN_NARROW_PAIR_WORD_2 MCUGEN_NARROW_PAIR_WORD_2
                MCUGEN_NARROW_PAIR_WORD_2 MCUGEN_NARROW_PAIR_WORD_2));
}
#else
/* For RISC-V, GCC unrolls a loop whose end it knows to where registers run out. */
#if defined(__riscv) && defined(__GNUC__)
#define MCUGEN_UNKNOWN(value) __asm__ volatile("" : "+r"(value))
#else
#define MCUGEN_UNKNOWN(value) ((void)0)
#endif

/** Add what four channels have of some taps, each sum with those of the channels before it. */
static inline void mcugen_narrow_pair_split(const uint32_t part[MCUGEN_NARROW_PAIR_CHANNELS],
                                            uint32_t bits, mcugen_narrow_pair_sum_t *sums)
{
    uint32_t before = 0;

    for (int32_t k = 0; k < MCUGEN_NARROW_PAIR_CHANNELS; k++) {
        const uint32_t own = part[k] - (before << bits);
        sums[k].both += own;
        sums[k].upper += mcugen_scalar_upper(own);
        before = part[k];
    }
}

/** Add the products of `words` words of weights to the sums of four channels. */
static MCUGEN_ALWAYS_INLINE void mcugen_narrow_pair_sums(uint32_t bits, const uint32_t *column,
                                                         const uint32_t *weight, int32_t words,
                                                         mcugen_narrow_pair_sum_t *sums)
{
    const int32_t most = (bits == 4u) ? 8 : 16; /* words whose products stay within 16 bits */

    while (words > 0) {
        uint32_t part[MCUGEN_NARROW_PAIR_CHANNELS] = {0u, 0u, 0u, 0u};
        const uint32_t *end = &weight[(words < most) ? words : most];
        words -= most;
        MCUGEN_UNKNOWN(end);
        while (weight != end) {
            uint32_t word = *weight;
            for (uint32_t tap = 0; tap < (8u / bits); tap++) {
                for (uint32_t k = 0; k < MCUGEN_NARROW_PAIR_CHANNELS; k++) {
                    const int32_t kept = (int32_t)(32u - (bits * (k + 1u)));
                    part[k] += (uint32_t)mcugen_asr32((int32_t)word, kept) * *column;
                }
                word <<= 4u * bits;
                column++;
            }
            weight++;
        }
        mcugen_narrow_pair_split(part, bits, sums);
    }
}

static inline void mcugen_narrow_pair_sums_4(const uint32_t *column, const uint32_t *weight,
                                             int32_t words, mcugen_narrow_pair_sum_t *sums)
{
    mcugen_narrow_pair_sums(4u, column, weight, words, sums);
}

static inline void mcugen_narrow_pair_sums_2(const uint32_t *column, const uint32_t *weight,
                                             int32_t words, mcugen_narrow_pair_sum_t *sums)
{
    mcugen_narrow_pair_sums(2u, column, weight, words, sums);
}
#endif

/** Sum of the values of a column, of both pixels as of a channel. */
static inline mcugen_narrow_pair_sum_t mcugen_narrow_pair_values(const uint32_t *column,
                                                                 const uint32_t *end)
{
    mcugen_narrow_pair_sum_t sum = {0, 0u};

    while (column != end) {
        /* 128 values leave 16 bits of each pixel's sum enough */
        const uint32_t *const stop = ((end - column) > 128) ? &column[128] : end;
        uint32_t both = 0;
        while (column != stop) {
            both += *column;
            column++;
        }
        sum.both += both;
        sum.upper += mcugen_scalar_upper(both);
    }
    return sum;
}

#ifdef __cplusplus
}
#endif

#endif /* MCUGEN_CONV_NARROW_PAIR_H_INCLUDED */
