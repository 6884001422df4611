/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file mcugen_linear_narrow.h
 * @brief Fully connected layer on one row with weights of 4 and 2 bits, without DSP extension.
 *
 * A word holds the weights of eight outputs for one input (4 bits), or for two, the first one's in
 * the upper half (2 bits): the first output highest and in two's complement, the others with
 * 2^(bits - 1) added. Shifted right so that one, two and so on up to all outputs are left, a word is
 * what the input is multiplied with. Each of these sums less 2^bits times the one before it is that
 * of one output alone, modulo 2^32, and 2^(bits - 1) times the sum of the inputs is what it has too
 * much.
 */
#ifndef MCUGEN_LINEAR_NARROW_H_INCLUDED
#define MCUGEN_LINEAR_NARROW_H_INCLUDED

#include "mcugen_scalar.h"

#ifdef __cplusplus
extern "C" {
#endif

#define MCUGEN_LINEAR_NARROW 8 /* outputs at once */

typedef struct {
    int32_t in_ch;
    int32_t out_ch;
    const uint32_t *weight;    /* [ceil(out_ch / 8), in_ch], of 2 bits half as many, rounded up */
    const int32_t *bias;       /* [out_ch] */
    const int32_t *multiplier; /* [out_ch] */
    const uint8_t *shift;      /* [out_ch], bits of the high word, less one */
    int32_t rounding;          /* 2 * zero point + 1 */
    int32_t low;
    int32_t high;
    int32_t wide; /* what accumulators are multiplied by before */
} mcugen_linear_narrow_s8_w4_params_t;

typedef mcugen_linear_narrow_s8_w4_params_t mcugen_linear_narrow_s8_w2_params_t;

#if MCUGEN_ARMV6M
/* Products of the input in r3 with the outputs in r4, left after shifts of so many bits. */
#define MCUGEN_LINEAR_NARROW_INPUT(s0, s1, s2, s3, s4, s5, s6, s7)                                 \
    "asrs r5, r4, #" s0 "\n"                                                                       \
    "muls r5, r3\n"                                                                                \
    "adds r6, r6, r5\n"                                                                            \
    "asrs r5, r4, #" s1 "\n"                                                                       \
    "muls r5, r3\n"                                                                                \
    "adds r7, r7, r5\n"                                                                            \
    "asrs r5, r4, #" s2 "\n"                                                                       \
    "muls r5, r3\n"                                                                                \
    "add r8, r5\n"                                                                                 \
    "asrs r5, r4, #" s3 "\n"                                                                       \
    "muls r5, r3\n"                                                                                \
    "add r9, r5\n"                                                                                 \
    "asrs r5, r4, #" s4 "\n"                                                                       \
    "muls r5, r3\n"                                                                                \
    "add r10, r5\n"                                                                                \
    "asrs r5, r4, #" s5 "\n"                                                                       \
    "muls r5, r3\n"                                                                                \
    "add r11, r5\n"                                                                                \
    "asrs r5, r4, #" s6 "\n"                                                                       \
    "muls r5, r3\n"                                                                                \
    "add r12, r5\n" s7 "muls r5, r3\n"                                                             \
    "add lr, r5\n"

/* Inputs end at r0, r1 words of weights, r2 minus the number of inputs, the sums at r3. */
#define MCUGEN_LINEAR_NARROW_SUMS(inputs)                                                          \
    ".syntax unified\n"                                                                            \
    "push {r3-r7, lr}\n"                                                                           \
    "mov r4, r8\n"                                                                                 \
    "mov r5, r9\n"                                                                                 \
    "mov r6, r10\n"                                                                                \
    "mov r7, r11\n"                                                                                \
    "push {r4-r7}\n"                                                                               \
    "movs r6, #0\n"                                                                                \
    "movs r7, #0\n"                                                                                \
    "mov r8, r6\n"                                                                                 \
    "mov r9, r6\n"                                                                                 \
    "mov r10, r6\n"                                                                                \
    "mov r11, r6\n"                                                                                \
    "mov r12, r6\n"                                                                                \
    "mov lr, r6\n"                                                                                 \
    "1:\n"                                                                                         \
    "ldmia r1!, {r4}\n" inputs "adds r2, #1\n"                                                     \
    "bne 1b\n"                                                                                     \
    "ldr r0, [sp, #16]\n"                                                                          \
    "mov r2, r8\n"                                                                                 \
    "mov r3, r9\n"                                                                                 \
    "mov r4, r10\n"                                                                                \
    "mov r5, r11\n"                                                                                \
    "stmia r0!, {r6, r7}\n"                                                                        \
    "stmia r0!, {r2-r5}\n"                                                                         \
    "mov r2, r12\n"                                                                                \
    "mov r3, lr\n"                                                                                 \
    "stmia r0!, {r2, r3}\n"                                                                        \
    "pop {r4-r7}\n"                                                                                \
    "mov r8, r4\n"                                                                                 \
    "mov r9, r5\n"                                                                                 \
    "mov r10, r6\n"                                                                                \
    "mov r11, r7\n"                                                                                \
    "pop {r3-r7, pc}\n"

/** Sums of eight outputs over -count inputs up to `end`, in pairs for weights of 2 bits. */
MCUGEN_NAKED static void mcugen_linear_narrow_sums_4(const int8_t *end MCUGEN_UNUSED,
                                                     const uint32_t *weight MCUGEN_UNUSED,
                                                     int32_t count MCUGEN_UNUSED,
                                                     uint32_t *sums MCUGEN_UNUSED)
{
    __asm__ volatile(MCUGEN_LINEAR_NARROW_SUMS("ldrsb r3, [r0, r2]\n" MCUGEN_LINEAR_NARROW_INPUT(
        "28", "24", "20", "16", "12", "8", "4", "movs r5, r4\n")));
}

MCUGEN_NAKED static void mcugen_linear_narrow_sums_2(const int8_t *end MCUGEN_UNUSED,
                                                     const uint32_t *weight MCUGEN_UNUSED,
                                                     int32_t count MCUGEN_UNUSED,
                                                     uint32_t *sums MCUGEN_UNUSED)
{
    __asm__ volatile(MCUGEN_LINEAR_NARROW_SUMS(
        "ldrsb r3, [r0, r2]\n" MCUGEN_LINEAR_NARROW_INPUT("30", "28", "26", "24", "22", "20", "18",
                                                          "asrs r5, r4, #16\n") //
        "adds r2, #1\n"
        "ldrsb r3, [r0, r2]\n"
        "lsls r4, r4, #16\n" MCUGEN_LINEAR_NARROW_INPUT("30", "28", "26", "24", "22", "20", "18",
                                                        "asrs r5, r4, #16\n")));
}
#else
/** Sums of eight outputs over -count inputs up to `end`, in pairs for weights of 2 bits. */
static MCUGEN_ALWAYS_INLINE void mcugen_linear_narrow_sums(uint32_t bits, const int8_t *end,
                                                           const uint32_t *weight, int32_t count,
                                                           uint32_t *sums)
{
    uint32_t part[MCUGEN_LINEAR_NARROW] = {0u, 0u, 0u, 0u, 0u, 0u, 0u, 0u};
    const int8_t *input = &end[count];

    while (input != end) {
        uint32_t word = *weight;
        for (uint32_t i = 0; i < (4u / bits); i++) {
            const uint32_t x = (uint32_t)(int32_t)*input;
            for (uint32_t k = 0; k < MCUGEN_LINEAR_NARROW; k++) {
                const int32_t kept = (int32_t)(32u - (bits * (k + 1u)));
                part[k] += (uint32_t)mcugen_asr32((int32_t)word, kept) * x;
            }
            word <<= 8u * (bits % 4u);
            input++;
        }
        weight++;
    }
    for (uint32_t k = 0; k < MCUGEN_LINEAR_NARROW; k++) {
        sums[k] = part[k];
    }
}

static inline void mcugen_linear_narrow_sums_4(const int8_t *end, const uint32_t *weight,
                                               int32_t count, uint32_t *sums)
{
    mcugen_linear_narrow_sums(4u, end, weight, count, sums);
}

static inline void mcugen_linear_narrow_sums_2(const int8_t *end, const uint32_t *weight,
                                               int32_t count, uint32_t *sums)
{
    mcugen_linear_narrow_sums(2u, end, weight, count, sums);
}
#endif

/** Up to eight outputs from channel `first` on. */
static inline void mcugen_linear_narrow_outputs(int32_t bits,
                                                const mcugen_linear_narrow_s8_w4_params_t *p,
                                                const uint32_t *sums, uint32_t excess,
                                                int32_t first, int8_t *output)
{
    uint32_t before = 0;

    for (int32_t k = 0; (k < MCUGEN_LINEAR_NARROW) && ((first + k) < p->out_ch); k++) {
        const int32_t o = first + k;
        const uint32_t own = sums[k] - (before << bits) - ((k > 0) ? excess : 0u);
        const int32_t acc = p->bias[o] + (int32_t)own;
        output[o] = mcugen_scalar_requantize(p->wide * acc, p->multiplier[o], p->shift[o],
                                             p->rounding, p->low, p->high);
        before = sums[k];
    }
}

/** y = requantize(bias + W x) for one row, weights of `bits` bits. */
static MCUGEN_ALWAYS_INLINE void mcugen_linear_narrow(int32_t bits,
                                                      const mcugen_linear_narrow_s8_w4_params_t *p,
                                                      const int8_t *input, int8_t *output)
{
    const int32_t len = (bits == 4) ? p->in_ch : (p->in_ch & ~1);
    const uint32_t *weight = p->weight;
    int32_t values = 0;

    for (int32_t i = 0; i < p->in_ch; i++) {
        values += input[i];
    }
    const uint32_t excess = (uint32_t)values << (bits - 1);
    for (int32_t first = 0; first < p->out_ch; first += MCUGEN_LINEAR_NARROW) {
        uint32_t sums[MCUGEN_LINEAR_NARROW];
        if (bits == 4) {
            mcugen_linear_narrow_sums_4(&input[len], weight, -len, sums);
            weight = &weight[len];
        } else {
            mcugen_linear_narrow_sums_2(&input[len], weight, -len, sums);
            weight = &weight[len / 2];
        }
        if (len != p->in_ch) {
            for (int32_t k = 0; k < MCUGEN_LINEAR_NARROW; k++) {
                sums[k] += (uint32_t)mcugen_asr32((int32_t)*weight, 30 - (2 * k)) *
                           (uint32_t)(int32_t)input[len];
            }
            weight++;
        }
        mcugen_linear_narrow_outputs(bits, p, sums, excess, first, output);
    }
}

/**
 * y = requantize(bias + W x) for one row with weights of 4 bits.
 *
 * @param[in]  p      Sizes, weights and requantization; in_ch > 1.
 * @param[in]  input  int8 [in_ch].
 * @param[out] output int8 [out_ch]; must not overlap the input.
 */
MCUGEN_UNUSED MCUGEN_NOINLINE static void
mcugen_linear_narrow_s8_w4(const mcugen_linear_narrow_s8_w4_params_t *p, const int8_t *input,
                           int8_t *output)
{
    mcugen_linear_narrow(4, p, input, output);
}

/** The same with weights of 2 bits. */
MCUGEN_UNUSED MCUGEN_NOINLINE static void
mcugen_linear_narrow_s8_w2(const mcugen_linear_narrow_s8_w2_params_t *p, const int8_t *input,
                           int8_t *output)
{
    mcugen_linear_narrow(2, p, input, output);
}

#ifdef __cplusplus
}
#endif

#endif /* MCUGEN_LINEAR_NARROW_H_INCLUDED */
