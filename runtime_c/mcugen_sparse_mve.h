/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file mcugen_sparse_mve.h
 * @brief 1x1 convolution by weights that are mostly zero, on the M-profile Vector Extension.
 *
 * Sixteen pixels at a time, laid out as [channel, pixel]. A weight is multiplied with all of them.
 */
#ifndef MCUGEN_SPARSE_MVE_H_INCLUDED
#define MCUGEN_SPARSE_MVE_H_INCLUDED

#include "mcugen_mve.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct {
    int32_t pixels;
    int32_t in_ch;
    int32_t out_ch;
    const uint8_t *entries; /* row after row: length in two bytes, [delta in channels, weight] */
    const int32_t *bias;    /* [out_ch] */
    mcugen_mve_requantize_t requantize;
} mcugen_sparse_mve_conv_s8_params_t;

/** Bytes of the entries of a row. */
static inline int32_t mcugen_sparse_mve_length(const uint8_t *row)
{
    return (int32_t)row[0] | ((int32_t)row[1] << 8);
}

#if MCUGEN_HAS_MVE
/** Up to 16 pixels as [channel, pixel]; those that are missing become zero. */
static inline void mcugen_sparse_mve_lay(const int8_t *input, int32_t in_ch, int32_t left,
                                         int8_t *plane)
{
    const mve_pred16_t first = vctp16q((uint32_t)left);
    const mve_pred16_t second = vctp16q((left > 8) ? (uint32_t)(left - 8) : 0u);
    const uint16x8_t places = vmulq_n_u16(vidupq_n_u16(0u, 1), (uint16_t)in_ch);
    const int8_t *const other = &input[8 * in_ch];

    for (int32_t c = 0; c < in_ch; c++) {
        vstrbq_s16(plane, vldrbq_gather_offset_z_s16(&input[c], places, first));
        vstrbq_s16(&plane[8], vldrbq_gather_offset_z_s16(&other[c], places, second));
        plane = &plane[MCUGEN_VECTOR];
    }
}

/** One entry more in the sums of 16 pixels. */
#define MCUGEN_SPARSE_MVE_ENTRY                                                                    \
    "ldrb %[step], [%[entry]], #2\n"                                                               \
    "ldrsb %[weight], [%[entry], #-1]\n"                                                           \
    "add %[x], %[x], %[step], lsl #4\n"                                                            \
    "vldrb.s32 %q[t0], [%[x]]\n"                                                                   \
    "vmla.s32 %q[a0], %q[t0], %[weight]\n"                                                         \
    "vldrb.s32 %q[t1], [%[x], #4]\n"                                                               \
    "vmla.s32 %q[a1], %q[t1], %[weight]\n"                                                         \
    "vldrb.s32 %q[t0], [%[x], #8]\n"                                                               \
    "vmla.s32 %q[a2], %q[t0], %[weight]\n"                                                         \
    "vldrb.s32 %q[t1], [%[x], #12]\n"                                                              \
    "vmla.s32 %q[a3], %q[t1], %[weight]\n"

/** Twice four sums to int16: those of `even` and `odd` take turns. */
static inline int16x8_t mcugen_sparse_mve_scale(int32x4_t even, int32x4_t odd, int32x4_t multiplier,
                                                int32_t shift)
{
    const int16x8_t half =
        vqmovnbq_s32(vdupq_n_s16(0), vrshlq_n_s32(vmulhq_s32(even, multiplier), shift));

    return vqmovntq_s32(half, vrshlq_n_s32(vmulhq_s32(odd, multiplier), shift));
}

