/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file mcugen_depthwise_strips_dsp.h
 * @brief The inner blocks of a 3x3 depthwise convolution of one channel, six or four columns wide.
 *
 * A strip is a block of output columns that is walked down row by row. The input is a plane of
 * int16 pairs, padding included: a word holds two neighbours of a row. With stride 1 an even
 * output takes its taps from (0, 1) and the lower half of the next pair, an odd one from the upper
 * half and the pair (2, 3). With stride 2 every output is an even one.
 */
#ifndef MCUGEN_DEPTHWISE_STRIPS_DSP_H_INCLUDED
#define MCUGEN_DEPTHWISE_STRIPS_DSP_H_INCLUDED

#include "mcugen_dsp.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Bits that the high word of accumulator times multiplier is shifted by; the blocks know it. */
#define MCUGEN_DEPTHWISE_SHIFT 12
/* Bits that a channel can be scaled up by to get there: int8 weights become int16. */
#define MCUGEN_DEPTHWISE_BITS 8

/* What a block works on. The assembly takes the members in this order, as words. */
typedef struct {
    uint32_t weight[6]; /* of each kernel row the pairs (0, 1) and (1, 2) */
    int32_t bias;
    int32_t multiplier;
    int32_t rounding; /* one half and the zero point, in steps of the high word */
    int32_t col;      /* bytes from one output column to the next */
    int32_t last;     /* room for the same to the last column of a strip */
    int8_t *output;
    int32_t row;           /* bytes from one output row to the next */
    int8_t *end;           /* of the first strip: the output after the last row */
    int32_t sixes;         /* strips of six columns */
    int8_t *strip;         /* the first output again */
    const uint32_t *input; /* the first strip's first row */
    int32_t fours;         /* strips of four columns, behind those of six */
    int32_t last_six;      /* bytes to the last column, 0 where that is not stored */
    int32_t last_four;
    int32_t input_row; /* bytes from one input row to the next */
} mcugen_depthwise_strips_t;

/** floor(a * b / 2^32). */
static inline int32_t mcugen_depthwise_high(int32_t a, int32_t b)
{
    return (int32_t)(uint32_t)((uint64_t)((int64_t)a * b) >> 32);
}

#if defined(__ARM_FEATURE_DSP)

/* Layout of the copy on the stack, which is what the loads below name. */
typedef char
    mcugen_requires_depthwise_layout[(sizeof(mcugen_depthwise_strips_t) == 84u) &&
                                             (offsetof(mcugen_depthwise_strips_t, input) == 64u)
                                         ? 1
                                         : -1];

#define MCUGEN_DEPTHWISE_ENTER                                                                     \
    "push {r4-r11, lr}\n"                                                                          \
    "ldr r12, [r0, #80]\n"                                                                         \
    "add r0, r0, #84\n"                                                                            \
    "ldmdb r0!, {r1-r7}\n"                                                                         \
    "push {r1-r7}\n"                                                                               \
    "ldmdb r0!, {r1-r7}\n"                                                                         \
    "push {r1-r7}\n"                                                                               \
    "ldmdb r0!, {r1-r7}\n"                                                                         \
    "push {r1-r7}\n"

#define MCUGEN_DEPTHWISE_LEAVE                                                                     \
    "add sp, sp, #84\n"                                                                            \
    "pop {r4-r11, pc}\n"

/* The next strip, whose number of columns begins with `count`: of the last one the last column
 * may be left out. Continues behind label `done` where there is none. */
#define MCUGEN_DEPTHWISE_STRIP(count, last, done)                                                  \
    "ldr r0, [sp, #" count "]\n"                                                                   \
    "ldr r1, [sp, #36]\n"                                                                          \
    "ldr lr, [sp, #64]\n"                                                                          \
    "cmp r0, #1\n"                                                                                 \
    "blt " done "\n"                                                                               \
    "it eq\n"                                                                                      \
    "ldreq r1, [sp, #" last "]\n"                                                                  \
    "sub r0, r0, #1\n"                                                                             \
    "str r0, [sp, #" count "]\n"                                                                   \
    "str r1, [sp, #40]\n"

