/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file mcugen_linear_narrow_dsp.h
 * @brief Fully connected layer on one int8 vector with weights of 4 and 2 bits, for cores with the
 *        DSP extension.
 *
 * As mcugen_linear_dsp.h, in the packed words of mcugen_narrow_dsp.h.
 */
#ifndef MCUGEN_LINEAR_NARROW_DSP_H_INCLUDED
#define MCUGEN_LINEAR_NARROW_DSP_H_INCLUDED

#include "mcugen_linear_dsp.h"
#include "mcugen_narrow_dsp.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef mcugen_linear_s8_dsp_params_t mcugen_linear_s8_dsp_w4_params_t;
typedef mcugen_linear_s8_dsp_params_t mcugen_linear_s8_dsp_w2_params_t;

#if defined(__ARM_FEATURE_DSP)

/* clang-format off */
/* Products of one pair of values in `x` with the weights in `w`, which is lost. */
#define MCUGEN_NARROW_VECTOR_4(w, x)                                                               \
    "and r8, " w ", #0x000f000f\n"                                                                 \
    "smlad r4, r8, " x ", r4\n"                                                                    \
    "sxtb16 r8, " w "\n"                                                                           \
    "smlad r5, r8, " x ", r5\n"                                                                    \
    "and r8, " w ", #0x0f000f00\n"                                                                 \
    "smlad r6, r8, " x ", r6\n"                                                                    \
    "sxtb16 " w ", " w ", ror #8\n"                                                                \
    "smlad r7, " w ", " x ", r7\n"

#define MCUGEN_NARROW_VECTOR_2(w, x)                                                               \
    "and r8, " w ", #0x00030003\n"                                                                 \
    "smlad r4, r8, " x ", r4\n"                                                                    \
    "and r8, " w ", #0x000c000c\n"                                                                 \
    "smlad r5, r8, " x ", r5\n"                                                                    \
    "and r8, " w ", #0x00300030\n"                                                                 \
    "smlad r6, r8, " x ", r6\n"                                                                    \
    "and r8, " w ", #0x00c000c0\n"                                                                 \
    "smlad r7, r8, " x ", r7\n"

/* Four values `at` bytes behind r1 and their weights behind r0: 80 bytes of code. */
#define MCUGEN_NARROW_VECTOR_FOUR_4                                                                \
    "ldr.n r2, [r0, #2 * \\at]\n"                                                                  \
    "ldr.n r3, [r0, #2 * \\at + 4]\n"                                                              \
    "ldr.w r12, [r1, #\\at]\n"                                                                     \
    "sxtb16 r10, r12\n"                                                                            \
    "sxtb16 r12, r12, ror #8\n"                                                                    \
    MCUGEN_NARROW_VECTOR_4("r2", "r10")                                                            \
    MCUGEN_NARROW_VECTOR_4("r3", "r12")

#define MCUGEN_NARROW_VECTOR_FOUR_2                                                                \
    "ldr.n r2, [r0, #\\at]\n"                                                                      \
    "ldr.w r12, [r1, #\\at]\n"                                                                     \
    "sxtb16 r10, r12\n"                                                                            \
    "sxtb16 r12, r12, ror #8\n"                                                                    \
    MCUGEN_NARROW_VECTOR_2("r2", "r10")                                                            \
    "lsrs.n r2, r2, #8\n"                                                                          \
    MCUGEN_NARROW_VECTOR_2("r2", "r12")

/* One accumulator scaled by the multiplier and shift that are `at` bytes on; r1 rounding. */
#define MCUGEN_NARROW_VECTOR_SCALE(acc, at)                                                        \
    "ldr r2, [r0, #" at "]\n"                                                                      \
    "ldrb.w r8, [r3, #" at "]\n"                                                                   \
    "lsl r12, r1, r8\n"                                                                            \
    "smmla " acc ", " acc ", r2, r12\n"                                                            \
    "asr " acc ", " acc ", r8\n"

#define MCUGEN_NARROW_VECTOR_CLEAR_4                                                               \
    "bic r5, r5, #255\n"                                                                           \
    "bic r6, r6, #255\n"                                                                           \
    "bic r7, r7, #255\n"
