/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file mcugen_sparse_short.h
 * @brief Convolution by weights that are mostly zero for Armv6-M, requantized by short products.
 *
 * The entries and words of mcugen_sparse_pair.h with the requantization of mcugen_short.h. Where
 * a window has one column, so that no two entries share a word, the words of a group's first entry
 * are stepped over as they are read.
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
    /* Rows: bytes of code before the first group + 2^16 * bytes of groups, the groups, which are
       bytes [2][delta in bytes, weight], offset, factors; at last 0. */
    const uint32_t *entries;
    int32_t shift;
    int32_t low;
    int32_t span;
} mcugen_sparse_short_conv_s8_params_t;

/* The same with lower factors of 12 bits, for larger sums; and for windows of one column. */
typedef mcugen_sparse_short_conv_s8_params_t mcugen_sparse_short_wide_conv_s8_params_t;
typedef mcugen_sparse_short_conv_s8_params_t mcugen_sparse_short_column_conv_s8_params_t;
typedef mcugen_sparse_short_conv_s8_params_t mcugen_sparse_short_column_wide_conv_s8_params_t;

/** All channels of one strip. The assembly knows the order of the members. */
typedef struct {
    const uint32_t *entries;
    const uint32_t *words;
    int8_t *output; /* of the first pixel */
    int32_t stride; /* to the next pixel's */
    int32_t shift;
    int32_t low;
    int32_t span;
} mcugen_sparse_short_job_t;

#if MCUGEN_ARMV6M
/* The same two entries where the second one's delta counts from behind the first one's words; 48
   bytes. */
#define MCUGEN_SPARSE_SHORT_GROUP MCUGEN_SPARSE_PAIR_ENTRIES("ldmia r1!, {r4, r5}\n")

/* All channels of one strip. */
/* clang-format off */
#define MCUGEN_SPARSE_SHORT_ROWS(FRACTION, GROUP) \
    ".syntax unified\n" \
    "push {r4-r7, lr}\n" \
    "mov r4, r8\n" \
    "mov r5, r9\n" \
    "mov r6, r10\n" \
    "mov r7, r11\n" \
    "push {r4-r7}\n" \
    "sub sp, #16\n" \
    "mov r1, sp\n" \
    "ldmia r0!, {r2-r6}\n" \
    "stmia r1!, {r3-r6}\n" \
    "ldmia r0!, {r3, r4}\n" \
    "mov r12, r3\n" \
    "mov lr, r4\n" \
    "mov r11, r2\n" \
    "1:\n" \
    "mov r0, r11\n" \
    "ldmia r0!, {r5}\n" \
    "lsrs r3, r5, #16\n" \
    "bne 9f\n" \
    "b 3f\n" \
    "9:\n" \
    "add r3, r0\n" \
    "mov r11, r3\n" \
    "movs r6, #0\n" \
    "movs r7, #0\n" \
    "mov r8, r6\n" \
    "mov r9, r6\n" \
    "ldr r1, [sp, #0]\n" \
    "uxth r5, r5\n" \
    "add pc, r5\n" \
    "nop\n" \
    "2:\n" \
    ".rept 8\n" GROUP ".endr\n" \
    "cmp r0, r11\n" \
    "beq 4f\n" \
    "b 2b\n" \
    "4:\n" \
    "ldmia r0!, {r2, r3}\n" \
    "mov r11, r0\n" \
    "mov r10, r2\n" \
    MCUGEN_SHORT_FACTORS("r3", FRACTION) \
    "ldr r5, [sp, #12]\n" \
    "ldr r0, [sp, #4]\n" \
    "adds r4, r0, #1\n" \
    "str r4, [sp, #4]\n" \
    "mov r3, r8\n" \
    "lsls r4, r6, #16\n" \
    "subs r3, r3, r4\n" \
    MCUGEN_SHORT_OUTPUT("r3", "r10", "r12", FRACTION) \
    "strb r3, [r0]\n" \
    "ldr r4, [sp, #8]\n" \
    "mov r8, r4\n" \
    "add r0, r8\n" \
    "mov r3, r9\n" \
    "lsls r4, r7, #16\n" \
    "subs r3, r3, r4\n" \
    MCUGEN_SHORT_OUTPUT("r3", "r10", "r12", FRACTION) \
    "strb r3, [r0]\n" \
    "add r0, r8\n" \
    MCUGEN_SHORT_OUTPUT("r6", "r10", "r12", FRACTION) \
    "strb r6, [r0]\n" \
    "add r0, r8\n" \
    MCUGEN_SHORT_OUTPUT("r7", "r10", "r12", FRACTION) \
    "strb r7, [r0]\n" \
    "b 1b\n" \
    "3:\n" \
    "add sp, #16\n" \
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
    __asm__ volatile(MCUGEN_SPARSE_SHORT_ROWS("13", MCUGEN_SPARSE_PAIR_GROUP)::: "memory");
}

