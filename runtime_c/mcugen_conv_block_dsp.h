/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file mcugen_conv_block_dsp.h
 * @brief The inner block of dense convolution for cores with the DSP extension: two pixels times
 *        four channels.
 *
 * The windows of two output pixels are expanded to int16 side by side ("columns"), in pairs of
 * values (0, 2), (1, 3), (4, 6), (5, 7) ..., which is what SXTB16 makes of a word of int8. Each row
 * of a window begins anew; 1 or 2 values that are left at its end make one pair, 3 make the pairs
 * (0, 2) and (1, none). All channels of the two pixels are computed from that, four at a time.
 */
#ifndef MCUGEN_CONV_BLOCK_DSP_H_INCLUDED
#define MCUGEN_CONV_BLOCK_DSP_H_INCLUDED

#include "mcugen_dsp.h"

#ifdef __cplusplus
extern "C" {
#endif

/** What computes all channels of two pixels. */
typedef struct {
    const uint32_t *packed;
    const int16_t *columns; /* [pairs, 2 pixels, 2] */
    int32_t out_ch;
    int32_t pairs;
    int32_t rounding;       /* 2 * zero point + 1 */
    const int32_t *bias[2]; /* of each pixel, null where it is in `packed` */
} mcugen_dsp_block_t;

/** Pairs that a row of `len` values makes. */
static inline int32_t mcugen_dsp_pairs(int32_t len)
{
    const int32_t left = len % 4;

    return (2 * (len / 4)) + ((left > 2) ? 2 : ((left > 0) ? 1 : 0));
}

#if defined(__ARM_FEATURE_DSP)

/* Two pairs of one word of each pixel: a in `a`, b in `b`, to the columns from `at` on. */
#define MCUGEN_DSP_EXPAND(a, b, at0, at1, at2, at3)                                                \
    "sxtb16 r12, " a "\n"                                                                          \
    "str.w r12, [r3, #" at0 "]\n"                                                                  \
    "sxtb16 r12, " b "\n"                                                                          \
    "str.w r12, [r3, #" at1 "]\n"                                                                  \
    "sxtb16 " a ", " a ", ror #8\n"                                                                \
    "str " a ", [r3, #" at2 "]\n"                                                                  \
    "sxtb16 " b ", " b ", ror #8\n"                                                                \
    "str " b ", [r3, #" at3 "]\n"

/**
 * Expand rows of values of two pixels, which need not be aligned.
 *
 * @param[in]  a       First pixel's values.
 * @param[in]  b       Second pixel's values.
 * @param[in]  len     Values in a row.
 * @param[out] columns int16 [rows, pairs of len, 2 pixels, 2].
 * @param[in]  rows    Number of rows.
 * @param[in]  a_step  Bytes from one row of the first pixel to the next.
 * @param[in]  b_step  Bytes from one row of the second pixel to the next.
 */
static MCUGEN_NAKED void mcugen_dsp_expand(const int8_t *a MCUGEN_UNUSED,
                                           const int8_t *b MCUGEN_UNUSED, int32_t len MCUGEN_UNUSED,
                                           int16_t *columns MCUGEN_UNUSED,
                                           int32_t rows MCUGEN_UNUSED, int32_t a_step MCUGEN_UNUSED,
                                           int32_t b_step MCUGEN_UNUSED)
{
    /* clang-format off */
    __asm__ volatile(
        "push {r4-r10, lr}\n"
        "ldr r8, [sp, #32]\n"
        "ldr r9, [sp, #36]\n"
        "ldr r10, [sp, #40]\n"
        "bic r4, r2, #3\n"
        "sub r9, r9, r4\n"
        "sub r10, r10, r4\n"
        "sub lr, r2, #8\n"
        "1:\n"
        "subs r2, lr, #0\n"
        "blt 3f\n"
        "2:\n"
        "ldr r4, [r0, #0]\n"
        "ldr r5, [r1, #0]\n"
        "ldr r6, [r0, #4]\n"
        "ldr r7, [r1, #4]\n"
        "adds r0, #8\n"
        "adds r1, #8\n"
        MCUGEN_DSP_EXPAND("r4", "r5", "0", "4", "8", "12")
        MCUGEN_DSP_EXPAND("r6", "r7", "16", "20", "24", "28")
        "adds r3, #32\n"
        "subs r2, #8\n"
        "bge 2b\n"
        "3:\n"
        "adds r2, #4\n"  /* values left, less 4 */
        "blt 4f\n"
        "ldr r4, [r0], #4\n"
        "ldr r5, [r1], #4\n"
        MCUGEN_DSP_EXPAND("r4", "r5", "0", "4", "8", "12")
        "adds r3, #16\n"
        "subs r2, #4\n"
        "4:\n"
        "adds r2, #3\n"  /* values left, less 1 */
        "blt 6f\n"
        "ldrsb r4, [r0]\n"
        "ldrsb r5, [r1]\n"
        "beq 5f\n"
        "ldrsb r6, [r0, #1]\n"
        "ldrsb r7, [r1, #1]\n"
        "cmp r2, #2\n"
        "itttt eq\n"
        "streq r6, [r3, #8]\n"
        "streq r7, [r3, #12]\n"
        "ldrsbeq r6, [r0, #2]\n"
        "ldrsbeq r7, [r1, #2]\n"
        "pkhbt r4, r4, r6, lsl #16\n"
        "pkhbt r5, r5, r7, lsl #16\n"
        "5:\n"  /* where the second of a pair is missing, its weights are zero */
        "str r4, [r3], #4\n"
        "str r5, [r3], #4\n"
        "cmp r2, #2\n"
        "it eq\n"
        "addeq r3, #8\n"
        "6:\n"
        "add r0, r0, r9\n"
        "add r1, r1, r10\n"
        "subs r8, #1\n"
        "bne 1b\n"
        "pop {r4-r10, pc}\n"
        ::: "memory");
    /* clang-format on */
}

/* One pair of values, `at` bytes behind r0 and r1: weights of four channels, two pixels. */
#define MCUGEN_DSP_PAIR                                                                            \
    "ldr.n r2, [r0, #\\at]\n"                                                                      \
    "ldr.n r3, [r0, #\\at + 4]\n"                                                                  \
    "ldr.w r12, [r1, #\\at]\n"                                                                     \
    "ldr.w lr, [r1, #\\at + 4]\n"                                                                  \
    "smlad r5, r2, r12, r5\n"                                                                      \
    "smlad r9, r2, lr, r9\n"                                                                       \
    "smlad r7, r3, r12, r7\n"                                                                      \
    "smlad r11, r3, lr, r11\n"                                                                     \
    "sxtb16 r2, r2\n"                                                                              \
    "sxtb16 r3, r3\n"                                                                              \
    "smlad r4, r2, r12, r4\n"                                                                      \
    "smlad r8, r2, lr, r8\n"                                                                       \
    "smlad r6, r3, r12, r6\n"                                                                      \
    "smlad r10, r3, lr, r10\n"

/* The next of the four shifts in r2, and with it the rounding of the high word into r12. */
#define MCUGEN_DSP_NEXT_SHIFT                                                                      \
    "lsr r2, r2, #8\n"                                                                             \
    "lsl r12, r3, r2\n"

/* High word, rounded, of one channel's two accumulators. */
#define MCUGEN_DSP_SCALE(a, b, multiplier)                                                         \
    "smmla " a ", " a ", " multiplier ", r12\n"                                                    \
    "smmla " b ", " b ", " multiplier ", r12\n"                                                    \
    "asr " a ", " a ", r2\n"                                                                       \
    "asr " b ", " b ", r2\n"

/* Bytes of code of MCUGEN_DSP_PAIR; the loop over pairs is entered in its midst. */
#define MCUGEN_DSP_PAIR_CODE "52"

/*
 * How a block begins. On the stack from sp on, of `frame` bytes: where to enter the loop over pairs,
 * whose code has `code` bytes for each; bytes of weights of its first round that are skipped, of
 * 2^`weights` for each pair; columns, less what belongs to those; end of the columns; output of the
 * next quad; channels left; and what the caller gave. At 40, where to enter the loop again.
 */
/* clang-format off */
#define MCUGEN_DSP_BLOCK_HEAD(frame, code, weights)                                                \
    "push {r4-r11, lr}\n"                                                                          \
    "sub sp, #" frame "\n"                                                                         \
    "ldr r3, [r0, #0]\n"  /* packed */                                                             \
    "ldr r4, [r0, #4]\n"  /* columns */                                                            \
    "ldr r5, [r0, #8]\n"  /* out_ch */                                                             \
    "ldr r6, [r0, #12]\n"  /* pairs */                                                             \
    "ldr r7, [r0, #16]\n"  /* rounding */                                                          \
    "ldr r8, [r0, #20]\n"  /* bias of the first pixel */                                           \
    "ldr r9, [r0, #24]\n"  /* bias of the second pixel */                                          \
    "add r10, r4, r6, lsl #3\n"                                                                    \
    "rsb r6, r6, #0\n"                                                                             \
    "and r6, r6, #15\n"                                                                            \
    "sub r4, r4, r6, lsl #3\n"                                                                     \
    "mov r11, #" code "\n"                                                                         \
    "adr.w r12, 2f\n"                                                                              \
    "mla r12, r6, r11, r12\n"                                                                      \
    "orr r12, r12, #1\n"                                                                           \
    "lsl r6, r6, #" weights "\n"                                                                   \
    "mov r11, r12\n"                                                                               \
    "cmp r8, #0\n"                                                                                 \
    "beq 1f\n"                                                                                     \
    "adr.w r11, 5f\n"                                                                              \
    "orr r11, r11, #1\n"                                                                           \
    "1:\n"                                                                                         \
    "strd r11, r6, [sp, #0]\n"                                                                     \
    "strd r4, r10, [sp, #8]\n"                                                                     \
    "strd r1, r5, [sp, #16]\n"                                                                     \
    "strd r2, r7, [sp, #24]\n"                                                                     \
    "strd r8, r9, [sp, #32]\n"                                                                     \
    "str r12, [sp, #40]\n"

/* How a quad ends: high words of r4 to r7 and r8 to r11 to outputs; to 0 for the next, or to 6. */
#define MCUGEN_DSP_BLOCK_TAIL                                                                      \
    MCUGEN_DSP_SATURATE("r4", "r5", "r6", "r7")                                                    \
    MCUGEN_DSP_SATURATE("r8", "r9", "r10", "r11")                                                  \
    "ldr r1, [sp, #16]\n"                                                                          \
    "ldr r3, [sp, #20]\n"                                                                          \
    "ldr r2, [sp, #24]\n"                                                                          \
    "subs r3, #4\n"                                                                                \
    "blt 3f\n"                                                                                     \
    "str.w r8, [r1, r2]\n"                                                                         \
    "str r4, [r1], #4\n"                                                                           \
    "str r1, [sp, #16]\n"                                                                          \
    "str r3, [sp, #20]\n"                                                                          \
    "bne.w 0b\n"                                                                                   \
    "b 6f\n"                                                                                       \
    "3:\n"  /* 1 to 3 channels left: -3 to -1 in r3 */                                             \
    "adds r3, #2\n"                                                                                \
    "blt 4f\n"                                                                                     \
    "strh.w r8, [r1, r2]\n"                                                                        \
    "strh r4, [r1], #2\n"                                                                          \
    "beq 6f\n"                                                                                     \
    "lsr r8, r8, #16\n"                                                                            \
    "lsr r4, r4, #16\n"                                                                            \
    "4:\n"                                                                                         \
    "strb.w r8, [r1, r2]\n"                                                                        \
    "strb r4, [r1]\n"                                                                              \
    "b 6f\n"
/* clang-format on */

/**
 * All channels of two pixels.
 *
 * Accumulators: r4 to r7 the first pixel's, r8 to r11 the second's.
 *
 * @param[in]  block        Weights and columns.
 * @param[out] output       First pixel's outputs.
 * @param[in]  pixel_stride From there to the second's; 0 where there is no second pixel, as the
 *                          first is written last.
 */
static MCUGEN_NAKED void mcugen_dsp_block(const mcugen_dsp_block_t *block MCUGEN_UNUSED,
                                          int8_t *output MCUGEN_UNUSED,
                                          int32_t pixel_stride MCUGEN_UNUSED)
{
    /* clang-format off */
    __asm__ volatile(
        MCUGEN_DSP_BLOCK_HEAD("44", MCUGEN_DSP_PAIR_CODE, "3")
        "mov r0, r3\n"

        "0:\n"
        "ldm r0!, {r4-r7}\n"
        "ldr r3, [sp, #0]\n"
        "ldr r2, [sp, #4]\n"
        "ldr r1, [sp, #8]\n"
        "mov r8, r4\n"
        "sub r0, r0, r2\n"
        "mov r9, r5\n"
        "mov r10, r6\n"
        "mov r11, r7\n"
        "bx r3\n"

        "2:\n"
        ".irp at, 0, 8, 16, 24, 32, 40, 48, 56, 64, 72, 80, 88, 96, 104, 112, 120\n"
        MCUGEN_DSP_PAIR
        ".endr\n"
        "ldr r2, [sp, #12]\n"
        "adds r1, #128\n"
        "adds r0, #128\n"
        "cmp r1, r2\n"
        "bne 2b\n"

        "ldr r2, [r0, #16]\n"
        "ldr r1, [r0, #0]\n"
        "ldr.w lr, [r0, #4]\n"
        "ldr r3, [sp, #28]\n"
        "sub r5, r5, r4\n"
        "sub r9, r9, r8\n"
        "sub r7, r7, r6\n"
        "sub r11, r11, r10\n"
        "lsl r12, r3, r2\n"
        MCUGEN_DSP_SCALE("r4", "r8", "r1")
        MCUGEN_DSP_NEXT_SHIFT
        MCUGEN_DSP_SCALE("r5", "r9", "lr")
        "ldr r1, [r0, #8]\n"
        "ldr.w lr, [r0, #12]\n"
        "adds r0, #20\n"
        MCUGEN_DSP_NEXT_SHIFT
        MCUGEN_DSP_SCALE("r6", "r10", "r1")
        MCUGEN_DSP_NEXT_SHIFT
        MCUGEN_DSP_SCALE("r7", "r11", "lr")
        MCUGEN_DSP_BLOCK_TAIL

        "5:\n"  /* each pixel has biases of its own */
        "ldr r2, [sp, #32]\n"
        "ldm r2!, {r4-r7}\n"
        "ldr r3, [sp, #36]\n"
        "ldm r3!, {r8-r11}\n"
        "strd r2, r3, [sp, #32]\n"
        "ldr r3, [sp, #40]\n"
        "bx r3\n"

        "6:\n"
        "add sp, #44\n"
        "pop {r4-r11, pc}\n"
        ::: "memory");
    /* clang-format on */
}

#else /* the same in C, to the bit */

/** One row of one pixel; its columns start at `columns` and go on four further. */
static inline void mcugen_dsp_expand_row(const int8_t *values, int32_t len, int16_t *columns)
{
    int32_t first = 0;

    for (; (first + 4) <= len; first += 4) {
        columns[0] = values[first];
        columns[1] = values[first + 2];
        columns[4] = values[first + 1];
        columns[5] = values[first + 3];
        columns += 8;
    }
    if (first < len) {
        columns[0] = values[first];
        columns[1] = ((len - first) > 1) ? values[len - 1] : (int8_t)0;
    }
    if ((len - first) > 2) {
        columns[4] = values[first + 1];
        columns[5] = 0;
    }
}

static inline void mcugen_dsp_expand(const int8_t *a, const int8_t *b, int32_t len,
                                     int16_t *columns, int32_t rows, int32_t a_step, int32_t b_step)
{
    for (int32_t row = 0; row < rows; row++) {
        mcugen_dsp_expand_row(&a[row * a_step], len, columns);
        mcugen_dsp_expand_row(&b[row * b_step], len, &columns[2]);
        columns += 4 * mcugen_dsp_pairs(len);
    }
}

static inline void mcugen_dsp_block(const mcugen_dsp_block_t *block, int8_t *output,
                                    int32_t pixel_stride)
{
    const uint32_t *packed = block->packed;

    for (int32_t c = 0; c < block->out_ch; c += MCUGEN_DSP_QUAD) {
        const int32_t left = block->out_ch - c;
        for (int32_t pixel = 0; pixel < ((pixel_stride != 0) ? 2 : 1); pixel++) {
            int32_t acc[MCUGEN_DSP_QUAD];
            mcugen_dsp_unmix((block->bias[pixel] != NULL) ? &block->bias[pixel][c]
                                                          : (const int32_t *)(const void *)packed,
                             acc);
            for (int32_t i = 0; i < (2 * block->pairs); i++) {
                mcugen_dsp_products(&packed[MCUGEN_DSP_QUAD + (i & ~1)], i % 2,
                                    block->columns[(4 * (i / 2)) + (2 * pixel) + (i % 2)], acc);
            }
            mcugen_dsp_finish(acc, &packed[MCUGEN_DSP_QUAD + (2 * block->pairs)], block->rounding,
                              &output[(pixel * pixel_stride) + c],
                              (left < MCUGEN_DSP_QUAD) ? left : MCUGEN_DSP_QUAD);
        }
        packed += mcugen_dsp_quad_words(block->pairs);
    }
}

#endif

#ifdef __cplusplus
}
#endif

#endif /* MCUGEN_CONV_BLOCK_DSP_H_INCLUDED */