#define MCUGEN_NARROW_VECTOR_CLEAR_2

/*
 * All outputs of one vector. Accumulators in r4 to r7, output in r11, end of the input in lr, minus
 * 2^offset times the sum of the values in r9. On the stack from sp on: where to enter the loop over
 * values; bytes of weights of its first round that are skipped; input, less what belongs to those;
 * channels left; 2 * zero point + 1; the quad's first word. A round takes `bytes` of weights, which
 * are 2^`word` for four values.
 */
#define MCUGEN_NARROW_VECTOR(bits, offset, bytes, word)                                            \
    "push {r4-r11, lr}\n"                                                                          \
    "sub sp, #24\n"                                                                                \
    "mov r11, r2\n"                                                                                \
    "ldr r3, [r0, #4]\n"  /* in_ch */                                                              \
    "ldr r4, [r0, #8]\n"  /* out_ch */                                                             \
    "ldr r5, [r0, #12]\n"  /* zero_point */                                                        \
    "ldr r0, [r0, #0]\n"  /* packed */                                                             \
    "add r3, r3, #3\n"                                                                             \
    "bic r3, r3, #3\n"                                                                             \
    "add lr, r1, r3\n"                                                                             \
    "mov r8, #0x00010001\n"                                                                        \
    "mov r9, #0\n"                                                                                 \
    "mov r2, r1\n"                                                                                 \
    "8:\n"                                                                                         \
    "ldr r12, [r2], #4\n"                                                                          \
    "sxtb16 r10, r12\n"                                                                            \
    "sxtb16 r12, r12, ror #8\n"                                                                    \
    "smlad r9, r10, r8, r9\n"                                                                      \
    "smlad r9, r12, r8, r9\n"                                                                      \
    "cmp r2, lr\n"                                                                                 \
    "bne 8b\n"                                                                                     \
    "lsl r9, r9, #" offset "\n"                                                                    \
    "rsb r9, r9, #0\n"                                                                             \
    "rsb r3, r3, #0\n"                                                                             \
    "and r3, r3, #28\n"  /* input bytes that the first round skips */                              \
    "sub r1, r1, r3\n"                                                                             \
    "mov r6, #80 / 4\n"                                                                            \
    "adr.w r7, 2f\n"                                                                               \
    "mla r7, r3, r6, r7\n"                                                                         \
    "orr r7, r7, #1\n"                                                                             \
    "lsl r3, r3, #" word " - 2\n"                                                                  \
    "add r5, r5, r5\n"                                                                             \
    "add r5, r5, #1\n"                                                                             \
    "strd r7, r3, [sp, #0]\n"                                                                      \
    "strd r1, r4, [sp, #8]\n"                                                                      \
    "str r5, [sp, #16]\n"                                                                          \
                                                                                                   \
    "1:\n"                                                                                         \
    "str r0, [sp, #20]\n"                                                                          \
    "ldm r0!, {r4-r7}\n"                                                                           \
    "ldrd r3, r2, [sp, #0]\n"                                                                      \
    "ldr r1, [sp, #8]\n"                                                                           \
    MCUGEN_NARROW_VECTOR_CLEAR_##bits                                                              \
    MCUGEN_NARROW_START_##bits("r4", "r5", "r6", "r7", "r9")                                       \
    "sub r0, r0, r2\n"                                                                             \
    "bx r3\n"                                                                                      \
                                                                                                   \
    "2:\n"                                                                                         \
    ".irp at, 0, 4, 8, 12, 16, 20, 24, 28\n"                                                       \
    MCUGEN_NARROW_VECTOR_FOUR_##bits                                                               \
    ".endr\n"                                                                                      \
    "adds r1, #32\n"                                                                               \
    "adds r0, #" bytes "\n"                                                                        \
    "cmp r1, lr\n"                                                                                 \
    "bne.w 2b\n"                                                                                   \
                                                                                                   \
    MCUGEN_NARROW_FINISH_##bits("r4", "r5", "r6", "r7")                                            \
    "ldr r3, [sp, #20]\n"                                                                          \
    "ldr r1, [sp, #16]\n"                                                                          \
    MCUGEN_NARROW_VECTOR_SCALE("r4", "0")                                                          \
    MCUGEN_NARROW_VECTOR_SCALE("r5", "4")                                                          \
    MCUGEN_NARROW_VECTOR_SCALE("r6", "8")                                                          \
    MCUGEN_NARROW_VECTOR_SCALE("r7", "12")                                                         \
    MCUGEN_DSP_SATURATE("r4", "r5", "r6", "r7")                                                    \
    "adds r0, #16\n"                                                                               \
    MCUGEN_DSP_VECTOR_TAIL                                                                         \
    "5:\n"                                                                                         \
    "add sp, #24\n"                                                                                \
    "pop {r4-r11, pc}\n"