/** All channels of up to 16 pixels. */
static inline void mcugen_sparse_mve_rows(const mcugen_sparse_mve_conv_s8_params_t *p,
                                          const int8_t *plane, int32_t left, int8_t *output)
{
    const uint16x8_t index = vidupq_n_u16(0u, 1);
    /* pixels 0, 4, 1, 5, 2, 6, 3, 7 */
    const uint16x8_t pixel =
        vaddq_u16(vshrq_n_u16(index, 1), vshlq_n_u16(vandq_u16(index, vdupq_n_u16(1u)), 2));
    const uint16x8_t places = vmulq_n_u16(pixel, (uint16_t)p->out_ch);
    const mve_pred16_t near = vcmpgtq_s16(vdupq_n_s16((int16_t)left), (int16x8_t)pixel);
    const mve_pred16_t far = vcmpgtq_s16(vdupq_n_s16((int16_t)(left - 8)), (int16x8_t)pixel);
    const int16x8_t low = vdupq_n_s16((int16_t)p->requantize.low);
    const int16x8_t high = vdupq_n_s16((int16_t)p->requantize.high);
    const int16_t zero_point = (int16_t)p->requantize.zero_point;
    const int32_t *bias = p->bias;
    const int32_t *multiplier = p->requantize.multiplier;
    const int8_t *shift = p->requantize.shift;
    const uint8_t *entry = p->entries;
    int8_t *const other = &output[8 * p->out_ch];
    const int32_t out_ch = p->out_ch;

    for (int32_t c = 0; c < out_ch; c++) {
        const int32_t count = mcugen_sparse_mve_length(entry) / 2;
        const int8_t *x = plane;
        int32x4_t a0 = vdupq_n_s32(bias[c]);
        int32x4_t a1 = a0;
        int32x4_t a2 = a0;
        int32x4_t a3 = a0;
        int32x4_t t0;
        int32x4_t t1;
        int32_t step;
        int32_t weight;
        entry = &entry[2];
        __asm__ __volatile__("wls lr, %[count], 2f\n"
                             "1:\n" MCUGEN_SPARSE_MVE_ENTRY "le lr, 1b\n"
                             "2:\n"
                             : [entry] "+r"(entry), [x] "+r"(x), [a0] "+w"(a0), [a1] "+w"(a1),
                               [a2] "+w"(a2), [a3] "+w"(a3), [t0] "=&w"(t0), [t1] "=&w"(t1),
                               [step] "=&r"(step), [weight] "=&r"(weight)
                             : [count] "r"(count)
                             : "lr", "memory");
        const int32x4_t m = vdupq_n_s32(multiplier[c]);
        const int16x8_t y = vqaddq_n_s16(mcugen_sparse_mve_scale(a0, a1, m, shift[c]), zero_point);
        const int16x8_t z = vqaddq_n_s16(mcugen_sparse_mve_scale(a2, a3, m, shift[c]), zero_point);
        vstrbq_scatter_offset_p_s16(&output[c], places, vminq_s16(vmaxq_s16(y, low), high), near);
        vstrbq_scatter_offset_p_s16(&other[c], places, vminq_s16(vmaxq_s16(z, low), high), far);
    }
}
#else
/** Up to 16 pixels as [channel, pixel]; those that are missing become zero. */
static inline void mcugen_sparse_mve_lay(const int8_t *input, int32_t in_ch, int32_t left,
                                         int8_t *plane)
{
    for (int32_t c = 0; c < in_ch; c++) {
        for (int32_t i = 0; i < MCUGEN_VECTOR; i++) {
            plane[(c * MCUGEN_VECTOR) + i] = (i < left) ? input[(i * in_ch) + c] : (int8_t)0;
        }
    }
}

/** All channels of up to 16 pixels. */
static inline void mcugen_sparse_mve_rows(const mcugen_sparse_mve_conv_s8_params_t *p,
                                          const int8_t *plane, int32_t left, int8_t *output)
{
    const uint8_t *entry = p->entries;
    int32_t acc[MCUGEN_VECTOR];

    for (int32_t channel = 0; channel < p->out_ch; channel++) {
        const uint8_t *const end = &entry[2 + mcugen_sparse_mve_length(entry)];
        const int8_t *x = plane;
        for (int32_t i = 0; i < MCUGEN_VECTOR; i++) {
            acc[i] = p->bias[channel];
        }
        for (entry = &entry[2]; entry != end; entry = &entry[2]) {
            x = &x[MCUGEN_VECTOR * (int32_t)entry[0]];
            for (int32_t i = 0; i < MCUGEN_VECTOR; i++) {
                acc[i] += (int32_t)(int8_t)entry[1] * x[i];
            }
        }
        for (int32_t i = 0; i < left; i++) {
            output[(i * p->out_ch) + channel] =
                mcugen_mve_requantize_one(&p->requantize, acc[i], channel);
        }
    }
}
#endif

/**
 * Convolution of a row of pixels.
 *
 * @param[in]  p       Sizes, weights and requantization.
 * @param[in]  input   int8 [pixels, in_ch].
 * @param[out] output  int8 [pixels, out_ch]; may overlap the input as far as 16 pixels are read
 *                     before their outputs are written.
 * @param[out] scratch 16 * in_ch bytes.
 */
MCUGEN_KERNEL void mcugen_sparse_mve_conv_s8(const mcugen_sparse_mve_conv_s8_params_t *p,
                                             const int8_t *input, int8_t *output, int8_t *scratch)
{
    for (int32_t first = 0; first < p->pixels; first += MCUGEN_VECTOR) {
        const int32_t rest = p->pixels - first;
        const int32_t left = (rest < MCUGEN_VECTOR) ? rest : MCUGEN_VECTOR;
        mcugen_sparse_mve_lay(&input[first * p->in_ch], p->in_ch, left, scratch);
        mcugen_sparse_mve_rows(p, scratch, left, &output[first * p->out_ch]);
    }
}

#ifdef __cplusplus
}
#endif

#endif /* MCUGEN_SPARSE_MVE_H_INCLUDED */
