/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file mcugen_sparse_sorted_dsp.h
 * @brief A fully connected layer with few weights in a row, for cores with the DSP extension.
 *
 * Rows are sorted by the pairs of weights that they have. Those with the same number are a run: each
 * is computed by the last so many of a chain of steps, without a loop and without a count of its own.
 */
#ifndef MCUGEN_SPARSE_SORTED_DSP_H_INCLUDED
#define MCUGEN_SPARSE_SORTED_DSP_H_INCLUDED

#include "mcugen_dsp.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct {
    int32_t out_ch;
    const uint32_t *entries; /* runs [65536 * rows + pairs, [pairs] of each row]; then zero */
    const uint32_t *scale;   /* [out_ch][256 * bias + shift, multiplier], sorted */
    const uint8_t *order;    /* [out_ch], which output a row is */
    int32_t zero_point;
    int32_t low;
    int32_t high;
} mcugen_sparse_sorted_linear_s8_dsp_params_t;

/** What computes all outputs. The assembly knows the order of the members. */
typedef struct {
    const uint32_t *entries;
    const uint32_t *scale;
    const uint8_t *order;
    int8_t *output;
    const int8_t *input;
    int32_t rounding; /* 2 * zero point + 1 */
} mcugen_sparse_sorted_job_t;

#if defined(__ARM_FEATURE_DSP)

/* A pair, its bytes delta, weight, delta, weight in r2, where the next word comes to; 32 bytes. */
#define MCUGEN_SPARSE_SORTED_PAIR                                                                  \
    "uxtab r3, r1, r2\n"                                                                           \
    "uxtab r1, r3, r2, ror #16\n"                                                                  \
    "sxtb16 r11, r2, ror #8\n"                                                                     \
    "ldrsb.w r3, [r3]\n"                                                                           \
    "ldrsb.w r10, [r1]\n"                                                                          \
    "ldr r2, [r0], #4\n"                                                                           \
    "smlabb r7, r11, r3, r7\n"                                                                     \
    "smlatb r7, r11, r10, r7\n"

/** All outputs: r0 entries, r4 scale, r5 order, r6 output, r7 sum, r8 input, r9 rounding. */
static MCUGEN_NAKED void
mcugen_sparse_sorted_rows(const mcugen_sparse_sorted_job_t *job MCUGEN_UNUSED)
{
    /* clang-format off */
    __asm__ volatile(
        "push {r4-r11, lr}\n"
        "ldm r0, {r0, r4, r5, r6, r8, r9}\n"
        "ldr r2, [r0], #4\n"
        "1:\n" /* a run of lr rows that begin at r12 */
        "lsrs.w lr, r2, #16\n"
        "beq.w 9f\n"
        "uxth r3, r2\n"
        "adr.w r12, 3f\n"
        "sub.w r12, r12, r3, lsl #5\n"
        "orr.w r12, r12, #1\n"
        "ldr r2, [r0], #4\n"
        "2:\n"
        "ldr r7, [r4]\n"
        "mov r1, r8\n"
        "asr r7, r7, #8\n"
        "bx r12\n"
        ".balign 4\n"
        ".rept 16\n" MCUGEN_SPARSE_SORTED_PAIR ".endr\n"
        "3:\n"
        "ldrb r3, [r4], #4\n"
        "ldr r10, [r4], #4\n"
        "ldrb r1, [r5], #1\n"
        "lsl r11, r9, r3\n"
        "smmla r7, r7, r10, r11\n"
        "asr r7, r7, r3\n"
        "ssat r7, #8, r7, asr #1\n"
        "strb r7, [r6, r1]\n"
        "subs.w lr, lr, #1\n"
        "bne.w 2b\n"
        "b.w 1b\n"
        "9:\n"
        "pop {r4-r11, pc}\n"
        ::: "memory");
    /* clang-format on */
}

#else /* the same in C, to the bit */

/** A byte of a word. */
static inline int32_t mcugen_sparse_sorted_byte(uint32_t word, uint32_t place)
{
    return (int32_t)((word >> (8u * place)) & 0xffu);
}

/** One row of so many pairs, from its bias on. */
static inline int32_t mcugen_sparse_sorted_sum(const uint32_t *pairs, uint32_t len, const int8_t *x,
                                               int32_t acc)
{
    for (uint32_t i = 0; i < len; i++) {
        for (uint32_t place = 0; place < 4u; place += 2u) {
            x = &x[mcugen_sparse_sorted_byte(pairs[i], place)];
            acc += *x * mcugen_dsp_first(mcugen_sparse_sorted_byte(pairs[i], place + 1u));
        }
    }
    return acc;
}

static inline void mcugen_sparse_sorted_rows(const mcugen_sparse_sorted_job_t *job)
{
    const uint32_t *entry = job->entries;
    const uint32_t *scale = job->scale;
    const uint8_t *order = job->order;

    for (; *entry != 0u;) {
        const uint32_t pairs = *entry & 0xffffu;
        uint32_t left = *entry >> 16;
        entry = &entry[1];
        for (; left > 0u; left--) {
            const int32_t acc = mcugen_sparse_sorted_sum(entry, pairs, job->input,
                                                         mcugen_asr32((int32_t)scale[0], 8));
            job->output[*order] =
                mcugen_dsp_requantize(acc, (int32_t)scale[1], scale[0] & 0xffu, job->rounding);
            entry = &entry[pairs];
            scale = &scale[2];
            order = &order[1];
        }
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
mcugen_sparse_sorted_linear_s8_dsp(const mcugen_sparse_sorted_linear_s8_dsp_params_t *p,
                                   const int8_t *input, int8_t *output)
{
    const mcugen_sparse_sorted_job_t job = {p->entries, p->scale, p->order,
                                            output,     input,    (2 * p->zero_point) + 1};

    mcugen_sparse_sorted_rows(&job);
    mcugen_dsp_clamp(output, p->out_ch, p->low, p->high);
}

#ifdef __cplusplus
}
#endif

#endif /* MCUGEN_SPARSE_SORTED_DSP_H_INCLUDED */
