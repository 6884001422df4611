/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file mcugen_sparse_dsp.h
 * @brief What convolutions by weights that are mostly zero share on cores with the DSP extension.
 *
 * Outputs are computed in strips of four pixels of one row. The activations that a strip or two
 * need are laid out as words, so that an entry of the weights, a delta to the words that it wants
 * and the weights themselves, serves all these pixels: docs/SPARSE.md has the layouts. Padding is
 * laid out like anything else, so that no inner loop asks for it.
 */
#ifndef MCUGEN_SPARSE_DSP_H_INCLUDED
#define MCUGEN_SPARSE_DSP_H_INCLUDED

#include "mcugen_dsp.h"
#include "mcugen_sparse.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct {
    mcugen_sparse_image_t image;
    int32_t units;          /* words that hold all channels of a pixel */
    const uint8_t *entries; /* row of weights after row: head, entries, multipliers; then an end */
    int32_t zero_point;
    int32_t low;
    int32_t high;
} mcugen_sparse_dsp_params_t;

/** All channels of one or two strips. The assembly knows the order of the members. */
typedef struct {
    const uint8_t *entries;
    const uint32_t *words;
    int32_t rounding;  /* 2 * zero point + 1 */
    int8_t *output[2]; /* of each strip's first pixel */
    int32_t stride;    /* from a pixel's outputs to those of the next, out_ch */
} mcugen_sparse_dsp_job_t;

#if defined(__ARM_FEATURE_DSP)

/* What the job holds to the stack from sp + 4 on, the entries into r0. */
#define MCUGEN_SPARSE_BEGIN                                                                        \
    "push {r4-r11, lr}\n"                                                                          \
    "sub sp, #28\n"                                                                                \
    "ldm r0, {r1-r6}\n"                                                                            \
    "mov r0, r1\n"                                                                                 \
    "add r1, sp, #4\n"                                                                             \
    "stm r1, {r2-r6}\n"

/* The next row of weights: its bias to r4, 64 * (entries - 1) + shift to r2, the words to r1. MORE
   of its head may be read beside that. */
#define MCUGEN_SPARSE_HEAD(MORE)                                                                   \
    "0:\n"                                                                                         \
    "ldr r2, [r0], #4\n" MORE "ldr r1, [sp, #4]\n"                                                 \
    "asr r4, r2, #12\n"                                                                            \
    "ubfx r2, r2, #0, #12\n"                                                                       \
    "1:\n"                                                                                         \
    "str r2, [sp, #0]\n"

/* A long row, which has its number of entries, less one, in place of the bias, and this behind its
   head; below zero, it is the end. */
#define MCUGEN_SPARSE_LONG                                                                         \
    "cmp r4, #0\n"                                                                                 \
    "blt.w 9f\n"                                                                                   \
    "and r2, r2, #31\n"                                                                            \
    "orr r2, r2, r4, lsl #6\n"                                                                     \
    "ldr r4, [r0], #4\n"                                                                           \
    "b.w 1b\n"

/* The end of a round of so many entries, and whether there are more. */
#define MCUGEN_SPARSE_NEXT(ROUND)                                                                  \
    "ldr r3, [sp, #0]\n"                                                                           \
    "subs r3, #64 * " ROUND "\n"                                                                   \
    "str r3, [sp, #0]\n"                                                                           \
    "bpl.w 2b\n"

/* On to the next row. */
#define MCUGEN_SPARSE_END                                                                          \
    "b.w 0b\n"                                                                                     \
    "9:\n"                                                                                         \
    "add sp, #28\n"                                                                                \
    "pop {r4-r11, pc}\n"

/* The output of a sum: high word with the multiplier in r1, rounded, shifted and saturated. */
#define MCUGEN_SPARSE_SCALE(acc, shift, rounding)                                                  \
    "smmla " acc ", " acc ", r1, " rounding "\n"                                                   \
    "asr " acc ", " acc ", " shift "\n"                                                            \
    "ssat " acc ", #8, " acc ", asr #1\n"

/* Four channels in `x` as the two words that PAIRS makes of them, in r12 and in `x`. */
#define MCUGEN_SPARSE_LAY(PAIRS, x)                                                                \
    PAIRS(x)                                                                                       \
    "str r12, [r2]\n"                                                                              \
    "str " x ", [r2, r3]\n"                                                                        \
    "add r2, r2, r3, lsl #1\n"

/* r0: channels of a pixel, r1: how many, a multiple of 4, r2: their words, r3: bytes from one word
   to the next. */
#define MCUGEN_SPARSE_LAY_ALL(PAIRS)                                                               \
    "push {r4-r7, lr}\n"                                                                           \
    "subs r1, #16\n"                                                                               \
    "blt 2f\n"                                                                                     \
    "1:\n"                                                                                         \
    "ldr r4, [r0]\n"                                                                               \
    "ldr r5, [r0, #4]\n"                                                                           \
    "ldr r6, [r0, #8]\n"                                                                           \
    "ldr r7, [r0, #12]\n"                                                                          \
    "adds r0, #16\n" MCUGEN_SPARSE_LAY(PAIRS, "r4") MCUGEN_SPARSE_LAY(PAIRS, "r5")                 \
        MCUGEN_SPARSE_LAY(PAIRS, "r6") MCUGEN_SPARSE_LAY(                                          \
            PAIRS, "r7") "subs r1, #16\n"                                                          \
                         "bge 1b\n"                                                                \
                         "2:\n"                                                                    \
                         "adds r1, #16\n"                                                          \
                         "beq 4f\n"                                                                \
                         "3:\n"                                                                    \
                         "ldr r4, [r0], #4\n" MCUGEN_SPARSE_LAY(PAIRS, "r4") "subs r1, #4\n"       \
                                                                             "bne 3b\n"            \
                                                                             "4:\n"                \
                                                                             "pop {r4-r7, pc}\n"

