/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file mcugen_depthwise_pair.h
 * @brief Depthwise convolution up to 3x3 for cores without the DSP extension.
 *
 * Two output rows are computed at once: what they read of a channel is unfolded into three rows of
 * words x0 + 2^16 x1, so that one multiplication gives the products of both (mcugen_conv_pair.h
 * tells how their sums are kept apart). Words lie column after column. Kernels smaller than 3x3 are
 * filled up with zeros.
 */
#ifndef MCUGEN_DEPTHWISE_PAIR_H_INCLUDED
#define MCUGEN_DEPTHWISE_PAIR_H_INCLUDED

#include "mcugen_scalar.h"
#include "mcugen_short.h"

#ifdef __cplusplus
extern "C" {
#endif

#define MCUGEN_DEPTHWISE_PAIR_ROWS 3

typedef struct {
    int32_t in_h;
    int32_t in_w;
    int32_t ch;
    int32_t out_h;
    int32_t out_w;
    int32_t stride_h;
    int32_t stride_w;
    int32_t pad_top;
    int32_t pad_left;
    int32_t pad_value;
    int32_t tile;           /* output columns that are computed at once */
    int32_t saved;          /* input rows in the scratch, 0 where the input lies clear */
    const uint32_t *weight; /* [ch, 3 columns], bytes of the taps second, third and first,
                                before the first a mark where 16 bits do not hold a column's sum */
} mcugen_depthwise_pair_image_t;

typedef struct {
    mcugen_depthwise_pair_image_t image;
    const int32_t *bias;       /* [ch] */
    const int32_t *multiplier; /* [ch] */
    const uint8_t *shift;      /* [ch], bits of the high word, less one */
    int32_t rounding;          /* 2 * zero point + 1 */
    int32_t low;
    int32_t high;
} mcugen_depthwise_pair_s8_params_t;

/* The same with the requantization of mcugen_short.h. */
typedef struct {
    mcugen_depthwise_pair_image_t image;
    const uint32_t *scale; /* [ch][offset, factors] */
    int32_t shift;
    int32_t low;
    int32_t span;
} mcugen_depthwise_short_s8_params_t;

/** A row of the input; `mask` is 0 where it is padding, as its step is. */
typedef struct {
    const int8_t *first; /* column inside, of channel 0 */
    int32_t step;        /* to the next column */
    int32_t mask;
} mcugen_depthwise_pair_source_t;

/** A tile. The assembly knows the order of the members up to `rows`. */
typedef struct {
    const uint32_t *weight;
    const uint32_t *scale;
    uint32_t shift;
    int32_t limit; /* largest output, or the span up to there */
    int32_t low;
    int8_t *output; /* of the first row */
    int32_t second; /* from there to the second row's, 0 where there is none */
    int32_t ch;
    int32_t len; /* ch times the output columns */
    int32_t channel;
    int32_t back; /* bytes from behind the words of an output to those of the next one */
    uint32_t *x;
    int32_t joined;       /* all that is read are four rows that follow each other */
    const int8_t *row[4]; /* from the first column inside on */
    int32_t step;         /* to the next column */
    int32_t inside;       /* ch times the columns that are inside */
    int32_t padding;
    int32_t outside; /* 1 where the first of the four is padding, 2 where the last one is */
    uint32_t *words; /* of the first column inside */
    int32_t columns; /* that are inside */
    mcugen_depthwise_pair_source_t rows[MCUGEN_DEPTHWISE_PAIR_ROWS][2]; /* of words a + 2^16 b */
    int32_t rounding;
    int8_t outside_value; /* what rows of padding point to */
} mcugen_depthwise_pair_job_t;

/** The sums of both rows' outputs. */
static inline void mcugen_depthwise_pair_sums(const uint32_t *weight, const uint32_t *x,
                                              int32_t *sums)
{
    uint32_t both = 0;
    int32_t upper = 0;

    for (int32_t i = 0; i < MCUGEN_DEPTHWISE_PAIR_ROWS; i++) {
        const uint32_t *column = &x[i * MCUGEN_DEPTHWISE_PAIR_ROWS];
        const uint32_t *word = &weight[i];
        const uint32_t two = (mcugen_scalar_weight(word, 3u) * column[0]) +
                             (mcugen_scalar_weight(word, 0u) * column[1]);
        const uint32_t one = mcugen_scalar_weight(word, 1u) * column[2];
        both += two + one;
        upper += mcugen_scalar_upper(two) + mcugen_scalar_upper(one);
    }
    sums[0] = (int32_t)(both - ((uint32_t)upper << 16));
    sums[1] = upper;
}

/** Words from those of an output to those of the next. */
static inline int32_t mcugen_depthwise_pair_next(const mcugen_depthwise_pair_job_t *job)
{
    return (job->back / 4) + (MCUGEN_DEPTHWISE_PAIR_ROWS * MCUGEN_DEPTHWISE_PAIR_ROWS);
}

/** Words of one channel from four rows that follow each other. */
static inline void mcugen_depthwise_pair_lay_joined(const mcugen_depthwise_pair_job_t *job)
{
    const int32_t step = job->step;
    const int32_t first_step = (job->outside == 1) ? 0 : step;
    const int32_t last_step = (job->outside == 2) ? 0 : step;
    const int8_t *first = (job->outside == 1) ? &job->outside_value : &job->row[0][job->channel];
    const int8_t *last = (job->outside == 2) ? &job->outside_value : &job->row[3][job->channel];
    const int8_t *second = &job->row[1][job->channel];
    const int8_t *third = &job->row[2][job->channel];
    uint32_t *words = job->words;

    for (const uint32_t *const end = &words[3 * job->columns]; words != end; words = &words[3]) {
        const uint32_t upper = (uint32_t)(int32_t)*second;
        const uint32_t lower = (uint32_t)(int32_t)*third;
        words[0] = (uint32_t)(int32_t)*first + (upper << 16);
        words[1] = upper + (lower << 16);
        words[2] = lower + ((uint32_t)(int32_t)*last << 16);
        first = &first[first_step];
        second = &second[step];
        third = &third[step];
        last = &last[last_step];
    }
}

/** Words of one channel, of a row after the other. */
static inline void mcugen_depthwise_pair_lay_rows(const mcugen_depthwise_pair_job_t *job)
{
    for (int32_t i = 0; i < MCUGEN_DEPTHWISE_PAIR_ROWS; i++) {
        const mcugen_depthwise_pair_source_t *row = job->rows[i];
        const int32_t a_step = row[0].step;
        const int32_t b_step = row[1].step;
        const int8_t *a = &row[0].first[job->channel & row[0].mask];
        const int8_t *b = &row[1].first[job->channel & row[1].mask];
        uint32_t *words = &job->words[i];
        for (int32_t left = job->columns; left > 0; left--) {
            *words = (uint32_t)(int32_t)*a + ((uint32_t)(int32_t)*b << 16);
            words = &words[MCUGEN_DEPTHWISE_PAIR_ROWS];
            a = &a[a_step];
            b = &b[b_step];
        }
    }
}

/** Words of one channel. */
static inline void mcugen_depthwise_pair_lay(const mcugen_depthwise_pair_job_t *job)
{
    if (job->joined != 0) {
        mcugen_depthwise_pair_lay_joined(job);
    } else {
        mcugen_depthwise_pair_lay_rows(job);
    }
}

/** All channels of a tile. */
static inline void mcugen_depthwise_pair_tile(const mcugen_depthwise_pair_s8_params_t *p,
                                              mcugen_depthwise_pair_job_t *job)
{
    const int32_t next = mcugen_depthwise_pair_next(job);
    const uint32_t *weight = job->weight;

    for (; job->channel < job->ch; job->channel++) {
        const int32_t bias = p->bias[job->channel];
        const int32_t multiplier = p->multiplier[job->channel];
        const uint32_t shift = p->shift[job->channel];
        const uint32_t *x = job->x;
        int8_t *output = &job->output[job->channel];
        mcugen_depthwise_pair_lay(job);
        for (const int8_t *const end = &output[job->len]; output != end;
             output = &output[job->ch]) {
            int32_t sums[2];
            mcugen_depthwise_pair_sums(weight, x, sums);
            const int8_t first = mcugen_scalar_requantize(bias + sums[0], multiplier, shift,
                                                          p->rounding, p->low, p->high);
            const int8_t second = mcugen_scalar_requantize(bias + sums[1], multiplier, shift,
                                                           p->rounding, p->low, p->high);
            output[0] = first;
            output[job->second] = second;
            x = &x[next];
        }
        weight = &weight[MCUGEN_DEPTHWISE_PAIR_ROWS];
    }
}

#if MCUGEN_ARMV6M
/* Products R, S and T, at first and then: sum of P to register P, of S1 to U; 2^15 in r12. */
#define MCUGEN_DEPTHWISE_PAIR_SUM(OP, P, U, R)                                                     \
    OP " " P ", " R "\n"                                                                           \
       "add " R ", r12\n"                                                                          \
       "asrs " R ", " R ", #16\n" OP " " U ", " R "\n"

/* ... where 16 bits hold the sum of all three */
#define MCUGEN_DEPTHWISE_PAIR_JOINED(OP, P, U, R, S, T)                                            \
    "adds " R ", " R ", " S "\n"                                                                   \
    "adds " R ", " R ", " T "\n" MCUGEN_DEPTHWISE_PAIR_SUM(OP, P, U, R)

/* ... and where it holds that of two */
#define MCUGEN_DEPTHWISE_PAIR_APART(OP, P, U, R, S, T)                                             \
    "adds " R ", " R ", " S "\n" MCUGEN_DEPTHWISE_PAIR_SUM(OP, P, U, R)                            \
        MCUGEN_DEPTHWISE_PAIR_SUM("add", P, U, T)

#define MCUGEN_DEPTHWISE_PAIR_X "ldmia r0!, {r1-r3}\n"
#define MCUGEN_DEPTHWISE_PAIR_W "ldmia r7!, {r4-r6}\n"

/* A column of an output, and the same of the next output, which is the last to want its weights. */
#define MCUGEN_DEPTHWISE_PAIR_COLUMN(ADD, OP)                                                      \
    "muls r1, r4\n"                                                                                \
    "muls r2, r5\n"                                                                                \
    "muls r3, r6\n" ADD(OP, "r8", "r10", "r1", "r2", "r3")
#define MCUGEN_DEPTHWISE_PAIR_NEXT(ADD, OP)                                                        \
    "muls r4, r1\n"                                                                                \
    "muls r5, r2\n"                                                                                \
    "muls r6, r3\n" ADD(OP, "r9", "r11", "r4", "r5", "r6")

/* clang-format off */
/* Two outputs, one beside the other. */
#define MCUGEN_DEPTHWISE_PAIR_TWO(ADD) \
    MCUGEN_DEPTHWISE_PAIR_X MCUGEN_DEPTHWISE_PAIR_W MCUGEN_DEPTHWISE_PAIR_COLUMN(ADD, "mov") \
    MCUGEN_DEPTHWISE_PAIR_X MCUGEN_DEPTHWISE_PAIR_NEXT(ADD, "mov") \
    MCUGEN_DEPTHWISE_PAIR_W MCUGEN_DEPTHWISE_PAIR_COLUMN(ADD, "add") \
    MCUGEN_DEPTHWISE_PAIR_X MCUGEN_DEPTHWISE_PAIR_NEXT(ADD, "add") \
    MCUGEN_DEPTHWISE_PAIR_W MCUGEN_DEPTHWISE_PAIR_COLUMN(ADD, "add") \
    MCUGEN_DEPTHWISE_PAIR_X MCUGEN_DEPTHWISE_PAIR_NEXT(ADD, "add")

/* One output. */
#define MCUGEN_DEPTHWISE_PAIR_ONE(ADD) \
    MCUGEN_DEPTHWISE_PAIR_X MCUGEN_DEPTHWISE_PAIR_W MCUGEN_DEPTHWISE_PAIR_COLUMN(ADD, "mov") \
    MCUGEN_DEPTHWISE_PAIR_X MCUGEN_DEPTHWISE_PAIR_W MCUGEN_DEPTHWISE_PAIR_COLUMN(ADD, "add") \
    MCUGEN_DEPTHWISE_PAIR_X MCUGEN_DEPTHWISE_PAIR_W MCUGEN_DEPTHWISE_PAIR_COLUMN(ADD, "add")

/* Nine weights from their three words to where r1 points. */
#define MCUGEN_DEPTHWISE_SHORT_WEIGHTS(WORD) \
    "sxtb r6, " WORD "\n" \
    "lsls r7, " WORD ", #16\n" \
    "asrs r7, r7, #24\n" \
    "asrs " WORD ", " WORD ", #24\n" \
    "stmia r1!, {" WORD ", r6, r7}\n"

/* Both rows' outputs of sums r3 (of P) and r6 (of S1), to where r0 points. */
#define MCUGEN_DEPTHWISE_SHORT_OUTPUTS \
    "lsls r4, r6, #16\n" \
    "subs r3, r3, r4\n" \
    MCUGEN_SHORT_OUTPUT("r3", "r7", "r10", "13") \
    "strb r3, [r0]\n" \
    MCUGEN_SHORT_OUTPUT("r6", "r7", "r10", "13") \
    "ldr r4, [sp, #60]\n" \
    "strb r6, [r0, r4]\n"

/* Those of a first output, which leaves the words in r8 and what outputs need in registers. */
#define MCUGEN_DEPTHWISE_SHORT_FIRST \
    "mov r3, r8\n" \
    "mov r8, r0\n" \
    "mov r6, r10\n" \
    "ldr r4, [sp, #52]\n" \
    "mov r10, r4\n" \
    "add r0, sp, #36\n" \
    "ldmia r0!, {r1, r2, r5, r7}\n" \
    "ldr r0, [sp, #56]\n" \
    MCUGEN_DEPTHWISE_SHORT_OUTPUTS

/* Three words of a column: rows r0 to r3, where FIRST and LAST fetch from the outer ones, words r6. */
#define MCUGEN_DEPTHWISE_PAIR_LAY(FIRST, LAST) \
    LAST \
    "lsls r4, r4, #16\n" \
    "ldrsb r5, [r2, r7]\n" \
    "adds r4, r4, r5\n" \
    "str r4, [r6, #8]\n" \
    "lsls r5, r5, #16\n" \
    "ldrsb r4, [r1, r7]\n" \
    "adds r5, r5, r4\n" \
    "str r5, [r6, #4]\n" \
    "lsls r4, r4, #16\n" \
    FIRST \
    "adds r4, r4, r5\n" \
    "str r4, [r6]\n" \
    "adds r6, #12\n" \
    "add r7, r12\n" \
    "cmp r7, lr\n"

/** All channels of a tile with short factors. */
MCUGEN_NAKED static void mcugen_depthwise_short_tile(const mcugen_depthwise_pair_job_t *job
                                                     __attribute__((unused)))
{
    __asm__ volatile(
        ".syntax unified\n"
        "push {r4-r7, lr}\n"
        "mov r4, r8\n"
        "mov r5, r9\n"
        "mov r6, r10\n"
        "mov r7, r11\n"
        "push {r4-r7}\n"
        /* weights, lower and upper factor, shift, offset, low, output, second, channels, end, back,
           where outputs begin in the code, the tile */
        "sub sp, #84\n"
        "str r0, [sp, #80]\n"
        "1:\n" /* words */
        "ldr r7, [r0, #36]\n"
        "movs r6, r0\n"
        "adds r6, #48\n"
        "ldmia r6!, {r5}\n"
        "cmp r5, #0\n"
        "beq 5f\n"
        "ldmia r6!, {r0-r5}\n"
        "mov r12, r4\n"
        "adds r5, r5, r7\n"
        "mov lr, r5\n"
        "ldmia r6!, {r4, r5}\n"
        "mov r8, r4\n"
        "ldr r6, [r6]\n"
        "cmp r5, #1\n"
        "beq 3f\n"
        "bhi 4f\n"
        "2:\n"
        MCUGEN_DEPTHWISE_PAIR_LAY("ldrsb r5, [r0, r7]\n", "ldrsb r4, [r3, r7]\n")
        "bne 2b\n"
        "b 8f\n"
        "3:\n"
        MCUGEN_DEPTHWISE_PAIR_LAY("mov r5, r8\n", "ldrsb r4, [r3, r7]\n")
        "bne 3b\n"
        "b 8f\n"
        "4:\n"
        MCUGEN_DEPTHWISE_PAIR_LAY("ldrsb r5, [r0, r7]\n", "mov r4, r8\n")
        "bne 4b\n"
        "b 8f\n"
        "5:\n" /* row after row */
        "adds r6, #32\n"
        "ldmia r6!, {r5, r7}\n"
        "cmp r7, #0\n"
        "ble 8f\n"
        "movs r4, #12\n"
        "muls r7, r4\n"
        "mov r11, r7\n"
        "6:\n"
        "ldmia r6!, {r0-r4, r7}\n"
        "mov r9, r6\n"
        "mov r10, r5\n"
        "ldr r6, [sp, #80]\n"
        "ldr r6, [r6, #36]\n"
        "ands r2, r6\n"
        "adds r0, r0, r2\n"
        "ands r7, r6\n"
        "adds r3, r3, r7\n"
        "mov r2, r11\n"
        "adds r2, r2, r5\n"
        "mov r12, r2\n"
        "movs r2, #0\n"
        "7:\n"
        "ldrsb r6, [r0, r2]\n"
        "ldrsb r7, [r3, r2]\n"
        "adds r0, r0, r1\n"
        "adds r3, r3, r4\n"
        "lsls r7, r7, #16\n"
        "adds r6, r6, r7\n"
        "str r6, [r5]\n"
        "adds r5, #12\n"
        "cmp r5, r12\n"
        "bne 7b\n"
        "mov r5, r10\n"
        "adds r5, #4\n"
        "mov r6, r9\n"
        "ldr r7, [sp, #80]\n"
        "adds r7, #164\n"
        "cmp r6, r7\n"
        "bne 6b\n"
        "8:\n" /* constants of the channel */
        "ldr r0, [sp, #80]\n"
        "ldmia r0!, {r1, r2}\n"
        "ldmia r1!, {r3-r5}\n"
        "ldmia r2!, {r6, r7}\n"
        "mov r8, r6\n"
        "mov r10, r7\n"
        "subs r0, #8\n"
        "stmia r0!, {r1, r2}\n"
        "lsls r1, r3, #8\n"
        "lsrs r1, r1, #24\n"
        "mov r9, r1\n"
        "mov r1, sp\n"
        MCUGEN_DEPTHWISE_SHORT_WEIGHTS("r3")
        MCUGEN_DEPTHWISE_SHORT_WEIGHTS("r4")
        MCUGEN_DEPTHWISE_SHORT_WEIGHTS("r5")
        "movs r6, r1\n"
        "mov r5, r10\n"
        MCUGEN_SHORT_FACTORS("r5", "13")
        "mov r5, r8\n"
        "ldmia r0!, {r4, r7}\n"
        "mov lr, r7\n"
        "stmia r6!, {r1, r2, r4, r5}\n"
        "ldmia r0!, {r1-r5, r7}\n"
        "adds r2, r2, r7\n"
        "adds r5, r5, r2\n"
        "ldr r7, [r0]\n"
        "stmia r6!, {r1-r5, r7}\n"
        "ldr r0, [r0, #4]\n"
        "movs r3, #128\n"
        "lsls r3, r3, #8\n"
        "mov r12, r3\n"
        "adr r6, 10f\n"
        "mov r3, r9\n"
        "cmp r3, #0\n"
        "beq 9f\n"
        "adr r6, 11f\n"
        "9:\n"
        "str r6, [sp, #76]\n"
        "adds r7, #24\n"
        "mov r7, sp\n" /* leaves the flags as they are */
        "bne 13f\n"
        "adds r4, r4, r2\n"
        "cmp r4, r5\n"
        "beq 13f\n"
        "mov pc, r6\n"
        /* two outputs side by side have two columns of words in common */
        ".balign 4\n"
        "10:\n"
        MCUGEN_DEPTHWISE_PAIR_TWO(MCUGEN_DEPTHWISE_PAIR_JOINED)
        "b 12f\n"
        "13:\n"
        "b 14f\n"
        ".balign 4\n"
        "11:\n"
        MCUGEN_DEPTHWISE_PAIR_TWO(MCUGEN_DEPTHWISE_PAIR_APART)
        "12:\n"
        MCUGEN_DEPTHWISE_SHORT_FIRST
        "ldr r4, [sp, #64]\n"
        "adds r0, r0, r4\n"
        "mov r3, r9\n"
        "mov r6, r11\n"
        MCUGEN_DEPTHWISE_SHORT_OUTPUTS
        "ldr r3, [sp, #64]\n"
        "ldr r4, [sp, #68]\n"
        "adds r0, r0, r3\n"
        "cmp r0, r4\n"
        "beq 15f\n"
        "str r0, [sp, #56]\n"
        "adds r3, r3, r0\n"
        "mov r0, r8\n"
        "subs r0, #24\n"
        "mov r7, sp\n"
        "cmp r3, r4\n"
        "beq 14f\n"
        "ldr r6, [sp, #76]\n"
        "mov pc, r6\n"
        "14:\n" /* one output */
        MCUGEN_DEPTHWISE_PAIR_ONE(MCUGEN_DEPTHWISE_PAIR_APART)
        MCUGEN_DEPTHWISE_SHORT_FIRST
        "ldr r4, [sp, #64]\n"
        "adds r0, r0, r4\n"
        "str r0, [sp, #56]\n"
        "ldr r4, [sp, #68]\n"
        "cmp r0, r4\n"
        "beq 15f\n"
        "mov r0, r8\n"
        "ldr r4, [sp, #72]\n"
        "adds r0, r0, r4\n"
        "mov r7, sp\n"
        "b 14b\n"
        "15:\n" /* to the next channel */
        "ldr r0, [sp, #80]\n"
        "ldr r1, [r0, #36]\n"
        "adds r1, #1\n"
        "str r1, [r0, #36]\n"
        "ldr r2, [r0, #28]\n"
        "cmp r1, r2\n"
        "beq 16f\n"
        "b 1b\n"
        "16:\n"
        "add sp, #84\n"
        "pop {r4-r7}\n"
        "mov r8, r4\n"
        "mov r9, r5\n"
        "mov r10, r6\n"
        "mov r11, r7\n"
        "pop {r4-r7, pc}\n"
        ::: "memory");
}
/* clang-format on */
#else
/** All channels of a tile with short factors. */
static inline void mcugen_depthwise_short_tile(mcugen_depthwise_pair_job_t *job)
{
    const int32_t next = mcugen_depthwise_pair_next(job);

    for (; job->channel < job->ch; job->channel++) {
        const uint32_t *weight = &job->weight[MCUGEN_DEPTHWISE_PAIR_ROWS * job->channel];
        const uint32_t *scale = &job->scale[2 * job->channel];
        const uint32_t *x = job->x;
        int8_t *output = &job->output[job->channel];
        mcugen_depthwise_pair_lay(job);
        for (const int8_t *const end = &output[job->len]; output != end;
             output = &output[job->ch]) {
            int32_t sums[2];
            mcugen_depthwise_pair_sums(weight, x, sums);
            for (int32_t i = 0; i < 2; i++) {
                output[i * job->second] = mcugen_short_requantize(
                    sums[i], scale, 13, (int32_t)job->shift, job->low, job->limit);
            }
            x = &x[next];
        }
    }
}
#endif

/** Where the input is: rows up to `last` in a ring, the others where they were. */
typedef struct {
    const int8_t *rows;
    int8_t *ring;
    int32_t last; /* -1 where there is no ring */
    int32_t slot; /* of the last row */
} mcugen_depthwise_pair_input_t;

/** The ring's place of a row that is `back` rows before the last one. */
static inline int8_t *mcugen_depthwise_pair_slot(const mcugen_depthwise_pair_image_t *p,
                                                 const mcugen_depthwise_pair_input_t *input,
                                                 int32_t back)
{
    const int32_t slot = input->slot - back;

    return &input->ring[((slot < 0) ? (slot + p->saved) : slot) * p->in_w * p->ch];
}

/** Copy two more rows into the ring, before results are written where they are. */
static inline void mcugen_depthwise_pair_save(const mcugen_depthwise_pair_image_t *p,
                                              mcugen_depthwise_pair_input_t *input)
{
    for (int32_t i = 0; i < 2; i++) {
        input->last++;
        input->slot = (input->slot + 1 < p->saved) ? (input->slot + 1) : 0;
        if (input->last < p->in_h) {
            mcugen_scalar_copy(&input->rows[input->last * p->in_w * p->ch], p->in_w * p->ch,
                               mcugen_depthwise_pair_slot(p, input, 0));
        }
    }
}

/** Row y of the input from column x on, of which so many are inside. */
static MCUGEN_NOINLINE void mcugen_depthwise_pair_find(const mcugen_depthwise_pair_image_t *p,
                                                       const mcugen_depthwise_pair_input_t *input,
                                                       int32_t y, int32_t x,
                                                       const mcugen_depthwise_pair_job_t *job,
                                                       mcugen_depthwise_pair_source_t *source)
{
    if ((y < 0) || (y >= p->in_h) || (job->columns <= 0)) {
        source->first = &job->outside_value;
        source->mask = 0;
    } else {
        source->first = (y <= input->last)
                            ? &mcugen_depthwise_pair_slot(p, input, input->last - y)[x * p->ch]
                            : &input->rows[((y * p->in_w) + x) * p->ch];
        source->mask = -1;
    }
    source->step = p->ch & source->mask;
}

/** Find the rows of output rows y[0] and y[1] from column x on; pad the words. */
static inline void mcugen_depthwise_pair_place(const mcugen_depthwise_pair_image_t *p,
                                               const mcugen_depthwise_pair_input_t *input,
                                               const int32_t *y, int32_t x, int32_t pitch,
                                               mcugen_depthwise_pair_job_t *job)
{
    const int32_t in_x = (x * p->stride_w) - p->pad_left;
    const int32_t first = (in_x < 0) ? -in_x : 0;
    const int32_t last = ((p->in_w - in_x) < pitch) ? (p->in_w - in_x) : pitch;
    const int32_t words = MCUGEN_DEPTHWISE_PAIR_ROWS * pitch;

    job->columns = last - first;
    job->inside = job->columns * p->ch;
    job->words = &job->x[MCUGEN_DEPTHWISE_PAIR_ROWS * ((last > first) ? first : 0)];
    for (int32_t i = 0; i < words; i++) {
        job->x[i] = (uint32_t)p->pad_value + ((uint32_t)p->pad_value << 16);
    }
    for (int32_t i = 0; i < MCUGEN_DEPTHWISE_PAIR_ROWS; i++) {
        for (int32_t k = 0; k < 2; k++) {
            mcugen_depthwise_pair_find(p, input, (y[k] * p->stride_h) - p->pad_top + i,
                                       in_x + first, job, &job->rows[i][k]);
        }
        job->row[i] = job->rows[i][0].first;
    }
    job->row[3] = job->rows[2][1].first;
}

/** Whether a tile reads four rows that follow each other, of which an outer one may be padding. */
static inline void mcugen_depthwise_pair_join(const mcugen_depthwise_pair_image_t *p,
                                              mcugen_depthwise_pair_job_t *job)
{
    const int32_t first = job->rows[0][0].mask;
    const int32_t last = job->rows[2][1].mask;
    const int32_t middle = job->rows[1][0].mask & job->rows[2][0].mask & (first | last);

    job->joined = ((p->stride_h == 1) && (job->second != 0) && (middle != 0)) ? 1 : 0;
    job->outside = (first == 0) ? 1 : ((last == 0) ? 2 : 0);
}

/** All tiles; what belongs to requantization is there; `p` is null with short factors. */
static MCUGEN_ALWAYS_INLINE void
mcugen_depthwise_pair_tiles(const mcugen_depthwise_pair_image_t *image,
                            const mcugen_depthwise_pair_s8_params_t *p,
                            const mcugen_depthwise_short_s8_params_t *q, const int8_t *input,
                            int8_t *output, int8_t *scratch)
{
    const int32_t pitch = ((image->tile - 1) * image->stride_w) + MCUGEN_DEPTHWISE_PAIR_ROWS;
    mcugen_depthwise_pair_job_t job;
    mcugen_depthwise_pair_input_t source = {input, NULL, -1, -1};

    job.x = (uint32_t *)(void *)scratch;
    source.ring = (int8_t *)&job.x[MCUGEN_DEPTHWISE_PAIR_ROWS * pitch];
    job.ch = image->ch;
    job.step = image->ch;
    job.back = 12 * (image->stride_w - MCUGEN_DEPTHWISE_PAIR_ROWS);
    job.padding = image->pad_value;
    job.outside_value = (int8_t)image->pad_value;
    for (int32_t row = 0; row < image->out_h; row += 2) {
        const int32_t y[2] = {row, (row + 1 < image->out_h) ? (row + 1) : row};
        if (image->saved > 0) {
            mcugen_depthwise_pair_save(image, &source);
        }
        for (int32_t x = 0; x < image->out_w; x += image->tile) {
            const int32_t left = image->out_w - x;
            job.weight = image->weight;
            job.channel = 0;
            job.output = &output[((row * image->out_w) + x) * image->ch];
            job.second = (y[1] - row) * image->out_w * image->ch;
            job.len = image->ch * ((left < image->tile) ? left : image->tile);
            mcugen_depthwise_pair_place(image, &source, y, x, pitch, &job);
            mcugen_depthwise_pair_join(image, &job);
            if (p != NULL) {
                mcugen_depthwise_pair_tile(p, &job);
            } else {
                job.scale = q->scale;
                job.shift = (uint32_t)q->shift;
                job.low = q->low;
                job.limit = q->span;
                mcugen_depthwise_short_tile(&job);
            }
        }
    }
}

/**
 * Depthwise convolution, two rows at a time; a last single one is computed twice.
 *
 * @param[in]  p       Geometry, weights and requantization.
 * @param[in]  input   int8 [in_h, in_w, ch].
 * @param[out] output  int8 [out_h, out_w, ch]; may overlap the input as far as the rows that this
 *                     and later pairs of rows read are not overwritten. Where the last `saved` rows
 *                     are kept, an output row may take the place of the input row of its number.
 * @param      scratch 12 * ((tile - 1) * stride_w + 3) + saved * in_w * ch bytes, aligned to 4.
 */
MCUGEN_UNUSED MCUGEN_NOINLINE static void
mcugen_depthwise_pair_s8(const mcugen_depthwise_pair_s8_params_t *p, const int8_t *input,
                         int8_t *output, int8_t *scratch)
{
    mcugen_depthwise_pair_tiles(&p->image, p, NULL, input, output, scratch);
}

/** mcugen_depthwise_pair_s8 with short factors. */
MCUGEN_UNUSED MCUGEN_NOINLINE static void
mcugen_depthwise_short_s8(const mcugen_depthwise_short_s8_params_t *p, const int8_t *input,
                          int8_t *output, int8_t *scratch)
{
    mcugen_depthwise_pair_tiles(&p->image, NULL, p, input, output, scratch);
}

#ifdef __cplusplus
}
#endif

#endif /* MCUGEN_DEPTHWISE_PAIR_H_INCLUDED */
