/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file mcugen_sparse_short.h
 * @brief Convolution by weights that are mostly zero for Armv6-M, requantized by short products.
 *
 * The entries and words of mcugen_sparse_pair.h with the requantization of mcugen_short.h.
 */
#ifndef MCUGEN_SPARSE_SHORT_H_INCLUDED
#define MCUGEN_SPARSE_SHORT_H_INCLUDED

#include "mcugen_short.h"
#include "mcugen_sparse_pair.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct {
    mcugen_sparse_image_t image;
    const uint32_t *entries; /* groups: bytes [2 entries][delta in bytes, weight] */
    const uint16_t *counts; /* [out_ch], groups of each row, 256 * bytes of code before the first */
    const uint32_t *scale;  /* [out_ch][offset, factors] */
    int32_t shift;
    int32_t low;
    int32_t span;
} mcugen_sparse_short_conv_s8_params_t;

/* The same where the lower factors have 12 bits, for larger sums. */
typedef mcugen_sparse_short_conv_s8_params_t mcugen_sparse_short_wide_conv_s8_params_t;

/** All channels of one strip. The assembly knows the order of the members. */
typedef struct {
    const uint32_t *entries;
    const uint32_t *words;
    const uint16_t *counts;
    const uint32_t *scale;
    int8_t *output; /* of the first pixel */
    int32_t stride; /* to the next pixel's */
    int32_t out_ch;
    int32_t shift;
    int32_t low;
    int32_t span;
} mcugen_sparse_short_job_t;

#if MCUGEN_ARMV6M
/* All channels of one strip. */
/* clang-format off */
#define MCUGEN_SPARSE_SHORT_ROWS(FRACTION) \
    ".syntax unified\n" \
    "push {r4-r7, lr}\n" \
    "mov r4, r8\n" \
    "mov r5, r9\n" \
    "mov r6, r10\n" \
    "mov r7, r11\n" \
    "push {r4-r7}\n" \
    "sub sp, #28\n" \
    "mov r1, sp\n" \
    "ldmia r0!, {r2-r7}\n" \
    "stmia r1!, {r3-r7}\n" \
    "ldmia r0!, {r3-r6}\n" \
    "stmia r1!, {r3, r4}\n" \
    "mov r12, r5\n" \
    "mov lr, r6\n" \
    "mov r11, r2\n" \
    "1:\n" \
    "mov r0, r11\n" \
    "ldr r4, [sp, #4]\n" \
    "ldrh r5, [r4]\n" \
    "adds r4, #2\n" \
    "str r4, [sp, #4]\n" \
    "uxtb r3, r5\n" \
    "lsls r3, r3, #2\n" \
    "add r11, r3\n" \
    "movs r6, #0\n" \
    "movs r7, #0\n" \
    "mov r8, r6\n" \
    "mov r9, r6\n" \
    "ldr r1, [sp, #0]\n" \
    "lsrs r5, r5, #8\n" \
    "add pc, r5\n" \
    "nop\n" \
    "2:\n" \
    MCUGEN_SPARSE_PAIR_GROUP MCUGEN_SPARSE_PAIR_GROUP \
    MCUGEN_SPARSE_PAIR_GROUP MCUGEN_SPARSE_PAIR_GROUP \
    "cmp r0, r11\n" \
    "bne 2b\n" \
    "ldr r4, [sp, #8]\n" \
    "ldmia r4!, {r2, r3}\n" \
    "str r4, [sp, #8]\n" \
    "mov r10, r2\n" \
    MCUGEN_SHORT_FACTORS("r3", FRACTION) \
    "ldr r5, [sp, #24]\n" \
    "ldr r0, [sp, #12]\n" \
    "adds r4, r0, #1\n" \
    "str r4, [sp, #12]\n" \
    "mov r3, r8\n" \
    "lsls r4, r6, #16\n" \
    "subs r3, r3, r4\n" \
    MCUGEN_SHORT_OUTPUT("r3", "[r0]", FRACTION) \
    "ldr r4, [sp, #16]\n" \
    "mov r8, r4\n" \
    "add r0, r8\n" \
    "mov r3, r9\n" \
    "lsls r4, r7, #16\n" \
    "subs r3, r3, r4\n" \
    MCUGEN_SHORT_OUTPUT("r3", "[r0]", FRACTION) \
    "add r0, r8\n" \
    MCUGEN_SHORT_OUTPUT("r6", "[r0]", FRACTION) \
    "add r0, r8\n" \
    MCUGEN_SHORT_OUTPUT("r7", "[r0]", FRACTION) \
    "ldr r4, [sp, #20]\n" \
    "subs r4, #1\n" \
    "str r4, [sp, #20]\n" \
    "beq 3f\n" \
    "b 1b\n" \
    "3:\n" \
    "add sp, #28\n" \
    "pop {r4-r7}\n" \
    "mov r8, r4\n" \
    "mov r9, r5\n" \
    "mov r10, r6\n" \
    "mov r11, r7\n" \
    "pop {r4-r7, pc}\n"
