/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file mcugen_sparse_single_dsp.h
 * @brief Convolution by single weights, mostly zero, eight pixels at a time with SMLAL.
 *
 * A word of activations holds one channel's values of two pixels, one of each strip, as
 * x0 + 2^23 x1. SMLAL adds a weight times that to S0 + 2^23 S1: two products at once, exact as long
 * as S0 stays within 23 bits, which is proved when the network is compiled.
 */
#ifndef MCUGEN_SPARSE_SINGLE_DSP_H_INCLUDED
#define MCUGEN_SPARSE_SINGLE_DSP_H_INCLUDED

#include "mcugen_sparse_dsp.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef mcugen_sparse_dsp_params_t mcugen_sparse_conv_s8_dsp_params_t;

#if defined(__ARM_FEATURE_DSP)

/* One entry, whose weight is in W. X, Y and Z are for activations; NEXT, the last of them to be
   used, becomes the next entry's weight. 36 bytes. */
#define MCUGEN_SPARSE_ENTRY(W, X, Y, Z, NEXT)                                                      \
    "ldm.w r1, {" X ", " Y ", " Z "}\n"                                                            \
    "smlal r4, r5, " W ", " X "\n"                                                                 \
    "smlal r6, r7, " W ", " Y "\n"                                                                 \
    "smlal r8, r9, " W ", " Z "\n"                                                                 \
    "ldr.w r3, [r1, #12]\n"                                                                        \
    "ldrb r12, [r0], #2\n"                                                                         \
    "ldrsb " NEXT ", [r0, #-1]\n"                                                                  \
    "smlal r10, r11, " W ", r3\n"                                                                  \
    "add.w r1, r1, r12, lsl #2\n"

#define MCUGEN_SPARSE_TWO                                                                          \
    MCUGEN_SPARSE_ENTRY("r2", "r3", "r12", "lr", "lr")                                             \
    MCUGEN_SPARSE_ENTRY("lr", "r2", "r3", "r12", "r2")

/* S0 + 2^23 S1 + 2^22 as 512 * S0 and S1, and their outputs. */
#define MCUGEN_SPARSE_SPLIT(lo, hi)                                                                \
    "lsl " hi ", " hi ", #9\n"                                                                     \
    "orr " hi ", " hi ", " lo ", lsr #23\n"                                                        \
    "lsl " lo ", " lo ", #9\n"                                                                     \
    "eor " lo ", " lo ", #0x80000000\n" MCUGEN_SPARSE_SCALE(lo, "r3", "lr")                        \
        MCUGEN_SPARSE_SCALE(hi, "r2", "r12")

/* One word x0 + 2^23 x1 of the bytes in r4 and r5 that ROTATE brings down. */
#define MCUGEN_SPARSE_TWIN(x, y, ROTATE)                                                           \
    "sxtb.w r8, " x ROTATE "\n"                                                                    \
    "sxtb.w r9, " y ROTATE "\n"                                                                    \
    "add r8, r8, r9, lsl #23\n"

#define MCUGEN_SPARSE_TWINS(x, y)                                                                  \
    MCUGEN_SPARSE_TWIN(x, y, "")                                                                   \
    "str r8, [r3]\n" MCUGEN_SPARSE_TWIN(                                                           \
        x, y,                                                                                      \
        ", ror #8") "str r8, [r3, r10]\n" MCUGEN_SPARSE_TWIN(x, y,                                 \
                                                             ", ror #16") "add r3, r3, r10, lsl "  \
                                                                          "#1\n"                   \
                                                                          "str r8, "               \
                                                                          "[r3]"                   \
                                                                          "\n" MCUGEN_SPARSE_TWIN( \
                                                                              x, y,                \
                                                                              ", ror #24") "str "  \
                                                                                           "r8, "  \
                                                                                           "[r3, " \
                                                                                           "r10]"  \
                                                                                           "\n"    \
                                                                                           "add "  \
                                                                                           "r3, "  \
                                                                                           "r3, "  \
                                                                                           "r10, " \
                                                                                           "lsl "  \
                                                                                           "#1\n"

/**
 * Channels of two pixels as words x0 + 2^23 x1.
 *
 * @param[in]  a     First pixel's channels, which need not be aligned.
 * @param[in]  b     Second pixel's.
 * @param[in]  len   How many, a multiple of 4.
 * @param[out] words The first of them.
 * @param[in]  step  Bytes from one to the next.
 */