/* Requantize one accumulator: multiplier in r6, rounding in r7. */
#define MCUGEN_DEPTHWISE_SCALE(acc)                                                                \
    "smmla " acc ", " acc ", r6, r7\n"                                                             \
    "ssat " acc ", #8, " acc ", asr #12\n"

#define MCUGEN_DEPTHWISE_CONSTANTS                                                                 \
    "ldr r6, [sp, #28]\n"                                                                          \
    "ldr r7, [sp, #32]\n"                                                                          \
    "ldr r8, [sp, #36]\n"                                                                          \
    "ldr r9, [sp, #40]\n"                                                                          \
    "ldr r10, [sp, #44]\n"                                                                         \
    "ldr r11, [sp, #48]\n"

#define MCUGEN_DEPTHWISE_STORE_TWO                                                                 \
    "strb r0, [r10]\n"                                                                             \
    "strb r1, [r10, r8]\n"                                                                         \
    "add r6, r10, r8, lsl #1\n"

/* The next row, at label `row`; behind the last one all pointers to the next strip, which lies
 * `width` columns on, into r2, and `step` bytes in the input. */
#define MCUGEN_DEPTHWISE_NEXT(row, strip, width, step)                                             \
    "ldr r7, [sp, #52]\n"                                                                          \
    "add r10, r10, r11\n"                                                                          \
    "str r10, [sp, #44]\n"                                                                         \
    "cmp r10, r7\n"                                                                                \
    "bne " row "\n"                                                                                \
    "ldr r1, [sp, #60]\n"                                                                          \
    "ldr lr, [sp, #64]\n" width "add r1, r1, r2\n"                                                 \
    "add r7, r7, r2\n"                                                                             \
    "add lr, lr, #" step "\n"                                                                      \
    "str r1, [sp, #44]\n"                                                                          \
    "str r7, [sp, #52]\n"                                                                          \
    "str r1, [sp, #60]\n"                                                                          \
    "str lr, [sp, #64]\n"                                                                          \
    "b " strip "\n"

#define MCUGEN_DEPTHWISE_SIX_WIDE                                                                  \
    "add r2, r8, r8, lsl #1\n"                                                                     \
    "lsl r2, r2, #1\n"

#define MCUGEN_DEPTHWISE_FOUR_WIDE "lsl r2, r8, #2\n"

/* The last column is stored first, as its address may be that of the column before. */
#define MCUGEN_DEPTHWISE_FINISH_SIX(step)                                                          \
    MCUGEN_DEPTHWISE_CONSTANTS                                                                     \
    MCUGEN_DEPTHWISE_SCALE("r0")                                                                   \
    MCUGEN_DEPTHWISE_SCALE("r1")                                                                   \
    MCUGEN_DEPTHWISE_SCALE("r2")                                                                   \
    MCUGEN_DEPTHWISE_SCALE("r3")                                                                   \
    MCUGEN_DEPTHWISE_SCALE("r4")                                                                   \
    MCUGEN_DEPTHWISE_SCALE("r5")                                                                   \
    MCUGEN_DEPTHWISE_STORE_TWO                                                                     \
    "strb r2, [r6]\n"                                                                              \
    "strb r3, [r6, r8]\n"                                                                          \
    "add r6, r6, r8, lsl #1\n"                                                                     \
    "strb r5, [r6, r9]\n"                                                                          \
    "strb r4, [r6]\n" MCUGEN_DEPTHWISE_NEXT("2b", "1b", MCUGEN_DEPTHWISE_SIX_WIDE, step)

