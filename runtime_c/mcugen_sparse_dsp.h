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
    const uint8_t *entries; /* row of weights after row: length of two bytes, entries; then zero */
    const uint32_t *scale;  /* [out_ch][256 * bias + shift, multiplier] */
    int32_t zero_point;
    int32_t low;
    int32_t high;
} mcugen_sparse_dsp_params_t;

/** All channels of one or two strips. The assembly knows the order of the members. */
typedef struct {
    const uint8_t *entries;
    const uint32_t *words;
    int32_t rounding; /* 2 * zero point + 1 */
    const uint32_t *scale;
    int8_t *output[2]; /* of each strip's first pixel */
    int32_t stride;    /* from a pixel's outputs to those of the next, out_ch */
} mcugen_sparse_dsp_job_t;

#if defined(__ARM_FEATURE_DSP)

/* What the job holds to the stack from sp + 4 on, the entries into r0 and the first length to r3. */
#define MCUGEN_SPARSE_BEGIN                                                                        \
    "push {r4-r11, lr}\n"                                                                          \
    "sub sp, #28\n"                                                                                \
    "ldm r0, {r1-r7}\n"                                                                            \
    "mov r0, r1\n"                                                                                 \
    "add r1, sp, #4\n"                                                                             \
    "stm r1, {r2-r7}\n"                                                                            \
    "ldrh r3, [r0], #2\n"

/* On to the next row of weights, its length in r3, as long as there is one. */
#define MCUGEN_SPARSE_END                                                                          \
    "ldrh r3, [r0], #2\n"                                                                          \
    "cmp r3, #0\n"                                                                                 \
    "bne.w 0b\n"                                                                                   \
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
    "ldrd r1, r2, [sp, #16]\n"                                                                     \
    "ldr r3, [sp, #24]\n"                                                                          \
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
    "strd r1, r2, [sp, #16]\n"

#else /* what the assembly of the kernels does, in C */

/** Two values as a word. */
static inline uint32_t mcugen_sparse_pair(int8_t first, int8_t second)
{
    return ((uint32_t)(int32_t)first & 0xffffu) | ((uint32_t)(int32_t)second << 16);
}

/** Bytes of the entries of a row. */
static inline uint32_t mcugen_sparse_length(const uint8_t *row)
{
    return (uint32_t)row[0] | ((uint32_t)row[1] << 8);
}

/** The bias of a channel, for each of its pixels. */
static inline void mcugen_sparse_start(const mcugen_sparse_dsp_job_t *job, int32_t channel,
                                       int32_t *acc, int32_t pixels)
{
    for (int32_t i = 0; i < pixels; i++) {
        acc[i] = mcugen_asr32((int32_t)job->scale[2 * channel], 8);
    }
}

/** One channel of one strip. */
static inline void mcugen_sparse_finish(const mcugen_sparse_dsp_job_t *job, int32_t strip,
                                        int32_t channel, const int32_t *acc)
{
    const uint32_t *scale = &job->scale[2 * channel];

    for (int32_t pixel = 0; pixel < MCUGEN_SPARSE_STRIP; pixel++) {
        job->output[strip][(pixel * job->stride) + channel] =
            mcugen_dsp_requantize(acc[pixel], (int32_t)scale[1], scale[0] & 0xffu, job->rounding);
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
    const mcugen_sparse_dsp_job_t job = {p->entries, words,        (2 * p->zero_point) + 1,
                                         p->scale,   {NULL, NULL}, p->image.out_ch};

    return job;
}

#ifdef __cplusplus
}
#endif

#endif /* MCUGEN_SPARSE_DSP_H_INCLUDED */
