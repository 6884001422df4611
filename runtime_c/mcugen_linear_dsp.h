/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file mcugen_linear_dsp.h
 * @brief Fully connected layer on one int8 vector for cores with the DSP extension.
 *
 * Four outputs at a time, in the packed words of mcugen_dsp.h. The input is expanded as it is
 * read, a word of four values to the pairs (0, 2) and (1, 3), so it needs no copy.
 */
#ifndef MCUGEN_LINEAR_DSP_H_INCLUDED
#define MCUGEN_LINEAR_DSP_H_INCLUDED

#include "mcugen_dsp.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct {
    const uint32_t *packed; /* [ceil(out_ch / 4), words of a quad] */
    int32_t in_ch;
    int32_t out_ch;
    int32_t zero_point;
    int32_t low;
    int32_t high;
} mcugen_linear_s8_dsp_params_t;

#if defined(__ARM_FEATURE_DSP)

/* Four values at the byte `at / 4` behind r1, their weights at the byte `at` behind r0. */
#define MCUGEN_DSP_FOUR                                                                            \
    "ldr.n r2, [r0, #\\at]\n"                                                                      \
    "ldr.n r3, [r0, #\\at + 4]\n"                                                                  \
    "ldr.w r8, [r0, #\\at + 8]\n"                                                                  \
    "ldr.w r9, [r0, #\\at + 12]\n"                                                                 \
    "ldr.w r12, [r1, #\\at / 4]\n"                                                                 \
    "sxtb16 r10, r12\n"                                                                            \
    "sxtb16 r12, r12, ror #8\n"                                                                    \
    "smlad r5, r2, r10, r5\n"                                                                      \
    "smlad r7, r3, r10, r7\n"                                                                      \
    "smlad r5, r8, r12, r5\n"                                                                      \
    "smlad r7, r9, r12, r7\n"                                                                      \
    "sxtb16 r2, r2\n"                                                                              \
    "sxtb16 r3, r3\n"                                                                              \
    "sxtb16 r8, r8\n"                                                                              \
    "sxtb16 r9, r9\n"                                                                              \
    "smlad r4, r2, r10, r4\n"                                                                      \
    "smlad r6, r3, r10, r6\n"                                                                      \
    "smlad r4, r8, r12, r4\n"                                                                      \
    "smlad r6, r9, r12, r6\n"

/* Bytes of code of MCUGEN_DSP_FOUR; the loop over values is entered in its midst. */
#define MCUGEN_DSP_FOUR_CODE "72"

/* The next of the four shifts in r8, and the high word, rounded, of one accumulator. */
#define MCUGEN_DSP_SCALE_NEXT(acc, multiplier)                                                     \
    "lsr r8, r8, #8\n"                                                                             \
    "lsl r12, r1, r8\n"                                                                            \
    "smmla " acc ", " acc ", " multiplier ", r12\n"                                                \
    "asr " acc ", " acc ", r8\n"

/* How a quad ends: four outputs in r4 are stored; to 1 for the next, or to 5. */
/* clang-format off */
#define MCUGEN_DSP_VECTOR_TAIL                                                                     \
    "ldr r1, [sp, #12]\n"                                                                          \
    "subs r1, #4\n"                                                                                \
    "blt 3f\n"                                                                                     \
    "str r4, [r11], #4\n"                                                                          \
    "str r1, [sp, #12]\n"                                                                          \
    "bne.w 1b\n"                                                                                   \
    "b 5f\n"                                                                                       \
    "3:\n"  /* 1 to 3 channels left: -3 to -1 in r1 */                                             \
    "adds r1, #2\n"                                                                                \
    "blt 4f\n"                                                                                     \
    "strh r4, [r11], #2\n"                                                                         \
    "beq 5f\n"                                                                                     \
    "lsr r4, r4, #16\n"                                                                            \
    "4:\n"                                                                                         \
    "strb r4, [r11]\n"
/* clang-format on */

/**
 * All outputs of one vector, saturated to int8.
 *
 * Accumulators in r4 to r7, output in r11, end of the input in lr. On the stack from sp on: where
 * to enter the loop over values; bytes of weights of its first round that are skipped; input,
 * less what belongs to those; channels left; 2 * zero point + 1.
 */
