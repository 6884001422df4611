/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file mcugen_sparse_2x2_dsp.h
 * @brief Convolution by blocks of two outputs times two channels, mostly zero, with SMLAD.
 *
 * Four pixels at a time. A word of activations holds two neighbouring channels' values of one pixel;
 * two outputs share a word of weights as mcugen_dsp.h has it: first + 256 * second.
 */
#ifndef MCUGEN_SPARSE_2X2_DSP_H_INCLUDED
#define MCUGEN_SPARSE_2X2_DSP_H_INCLUDED

#include "mcugen_sparse_dsp.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef mcugen_sparse_dsp_params_t mcugen_sparse_2x2_conv_s8_dsp_params_t;

#if defined(__ARM_FEATURE_DSP)

/* Four channels in `x` as pairs (0, 1) in r12 and (2, 3) in `x`. */
#define MCUGEN_SPARSE_NEIGHBOURS(x)                                                                \
    "sxtb16 lr, " x "\n"                                                                           \
    "sxtb16 " x ", " x ", ror #8\n"                                                                \
    "pkhbt r12, lr, " x ", lsl #16\n"                                                              \
    "pkhtb " x ", " x ", lr, asr #16\n"

/** Whole fours of channels of one pixel as pairs of neighbours, `step` bytes apart. */
static MCUGEN_NAKED void mcugen_sparse_lay_neighbours(const int8_t *values MCUGEN_UNUSED,
                                                      int32_t len MCUGEN_UNUSED,
                                                      uint32_t *words MCUGEN_UNUSED,
                                                      int32_t step MCUGEN_UNUSED)
{
    __asm__ volatile(MCUGEN_SPARSE_LAY_ALL(MCUGEN_SPARSE_NEIGHBOURS)::: "memory");
}

/* One block of two outputs; 56 bytes. */
#define MCUGEN_SPARSE_2X2                                                                          \
    "ldrb r3, [r0], #5\n"                                                                          \
    "ldr r2, [r0, #-4]\n"                                                                          \
    "add.w r1, r1, r3, lsl #2\n"                                                                   \
    "ldrd r12, lr, [r1]\n"                                                                         \
    "sxtb16 r3, r2\n"                                                                              \
    "smlad r8, r2, r12, r8\n"                                                                      \
    "smlad r9, r2, lr, r9\n"                                                                       \
    "smlad r4, r3, r12, r4\n"                                                                      \
    "smlad r5, r3, lr, r5\n"                                                                       \
    "ldrd r12, lr, [r1, #8]\n"                                                                     \
    "smlad r10, r2, r12, r10\n"                                                                    \
    "smlad r11, r2, lr, r11\n"                                                                     \
    "smlad r6, r3, r12, r6\n"                                                                      \
    "smlad r7, r3, lr, r7\n"

/** All channels of one strip by blocks of two outputs. */
static MCUGEN_NAKED void mcugen_sparse_rows_2x2(const mcugen_sparse_dsp_job_t *job MCUGEN_UNUSED)
{
    /* clang-format off */
    __asm__ volatile(
        MCUGEN_SPARSE_BEGIN
        MCUGEN_SPARSE_HEAD("ldr lr, [r0], #4\n")
        "str lr, [sp, #24]\n"
        "bic r8, lr, #31\n"
        "add r8, r4, r8, lsl #3\n"
        "mov r5, r4\n"
        "mov r6, r4\n"
        "mov r7, r4\n"
        "mov r9, r8\n"
        "mov r10, r8\n"
        "mov r11, r8\n"
        "ubfx r3, r2, #5, #3\n" /* blocks in the first round */
        "tbb [pc, r3]\n"
        "3:\n"
        ".byte (2f - 3b) / 2 + 84, (4f - 3b) / 2, (2f - 3b) / 2 + 56, (5f - 3b) / 2\n"
        ".byte (2f - 3b) / 2 + 28, 0, (2f - 3b) / 2, 0\n"
        "5:\n" MCUGEN_SPARSE_LONG
        "2:\n"
        ".rept 4\n" MCUGEN_SPARSE_2X2 ".endr\n"
        "4:\n" MCUGEN_SPARSE_NEXT("4")

        "ldrh r1, [r0], #2\n"
        "ldr r12, [sp, #8]\n"
        "and r2, r3, #31\n"
        "lsl r1, r1, #15\n"
        "sub r8, r8, r4\n"
        "sub r9, r9, r5\n"
        "sub r10, r10, r6\n"
        "sub r11, r11, r7\n"
        "lsl lr, r12, r2\n"
        MCUGEN_SPARSE_SCALE("r4", "r2", "lr")
        MCUGEN_SPARSE_SCALE("r5", "r2", "lr")
        MCUGEN_SPARSE_SCALE("r6", "r2", "lr")
        MCUGEN_SPARSE_SCALE("r7", "r2", "lr")
        "ldrh r1, [r0], #2\n"
        "ldr r2, [sp, #24]\n"
        "lsl r1, r1, #15\n"
        "and r2, r2, #31\n"
        "lsl lr, r12, r2\n"
        MCUGEN_SPARSE_SCALE("r8", "r2", "lr")
        MCUGEN_SPARSE_SCALE("r9", "r2", "lr")
        MCUGEN_SPARSE_SCALE("r10", "r2", "lr")
        MCUGEN_SPARSE_SCALE("r11", "r2", "lr")
        "ldr r1, [sp, #12]\n"
        "ldr r2, [sp, #20]\n"
        "bfi r4, r8, #8, #8\n"
        "bfi r5, r9, #8, #8\n"
        "bfi r6, r10, #8, #8\n"
        "bfi r7, r11, #8, #8\n"
        "add r12, r1, r2, lsl #1\n"
        "strh r5, [r1, r2]\n"
        "strh.w r6, [r12]\n"
        "strh.w r7, [r12, r2]\n"
        "strh r4, [r1], #2\n"
        "str r1, [sp, #12]\n"
        MCUGEN_SPARSE_END
        ::: "memory");
    /* clang-format on */
}