static MCUGEN_NAKED void mcugen_sparse_lay_quads(const int8_t *a MCUGEN_UNUSED,
                                                 const int8_t *b MCUGEN_UNUSED,
                                                 int32_t len MCUGEN_UNUSED,
                                                 uint32_t *words MCUGEN_UNUSED,
                                                 int32_t step MCUGEN_UNUSED)
{
    /* clang-format off */
    __asm__ volatile(
        "push {r4-r10, lr}\n"
        "ldr r10, [sp, #32]\n"
        "subs r2, #8\n"
        "blt 2f\n"
        "1:\n"
        "ldr r4, [r0], #4\n"
        "ldr r5, [r1], #4\n"
        "ldr r6, [r0], #4\n"
        "ldr r7, [r1], #4\n"
        MCUGEN_SPARSE_TWINS("r4", "r5")
        MCUGEN_SPARSE_TWINS("r6", "r7")
        "subs r2, #8\n"
        "bge 1b\n"
        "2:\n"
        "adds r2, #8\n"
        "beq 3f\n"
        "ldr r4, [r0]\n"
        "ldr r5, [r1]\n"
        MCUGEN_SPARSE_TWINS("r4", "r5")
        "3:\n"
        "pop {r4-r10, pc}\n"
        ::: "memory");
    /* clang-format on */
}

/** All channels of two strips. */
static MCUGEN_NAKED void mcugen_sparse_rows(const mcugen_sparse_dsp_job_t *job MCUGEN_UNUSED)
{
    /* clang-format off */
    __asm__ volatile(
        MCUGEN_SPARSE_BEGIN
        MCUGEN_SPARSE_HEAD("")
        "ldrb r12, [r0], #2\n"     /* the first entry, where there is one */
        "ubfx r3, r2, #5, #4\n"    /* entries in the first round */
        "add lr, r4, #0x400000\n"  /* S0 + 2^23 S1 + 2^22, both of them the bias */
        "orr r4, lr, lr, lsl #23\n"
        "lsr r5, lr, #9\n"
        "sub r5, r5, #0x2000\n"
        "ldrsb r2, [r0, #-1]\n"
        "mov r6, r4\n"
        "mov r7, r5\n"
        "mov r8, r4\n"
        "mov r9, r5\n"
        "mov r10, r4\n"
        "mov r11, r5\n"
        "mov lr, r2\n"
        "add r1, r1, r12, lsl #2\n"
        "tbb [pc, r3]\n"
        "3:\n"
        ".byte (2f - 3b) / 2 + 126, (4f - 3b) / 2, (2f - 3b) / 2 + 108, (5f - 3b) / 2\n"
        ".byte (2f - 3b) / 2 + 90, 0, (2f - 3b) / 2 + 72, 0, (2f - 3b) / 2 + 54, 0\n"
        ".byte (2f - 3b) / 2 + 36, 0, (2f - 3b) / 2 + 18, 0, (2f - 3b) / 2, 0\n"
        "5:\n"
        "subs r0, #6\n"
        "ldr r2, [r0], #4\n"
        "ldr r1, [sp, #4]\n"
        "asr r4, r2, #12\n"
        MCUGEN_SPARSE_LONG
        "2:\n"
        ".rept 4\n" MCUGEN_SPARSE_TWO ".endr\n"
        "4:\n" MCUGEN_SPARSE_NEXT("8")

        "ldrh r1, [r0, #-2]\n"
        "ldr r12, [sp, #8]\n"
        "and r2, r3, #31\n"
        "lsl r1, r1, #15\n"
        "lsl r12, r12, r2\n"
        "lsl lr, r12, #9\n"
        "add r3, r2, #9\n"
        MCUGEN_SPARSE_SPLIT("r4", "r5")
        MCUGEN_SPARSE_SPLIT("r6", "r7")
        MCUGEN_SPARSE_SPLIT("r8", "r9")
        MCUGEN_SPARSE_SPLIT("r10", "r11")
        MCUGEN_SPARSE_STORE("r4", "r6", "r8", "r10", "r5", "r7", "r9", "r11")
        MCUGEN_SPARSE_END
        ::: "memory");
    /* clang-format on */
}

#else /* the same in C, to the bit */

/** One word. */
static inline uint32_t mcugen_sparse_twin(int8_t a, int8_t b)
{
    return (uint32_t)(int32_t)a + ((uint32_t)(int32_t)b << 23);
}

static inline void mcugen_sparse_lay_quads(const int8_t *a, const int8_t *b, int32_t len,
                                           uint32_t *words, int32_t step)
{
    for (int32_t i = 0; i < len; i++) {
        words[i * (step / 4)] = mcugen_sparse_twin(a[i], b[i]);
    }
}

