/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file mcugen_mve.h
 * @brief What the kernels for the Arm M-profile Vector Extension (Helium) share.
 *
 * Every such kernel has the same meaning in plain C, which other compilers take and which the host
 * verifies with the very same tables.
 */
#ifndef MCUGEN_MVE_H_INCLUDED
#define MCUGEN_MVE_H_INCLUDED

#include "mcugen.h"

#if defined(__ARM_FEATURE_MVE)
#if (__ARM_FEATURE_MVE & 1) && defined(__GNUC__)
#define MCUGEN_HAS_MVE 1
#endif
#endif
#ifndef MCUGEN_HAS_MVE
#define MCUGEN_HAS_MVE 0
#endif

#if MCUGEN_HAS_MVE
#include <arm_mve.h>
#endif

/* One copy of a kernel serves all its layers. */
#if defined(__clang__)
#define MCUGEN_KERNEL __attribute__((noinline, unused)) static
#elif defined(__GNUC__)
#define MCUGEN_KERNEL __attribute__((noipa, unused)) static
#else
#define MCUGEN_KERNEL static
#endif

#define MCUGEN_VECTOR 16 /* bytes in a vector */

#ifdef __cplusplus
extern "C" {
#endif

/** How accumulators of a layer become int8; the tables are padded to whole fours. */
typedef struct {
    const int32_t *multiplier; /* [ch] */
    const int8_t *shift;       /* [ch], 32 - t with t in [33, 62] */
    int32_t zero_point;
    int32_t low;
    int32_t high;
} mcugen_mve_requantize_t;

#if MCUGEN_HAS_MVE
/** Four accumulators to int8 in 32-bit lanes. */
static inline int32x4_t mcugen_mve_requantize(int32x4_t acc, int32x4_t multiplier, int32x4_t shift,
                                              int32_t zero_point, int32x4_t low, int32x4_t high)
{
    const int32x4_t scaled = vrshlq_s32(vmulhq_s32(acc, multiplier), shift);

    return vminq_s32(vmaxq_s32(vaddq_n_s32(scaled, zero_point), low), high);
}
#endif

/** A shift t in [1, 62], for the high word: up is proved not to overflow, then down by rounding. */
typedef struct {
    int32_t up;
    int32_t down; /* 32 - t of the shifted accumulator, below 0 */
} mcugen_mve_shift_t;

static inline mcugen_mve_shift_t mcugen_mve_shift(int32_t shift)
{
    mcugen_mve_shift_t split;

    split.up = (shift < 33) ? (33 - shift) : 0;
    split.down = (shift < 33) ? -1 : (32 - shift);
    return split;
}

/** One accumulator to int8: the same in plain C. */
static inline int8_t mcugen_mve_requantize_one(const mcugen_mve_requantize_t *r, int32_t acc,
                                               int32_t channel)
{
    return mcugen_requantize(acc, r->multiplier[channel], 32 - r->shift[channel], 0, r->zero_point,
                             r->low, r->high);
}

/**
 * A weight of channel i of four, in lane j of a vector of each. Of 4 and 2 bits two and four channels
 * share a byte, and it is 16 or 64 times the weight.
 */
static inline int32_t mcugen_mve_weight(const int8_t *four, int32_t i, int32_t j, int32_t bits)
{
    const int32_t share = 8 / bits;
    const uint32_t byte = (uint32_t)(uint8_t)four[((i / share) * MCUGEN_VECTOR) + j];
    const uint32_t top = byte << (8 - (bits * ((i % share) + 1)));

    return (int32_t)(int8_t)(uint8_t)(top & (0xffu & ~(0xffu >> bits)));
}

/** Set len bytes. */
static inline void mcugen_mve_fill(int8_t *target, int32_t value, int32_t len)
{
#if MCUGEN_HAS_MVE
    const int8x16_t values = vdupq_n_s8((int8_t)value);

    for (; len > 0; len -= MCUGEN_VECTOR) {
        vstrbq_p_s8(target, values, vctp8q((uint32_t)len));
        target += MCUGEN_VECTOR;
    }
#else
    for (int32_t i = 0; i < len; i++) {
        target[i] = (int8_t)value;
    }
#endif
}

/** Copy len bytes that do not overlap. */
static inline void mcugen_mve_copy(int8_t *target, const int8_t *source, int32_t len)
{
#if MCUGEN_HAS_MVE
    int8x16_t values;

    __asm__ __volatile__("wlstp.8 lr, %[len], 2f\n"
                         "1:\n"
                         "vldrb.8 %q[values], [%[source]], #16\n"
                         "vstrb.8 %q[values], [%[target]], #16\n"
                         "letp lr, 1b\n"
                         "2:\n"
                         : [values] "=&w"(values), [source] "+r"(source), [target] "+r"(target)
                         : [len] "r"(len)
                         : "lr", "memory");
#else
    for (int32_t i = 0; i < len; i++) {
        target[i] = source[i];
    }
#endif
}

#ifdef __cplusplus
}
#endif

#endif /* MCUGEN_MVE_H_INCLUDED */