/** ... and of 12. */
MCUGEN_NAKED static void mcugen_sparse_short_rows_12(const mcugen_sparse_short_job_t *job
                                                     __attribute__((unused)))
{
    __asm__ volatile(MCUGEN_SPARSE_SHORT_ROWS("12", MCUGEN_SPARSE_PAIR_GROUP)::: "memory");
}

/** ... for windows of one column. */
MCUGEN_NAKED static void mcugen_sparse_short_rows_column_13(const mcugen_sparse_short_job_t *job
                                                            __attribute__((unused)))
{
    __asm__ volatile(MCUGEN_SPARSE_SHORT_ROWS("13", MCUGEN_SPARSE_SHORT_GROUP)::: "memory");
}

/** ... and these with 12 bits. */
MCUGEN_NAKED static void mcugen_sparse_short_rows_column_12(const mcugen_sparse_short_job_t *job
                                                            __attribute__((unused)))
{
    __asm__ volatile(MCUGEN_SPARSE_SHORT_ROWS("12", MCUGEN_SPARSE_SHORT_GROUP)::: "memory");
}

/** All channels of one strip, with so many words between a group's entries. */
static MCUGEN_ALWAYS_INLINE void mcugen_sparse_short_rows(const mcugen_sparse_short_job_t *job,
                                                          int32_t fraction, int32_t over)
{
    if (over == 0) {
        if (fraction == 13) {
            mcugen_sparse_short_rows_13(job);
        } else {
            mcugen_sparse_short_rows_12(job);
        }
    } else if (fraction == 13) {
        mcugen_sparse_short_rows_column_13(job);
    } else {
        mcugen_sparse_short_rows_column_12(job);
    }
}
#else
/** All channels of one strip, with so many words between a group's entries. */
static inline void mcugen_sparse_short_rows(const mcugen_sparse_short_job_t *job, int32_t fraction,
                                            int32_t over)
{
    const uint32_t *row = job->entries;
    int32_t sums[MCUGEN_SPARSE_STRIP];

    for (int32_t channel = 0; *row != 0u; channel++) {
        const uint32_t *scale =
            mcugen_sparse_pair_sums(&row[1], *row >> 18, job->words, over, sums);
        for (int32_t pixel = 0; pixel < MCUGEN_SPARSE_STRIP; pixel++) {
            job->output[(pixel * job->stride) + channel] = mcugen_short_requantize(
                sums[pixel], scale, fraction, job->shift, job->low, job->span);
        }
        row = &scale[2];
    }
}
#endif

/** mcugen_sparse_pair_conv_s8 with another requantization. */
static MCUGEN_ALWAYS_INLINE void
mcugen_sparse_short_conv(const mcugen_sparse_short_conv_s8_params_t *p, int32_t fraction,
                         int32_t over, const int8_t *input, int8_t *output, int8_t *scratch)
{
    const mcugen_sparse_image_t *image = &p->image;
    mcugen_sparse_pair_place_t place = mcugen_sparse_pair_begin(image, output, scratch);
    mcugen_sparse_short_job_t job = {p->entries, place.words, NULL,   image->out_ch,
                                     p->shift,   p->low,      p->span};

    while (place.left > 0) {
        job.output = mcugen_sparse_pair_lay_strip(image, input, &place);
        mcugen_sparse_short_rows(&job, fraction, over);
        mcugen_sparse_pair_next(image, &place);
    }
}

/** mcugen_sparse_short_conv with lower factors of 13 bits. */
MCUGEN_UNUSED MCUGEN_NOINLINE static void
mcugen_sparse_short_conv_s8(const mcugen_sparse_short_conv_s8_params_t *p, const int8_t *input,
                            int8_t *output, int8_t *scratch)
{
    mcugen_sparse_short_conv(p, 13, 0, input, output, scratch);
}

/** mcugen_sparse_short_conv with lower factors of 12 bits. */
MCUGEN_UNUSED MCUGEN_NOINLINE static void
mcugen_sparse_short_wide_conv_s8(const mcugen_sparse_short_wide_conv_s8_params_t *p,
                                 const int8_t *input, int8_t *output, int8_t *scratch)
{
    mcugen_sparse_short_conv(p, 12, 0, input, output, scratch);
}

/** mcugen_sparse_short_conv for windows of one column. */
MCUGEN_UNUSED MCUGEN_NOINLINE static void
mcugen_sparse_short_column_conv_s8(const mcugen_sparse_short_column_conv_s8_params_t *p,
                                   const int8_t *input, int8_t *output, int8_t *scratch)
{
    mcugen_sparse_short_conv(p, 13, 2, input, output, scratch);
}

/** mcugen_sparse_short_conv for windows of one column, with lower factors of 12 bits. */
MCUGEN_UNUSED MCUGEN_NOINLINE static void
mcugen_sparse_short_column_wide_conv_s8(const mcugen_sparse_short_column_wide_conv_s8_params_t *p,
                                        const int8_t *input, int8_t *output, int8_t *scratch)
{
    mcugen_sparse_short_conv(p, 12, 2, input, output, scratch);
}

#ifdef __cplusplus
}
#endif

#endif /* MCUGEN_SPARSE_SHORT_H_INCLUDED */
