/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file mcugen_depthwise_rows_dsp.h
 * @brief Rows of two channels of an int8 image as two planes of int16 pairs.
 */
#ifndef MCUGEN_DEPTHWISE_ROWS_DSP_H_INCLUDED
#define MCUGEN_DEPTHWISE_ROWS_DSP_H_INCLUDED

#include "mcugen_dsp.h"

#ifdef __cplusplus
extern "C" {
#endif

/* What is copied. The assembly takes the members in this order, as words. */
typedef struct {
    const int8_t *input; /* the first channel of the first pixel; need not be aligned */
    int32_t col;         /* bytes from one pixel to the next */
    uint32_t *target;    /* first pair of the first channel's plane */
    int32_t plane;       /* bytes from there to the second channel's plane */
    uint32_t pad;        /* the padding of both channels, as bytes 0 and 1 */
    int32_t rows;        /* at least 1 */
    uint32_t ends;       /* MCUGEN_DEPTHWISE_LEFT and so on: pixels that quads leave over */
    int32_t quads;       /* groups of four pixels in a row */
    int32_t input_gap;   /* bytes from the end of a row to the next */
    int32_t target_gap;
} mcugen_depthwise_rows_t;

#define MCUGEN_DEPTHWISE_LEFT 1u  /* the first pixel shares a pair with padding */
#define MCUGEN_DEPTHWISE_PAIR 2u  /* behind the quads there is one more pair */
#define MCUGEN_DEPTHWISE_RIGHT 4u /* the last pixel shares a pair with padding */

/** Two int16 in one word, `low` in the lower half. */
static inline uint32_t mcugen_depthwise_pair(int32_t low, int32_t high)
{
    return (uint32_t)(uint16_t)low | ((uint32_t)(uint16_t)high << 16);
}

#if defined(__ARM_FEATURE_DSP)

/* Two channels of two pixels, the second in r9, as a pair for each plane. */
#define MCUGEN_DEPTHWISE_SPLIT(left)                                                               \
    "orr r8, " left ", r9, lsl #16\n"                                                              \
    "sxtb16 r9, r8, ror #8\n"                                                                      \
    "sxtb16 r8, r8\n"                                                                              \
    "str r9, [r2, r3]\n"                                                                           \
    "str r8, [r2], #4\n"

/* Two channels of four pixels. */
#define MCUGEN_DEPTHWISE_QUAD                                                                      \
    "ldrh r8, [r0]\n"                                                                              \
    "ldrh r9, [r0, r1]\n"                                                                          \
    "ldrh r10, [r0, r12]\n"                                                                        \
    "ldrh r11, [r0, lr]\n"                                                                         \
    "add r0, r0, r12, lsl #1\n"                                                                    \
    "orr r8, r8, r9, lsl #16\n"                                                                    \
    "orr r10, r10, r11, lsl #16\n"                                                                 \
    "sxtb16 r9, r8, ror #8\n"                                                                      \
    "sxtb16 r8, r8\n"                                                                              \
    "sxtb16 r11, r10, ror #8\n"                                                                    \
    "sxtb16 r10, r10\n"                                                                            \
    "str r9, [r2, r3]\n"                                                                           \
    "str r8, [r2], #4\n"                                                                           \
    "str r11, [r2, r3]\n"                                                                          \
    "str r10, [r2], #4\n"

/** Copy rows. */
static MCUGEN_NAKED void
mcugen_depthwise_copy_rows(const mcugen_depthwise_rows_t *rows MCUGEN_UNUSED)
{
    __asm__("push {r4-r11, lr}\n"
            "add r12, r0, #28\n"
            "ldm r12, {r8-r10}\n"
            "push {r8-r10}\n"
            "ldm r0, {r0-r6}\n"
            "mov r7, r6\n"
            "add r12, r1, r1\n"
            "add lr, r12, r1\n"
            "1:\n" /* a row */
            "ldr r6, [sp]\n"
            "tst r7, #1\n"
            "beq 2f\n"
            "ldrh r9, [r0]\n"
            "add r0, r0, r1\n" MCUGEN_DEPTHWISE_SPLIT(
                "r4") "2:\n"
                      "lsrs r6, r6, #1\n"
                      "bcc 3f\n" MCUGEN_DEPTHWISE_QUAD "3:\n"
                      "cbz r6, 4f\n"
                      "7:\n" MCUGEN_DEPTHWISE_QUAD MCUGEN_DEPTHWISE_QUAD "subs r6, r6, #1\n"
                      "bne 7b\n"
                      "4:\n"
                      "tst r7, #6\n"
                      "beq 6f\n"
                      "tst r7, #2\n"
                      "beq 5f\n"
                      "ldrh r8, [r0]\n"
                      "ldrh r9, [r0, r1]\n"
                      "add r0, r0, r12\n" MCUGEN_DEPTHWISE_SPLIT(
                          "r8") "tst r7, #4\n"
                                "beq 6f\n"
                                "5:\n"
                                "ldrh r8, [r0]\n"
                                "add r0, r0, r1\n"
                                "mov r9, r4\n" MCUGEN_DEPTHWISE_SPLIT("r8") "6:\n"
                                                                            "ldr r8, [sp, #4]\n"
                                                                            "ldr r9, [sp, #8]\n"
                                                                            "add r0, r0, r8\n"
                                                                            "add r2, r2, r9\n"
                                                                            "subs r5, r5, #1\n"
                                                                            "bne 1b\n"
                                                                            "add sp, sp, #12\n"
                                                                            "pop {r4-r11, pc}\n");
}

#else /* the same in C */

/** Two channels of a pixel. */
static inline uint32_t mcugen_depthwise_two(const int8_t *pixel)
{
    return (uint32_t)(uint8_t)pixel[0] | ((uint32_t)(uint8_t)pixel[1] << 8);
}

/** Two channels of two pixels as the next pair of each plane. */
static inline uint32_t *mcugen_depthwise_split(const mcugen_depthwise_rows_t *r, uint32_t left,
                                               uint32_t right, uint32_t *target)
{
    target[0] =
        mcugen_depthwise_pair((int8_t)(uint8_t)(left & 0xffu), (int8_t)(uint8_t)(right & 0xffu));
    target[r->plane / 4] = mcugen_depthwise_pair((int8_t)(uint8_t)((left >> 8) & 0xffu),
                                                 (int8_t)(uint8_t)((right >> 8) & 0xffu));
    return &target[1];
}

/** Copy rows. */
static inline void mcugen_depthwise_copy_rows(const mcugen_depthwise_rows_t *r)
{
    const int32_t left = (int32_t)(r->ends & MCUGEN_DEPTHWISE_LEFT);
    const int32_t pairs = (2 * r->quads) + (((r->ends & MCUGEN_DEPTHWISE_PAIR) != 0u) ? 1 : 0);
    const int32_t right = ((r->ends & MCUGEN_DEPTHWISE_RIGHT) != 0u) ? 1 : 0;
    const int32_t input_row = ((left + (2 * pairs) + right) * r->col) + r->input_gap;
    const int32_t target_row = left + pairs + right + (r->target_gap / 4);

    for (int32_t row = 0; row < r->rows; row++) {
        const int8_t *input = &r->input[row * input_row];
        uint32_t *target = &r->target[row * target_row];
        if (left != 0) {
            target = mcugen_depthwise_split(r, r->pad, mcugen_depthwise_two(input), target);
        }
        for (int32_t i = left; i < (left + (2 * pairs)); i += 2) {
            target = mcugen_depthwise_split(r, mcugen_depthwise_two(&input[i * r->col]),
                                            mcugen_depthwise_two(&input[(i + 1) * r->col]), target);
        }
        if (right != 0) {
            const int8_t *last = &input[(left + (2 * pairs)) * r->col];
            (void)mcugen_depthwise_split(r, mcugen_depthwise_two(last), r->pad, target);
        }
    }
}

#endif /* __ARM_FEATURE_DSP */

#ifdef __cplusplus
}
#endif

#endif /* MCUGEN_DEPTHWISE_ROWS_DSP_H_INCLUDED */
