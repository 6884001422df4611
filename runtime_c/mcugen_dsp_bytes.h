/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file mcugen_dsp_bytes.h
 * @brief Four int8 values in one word, with the DSP extension or without it.
 */
#ifndef MCUGEN_DSP_BYTES_H_INCLUDED
#define MCUGEN_DSP_BYTES_H_INCLUDED

#include "mcugen.h"

#ifdef __cplusplus
extern "C" {
#endif

/** The word at `p`, which need not be aligned; compilers make one load of it. */
static inline uint32_t mcugen_load_bytes(const int8_t *p)
{
    return (uint32_t)(uint8_t)p[0] | ((uint32_t)(uint8_t)p[1] << 8) |
           ((uint32_t)(uint8_t)p[2] << 16) | ((uint32_t)(uint8_t)p[3] << 24);
}

/** Store a word at `p`, which need not be aligned. */
static inline void mcugen_store_bytes(int8_t *p, uint32_t word)
{
    p[0] = (int8_t)(uint8_t)(word & 0xffu);
    p[1] = (int8_t)(uint8_t)((word >> 8) & 0xffu);
    p[2] = (int8_t)(uint8_t)((word >> 16) & 0xffu);
    p[3] = (int8_t)(uint8_t)((word >> 24) & 0xffu);
}

/** Value `i` of a word. */
static inline int32_t mcugen_byte(uint32_t word, int32_t i)
{
    return (int8_t)(uint8_t)((word >> (8 * i)) & 0xffu);
}

/** Lower (0) or upper (1) int16 of a word. */
static inline int32_t mcugen_half(uint32_t word, int32_t i)
{
    return (int16_t)(uint16_t)((word >> (16 * i)) & 0xffffu);
}

#if defined(__ARM_FEATURE_DSP)
/** The larger value of each pair. */
static inline uint32_t mcugen_max_bytes(uint32_t a, uint32_t b)
{
    uint32_t word;

    /* in one statement, as the flags of the first are the choice of the second */
    __asm__("ssub8 %0, %1, %2\n\tsel %0, %1, %2" : "=&r"(word) : "r"(a), "r"(b) : "cc");
    return word;
}

/** The smaller value of each pair. */
static inline uint32_t mcugen_min_bytes(uint32_t a, uint32_t b)
{
    uint32_t word;

    __asm__("ssub8 %0, %1, %2\n\tsel %0, %2, %1" : "=&r"(word) : "r"(a), "r"(b) : "cc");
    return word;
}
#endif

/** To two int16 sums: values 0 and 2 of a word. */
static inline uint32_t mcugen_add_even_bytes(uint32_t sums, uint32_t word)
{
#if defined(__ARM_FEATURE_DSP)
    __asm__("sxtab16 %0, %0, %1" : "+r"(sums) : "r"(word));
    return sums;
#else
    const uint32_t low = (sums + (uint32_t)mcugen_byte(word, 0)) & 0xffffu;
    const uint32_t high = (sums >> 16) + (uint32_t)mcugen_byte(word, 2);

    return low | (high << 16);
#endif
}

/** To two int16 sums: values 1 and 3 of a word. */
static inline uint32_t mcugen_add_odd_bytes(uint32_t sums, uint32_t word)
{
#if defined(__ARM_FEATURE_DSP)
    __asm__("sxtab16 %0, %0, %1, ror #8" : "+r"(sums) : "r"(word));
    return sums;
#else
    return mcugen_add_even_bytes(sums, word >> 8);
#endif
}

/* Values whose sum an int16 holds. */
#define MCUGEN_BYTES_RUN 256

/** acc[0..3] += the sums of `count` words of four values, `step` bytes apart. */
static MCUGEN_NOINLINE MCUGEN_UNUSED void mcugen_sum_bytes(const int8_t *input, int32_t step,
                                                           int32_t count, int32_t *acc)
{
    while (count > 0) {
        const int32_t run = (count < MCUGEN_BYTES_RUN) ? count : MCUGEN_BYTES_RUN;
        uint32_t even = 0;
        uint32_t odd = 0;
        if ((run % 2) != 0) {
            const uint32_t word = mcugen_load_bytes(input);
            even = mcugen_add_even_bytes(even, word);
            odd = mcugen_add_odd_bytes(odd, word);
            input += step;
        }
        for (int32_t pairs = run / 2; pairs > 0; pairs--) {
            const uint32_t first = mcugen_load_bytes(input);
            const uint32_t second = mcugen_load_bytes(&input[step]);
            even = mcugen_add_even_bytes(even, first);
            odd = mcugen_add_odd_bytes(odd, first);
            even = mcugen_add_even_bytes(even, second);
            odd = mcugen_add_odd_bytes(odd, second);
            input += 2 * step;
        }
        acc[0] += mcugen_half(even, 0);
        acc[1] += mcugen_half(odd, 0);
        acc[2] += mcugen_half(even, 1);
        acc[3] += mcugen_half(odd, 1);
        count -= run;
    }
}

/** Saturate to int8. */
static inline int32_t mcugen_saturate(int32_t value)
{
#if defined(__ARM_FEATURE_DSP)
    int32_t result;

    __asm__("ssat %0, #8, %1" : "=r"(result) : "r"(value) : "cc");
    return result;
#else
    return mcugen_clamp(value, INT8_MIN, INT8_MAX);
#endif
}

#ifdef __cplusplus
}
#endif

#endif /* MCUGEN_DSP_BYTES_H_INCLUDED */
