/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file mcugen_sparse_1x4_dsp.h
 * @brief Convolution by blocks of four channels, mostly zero, with SMLAD.
 *
 * Eight pixels at a time. A word of activations holds two channels' values of one pixel, channels
 * (0, 2) or (1, 3) of four, which is what SXTB16 makes of four bytes. The distance of words stands in
 * the instructions, so there is a kernel for each number of columns that a strip reads.
 */
#ifndef MCUGEN_SPARSE_1X4_DSP_H_INCLUDED
#define MCUGEN_SPARSE_1X4_DSP_H_INCLUDED

#include "mcugen_sparse_dsp.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef mcugen_sparse_dsp_params_t mcugen_sparse_1x4_span4_conv_s8_dsp_params_t;
typedef mcugen_sparse_dsp_params_t mcugen_sparse_1x4_span6_conv_s8_dsp_params_t;
typedef mcugen_sparse_dsp_params_t mcugen_sparse_1x4_span8_conv_s8_dsp_params_t;
typedef mcugen_sparse_dsp_params_t mcugen_sparse_1x4_span9_conv_s8_dsp_params_t;

#if defined(__GNUC__)
#define MCUGEN_SPARSE_INLINE inline __attribute__((always_inline))
#else
#define MCUGEN_SPARSE_INLINE inline
#endif

#if defined(__ARM_FEATURE_DSP)

/* Four channels in `x` as pairs (0, 2) in r12 and (1, 3) in `x`. */
#define MCUGEN_SPARSE_ALTERNATE(x)                                                                 \
    "sxtb16 r12, " x "\n"                                                                          \
    "sxtb16 " x ", " x ", ror #8\n"

/** Whole fours of channels of one pixel as pairs (0, 2) and (1, 3), `step` bytes apart. */
static MCUGEN_NAKED void mcugen_sparse_lay_alternate(const int8_t *values MCUGEN_UNUSED,
                                                     int32_t len MCUGEN_UNUSED,
                                                     uint32_t *words MCUGEN_UNUSED,
                                                     int32_t step MCUGEN_UNUSED)
{
    __asm__ volatile(MCUGEN_SPARSE_LAY_ALL(MCUGEN_SPARSE_ALTERNATE)::: "memory");
}

/* One block of four channels, whose words lie PLANE bytes apart and 2^STEP a delta; 124 bytes. */
#define MCUGEN_SPARSE_1X4(PLANE, STEP)                                                             \
    "ldrb r3, [r0], #5\n"                                                                          \
    "ldr r2, [r0, #-4]\n"                                                                          \
    "add.w r1, r1, r3, lsl #" STEP "\n"                                                            \
    "ldrd r12, lr, [r1]\n"                                                                         \
    "sxtb16 r3, r2\n"                                                                              \
    "smlad r4, r3, r12, r4\n"                                                                      \
    "smlad r5, r3, lr, r5\n"                                                                       \
    "ldrd r12, lr, [r1, #8]\n"                                                                     \
    "smlad r6, r3, r12, r6\n"                                                                      \
    "smlad r7, r3, lr, r7\n"                                                                       \
    "ldrd r12, lr, [r1, #" PLANE "]\n"                                                             \
    "smlad r8, r3, r12, r8\n"                                                                      \
    "smlad r9, r3, lr, r9\n"                                                                       \
    "ldrd r12, lr, [r1, #" PLANE " + 8]\n"                                                         \
    "smlad r10, r3, r12, r10\n"                                                                    \
    "smlad r11, r3, lr, r11\n"                                                                     \
    "sxtb16 r2, r2, ror #8\n"                                                                      \
    "ldr.n r3, [r1, #2 * " PLANE "]\n"                                                             \
    "ldr.w r12, [r1, #2 * " PLANE " + 4]\n"                                                        \
    "ldr.w lr, [r1, #2 * " PLANE " + 8]\n"                                                         \
    "smlad r4, r2, r3, r4\n"                                                                       \
    "smlad r5, r2, r12, r5\n"                                                                      \
    "smlad r6, r2, lr, r6\n"                                                                       \
    "ldr.n r3, [r1, #2 * " PLANE " + 12]\n"                                                        \
    "ldr.w r12, [r1, #3 * " PLANE "]\n"                                                            \
    "ldr.w lr, [r1, #3 * " PLANE " + 4]\n"                                                         \
    "smlad r7, r2, r3, r7\n"                                                                       \
    "smlad r8, r2, r12, r8\n"                                                                      \
    "smlad r9, r2, lr, r9\n"                                                                       \
    "ldrd r12, lr, [r1, #3 * " PLANE " + 8]\n"                                                     \
    "smlad r10, r2, r12, r10\n"                                                                    \
    "smlad r11, r2, lr, r11\n"