static MCUGEN_NAKED void mcugen_dsp_vector(const mcugen_linear_s8_dsp_params_t *p MCUGEN_UNUSED,
                                           const int8_t *input MCUGEN_UNUSED,
                                           int8_t *output MCUGEN_UNUSED)
{
    /* clang-format off */
    __asm__ volatile(
        "push {r4-r11, lr}\n"
        "sub sp, #20\n"
        "mov r11, r2\n"
        "ldr r3, [r0, #4]\n"  /* in_ch */
        "ldr r4, [r0, #8]\n"  /* out_ch */
        "ldr r5, [r0, #12]\n"  /* zero_point */
        "ldr r0, [r0, #0]\n"  /* packed */
        "add r3, r3, #3\n"
        "bic r3, r3, #3\n"
        "add lr, r1, r3\n"
        "rsb r3, r3, #0\n"
        "and r3, r3, #28\n"  /* input bytes that the first round skips */
        "sub r1, r1, r3\n"
        "mov r6, #" MCUGEN_DSP_FOUR_CODE " / 4\n"
        "adr.w r7, 2f\n"
        "mla r7, r3, r6, r7\n"
        "orr r7, r7, #1\n"
        "lsl r3, r3, #2\n"
        "add r5, r5, r5\n"
        "add r5, r5, #1\n"
        "strd r7, r3, [sp, #0]\n"
        "strd r1, r4, [sp, #8]\n"
        "str r5, [sp, #16]\n"

        "1:\n"
        "ldm r0!, {r4-r7}\n"
        "ldr r3, [sp, #0]\n"
        "ldr r2, [sp, #4]\n"
        "ldr r1, [sp, #8]\n"
        "sub r0, r0, r2\n"
        "bx r3\n"

        "2:\n"
        ".irp at, 0, 16, 32, 48, 64, 80, 96, 112\n"
        MCUGEN_DSP_FOUR
        ".endr\n"
        "adds r1, #32\n"
        "adds r0, #128\n"
        "cmp r1, lr\n"
        "bne.w 2b\n"

        "ldr r8, [r0, #16]\n"
        "ldr r2, [r0, #0]\n"
        "ldr r3, [r0, #4]\n"
        "ldr r9, [r0, #8]\n"
        "ldr r10, [r0, #12]\n"
        "ldr r1, [sp, #16]\n"
        "sub r5, r5, r4\n"
        "sub r7, r7, r6\n"
        "lsl r12, r1, r8\n"
        "smmla r4, r4, r2, r12\n"
        "asr r4, r4, r8\n"
        MCUGEN_DSP_SCALE_NEXT("r5", "r3")
        MCUGEN_DSP_SCALE_NEXT("r6", "r9")
        MCUGEN_DSP_SCALE_NEXT("r7", "r10")
        MCUGEN_DSP_SATURATE("r4", "r5", "r6", "r7")
        "adds r0, #20\n"
        MCUGEN_DSP_VECTOR_TAIL
        "5:\n"
        "add sp, #20\n"
        "pop {r4-r11, pc}\n"
        ::: "memory");
    /* clang-format on */
}

#else /* the same in C, to the bit */

static inline void mcugen_dsp_vector(const mcugen_linear_s8_dsp_params_t *p, const int8_t *input,
                                     int8_t *output)
{
    const int32_t pairs = 2 * ((p->in_ch + 3) / 4);
    const uint32_t *packed = p->packed;

    for (int32_t c = 0; c < p->out_ch; c += MCUGEN_DSP_QUAD) {
        const int32_t left = p->out_ch - c;
        int32_t acc[MCUGEN_DSP_QUAD];
        mcugen_dsp_unmix((const int32_t *)(const void *)packed, acc);
        for (int32_t i = 0; i < p->in_ch; i++) {
            const int32_t pair = (2 * (i / 4)) + (i % 2);
            mcugen_dsp_products(&packed[MCUGEN_DSP_QUAD + (2 * pair)], (i / 2) % 2, input[i], acc);
        }
        mcugen_dsp_finish(acc, &packed[MCUGEN_DSP_QUAD + (2 * pairs)], (2 * p->zero_point) + 1,
                          &output[c], (left < MCUGEN_DSP_QUAD) ? left : MCUGEN_DSP_QUAD);
        packed += mcugen_dsp_quad_words(pairs);
    }
}

#endif

/**
 * y = requantize(bias + W x).
 *
 * @param[in]  p      Sizes, weights and requantization.
 * @param[in]  input  int8 [in_ch], aligned to 4; read by words, up to three bytes beyond its end.
 * @param[out] output int8 [out_ch]; must not overlap the input.
 */
static MCUGEN_NOINLINE MCUGEN_UNUSED void
mcugen_linear_s8_dsp(const mcugen_linear_s8_dsp_params_t *p, const int8_t *input, int8_t *output)
{
    mcugen_dsp_vector(p, input, output);
    mcugen_dsp_clamp(output, p->out_ch, p->low, p->high);
}

#ifdef __cplusplus
}
#endif

#endif /* MCUGEN_LINEAR_DSP_H_INCLUDED */