/** All outputs of one vector, saturated to int8, with weights of 4 bits. */
static MCUGEN_NAKED void
mcugen_narrow_vector_4(const mcugen_linear_s8_dsp_params_t *p MCUGEN_UNUSED,
                       const int8_t *input MCUGEN_UNUSED, int8_t *output MCUGEN_UNUSED)
{
    __asm__ volatile(MCUGEN_NARROW_VECTOR(4, "3", "64", "3") : : : "memory");
}

/** With weights of 2 bits. */
static MCUGEN_NAKED void
mcugen_narrow_vector_2(const mcugen_linear_s8_dsp_params_t *p MCUGEN_UNUSED,
                       const int8_t *input MCUGEN_UNUSED, int8_t *output MCUGEN_UNUSED)
{
    __asm__ volatile(MCUGEN_NARROW_VECTOR(2, "1", "32", "2") : : : "memory");
}
/* clang-format on */

#else /* the same in C, to the bit */

static inline void mcugen_narrow_vector(const mcugen_linear_s8_dsp_params_t *p, const int8_t *input,
                                        int8_t *output, int32_t bits)
{
    const int32_t words = (bits * ((p->in_ch + 3) / 4)) / 2;
    const uint32_t *quad = p->packed;

    for (int32_t c = 0; c < p->out_ch; c++) {
        const int32_t k = c % MCUGEN_DSP_QUAD;
        const uint32_t *weights = &quad[MCUGEN_DSP_QUAD];
        int32_t acc = mcugen_asr32((int32_t)quad[k], 8);
        for (int32_t i = 0; i < p->in_ch; i++) {
            const int32_t pair = (2 * (i / 4)) + (i % 2);
            acc += mcugen_narrow_weight(weights, pair, (i / 2) % 2, k, bits) * input[i];
        }
        output[c] =
            mcugen_narrow_output(acc, k, quad, &weights[words], (2 * p->zero_point) + 1, bits);
        quad = (k == (MCUGEN_DSP_QUAD - 1)) ? &weights[words + MCUGEN_DSP_QUAD] : quad;
    }
}

static inline void mcugen_narrow_vector_4(const mcugen_linear_s8_dsp_params_t *p,
                                          const int8_t *input, int8_t *output)
{
    mcugen_narrow_vector(p, input, output, 4);
}

static inline void mcugen_narrow_vector_2(const mcugen_linear_s8_dsp_params_t *p,
                                          const int8_t *input, int8_t *output)
{
    mcugen_narrow_vector(p, input, output, 2);
}

#endif

/** mcugen_linear_s8_dsp with weights of 4 bits. */
static MCUGEN_NOINLINE MCUGEN_UNUSED void
mcugen_linear_s8_dsp_w4(const mcugen_linear_s8_dsp_w4_params_t *p, const int8_t *input,
                        int8_t *output)
{
    mcugen_narrow_vector_4(p, input, output);
    mcugen_dsp_clamp(output, p->out_ch, p->low, p->high);
}

/** mcugen_linear_s8_dsp with weights of 2 bits. */
static MCUGEN_NOINLINE MCUGEN_UNUSED void
mcugen_linear_s8_dsp_w2(const mcugen_linear_s8_dsp_w2_params_t *p, const int8_t *input,
                        int8_t *output)
{
    mcugen_narrow_vector_2(p, input, output);
    mcugen_dsp_clamp(output, p->out_ch, p->low, p->high);
}

#ifdef __cplusplus
}
#endif

#endif /* MCUGEN_LINEAR_NARROW_DSP_H_INCLUDED */