#else /* the same in C, to the bit */

static inline void mcugen_sparse_lay_neighbours(const int8_t *values, int32_t len, uint32_t *words,
                                                int32_t step)
{
    for (int32_t i = 0; i < len; i += 2) {
        words[(i / 2) * (step / 4)] = mcugen_sparse_pair(values[i], values[i + 1]);
    }
}

static inline void mcugen_sparse_rows_2x2(const mcugen_sparse_dsp_job_t *job)
{
    mcugen_sparse_head_t head;
    const uint8_t *entry = mcugen_sparse_open(job->entries, 8, &head);

    for (int32_t channel = 0; head.len >= 0; channel += 2) {
        const uint32_t *words = job->words;
        int32_t acc[2][MCUGEN_SPARSE_STRIP];
        mcugen_sparse_start(head.bias, acc[0], MCUGEN_SPARSE_STRIP);
        mcugen_sparse_start(256 * mcugen_asr32(head.second, 5), acc[1], MCUGEN_SPARSE_STRIP);
        for (; head.len > 0; head.len--) {
            words = &words[entry[0]];
            for (int32_t i = 0; i < (2 * MCUGEN_SPARSE_STRIP); i++) {
                const int32_t tap = i % 2;
                const int32_t x = mcugen_dsp_half(words[i / 2], tap);
                const int32_t both = mcugen_dsp_half(mcugen_sparse_half(&entry[1 + (2 * tap)]), 0);
                const int32_t first = mcugen_dsp_first(both);
                acc[0][i / 2] += first * x;
                acc[1][i / 2] += (both - first) * x;
            }
            entry = &entry[5];
        }
        mcugen_sparse_finish(job, 0, channel, acc[0], entry, head.shift);
        mcugen_sparse_finish(job, 0, channel + 1, acc[1], &entry[2], (uint32_t)head.second & 31u);
        entry = mcugen_sparse_open(&entry[4], 8, &head);
    }
}

#endif

/** All words of one strip of blocks of two; four channels more than there are may be laid. */
static inline void mcugen_sparse_lay_2x2(const mcugen_sparse_dsp_params_t *p, const int8_t *input,
                                         const int8_t *padding, const mcugen_sparse_strip_t *strip,
                                         uint32_t *words)
{
    const int32_t whole = p->image.in_ch & ~3;

    for (int32_t row = 0; row < p->image.kernel_h; row++) {
        for (int32_t column = 0; column < p->image.span; column++) {
            const int8_t *source =
                mcugen_sparse_source(&p->image, input, padding, strip, row, column);
            uint32_t *target = &words[(row * p->units * p->image.span) + column];
            mcugen_sparse_lay_neighbours(source, whole, target, 4 * p->image.span);
            if (whole < p->image.in_ch) {
                int8_t four[4];
                mcugen_sparse_rest(&source[whole], p->image.in_ch - whole, four);
                mcugen_sparse_lay_neighbours(four, 4, &target[(whole / 2) * p->image.span],
                                             4 * p->image.span);
            }
        }
    }
}

/**
 * Convolution by blocks of two outputs times two channels; out_ch is even.
 *
 * @param[in]  p       Geometry, weights and requantization. An entry is a delta in words, and for
 *                     each of two channels first + 256 * second, where these are the weights of two
 *                     outputs.
 * @param[in]  input   int8 [in_h, in_w, in_ch].
 * @param[out] output  int8 [out_h, out_w, out_ch]; may overlap the input as far as the windows of
 *                     a strip are read before its outputs are written.
 * @param[out] scratch 4 * kernel_h * units * span bytes, in_ch of them up to the next multiple of
 *                     4, and 4 * out_ch where not all strips are whole; aligned to 4.
 */
static MCUGEN_NOINLINE MCUGEN_UNUSED void
mcugen_sparse_2x2_conv_s8_dsp(const mcugen_sparse_2x2_conv_s8_dsp_params_t *p, const int8_t *input,
                              int8_t *output, int8_t *scratch)
{
    uint32_t *words = (uint32_t *)(void *)scratch;
    int8_t *padding = &scratch[4 * p->image.kernel_h * p->units * p->image.span];
    int8_t *aside = &padding[mcugen_sparse_padding_len(&p->image)];
    mcugen_sparse_dsp_job_t job = mcugen_sparse_job(p, words);
    mcugen_sparse_strip_t strip = mcugen_sparse_first(&p->image);

    mcugen_dsp_fill(padding, p->image.pad_value, mcugen_sparse_padding_len(&p->image));
    for (int32_t left = mcugen_sparse_strips(&p->image); left > 0; left--) {
        mcugen_sparse_lay_2x2(p, input, padding, &strip, words);
        job.output[0] = mcugen_sparse_target(&p->image, &strip, output, aside);
        mcugen_sparse_rows_2x2(&job);
        mcugen_sparse_settle(&p->image, &strip, output, aside);
        mcugen_sparse_step(&p->image, &strip);
    }
    mcugen_dsp_clamp(output, p->image.out_h * p->image.out_w * p->image.out_ch, p->low, p->high);
}

#ifdef __cplusplus
}
#endif

#endif /* MCUGEN_SPARSE_2X2_DSP_H_INCLUDED */