/* One channel of two strips, pixel after pixel. */
#define MCUGEN_SPARSE_STORE(a0, a1, a2, a3, b0, b1, b2, b3)                                        \
    "ldrd r1, r2, [sp, #12]\n"                                                                     \
    "ldr r3, [sp, #20]\n"                                                                          \
    "add r12, r1, r3, lsl #1\n"                                                                    \
    "add lr, r2, r3, lsl #1\n"                                                                     \
    "strb " a1 ", [r1, r3]\n"                                                                      \
    "strb " b1 ", [r2, r3]\n"                                                                      \
    "strb " a2 ", [r12]\n"                                                                         \
    "strb " a3 ", [r12, r3]\n"                                                                     \
    "strb " b2 ", [lr]\n"                                                                          \
    "strb " b3 ", [lr, r3]\n"                                                                      \
    "strb " a0 ", [r1], #1\n"                                                                      \
    "strb " b0 ", [r2], #1\n"                                                                      \
    "strd r1, r2, [sp, #12]\n"

#else /* what the assembly of the kernels does, in C */

/** Two values as a word. */
static inline uint32_t mcugen_sparse_pair(int8_t first, int8_t second)
{
    return ((uint32_t)(int32_t)first & 0xffffu) | ((uint32_t)(int32_t)second << 16);
}

/* What stands for the number of entries of a long row; 1 is for a row without. */
#define MCUGEN_SPARSE_IS_LONG 3u

/** What a row of weights begins with. */
typedef struct {
    int32_t bias;
    int32_t len; /* entries; below zero at the end of the rows */
    uint32_t shift;
    int32_t second; /* 32 * bias + shift of a second output */
} mcugen_sparse_head_t;

/** Two bytes, the lower first. */
static inline uint32_t mcugen_sparse_half(const uint8_t *bytes)
{
    return (uint32_t)bytes[0] | ((uint32_t)bytes[1] << 8);
}

/** Four bytes. */
static inline int32_t mcugen_sparse_word(const uint8_t *bytes)
{
    return (int32_t)(mcugen_sparse_half(bytes) | (mcugen_sparse_half(&bytes[2]) << 16));
}

/** What is behind a row's head of so many bytes, and behind the bias where that is a word. */
static inline const uint8_t *mcugen_sparse_open(const uint8_t *row, int32_t size,
                                                mcugen_sparse_head_t *head)
{
    const int32_t word = mcugen_sparse_word(row);
    const uint32_t few = ((uint32_t)word >> 5) & 127u;
    const int32_t upper = mcugen_asr32(word, 12);

    head->bias = upper;
    head->shift = (uint32_t)word & 31u;
    head->second = (size == 8) ? mcugen_sparse_word(&row[4]) : 0;
    head->len = ((few % 2u) == 0u) ? (int32_t)(few / 2u) + 1 : 0;
    if (few != MCUGEN_SPARSE_IS_LONG) {
        return &row[size];
    }
    head->len = (upper < 0) ? upper : (upper + 1);
    head->bias = (upper < 0) ? 0 : mcugen_sparse_word(&row[size]);
    return &row[size + 4];
}

/** The bias, for each pixel. */
static inline void mcugen_sparse_start(int32_t bias, int32_t *acc, int32_t pixels)
{
    for (int32_t i = 0; i < pixels; i++) {
        acc[i] = bias;
    }
}

/** One channel of one strip, its multiplier behind the entries. */
static inline void mcugen_sparse_finish(const mcugen_sparse_dsp_job_t *job, int32_t strip,
                                        int32_t channel, const int32_t *acc,
                                        const uint8_t *multiplier, uint32_t shift)
{
    const int32_t factor = (int32_t)(mcugen_sparse_half(multiplier) << 15);

    for (int32_t pixel = 0; pixel < MCUGEN_SPARSE_STRIP; pixel++) {
        job->output[strip][(pixel * job->stride) + channel] =
            mcugen_dsp_requantize(acc[pixel], factor, shift, job->rounding);
    }
}

#endif

/** Up to three channels that are left, filled up with zeros. */
static inline void mcugen_sparse_rest(const int8_t *values, int32_t len, int8_t *four)
{
    for (int32_t i = 0; i < 4; i++) {
        four[i] = (i < len) ? values[i] : (int8_t)0;
    }
}

/** All channels of a strip, but for where its outputs go. */
static inline mcugen_sparse_dsp_job_t mcugen_sparse_job(const mcugen_sparse_dsp_params_t *p,
                                                        const uint32_t *words)
{
    const mcugen_sparse_dsp_job_t job = {
        p->entries, words, (2 * p->zero_point) + 1, {NULL, NULL}, p->image.out_ch};

    return job;
}

#ifdef __cplusplus
}
#endif

#endif /* MCUGEN_SPARSE_DSP_H_INCLUDED */
