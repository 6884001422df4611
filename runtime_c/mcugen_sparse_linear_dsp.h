/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file mcugen_sparse_linear_dsp.h
 * @brief A fully connected layer that is mostly zero, for cores with the DSP extension.
 *
 * Four weights of a row make a group of two words: four deltas, from one input that is read to the
 * next, and the four weights.
 */
#ifndef MCUGEN_SPARSE_LINEAR_DSP_H_INCLUDED
#define MCUGEN_SPARSE_LINEAR_DSP_H_INCLUDED

#include "mcugen_dsp.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct {
    int32_t out_ch;
    const uint32_t *entries; /* [groups, 2] */
    const uint16_t *counts;  /* [out_ch], groups of each row */
    const uint32_t *scale;   /* [out_ch][256 * bias + shift, multiplier] */
    int32_t zero_point;
    int32_t low;
    int32_t high;
} mcugen_sparse_linear_s8_dsp_params_t;

/** What computes all outputs. The assembly knows the order of the members. */
typedef struct {
    const uint32_t *entries;
    const uint32_t *scale;
    const uint16_t *counts;
    int8_t *output;
    const int8_t *input;
    int32_t rounding; /* 2 * zero point + 1 */
    int8_t *output_end;
} mcugen_sparse_linear_job_t;

#if defined(__ARM_FEATURE_DSP)

/* One group; 60 bytes. */
#define MCUGEN_SPARSE_GROUP                                                                        \
    "ldrd r2, r3, [r0], #8\n"                                                                      \
    "uxtab r10, r1, r2\n"                                                                          \
    "uxtab r11, r10, r2, ror #8\n"                                                                 \
    "uxtab r12, r11, r2, ror #16\n"                                                                \
    "uxtab r1, r12, r2, ror #24\n"                                                                 \
    "ldrsb.w r10, [r10]\n"                                                                         \
    "ldrsb.w r11, [r11]\n"                                                                         \
    "ldrsb.w r12, [r12]\n"                                                                         \
    "ldrsb.w lr, [r1]\n"                                                                           \
    "sxtb16 r2, r3\n"                                                                              \
    "sxtb16 r3, r3, ror #8\n"                                                                      \
    "smlabb r7, r2, r10, r7\n"                                                                     \
    "smlabb r7, r3, r11, r7\n"                                                                     \
    "smlatb r7, r2, r12, r7\n"                                                                     \
    "smlatb r7, r3, lr, r7\n"

/** All outputs: r0 groups, r4 scale, r5 counts, r6 output, r7 sum, r8 input, r9 rounding. */
static MCUGEN_NAKED void
mcugen_sparse_linear_rows(const mcugen_sparse_linear_job_t *job MCUGEN_UNUSED)
{
    /* clang-format off */
    __asm__ volatile(
        "push {r4-r11, lr}\n"
        "sub sp, #12\n"
        "ldm r0, {r0, r4, r5, r6, r8, r9, r10}\n"
        "str r10, [sp, #4]\n"
        "0:\n"
        "ldrh r3, [r5], #2\n"
        "ldr r7, [r4]\n"
        "add r2, r0, r3, lsl #3\n"
        "str r2, [sp, #0]\n"
        "mov r1, r8\n"
        "asr r7, r7, #8\n"
        "and r3, r3, #3\n"  /* groups in the first round, 0 for all of them */
        "tbb [pc, r3]\n"
        ".byte 2, 92, 62, 32\n"
        "2:\n"
        ".rept 4\n" MCUGEN_SPARSE_GROUP ".endr\n"
        "ldr r3, [sp, #0]\n"
        "cmp r0, r3\n"
        "bne.w 2b\n"
        "ldrb r2, [r4], #4\n"
        "ldr r1, [r4], #4\n"
        "ldr r10, [sp, #4]\n"
        "lsl r3, r9, r2\n"
        "smmla r7, r7, r1, r3\n"
        "asr r7, r7, r2\n"
        "ssat r7, #8, r7, asr #1\n"
        "strb r7, [r6], #1\n"
        "cmp r6, r10\n"
        "bne.w 0b\n"
        "add sp, #12\n"
        "pop {r4-r11, pc}\n"
        ::: "memory");
    /* clang-format on */
}

#else /* the same in C, to the bit */

static inline void mcugen_sparse_linear_rows(const mcugen_sparse_linear_job_t *job)
{
    const uint32_t *group = job->entries;
    const int32_t out_ch = (int32_t)(job->output_end - job->output);

    for (int32_t c = 0; c < out_ch; c++) {
        const uint32_t *scale = &job->scale[2 * c];
        const int8_t *x = job->input;
        int32_t acc = mcugen_asr32((int32_t)scale[0], 8);
        for (uint32_t left = job->counts[c]; left > 0u; left--) {
            for (uint32_t bit = 0; bit < 32u; bit += 8u) {
                x = &x[(group[0] >> bit) & 0xffu];
                acc += *x * mcugen_dsp_first((int32_t)((group[1] >> bit) & 0xffu));
            }
            group = &group[2];
        }
        job->output[c] =
            mcugen_dsp_requantize(acc, (int32_t)scale[1], scale[0] & 0xffu, job->rounding);
    }
}

#endif

/**
 * y = requantize(bias + W x).
 *
 * @param[in]  p      Weights and requantization.
 * @param[in]  input  int8 [in_ch].
 * @param[out] output int8 [out_ch]; must not overlap the input.
 */
static MCUGEN_NOINLINE MCUGEN_UNUSED void
mcugen_sparse_linear_s8_dsp(const mcugen_sparse_linear_s8_dsp_params_t *p, const int8_t *input,
                            int8_t *output)
{
    const mcugen_sparse_linear_job_t job = {
        p->entries,        p->scale, p->counts, output, input, (2 * p->zero_point) + 1,
        &output[p->out_ch]};

    mcugen_sparse_linear_rows(&job);
    mcugen_dsp_clamp(output, p->out_ch, p->low, p->high);
}

#ifdef __cplusplus
}
#endif

#endif /* MCUGEN_SPARSE_LINEAR_DSP_H_INCLUDED */