/* All channels of two strips by blocks of four channels. */
/* clang-format off */
#define MCUGEN_SPARSE_ROWS_1X4(PLANE, STEP)                                                        \
    MCUGEN_SPARSE_BEGIN                                                                            \
    MCUGEN_SPARSE_HEAD("")                                                                            \
    "mov r5, r4\n"                                                                                 \
    "mov r6, r4\n"                                                                                 \
    "mov r7, r4\n"                                                                                 \
    "mov r8, r4\n"                                                                                 \
    "mov r9, r4\n"                                                                                 \
    "mov r10, r4\n"                                                                                \
    "mov r11, r4\n"                                                                                \
    "ubfx r3, r2, #5, #3\n"                                                                        \
    "tbh [pc, r3, lsl #1]\n"                                                                               \
    "3:\n"                                                                                         \
    ".short (2f - 3b) / 2 + 186, (4f - 3b) / 2, (2f - 3b) / 2 + 124, (5f - 3b) / 2\n"              \
    ".short (2f - 3b) / 2 + 62, 0, (2f - 3b) / 2, 0\n"                                             \
    "5:\n" MCUGEN_SPARSE_LONG                                                                      \
    "2:\n"                                                                                         \
    ".rept 4\n" MCUGEN_SPARSE_1X4(PLANE, STEP) ".endr\n"                                           \
    "4:\n" MCUGEN_SPARSE_NEXT("4")                                                                   \
    "ldrh r1, [r0], #2\n"                                                                          \
    "ldr r12, [sp, #8]\n"                                                                          \
    "and r2, r3, #31\n"                                                                            \
    "lsl r1, r1, #15\n"                                                                            \
    "lsl r12, r12, r2\n"                                                                           \
    MCUGEN_SPARSE_SCALE("r4", "r2", "r12") MCUGEN_SPARSE_SCALE("r5", "r2", "r12")                  \
    MCUGEN_SPARSE_SCALE("r6", "r2", "r12") MCUGEN_SPARSE_SCALE("r7", "r2", "r12")                  \
    MCUGEN_SPARSE_SCALE("r8", "r2", "r12") MCUGEN_SPARSE_SCALE("r9", "r2", "r12")                  \
    MCUGEN_SPARSE_SCALE("r10", "r2", "r12") MCUGEN_SPARSE_SCALE("r11", "r2", "r12")                \
    MCUGEN_SPARSE_STORE("r4", "r5", "r6", "r7", "r8", "r9", "r10", "r11")                          \
    MCUGEN_SPARSE_END
/* clang-format on */

/* ... for each number of columns. */
static MCUGEN_NAKED void mcugen_sparse_rows_span4(const mcugen_sparse_dsp_job_t *job MCUGEN_UNUSED)
{
    __asm__ volatile(MCUGEN_SPARSE_ROWS_1X4("16", "6")::: "memory");
}

static MCUGEN_NAKED void mcugen_sparse_rows_span6(const mcugen_sparse_dsp_job_t *job MCUGEN_UNUSED)
{
    __asm__ volatile(MCUGEN_SPARSE_ROWS_1X4("24", "2")::: "memory");
}

static MCUGEN_NAKED void mcugen_sparse_rows_span8(const mcugen_sparse_dsp_job_t *job MCUGEN_UNUSED)
{
    __asm__ volatile(MCUGEN_SPARSE_ROWS_1X4("32", "2")::: "memory");
}

static MCUGEN_NAKED void mcugen_sparse_rows_span9(const mcugen_sparse_dsp_job_t *job MCUGEN_UNUSED)
{
    __asm__ volatile(MCUGEN_SPARSE_ROWS_1X4("36", "2")::: "memory");
}

/** All channels of two strips by blocks of four channels; the span is one of the above. */
static MCUGEN_SPARSE_INLINE void mcugen_sparse_rows_1x4(const mcugen_sparse_dsp_job_t *job,
                                                        int32_t span)
{
    if (span == 4) {
        mcugen_sparse_rows_span4(job);
    } else if (span == 6) {
        mcugen_sparse_rows_span6(job);
    } else if (span == 8) {
        mcugen_sparse_rows_span8(job);
    } else {
        mcugen_sparse_rows_span9(job);
    }
}

#else /* the same in C, to the bit */

static inline void mcugen_sparse_lay_alternate(const int8_t *values, int32_t len, uint32_t *words,
                                               int32_t step)
{
    for (int32_t i = 0; i < len; i += 4) {
        words[(i / 2) * (step / 4)] = mcugen_sparse_pair(values[i], values[i + 2]);
        words[((i / 2) + 1) * (step / 4)] = mcugen_sparse_pair(values[i + 1], values[i + 3]);
    }
}

/** The sum of a word's products with two weights. */
static inline int32_t mcugen_sparse_products(uint32_t word, uint8_t first, uint8_t second)
{
    return (mcugen_dsp_first(first) * mcugen_dsp_half(word, 0)) +
           (mcugen_dsp_first(second) * mcugen_dsp_half(word, 1));
}

