/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file mcugen_linear_mve.h
 * @brief Fully connected layer of one row on the M-profile Vector Extension.
 */
#ifndef MCUGEN_LINEAR_MVE_H_INCLUDED
#define MCUGEN_LINEAR_MVE_H_INCLUDED

#include "mcugen_mve.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct {
    int32_t in_ch;
    int32_t out_ch;
    int32_t steps;        /* vectors of the input, the last one filled up with zero weights */
    const int8_t *weight; /* [out_ch / 4, steps, 4, 16] */
    const int32_t *bias;  /* [out_ch], in whole fours */
    mcugen_mve_requantize_t requantize;
} mcugen_linear_mve_s8_params_t;

typedef mcugen_linear_mve_s8_params_t mcugen_linear_mve_s8_w4_params_t;
typedef mcugen_linear_mve_s8_params_t mcugen_linear_mve_s8_w2_params_t;

#if MCUGEN_HAS_MVE
/* Four channels times the vector X, by width of their weights, whose last bits `mask` cuts off. */
#define MCUGEN_LINEAR_MVE_STEP_8(x)                                                                \
    "vldrb.8 %q[sums], [%[weight]], #16\n"                                                         \
    "vmladava.s8 %[a], %q[sums], " x "\n"                                                          \
    "vldrb.8 %q[sums], [%[weight]], #16\n"                                                         \
    "vmladava.s8 %[b], %q[sums], " x "\n"                                                          \
    "vldrb.8 %q[sums], [%[weight]], #16\n"                                                         \
    "vmladava.s8 %[c], %q[sums], " x "\n"                                                          \
    "vldrb.8 %q[sums], [%[weight]], #16\n"                                                         \
    "vmladava.s8 %[d], %q[sums], " x "\n"

#define MCUGEN_LINEAR_MVE_STEP_4(x)                                                                \
    "vldrb.8 %q[sums], [%[weight]], #16\n"                                                         \
    "vshl.i8 %q[part], %q[sums], #4\n"                                                             \
    "vmladava.s8 %[a], %q[part], " x "\n"                                                          \
    "vand %q[sums], %q[sums], %q[mask]\n"                                                          \
    "vmladava.s8 %[b], %q[sums], " x "\n"                                                          \
    "vldrb.8 %q[sums], [%[weight]], #16\n"                                                         \
    "vshl.i8 %q[part], %q[sums], #4\n"                                                             \
    "vmladava.s8 %[c], %q[part], " x "\n"                                                          \
    "vand %q[sums], %q[sums], %q[mask]\n"                                                          \
    "vmladava.s8 %[d], %q[sums], " x "\n"

#define MCUGEN_LINEAR_MVE_STEP_2(x)                                                                \
    "vldrb.8 %q[sums], [%[weight]], #16\n"                                                         \
    "vshl.i8 %q[part], %q[sums], #6\n"                                                             \
    "vmladava.s8 %[a], %q[part], " x "\n"                                                          \
    "vshl.i8 %q[part], %q[sums], #4\n"                                                             \
    "vand %q[part], %q[part], %q[mask]\n"                                                          \
    "vmladava.s8 %[b], %q[part], " x "\n"                                                          \
    "vshl.i8 %q[part], %q[sums], #2\n"                                                             \
    "vand %q[part], %q[part], %q[mask]\n"                                                          \
    "vmladava.s8 %[c], %q[part], " x "\n"                                                          \
    "vand %q[sums], %q[sums], %q[mask]\n"                                                          \
    "vmladava.s8 %[d], %q[sums], " x "\n"

#define MCUGEN_LINEAR_MVE_MASK_8
#define MCUGEN_LINEAR_MVE_MASK_4 , [mask] "w"(vdupq_n_u8(0xf0u))
#define MCUGEN_LINEAR_MVE_MASK_2 , [mask] "w"(vdupq_n_u8(0xc0u))

/*
 * Sums of four channels over steps * 16 inputs and, if has_rest, those of a vector more. Products
 * are added to even registers only.
 */
#define MCUGEN_LINEAR_MVE_SUMS(bits)                                                               \
    static inline int32x4_t mcugen_linear_mve_sums_##bits(                                         \
        const int8_t *weight, const int8_t *input, const int32_t *bias, int32_t steps,             \
        int8x16_t rest, int32_t has_rest)                                                          \
    {                                                                                              \
        int32x4_t sums;                                                                            \
        int8x16_t x;                                                                               \
        int8x16_t part;                                                                            \
        int32_t a;                                                                                 \
        int32_t b;                                                                                 \
        int32_t c;                                                                                 \
        int32_t d;                                                                                 \
                                                                                                   \
        __asm__(                                                                                   \
            "ldrd %[a], %[b], [%[bias]]\n"                                                         \
            "ldrd %[c], %[d], [%[bias], #8]\n"                                                     \
            "wls lr, %[steps], 2f\n"                                                               \
            "1:\n"                                                                                 \
            "vldrb.8 %q[x], [%[input]], #16\n" MCUGEN_LINEAR_MVE_STEP_##bits(                      \
                "%q[x]") "le lr, 1b\n"                                                             \
                         "2:\n"                                                                    \
                         "cmp %[has_rest], #0\n"                                                   \
                         "beq 3f\n" MCUGEN_LINEAR_MVE_STEP_##bits(                                 \
                             "%q[rest]") "3:\n"                                                    \
                                         "vmov %q[sums][2], %q[sums][0], %[a], %[c]\n"             \
                                         "vmov %q[sums][3], %q[sums][1], %[b], %[d]\n"             \
            : [sums] "=&w"(sums), [x] "=&w"(x), [part] "=&w"(part), [a] "=&Te"(a), [b] "=&Te"(b),  \
              [c] "=&Te"(c), [d] "=&Te"(d), [weight] "+r"(weight), [input] "+r"(input)             \
            : [bias] "r"(bias), [steps] "r"(steps), [rest] "w"(rest),                              \
              [has_rest] "r"(has_rest)MCUGEN_LINEAR_MVE_MASK_##bits                                \
            : "lr", "cc", "memory");                                                               \
        return sums;                                                                               \
    }