/* clang-format on */

/** ... with lower factors of 13 bits. */
MCUGEN_NAKED static void mcugen_sparse_short_rows_13(const mcugen_sparse_short_job_t *job
                                                     __attribute__((unused)))
{
    __asm__ volatile(MCUGEN_SPARSE_SHORT_ROWS("13")::: "memory");
}

/** ... and of 12. */
MCUGEN_NAKED static void mcugen_sparse_short_rows_12(const mcugen_sparse_short_job_t *job
                                                     __attribute__((unused)))
{
    __asm__ volatile(MCUGEN_SPARSE_SHORT_ROWS("12")::: "memory");
}

/** All channels of one strip. */
static MCUGEN_ALWAYS_INLINE void mcugen_sparse_short_rows(const mcugen_sparse_short_job_t *job,
                                                          int32_t fraction)
{
    if (fraction == 13) {
        mcugen_sparse_short_rows_13(job);
    } else {
        mcugen_sparse_short_rows_12(job);
    }
}
#else
/** All channels of one strip. */
static inline void mcugen_sparse_short_rows(const mcugen_sparse_short_job_t *job, int32_t fraction)
{
    const uint32_t *group = job->entries;
    int32_t sums[MCUGEN_SPARSE_STRIP];

    for (int32_t channel = 0; channel < job->out_ch; channel++) {
        group = mcugen_sparse_pair_sums(group, job->counts[channel] & 0xffu, job->words, sums);
        for (int32_t pixel = 0; pixel < MCUGEN_SPARSE_STRIP; pixel++) {
            job->output[(pixel * job->stride) + channel] = mcugen_short_requantize(
                sums[pixel], &job->scale[2 * channel], fraction, job->shift, job->low, job->span);
        }
    }
}
#endif

/** mcugen_sparse_pair_conv_s8 with another requantization. */
static MCUGEN_ALWAYS_INLINE void
mcugen_sparse_short_conv(const mcugen_sparse_short_conv_s8_params_t *p, int32_t fraction,
                         const int8_t *input, int8_t *output, int8_t *scratch)
{
    const mcugen_sparse_image_t *image = &p->image;
    mcugen_sparse_pair_place_t place = mcugen_sparse_pair_begin(image, output, scratch);
    mcugen_sparse_short_job_t job = {p->entries,    place.words,   p->counts, p->scale, NULL,
                                     image->out_ch, image->out_ch, p->shift,  p->low,   p->span};

    while (place.left > 0) {
        job.output = mcugen_sparse_pair_lay_strip(image, input, &place);
        mcugen_sparse_short_rows(&job, fraction);
        mcugen_sparse_pair_next(image, &place);
    }
}

/** mcugen_sparse_short_conv with lower factors of 13 bits. */
MCUGEN_UNUSED MCUGEN_NOINLINE static void
mcugen_sparse_short_conv_s8(const mcugen_sparse_short_conv_s8_params_t *p, const int8_t *input,
                            int8_t *output, int8_t *scratch)
{
    mcugen_sparse_short_conv(p, 13, input, output, scratch);
}

/** mcugen_sparse_short_conv with lower factors of 12 bits. */
MCUGEN_UNUSED MCUGEN_NOINLINE static void
mcugen_sparse_short_wide_conv_s8(const mcugen_sparse_short_wide_conv_s8_params_t *p,
                                 const int8_t *input, int8_t *output, int8_t *scratch)
{
    mcugen_sparse_short_conv(p, 12, input, output, scratch);
}

#ifdef __cplusplus
}
#endif

#endif /* MCUGEN_SPARSE_SHORT_H_INCLUDED */