static inline void mcugen_sparse_rows_1x4(const mcugen_sparse_dsp_job_t *job, int32_t span)
{
    const int32_t step = (span == 4) ? 16 : 1;
    mcugen_sparse_head_t head;
    const uint8_t *entry = mcugen_sparse_open(job->entries, 4, &head);

    for (int32_t channel = 0; head.len >= 0; channel++) {
        const uint32_t *words = job->words;
        int32_t acc[2][MCUGEN_SPARSE_STRIP];
        mcugen_sparse_start(head.bias, acc[0], MCUGEN_SPARSE_STRIP);
        mcugen_sparse_start(head.bias, acc[1], MCUGEN_SPARSE_STRIP);
        for (; head.len > 0; head.len--) {
            words = &words[step * entry[0]];
            for (int32_t i = 0; i < (2 * MCUGEN_SPARSE_STRIP); i++) {
                const int32_t strip = i / MCUGEN_SPARSE_STRIP;
                const uint32_t *own = &words[(strip * span) + (i % MCUGEN_SPARSE_STRIP)];
                acc[strip][i % MCUGEN_SPARSE_STRIP] +=
                    mcugen_sparse_products(own[0], entry[1], entry[3]) +
                    mcugen_sparse_products(own[2 * span], entry[2], entry[4]);
            }
            entry = &entry[5];
        }
        mcugen_sparse_finish(job, 0, channel, acc[0], entry, head.shift);
        mcugen_sparse_finish(job, 1, channel, acc[1], entry, head.shift);
        entry = mcugen_sparse_open(&entry[2], 4, &head);
    }
}

#endif

/** All words of one of two strips of blocks of four. */
static inline void mcugen_sparse_lay_1x4(const mcugen_sparse_dsp_params_t *p, const int8_t *input,
                                         const int8_t *padding, const mcugen_sparse_strip_t *strip,
                                         uint32_t *words)
{
    const int32_t whole = p->image.in_ch & ~3;
    const int32_t step = 8 * p->image.span;

    for (int32_t row = 0; row < p->image.kernel_h; row++) {
        for (int32_t column = 0; column < p->image.span; column++) {
            const int8_t *source =
                mcugen_sparse_source(&p->image, input, padding, strip, row, column);
            uint32_t *target = &words[(row * p->units * 2 * p->image.span) + column];
            mcugen_sparse_lay_alternate(source, whole, target, step);
            if (whole < p->image.in_ch) {
                int8_t four[4];
                mcugen_sparse_rest(&source[whole], p->image.in_ch - whole, four);
                mcugen_sparse_lay_alternate(four, 4, &target[whole * p->image.span], step);
            }
        }
    }
}

/**
 * Convolution by blocks of four channels; span is what p has.
 *
 * @param[in]  p       Geometry, weights and requantization. An entry is a delta in words and four
 *                     weights.
 * @param[in]  input   int8 [in_h, in_w, in_ch].
 * @param[out] output  int8 [out_h, out_w, out_ch]; may overlap the input as far as the windows of
 *                     two strips are read before their outputs are written.
 * @param[out] scratch 8 * kernel_h * units * span bytes, in_ch of them up to the next multiple of
 *                     4, and 8 * out_ch where not all strips are whole; aligned to 4.
 */
static MCUGEN_SPARSE_INLINE void mcugen_sparse_1x4(const mcugen_sparse_dsp_params_t *p,
                                                   const int8_t *input, int8_t *output,
                                                   int8_t *scratch, int32_t span)
{
    uint32_t *words = (uint32_t *)(void *)scratch;
    int8_t *padding = &scratch[8 * p->image.kernel_h * p->units * p->image.span];
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
        mcugen_sparse_lay_1x4(p, input, padding, &strips[0], words);
        mcugen_sparse_lay_1x4(p, input, padding, &strips[1], &words[p->image.span]);
        job.output[0] = mcugen_sparse_target(&p->image, &strips[0], output, aside);
        job.output[1] = mcugen_sparse_target(&p->image, &strips[1], output, second);
        mcugen_sparse_rows_1x4(&job, span);
        mcugen_sparse_settle(&p->image, &strips[0], output, aside);
        mcugen_sparse_settle(&p->image, &strips[1], output, second);
        strips[0] = strips[1];
        mcugen_sparse_step(&p->image, &strips[0]);
    }
    mcugen_dsp_clamp(output, p->image.out_h * p->image.out_w * p->image.out_ch, p->low, p->high);
}

/* clang-format off */
/* The kernels, for each span. */
#define MCUGEN_SPARSE_CONV_1X4(SPAN)                                                               \
    static MCUGEN_NOINLINE MCUGEN_UNUSED void mcugen_sparse_1x4_span##SPAN##_conv_s8_dsp(          \
        const mcugen_sparse_dsp_params_t *p, const int8_t *input, int8_t *output, int8_t *scratch) \
    {                                                                                              \
        mcugen_sparse_1x4(p, input, output, scratch, SPAN);                                        \
    }

MCUGEN_SPARSE_CONV_1X4(4)
MCUGEN_SPARSE_CONV_1X4(6)
MCUGEN_SPARSE_CONV_1X4(8)
MCUGEN_SPARSE_CONV_1X4(9)
/* clang-format on */

#ifdef __cplusplus
}
#endif

#endif /* MCUGEN_SPARSE_1X4_DSP_H_INCLUDED */