static inline void mcugen_sparse_rows(const mcugen_sparse_dsp_job_t *job)
{
    mcugen_sparse_head_t head;
    const uint8_t *entry = mcugen_sparse_open(job->entries, 4, &head);

    for (int32_t channel = 0; head.len >= 0; channel++) {
        const uint32_t *words = job->words;
        int32_t acc[2 * MCUGEN_SPARSE_STRIP];
        mcugen_sparse_start(head.bias, acc, 2 * MCUGEN_SPARSE_STRIP);
        for (; head.len > 0; head.len--) {
            const int32_t weight = mcugen_dsp_first(entry[1]);
            words = &words[entry[0]];
            for (int32_t i = 0; i < MCUGEN_SPARSE_STRIP; i++) {
                const int32_t first = mcugen_dsp_first((int32_t)(words[i] & 0xffu));
                acc[i] += weight * first;
                acc[MCUGEN_SPARSE_STRIP + i] +=
                    weight * mcugen_asr32((int32_t)(words[i] - (uint32_t)first), 23);
            }
            entry = &entry[2];
        }
        mcugen_sparse_finish(job, 0, channel, acc, entry, head.shift);
        mcugen_sparse_finish(job, 1, channel, &acc[MCUGEN_SPARSE_STRIP], entry, head.shift);
        entry = mcugen_sparse_open(&entry[2], 4, &head);
    }
}

#endif

/** Channels of two pixels, `step` words apart. */
static inline void mcugen_sparse_lay_twins(const int8_t *a, const int8_t *b, int32_t len,
                                           uint32_t *words, int32_t step)
{
    const int32_t whole = len & ~3;

    mcugen_sparse_lay_quads(a, b, whole, words, 4 * step);
    for (int32_t i = whole; i < len; i++) {
        words[i * step] = (uint32_t)(int32_t)a[i] + ((uint32_t)(int32_t)b[i] << 23);
    }
}

/** All words of two strips. */
static inline void mcugen_sparse_lay_strips(const mcugen_sparse_dsp_params_t *p,
                                            const int8_t *input, const int8_t *padding,
                                            const mcugen_sparse_strip_t *strips, uint32_t *words)
{
    for (int32_t row = 0; row < p->image.kernel_h; row++) {
        for (int32_t column = 0; column < p->image.span; column++) {
            mcugen_sparse_lay_twins(
                mcugen_sparse_source(&p->image, input, padding, &strips[0], row, column),
                mcugen_sparse_source(&p->image, input, padding, &strips[1], row, column),
                p->image.in_ch, &words[(row * p->units * p->image.span) + column], p->image.span);
        }
    }
}

/**
 * Convolution.
 *
 * @param[in]  p       Geometry, weights and requantization. An entry is a delta in words and one
 *                     weight.
 * @param[in]  input   int8 [in_h, in_w, in_ch].
 * @param[out] output  int8 [out_h, out_w, out_ch]; may overlap the input as far as the windows of
 *                     two strips are read before their outputs are written.
 * @param[out] scratch 4 * kernel_h * units * span bytes, in_ch of them up to the next multiple of
 *                     4, and 8 * out_ch where not all strips are whole; aligned to 4.
 */
static MCUGEN_NOINLINE MCUGEN_UNUSED void
mcugen_sparse_conv_s8_dsp(const mcugen_sparse_conv_s8_dsp_params_t *p, const int8_t *input,
                          int8_t *output, int8_t *scratch)
{
    uint32_t *words = (uint32_t *)(void *)scratch;
    int8_t *padding = &scratch[4 * p->image.kernel_h * p->units * p->image.span];
    int8_t *aside = &padding[mcugen_sparse_padding_len(&p->image)];
    int8_t *second = &aside[MCUGEN_SPARSE_STRIP * p->image.out_ch];
    mcugen_sparse_dsp_job_t job = mcugen_sparse_job(p, words);
    mcugen_sparse_strip_t strips[2] = {mcugen_sparse_first(&p->image), {0, 0, 0}};

    mcugen_dsp_fill(padding, p->image.pad_value, mcugen_sparse_padding_len(&p->image));
    for (int32_t left = mcugen_sparse_strips(&p->image); left > 0; left -= 2) {
        strips[1] = strips[0];
        mcugen_sparse_step(&p->image, &strips[1]);
        if (left == 1) {
            strips[1].len = 0;
        }
        mcugen_sparse_lay_strips(p, input, padding, strips, words);
        job.output[0] = mcugen_sparse_target(&p->image, &strips[0], output, aside);
        job.output[1] = mcugen_sparse_target(&p->image, &strips[1], output, second);
        mcugen_sparse_rows(&job);
        mcugen_sparse_settle(&p->image, &strips[0], output, aside);
        mcugen_sparse_settle(&p->image, &strips[1], output, second);
        strips[0] = strips[1];
        mcugen_sparse_step(&p->image, &strips[0]);
    }
    mcugen_dsp_clamp(output, p->image.out_h * p->image.out_w * p->image.out_ch, p->low, p->high);
}

#ifdef __cplusplus
}
#endif

#endif /* MCUGEN_SPARSE_SINGLE_DSP_H_INCLUDED */