#define MCUGEN_DEPTHWISE_FINISH_FOUR(step)                                                         \
    MCUGEN_DEPTHWISE_CONSTANTS                                                                     \
    MCUGEN_DEPTHWISE_SCALE("r0")                                                                   \
    MCUGEN_DEPTHWISE_SCALE("r1")                                                                   \
    MCUGEN_DEPTHWISE_SCALE("r2")                                                                   \
    MCUGEN_DEPTHWISE_SCALE("r3")                                                                   \
    MCUGEN_DEPTHWISE_STORE_TWO                                                                     \
    "strb r3, [r6, r9]\n"                                                                          \
    "strb r2, [r6]\n" MCUGEN_DEPTHWISE_NEXT("4b", "3b", MCUGEN_DEPTHWISE_FOUR_WIDE, step)

/* An even output: taps (0, 1) in the pair x, tap 2 in the lower half of the pair y. */
#define MCUGEN_DEPTHWISE_EVEN(acc, x, y, start)                                                    \
    "smlad " acc ", r6, " x ", " start "\n"                                                        \
    "smlatb " acc ", r7, " y ", " acc "\n"

/* An odd output: tap 0 in the upper half of the pair x, taps (1, 2) in the pair y. */
#define MCUGEN_DEPTHWISE_ODD(acc, x, y, start)                                                     \
    "smlabt " acc ", r6, " x ", " start "\n"                                                       \
    "smlad " acc ", r7, " y ", " acc "\n"

/* The pairs of weights at stack offsets w0 and w1, and the first pairs of the row. */
#define MCUGEN_DEPTHWISE_LOAD(w0, w1)                                                              \
    "ldr r6, [sp, #" w0 "]\n"                                                                      \
    "ldr r7, [sp, #" w1 "]\n"                                                                      \
    "ldr r8, [lr]\n"                                                                               \
    "ldr r9, [lr, #4]\n"                                                                           \
    "ldr r10, [lr, #8]\n"

/* One kernel row. The accumulators continue from `b0`..., or start from the bias. */
#define MCUGEN_DEPTHWISE_ROW_SIX_1(w0, w1, next, b0, b1, b2, b3, b4)                               \
    MCUGEN_DEPTHWISE_LOAD(w0, w1)                                                                  \
    "ldr r11, [lr, #12]\n" next MCUGEN_DEPTHWISE_EVEN("r0", "r8", "r9", b0)                        \
        MCUGEN_DEPTHWISE_ODD("r1", "r8", "r9", b1) MCUGEN_DEPTHWISE_EVEN("r2", "r9", "r10", b2)    \
            MCUGEN_DEPTHWISE_ODD("r3", "r9", "r10", b3)                                            \
                MCUGEN_DEPTHWISE_EVEN("r4", "r10", "r11", b4)                                      \
                    MCUGEN_DEPTHWISE_ODD("r5", "r10", "r11", "r5")

#define MCUGEN_DEPTHWISE_ROW_FOUR_1(w0, w1, next, b0, b1, b2)                                      \
    MCUGEN_DEPTHWISE_LOAD(w0, w1)                                                                  \
    next MCUGEN_DEPTHWISE_EVEN("r0", "r8", "r9", b0) MCUGEN_DEPTHWISE_ODD("r1", "r8", "r9", b1)    \
        MCUGEN_DEPTHWISE_EVEN("r2", "r9", "r10", b2) MCUGEN_DEPTHWISE_ODD("r3", "r9", "r10", "r3")

#define MCUGEN_DEPTHWISE_ROW_SIX_2(w0, w1, next, b0, b1, b2, b3, b4)                               \
    MCUGEN_DEPTHWISE_LOAD(w0, w1)                                                                  \
    "ldr r11, [lr, #12]\n" MCUGEN_DEPTHWISE_EVEN("r0", "r8", "r9", b0)                             \
        MCUGEN_DEPTHWISE_EVEN("r1", "r9", "r10", b1) MCUGEN_DEPTHWISE_EVEN(                        \
            "r2", "r10", "r11", b2) "ldr r8, [lr, #16]\n"                                          \
                                    "ldr r9, [lr, #20]\n"                                          \
                                    "ldr r10, [lr, #24]\n" next MCUGEN_DEPTHWISE_EVEN("r3", "r11", \
                                                                                      "r8", b3)    \
                                        MCUGEN_DEPTHWISE_EVEN("r4", "r8", "r9", b4)                \
                                            MCUGEN_DEPTHWISE_EVEN("r5", "r9", "r10", "r5")

