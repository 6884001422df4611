/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file mcugen_linear_quad.h
 * @brief Fully connected layer on one row, for cores without the DSP extension: four outputs.
 *
 * A word holds an input's weights of four outputs as bytes u0, u1, u2 (unsigned, weight + 128) and
 * w3 (signed). Shifted right by 24, 16, 8 and 0 bits it is w3, 256 w3 + u2 and so on, and these are
 * what the inputs are multiplied with: no byte is ever taken out. Each sum less 256 times the one
 * before it is the sum of the byte alone, modulo 2^32, and 128 times the sum of the inputs is what
 * the unsigned ones have too much.
 */
#ifndef MCUGEN_LINEAR_QUAD_H_INCLUDED
#define MCUGEN_LINEAR_QUAD_H_INCLUDED

#include "mcugen_scalar.h"

#ifdef __cplusplus
extern "C" {
#endif

#define MCUGEN_LINEAR_QUAD 4

typedef struct {
    int32_t in_ch;
    int32_t out_ch;
    const uint32_t *weight;    /* [ceil(out_ch / 4), in_ch] */
    const int32_t *bias;       /* [out_ch] */
    const int32_t *multiplier; /* [out_ch] */
    const uint8_t *shift;      /* [out_ch], bits of the high word, less one */
    int32_t rounding;          /* 2 * zero point + 1 */
    int32_t low;
    int32_t high;
} mcugen_linear_quad_s8_params_t;

/** One pass over the inputs. The assembly knows the order of the members. */
typedef struct {
    const int8_t *end; /* of the inputs, an even number of them, not 0, at an even address */
    int32_t len;
    const uint32_t *weight;
    uint32_t skip;                    /* bytes of code before the first two inputs */
    uint32_t sum[MCUGEN_LINEAR_QUAD]; /* of the word shifted by 0, 8, 16 and 24 bits */
} mcugen_linear_quad_job_t;

#if MCUGEN_ARMV6M
/* Bytes of code of two inputs, and how many twos are in one turn of the loop. */
#define MCUGEN_LINEAR_QUAD_BYTES 54u
#define MCUGEN_LINEAR_QUAD_UNROLL 4u

/* Four products of the word W with the input X; r6 is lost, and so is W. */
#define MCUGEN_LINEAR_QUAD_WORD(W, X)                                                              \
    "asrs r6, " W ", #24\n"                                                                        \
    "muls r6, " X "\n"                                                                             \
    "add r11, r6\n"                                                                                \
    "asrs r6, " W ", #16\n"                                                                        \
    "muls r6, " X "\n"                                                                             \
    "add r10, r6\n"                                                                                \
    "asrs r6, " W ", #8\n"                                                                         \
    "muls r6, " X "\n"                                                                             \
    "add r9, r6\n"                                                                                 \
    "muls " W ", " X "\n"                                                                          \
    "add r8, " W "\n"

#define MCUGEN_LINEAR_QUAD_TWO                                                                     \
    "ldrsh r3, [r0, r2]\n"                                                                         \
    "ldmia r1!, {r4, r5}\n"                                                                        \
    "sxtb r7, r3\n"                                                                                \
    "asrs r3, r3, #8\n" MCUGEN_LINEAR_QUAD_WORD("r4", "r7")                                        \
        MCUGEN_LINEAR_QUAD_WORD("r5", "r3") "adds r2, #2\n"

/** Sums of four outputs; `weight` goes on to those of the next four. */
MCUGEN_NAKED static void mcugen_linear_quad_sums(mcugen_linear_quad_job_t *job
                                                 __attribute__((unused)))
{
    __asm__ volatile(".syntax unified\n"
                     "push {r0, r4-r7, lr}\n"
                     "mov r4, r8\n"
                     "mov r5, r9\n"
                     "mov r6, r10\n"
                     "mov r7, r11\n"
                     "push {r4-r7}\n"
                     "movs r4, #0\n"
                     "mov r8, r4\n"
                     "mov r9, r4\n"
                     "mov r10, r4\n"
                     "mov r11, r4\n"
                     "ldmia r0!, {r1-r4}\n"
                     "mov r0, r1\n"
                     "mov r1, r3\n"
                     "rsbs r2, r2, #0\n"
                     "add pc, r4\n"
                     "nop\n"
                     "1:\n" MCUGEN_LINEAR_QUAD_TWO MCUGEN_LINEAR_QUAD_TWO MCUGEN_LINEAR_QUAD_TWO
                         MCUGEN_LINEAR_QUAD_TWO "bne 1b\n"
                     "ldr r0, [sp, #16]\n"
                     "str r1, [r0, #8]\n"
                     "adds r0, #16\n"
                     "mov r1, r8\n"
                     "mov r2, r9\n"
                     "mov r3, r10\n"
                     "mov r4, r11\n"
                     "stmia r0!, {r1-r4}\n"
                     "pop {r4-r7}\n"
                     "mov r8, r4\n"
                     "mov r9, r5\n"
                     "mov r10, r6\n"
                     "mov r11, r7\n"
                     "pop {r0, r4-r7, pc}\n");
}

/** Bytes of code before the first two inputs, so that the loop ends with the last ones. */
static inline uint32_t mcugen_linear_quad_skip(int32_t len)
{
    return MCUGEN_LINEAR_QUAD_BYTES * ((0u - ((uint32_t)len / 2u)) % MCUGEN_LINEAR_QUAD_UNROLL);
}
#else
/** Sums of four outputs; `weight` goes on to those of the next four. */
static inline void mcugen_linear_quad_sums(mcugen_linear_quad_job_t *job)
{
    uint32_t sum0 = 0;
    uint32_t sum1 = 0;
    uint32_t sum2 = 0;
    uint32_t sum3 = 0;
    const uint32_t *weight = job->weight;
    const int8_t *input = &job->end[-job->len];

    while (input != job->end) {
        const int32_t word = (int32_t)weight[0];
        const int32_t next = (int32_t)weight[1];
        const uint32_t x = (uint32_t)(int32_t)input[0];
        const uint32_t y = (uint32_t)(int32_t)input[1];
        sum0 += ((uint32_t)word * x) + ((uint32_t)next * y);
        sum1 += ((uint32_t)mcugen_asr32(word, 8) * x) + ((uint32_t)mcugen_asr32(next, 8) * y);
        sum2 += ((uint32_t)mcugen_asr32(word, 16) * x) + ((uint32_t)mcugen_asr32(next, 16) * y);
        sum3 += ((uint32_t)mcugen_asr32(word, 24) * x) + ((uint32_t)mcugen_asr32(next, 24) * y);
        weight = &weight[2];
        input = &input[2];
    }
    job->weight = weight;
    job->sum[0] = sum0;
    job->sum[1] = sum1;
    job->sum[2] = sum2;
    job->sum[3] = sum3;
}

/** The plain C needs none. */
static inline uint32_t mcugen_linear_quad_skip(int32_t len)
{
    (void)len;
    return 0;
}
#endif

/** Up to four outputs from channel `first` on. */
static inline void mcugen_linear_quad_outputs(const mcugen_linear_quad_s8_params_t *p,
                                              const mcugen_linear_quad_job_t *job, uint32_t excess,
                                              int32_t first, int8_t *output)
{
    for (int32_t k = 0; (k < MCUGEN_LINEAR_QUAD) && (first + k < p->out_ch); k++) {
        const int32_t o = first + k;
        const uint32_t sum =
            (k < 3) ? (job->sum[k] - (job->sum[k + 1] << 8) - excess) : job->sum[k];
        output[o] = mcugen_scalar_requantize(p->bias[o] + (int32_t)sum, p->multiplier[o],
                                             p->shift[o], p->rounding, p->low, p->high);
    }
}

/** Add the products of one more input. */
static inline void mcugen_linear_quad_add(mcugen_linear_quad_job_t *job, int32_t x)
{
    const int32_t word = (int32_t)*job->weight;

    job->weight++;
    for (int32_t k = 0; k < MCUGEN_LINEAR_QUAD; k++) {
        job->sum[k] += (uint32_t)mcugen_asr32(word, 8 * k) * (uint32_t)x;
    }
}

/**
 * y = requantize(bias + W x) for one row.
 *
 * @param[in]  p      Sizes, weights and requantization; in_ch > 1.
 * @param[in]  input  int8 [in_ch], at an even address.
 * @param[out] output int8 [out_ch]; must not overlap the input.
 */
MCUGEN_UNUSED MCUGEN_NOINLINE static void
mcugen_linear_quad_s8(const mcugen_linear_quad_s8_params_t *p, const int8_t *input, int8_t *output)
{
    const int32_t len = p->in_ch - (p->in_ch % 2);
    mcugen_linear_quad_job_t job = {
        &input[len], len, p->weight, mcugen_linear_quad_skip(len), {0u, 0u, 0u, 0u}};
    int32_t sum = 0;

    for (int32_t i = 0; i < p->in_ch; i++) {
        sum += input[i];
    }
    for (int32_t first = 0; first < p->out_ch; first += MCUGEN_LINEAR_QUAD) {
        mcugen_linear_quad_sums(&job);
        if (len != p->in_ch) {
            mcugen_linear_quad_add(&job, input[len]);
        }
        mcugen_linear_quad_outputs(p, &job, (uint32_t)sum * 128u, first, output);
    }
}

#ifdef __cplusplus
}
#endif

#endif /* MCUGEN_LINEAR_QUAD_H_INCLUDED */