MCUGEN_LINEAR_MVE_SUMS(8)
MCUGEN_LINEAR_MVE_SUMS(4)
MCUGEN_LINEAR_MVE_SUMS(2)

static MCUGEN_ALWAYS_INLINE int32x4_t mcugen_linear_mve_sums(int32_t bits, const int8_t *weight,
                                                             const int8_t *input,
                                                             const int32_t *bias, int32_t steps,
                                                             int8x16_t rest, int32_t has_rest)
{
    if (bits == 4) {
        return mcugen_linear_mve_sums_4(weight, input, bias, steps, rest, has_rest);
    }
    if (bits == 2) {
        return mcugen_linear_mve_sums_2(weight, input, bias, steps, rest, has_rest);
    }
    return mcugen_linear_mve_sums_8(weight, input, bias, steps, rest, has_rest);
}
#endif

/**
 * y = requantize(bias + W x).
 *
 * @param[in]  bits   Of a weight: 8, 4 or 2, packed as in mcugen_conv_mve.h.
 * @param[in]  p      Sizes, weights and requantization.
 * @param[in]  input  int8 [in_ch].
 * @param[out] output int8 [out_ch]; must not overlap the input.
 */
static MCUGEN_ALWAYS_INLINE void mcugen_linear_mve(int32_t bits,
                                                   const mcugen_linear_mve_s8_params_t *p,
                                                   const int8_t *input, int8_t *output)
{
#if MCUGEN_HAS_MVE
    const int32x4_t low = vdupq_n_s32(p->requantize.low);
    const int32x4_t high = vdupq_n_s32(p->requantize.high);
    const int32_t zero_point = p->requantize.zero_point;
    const int32_t *multiplier = p->requantize.multiplier;
    const int32_t *bias = p->bias;
    const int8_t *shift = p->requantize.shift;
    const int8_t *weight = p->weight;
    const int32_t steps = p->in_ch / MCUGEN_VECTOR;
    const int32_t has_rest = p->in_ch % MCUGEN_VECTOR;
    const int8x16_t rest = vldrbq_z_s8(&input[MCUGEN_VECTOR * steps], vctp8q((uint32_t)has_rest));

    for (int32_t left = p->out_ch; left > 0; left -= 4) {
        const int32x4_t sums =
            mcugen_linear_mve_sums(bits, weight, input, bias, steps, rest, has_rest);
        const int32x4_t y = mcugen_mve_requantize(sums, vldrwq_s32(multiplier), vldrbq_s32(shift),
                                                  zero_point, low, high);
        vstrbq_p_s32(output, y, vctp32q((uint32_t)left));
        weight += bits * (MCUGEN_VECTOR / 2) * p->steps;
        bias += 4;
        multiplier += 4;
        shift += 4;
        output += 4;
    }
#else
    for (int32_t o = 0; o < p->out_ch; o++) {
        const int8_t *four = &p->weight[(o / 4) * bits * (MCUGEN_VECTOR / 2) * p->steps];
        int32_t acc = p->bias[o];
        for (int32_t k = 0; k < p->in_ch; k++) {
            const int8_t *step = &four[bits * (MCUGEN_VECTOR / 2) * (k / MCUGEN_VECTOR)];
            acc += mcugen_mve_weight(step, o % 4, k % MCUGEN_VECTOR, bits) * input[k];
        }
        output[o] = mcugen_mve_requantize_one(&p->requantize, acc, o);
    }
#endif
}

/** mcugen_linear_mve. */
MCUGEN_KERNEL void mcugen_linear_mve_s8(const mcugen_linear_mve_s8_params_t *p, const int8_t *input,
                                        int8_t *output)
{
    mcugen_linear_mve(8, p, input, output);
}

/** mcugen_linear_mve with weights of 4 bits. */
MCUGEN_KERNEL void mcugen_linear_mve_s8_w4(const mcugen_linear_mve_s8_w4_params_t *p,
                                           const int8_t *input, int8_t *output)
{
    mcugen_linear_mve(4, p, input, output);
}

/** mcugen_linear_mve with weights of 2 bits. */
MCUGEN_KERNEL void mcugen_linear_mve_s8_w2(const mcugen_linear_mve_s8_w2_params_t *p,
                                           const int8_t *input, int8_t *output)
{
    mcugen_linear_mve(2, p, input, output);
}

#ifdef __cplusplus
}
#endif

#endif /* MCUGEN_LINEAR_MVE_H_INCLUDED */