#define MCUGEN_DEPTHWISE_ROW_FOUR_2(w0, w1, next, b0, b1, b2)                                      \
    MCUGEN_DEPTHWISE_LOAD(w0, w1)                                                                  \
    "ldr r11, [lr, #12]\n"                                                                         \
    "ldr r4, [lr, #16]\n" next MCUGEN_DEPTHWISE_EVEN("r0", "r8", "r9", b0)                         \
        MCUGEN_DEPTHWISE_EVEN("r1", "r9", "r10", b1) MCUGEN_DEPTHWISE_EVEN("r2", "r10", "r11", b2) \
            MCUGEN_DEPTHWISE_EVEN("r3", "r11", "r4", "r3")

#define MCUGEN_DEPTHWISE_DOWN "add lr, lr, r12\n"
#define MCUGEN_DEPTHWISE_UP "sub lr, lr, r12\n"

/** All strips of a plane at stride 1. */
static MCUGEN_NAKED void
mcugen_depthwise_strips_1(const mcugen_depthwise_strips_t *strips MCUGEN_UNUSED)
{
    __asm__(MCUGEN_DEPTHWISE_ENTER "1:\n" MCUGEN_DEPTHWISE_STRIP(
        "56", "72",
        "3f") "2:\n"
              "ldr r5, [sp, #24]\n" MCUGEN_DEPTHWISE_ROW_SIX_1("0", "4", MCUGEN_DEPTHWISE_DOWN,
                                                               "r5", "r5", "r5", "r5", "r5")
                  MCUGEN_DEPTHWISE_ROW_SIX_1("8", "12", MCUGEN_DEPTHWISE_DOWN, "r0", "r1", "r2",
                                             "r3", "r4")
                      MCUGEN_DEPTHWISE_ROW_SIX_1("16", "20", MCUGEN_DEPTHWISE_UP, "r0", "r1", "r2",
                                                 "r3", "r4")
                          MCUGEN_DEPTHWISE_FINISH_SIX("12") "3:\n" MCUGEN_DEPTHWISE_STRIP(
                              "68", "76",
                              "5f") "4:\n"
                                    "ldr r3, [sp, #24]\n" MCUGEN_DEPTHWISE_ROW_FOUR_1(
                                        "0", "4", MCUGEN_DEPTHWISE_DOWN, "r3", "r3", "r3")
                                        MCUGEN_DEPTHWISE_ROW_FOUR_1(
                                            "8", "12", MCUGEN_DEPTHWISE_DOWN, "r0", "r1", "r2")
                                            MCUGEN_DEPTHWISE_ROW_FOUR_1(
                                                "16", "20", MCUGEN_DEPTHWISE_UP, "r0", "r1", "r2")
                                                MCUGEN_DEPTHWISE_FINISH_FOUR(
                                                    "8") "5:\n" MCUGEN_DEPTHWISE_LEAVE);
}

