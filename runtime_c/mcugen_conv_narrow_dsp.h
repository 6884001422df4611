/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file mcugen_conv_narrow_dsp.h
 * @brief Dense convolution with weights of 4 and 2 bits for cores with the DSP extension.
 *
 * The columns are those of mcugen_conv_block_dsp.h; weights and biases are packed as
 * mcugen_narrow_dsp.h says.
 */
#ifndef MCUGEN_CONV_NARROW_DSP_H_INCLUDED
#define MCUGEN_CONV_NARROW_DSP_H_INCLUDED

#include "mcugen_conv_block_dsp.h"
#include "mcugen_narrow_dsp.h"

#ifdef __cplusplus
extern "C" {
#endif

#if defined(__ARM_FEATURE_DSP)

/* clang-format off */
/*
 * Room on the stack as in mcugen_dsp_block, whose head and tail these share, and from 44 on: the
 * quad's first word, and what the sum of each pixel's values takes away.
 */
#define MCUGEN_NARROW_FRAME "56"

/* Minus 2^offset times the sum of each pixel's values, to the stack. r3 is kept. */
#define MCUGEN_NARROW_SUM_VALUES(offset)                                                           \
    "ldr r1, [r0, #4]\n"                                                                           \
    "ldr r2, [r0, #12]\n"                                                                          \
    "mov r12, #0x00010001\n"                                                                       \
    "mov r0, #0\n"                                                                                 \
    "mov lr, #0\n"                                                                                 \
    "subs r2, #4\n"                                                                                \
    "blt 8f\n"                                                                                     \
    "7:\n"                                                                                         \
    "ldm r1!, {r4-r11}\n"                                                                          \
    "smlad lr, r4, r12, lr\n"                                                                      \
    "smlad r0, r5, r12, r0\n"                                                                      \
    "smlad lr, r6, r12, lr\n"                                                                      \
    "smlad r0, r7, r12, r0\n"                                                                      \
    "smlad lr, r8, r12, lr\n"                                                                      \
    "smlad r0, r9, r12, r0\n"                                                                      \
    "smlad lr, r10, r12, lr\n"                                                                     \
    "smlad r0, r11, r12, r0\n"                                                                     \
    "subs r2, #4\n"                                                                                \
    "bge 7b\n"                                                                                     \
    "8:\n"                                                                                         \
    "adds r2, #4\n"                                                                                \
    "beq 8f\n"                                                                                     \
    "7:\n"                                                                                         \
    "ldm r1!, {r4, r5}\n"                                                                          \
    "smlad lr, r4, r12, lr\n"                                                                      \
    "smlad r0, r5, r12, r0\n"                                                                      \
    "subs r2, #1\n"                                                                                \
    "bne 7b\n"                                                                                     \
    "8:\n"                                                                                         \
    "mov r1, #0\n"                                                                                 \
    "sub lr, r1, lr, lsl #" offset "\n"                                                            \
    "sub r0, r1, r0, lsl #" offset "\n"                                                            \
    "strd lr, r0, [sp, #48]\n"

/* One channel's accumulators, scaled by the multiplier and shift that are `at` bytes on. */
#define MCUGEN_NARROW_SCALE(a, b, at)                                                              \
    "ldr r1, [r0, #" at "]\n"                                                                      \
    "ldrb.w lr, [r2, #" at "]\n"                                                                   \
    "lsl r12, r3, lr\n"                                                                            \
    "smmla " a ", " a ", r1, r12\n"                                                                \
    "smmla " b ", " b ", r1, r12\n"                                                                \
    "asr " a ", " a ", lr\n"                                                                       \
    "asr " b ", " b ", lr\n"

/* Biases whose lowest byte is not used otherwise. */
#define MCUGEN_NARROW_CLEAR_4                                                                      \
    "bic r5, r5, #255\n"                                                                           \
    "bic r6, r6, #255\n"                                                                           \
    "bic r7, r7, #255\n"
#define MCUGEN_NARROW_CLEAR_2

/*
 * All channels of two pixels, 16 pairs in each round of the loop, which takes `bytes` bytes of
 * weights. They are 2^`pair` bytes for each pair, and the code of a pair is 58 bytes.
 */
#define MCUGEN_NARROW_BLOCK(bits, offset, pair, bytes, places)                                     \
    MCUGEN_DSP_BLOCK_HEAD(MCUGEN_NARROW_FRAME, "58", pair)                                         \
    MCUGEN_NARROW_SUM_VALUES(offset)                                                               \
    "mov r0, r3\n"                                                                                 \
                                                                                                   \
    "0:\n"                                                                                         \
    "str r0, [sp, #44]\n"                                                                          \
    "ldr r1, [sp, #32]\n"                                                                          \
    "ldrd r2, r3, [sp, #48]\n"                                                                     \
    "ldm r0!, {r4-r7}\n"                                                                           \
    "cbnz r1, 5f\n"                                                                                \
    MCUGEN_NARROW_CLEAR_##bits                                                                     \
    "mov r8, r4\n"                                                                                 \
    "mov r9, r5\n"                                                                                 \
    "mov r10, r6\n"                                                                                \
    "mov r11, r7\n"                                                                                \
    "1:\n"                                                                                         \
    MCUGEN_NARROW_START_##bits("r4", "r5", "r6", "r7", "r2")                                       \
    MCUGEN_NARROW_START_##bits("r8", "r9", "r10", "r11", "r3")                                     \
    "ldr r2, [sp, #4]\n"                                                                           \
    "ldr r3, [sp, #40]\n"                                                                          \
    "ldr r1, [sp, #8]\n"                                                                           \
    "sub r0, r0, r2\n"                                                                             \
    "bx r3\n"                                                                                      \
                                                                                                   \
    "5:\n" /* each pixel has biases of its own */                                                  \
    "ldm r1!, {r4-r7}\n"                                                                           \
    "str r1, [sp, #32]\n"                                                                          \
    "ldr r1, [sp, #36]\n"                                                                          \
    "ldm r1!, {r8-r11}\n"                                                                          \
    "str r1, [sp, #36]\n"                                                                          \
    "b 1b\n"                                                                                       \
                                                                                                   \
    "2:\n"                                                                                         \
    ".irp at, " places "\n"                                                                        \
    MCUGEN_NARROW_PAIRS_##bits                                                                     \
    ".endr\n"                                                                                      \
    "ldr r2, [sp, #12]\n"                                                                          \
    "adds r1, #128\n"                                                                              \
    "adds r0, #" bytes "\n"                                                                        \
    "cmp r1, r2\n"                                                                                 \
    "bne 2b\n"                                                                                     \
                                                                                                   \
    MCUGEN_NARROW_FINISH_##bits("r4", "r5", "r6", "r7")                                            \
    MCUGEN_NARROW_FINISH_##bits("r8", "r9", "r10", "r11")                                          \
    "ldr r2, [sp, #44]\n"                                                                          \
    "ldr r3, [sp, #28]\n"                                                                          \
    MCUGEN_NARROW_SCALE("r4", "r8", "0")                                                           \
    MCUGEN_NARROW_SCALE("r5", "r9", "4")                                                           \
    MCUGEN_NARROW_SCALE("r6", "r10", "8")                                                          \
    MCUGEN_NARROW_SCALE("r7", "r11", "12")                                                         \
    "adds r0, #16\n"                                                                               \
    MCUGEN_DSP_BLOCK_TAIL                                                                          \
    "6:\n"                                                                                         \
    "add sp, #" MCUGEN_NARROW_FRAME "\n"                                                           \
    "pop {r4-r11, pc}\n"

/** All channels of two pixels, as mcugen_dsp_block, with weights of 4 bits. */
static MCUGEN_NAKED void mcugen_narrow_block_4(const mcugen_dsp_block_t *block MCUGEN_UNUSED,
                                               int8_t *output MCUGEN_UNUSED,
                                               int32_t pixel_stride MCUGEN_UNUSED)
{
    __asm__ volatile(MCUGEN_NARROW_BLOCK(4, "3", "2", "64", "0, 8, 16, 24, 32, 40, 48, 56")
                     : : : "memory");
}

/** With weights of 2 bits, whose pairs are even in number. */
static MCUGEN_NAKED void mcugen_narrow_block_2(const mcugen_dsp_block_t *block MCUGEN_UNUSED,
                                               int8_t *output MCUGEN_UNUSED,
                                               int32_t pixel_stride MCUGEN_UNUSED)
{
    __asm__ volatile(MCUGEN_NARROW_BLOCK(2, "1", "1", "32", "0, 4, 8, 12, 16, 20, 24, 28")
                     : : : "memory");
}

/* clang-format on */

#else /* the same in C, to the bit */

static inline void mcugen_narrow_block(const mcugen_dsp_block_t *block, int8_t *output,
                                       int32_t pixel_stride, int32_t bits)
{
    const int32_t words = (bits * block->pairs) / 4;
    const uint32_t *quad = block->packed;

    for (int32_t c = 0; c < block->out_ch; c++) {
        const int32_t k = c % MCUGEN_DSP_QUAD;
        const uint32_t *weights = &quad[MCUGEN_DSP_QUAD];
        for (int32_t pixel = 0; pixel < ((pixel_stride != 0) ? 2 : 1); pixel++) {
            const int32_t word =
                (block->bias[pixel] != NULL) ? block->bias[pixel][c] : (int32_t)quad[k];
            int32_t acc = mcugen_asr32(word, 8);
            for (int32_t i = 0; i < (2 * block->pairs); i++) {
                acc += mcugen_narrow_weight(weights, i / 2, i % 2, k, bits) *
                       block->columns[(4 * (i / 2)) + (2 * pixel) + (i % 2)];
            }
            output[(pixel * pixel_stride) + c] =
                mcugen_narrow_output(acc, k, quad, &weights[words], block->rounding, bits);
        }
        quad = (k == (MCUGEN_DSP_QUAD - 1)) ? &weights[words + MCUGEN_DSP_QUAD] : quad;
    }
}

static inline void mcugen_narrow_block_4(const mcugen_dsp_block_t *block, int8_t *output,
                                         int32_t pixel_stride)
{
    mcugen_narrow_block(block, output, pixel_stride, 4);
}

static inline void mcugen_narrow_block_2(const mcugen_dsp_block_t *block, int8_t *output,
                                         int32_t pixel_stride)
{
    mcugen_narrow_block(block, output, pixel_stride, 2);
}

#endif

#ifdef __cplusplus
}
#endif

#endif /* MCUGEN_CONV_NARROW_DSP_H_INCLUDED */
