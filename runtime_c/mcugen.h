/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file mcugen.h
 * @brief What every kernel shares: the two roundings of the numerics contract, and the trace hook.
 */
#ifndef MCUGEN_H_INCLUDED
#define MCUGEN_H_INCLUDED

#include <stddef.h>
#include <stdint.h>

#define MCUGEN_RUNTIME_ABI 1

/* A place in the arena, aligned to 4, as that of int16 values. */
#define MCUGEN_S16(place) ((int16_t *)(void *)(place))

/* For functions that must stay one function, where the compiler can be told. */
#if defined(__GNUC__) && !defined(__clang__)
#define MCUGEN_NOINLINE __attribute__((noinline, noclone))
#elif defined(__GNUC__)
#define MCUGEN_NOINLINE __attribute__((noinline))
#else
#define MCUGEN_NOINLINE
#endif

/* For functions of a header that a file may leave unused. */
#if defined(__GNUC__)
#define MCUGEN_UNUSED __attribute__((unused))
#else
#define MCUGEN_UNUSED
#endif

/* A function that is all assembly, which the compiler must not look into. */
#if defined(__clang__)
#define MCUGEN_NAKED __attribute__((naked, noinline, unused))
#elif defined(__GNUC__)
#define MCUGEN_NAKED __attribute__((naked, noipa, unused))
#endif

/* For functions that must become part of their callers, which give them constants. */
#if defined(__GNUC__)
#define MCUGEN_ALWAYS_INLINE inline __attribute__((always_inline))
#else
#define MCUGEN_ALWAYS_INLINE inline
#endif

/* Signed right shift must be arithmetic; it is on every compiler this code is meant for. */
typedef char mcugen_requires_arithmetic_shift[((-1) >> 1) == -1 ? 1 : -1];

#ifdef __cplusplus
extern "C" {
#endif

#ifdef MCUGEN_TRACE
/**
 * Called after each layer with its output tensor; the test harness defines it.
 *
 * Layers that are computed together give their next rows at each call, in the end maybe rows beyond
 * their tensor.
 */
void mcugen_trace(uint32_t layer, const void *data, uint32_t bytes);
#define MCUGEN_TRACE_LAYER(layer, data, bytes) mcugen_trace((layer), (data), (bytes))
#define MCUGEN_TRACE_ROWS(layer, data, bytes) mcugen_trace((layer), (data), (bytes))
#else
#ifndef MCUGEN_TRACE_LAYER /* a profiler may have its own, from before this header */
#define MCUGEN_TRACE_LAYER(layer, data, bytes) ((void)0)
#endif
#define MCUGEN_TRACE_ROWS(layer, data, bytes) ((void)0)
#endif

/** floor(value / 2^shift), shift in [0, 31]. The only signed shift of 32 bits in the runtime. */
static inline int32_t mcugen_asr32(int32_t value, int32_t shift)
{
    return value >> shift;
}

/** floor(value / 2^shift), shift in [0, 31], for a quotient that fits int32. */
static inline int32_t mcugen_asr64(int64_t value, int32_t shift)
{
    return (int32_t)(value >> shift);
}

/** min(max(value, low), high). */
static inline int32_t mcugen_clamp(int32_t value, int32_t low, int32_t high)
{
    if (value < low) {
        return low;
    }
    return (value > high) ? high : value;
}

/**
 * floor((acc * multiplier + 2^(shift-1)) / 2^shift): one rounding, half up.
 *
 * @param[in] acc        Accumulator.
 * @param[in] multiplier In [0, 2^31).
 * @param[in] shift      In [1, 62].
 */
static inline int32_t mcugen_scale_single(int32_t acc, int32_t multiplier, int32_t shift)
{
    const int64_t half = (int64_t)1 << (shift - 1);
    const int64_t scaled = (((int64_t)acc * multiplier) + half) >> shift;

    /* only values far outside int8 are cut here, so the later clamp gives the same result */
    if (scaled > INT16_MAX) {
        return INT16_MAX;
    }
    return (scaled < INT16_MIN) ? INT16_MIN : (int32_t)scaled;
}

/**
 * Saturating rounding doubling high multiply, then rounding divide by a power of two (gemmlowp).
 *
 * @param[in] acc        Accumulator; where shift <= 31, |acc| * 2^(31 - shift) + 256 fits int32,
 *                       so that a zero point can be added to the result.
 * @param[in] multiplier In [0, 2^31).
 * @param[in] shift      In [1, 62].
 */
static inline int32_t mcugen_scale_double(int32_t acc, int32_t multiplier, int32_t shift)
{
    const int32_t left = (shift < 31) ? (31 - shift) : 0;
    const int32_t right = (shift > 31) ? (shift - 31) : 0;
    const int64_t product = (int64_t)acc * ((int64_t)1 << left) * multiplier;
    const int64_t nudge = (product >= 0) ? ((int64_t)1 << 30) : (1 - ((int64_t)1 << 30));
    const int32_t high = (int32_t)((product + nudge) / ((int64_t)1 << 31));
    const int32_t mask = (int32_t)(((uint32_t)1 << right) - 1u);
    const int32_t remainder = high & mask;
    const int32_t threshold = mcugen_asr32(mask, 1) + ((high < 0) ? 1 : 0);

    return mcugen_asr32(high, right) + ((remainder > threshold) ? 1 : 0);
}

/** Accumulator to int8: scale in the chosen rounding, add the zero point, clamp. */
static inline int8_t mcugen_requantize(int32_t acc, int32_t multiplier, int32_t shift,
                                       int32_t double_rounding, int32_t zero_point, int32_t low,
                                       int32_t high)
{
    const int32_t scaled = (double_rounding != 0) ? mcugen_scale_double(acc, multiplier, shift)
                                                  : mcugen_scale_single(acc, multiplier, shift);

    return (int8_t)mcugen_clamp(scaled + zero_point, low, high);
}

/** Accumulator to int16, or from int16 operands to int8: one rounding, the zero point, the clamp. */
static inline int32_t mcugen_requantize_s32(int32_t acc, int32_t multiplier, int32_t shift,
                                            int32_t zero_point, int32_t low, int32_t high)
{
    return mcugen_clamp(mcugen_scale_single(acc, multiplier, shift) + zero_point, low, high);
}

/** The same for an accumulator of 64 bits, whose product with the multiplier fits 63. */
static inline int32_t mcugen_requantize_s64(int64_t acc, int32_t multiplier, int32_t shift,
                                            int32_t zero_point, int32_t low, int32_t high)
{
    const int64_t half = (int64_t)1 << (shift - 1);
    const int64_t scaled = ((acc * multiplier) + half) >> shift;

    /* cut as in mcugen_scale_single: an int16 result has zero point 0 */
    if (scaled > INT16_MAX) {
        return high;
    }
    return (scaled < INT16_MIN) ? low : mcugen_clamp((int32_t)scaled + zero_point, low, high);
}

#ifdef __cplusplus
}
#endif

#endif /* MCUGEN_H_INCLUDED */