/** All strips of a plane at stride 2. */
static MCUGEN_NAKED void
mcugen_depthwise_strips_2(const mcugen_depthwise_strips_t *strips MCUGEN_UNUSED)
{
    __asm__(MCUGEN_DEPTHWISE_ENTER "1:\n" MCUGEN_DEPTHWISE_STRIP(
        "56", "72",
        "3f") "2:\n"
              "ldr r5, [sp, #24]\n" MCUGEN_DEPTHWISE_ROW_SIX_2("0", "4", MCUGEN_DEPTHWISE_DOWN,
                                                               "r5", "r5", "r5", "r5", "r5")
                  MCUGEN_DEPTHWISE_ROW_SIX_2("8", "12", MCUGEN_DEPTHWISE_DOWN, "r0", "r1", "r2",
                                             "r3", "r4")
                      MCUGEN_DEPTHWISE_ROW_SIX_2("16", "20", "", "r0", "r1", "r2", "r3", "r4")
                          MCUGEN_DEPTHWISE_FINISH_SIX("24") "3:\n" MCUGEN_DEPTHWISE_STRIP(
                              "68", "76",
                              "5f") "4:\n"
                                    "ldr r3, [sp, #24]\n" MCUGEN_DEPTHWISE_ROW_FOUR_2(
                                        "0", "4", MCUGEN_DEPTHWISE_DOWN, "r3", "r3", "r3")
                                        MCUGEN_DEPTHWISE_ROW_FOUR_2(
                                            "8", "12", MCUGEN_DEPTHWISE_DOWN, "r0", "r1", "r2")
                                            MCUGEN_DEPTHWISE_ROW_FOUR_2("16", "20", "", "r0", "r1",
                                                                        "r2")
                                                MCUGEN_DEPTHWISE_FINISH_FOUR(
                                                    "16") "5:\n" MCUGEN_DEPTHWISE_LEAVE);
}

#else /* the same in C */

/** One output: `input` is its first pair, `odd` tells that it begins in the upper half. */
static inline int8_t mcugen_depthwise_output(const mcugen_depthwise_strips_t *s,
                                             const uint32_t *input, int32_t odd)
{
    int32_t acc = s->bias;

    for (int32_t row = 0; row < 3; row++) {
        const uint32_t w01 = s->weight[2 * row];
        const uint32_t w12 = s->weight[(2 * row) + 1];
        if (odd != 0) {
            acc += mcugen_dsp_half(w01, 0) * mcugen_dsp_half(input[0], 1);
            acc += mcugen_dsp_half(w12, 0) * mcugen_dsp_half(input[1], 0);
            acc += mcugen_dsp_half(w12, 1) * mcugen_dsp_half(input[1], 1);
        } else {
            acc += mcugen_dsp_half(w01, 0) * mcugen_dsp_half(input[0], 0);
            acc += mcugen_dsp_half(w01, 1) * mcugen_dsp_half(input[0], 1);
            acc += mcugen_dsp_half(w12, 1) * mcugen_dsp_half(input[1], 0);
        }
        input += s->input_row / 4;
    }
    acc = mcugen_depthwise_high(acc, s->multiplier) + s->rounding;
    return (int8_t)mcugen_clamp(mcugen_asr32(acc, MCUGEN_DEPTHWISE_SHIFT), INT8_MIN, INT8_MAX);
}

/** All strips of a plane. */
static inline void mcugen_depthwise_strips(const mcugen_depthwise_strips_t *s, int32_t stride)
{
    const int32_t spare = ((s->last_six == 0) || (s->last_four == 0)) ? 1 : 0;
    const int32_t columns = (6 * s->sixes) + (4 * s->fours) - spare;

    for (int8_t *output = s->output; output != s->end; output += s->row) {
        const int32_t y = (int32_t)(output - s->output) / s->row;
        for (int32_t x = 0; x < columns; x++) {
            const int32_t at = x * stride;
            const uint32_t *input = &s->input[(y * stride * (s->input_row / 4)) + (at / 2)];
            output[x * s->col] = mcugen_depthwise_output(s, input, at % 2);
        }
    }
}

static inline void mcugen_depthwise_strips_1(const mcugen_depthwise_strips_t *strips)
{
    mcugen_depthwise_strips(strips, 1);
}

static inline void mcugen_depthwise_strips_2(const mcugen_depthwise_strips_t *strips)
{
    mcugen_depthwise_strips(strips, 2);
}

#endif /* __ARM_FEATURE_DSP */

#ifdef __cplusplus
}
#endif

#endif /* MCUGEN_DEPTHWISE_STRIPS_DSP_H_INCLUDED */
