/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file mcugen_softmax_s16.h
 * @brief Softmax and its logarithm over int16 rows: exponentials from two tables, one division a row.
 *
 * coarse[d / 256] * fine[d mod 256] / 2^31 is 2^exp_bits e^(-scale d) for d = max(x) - x. The sum of
 * a row stays within 2^31.
 */
#ifndef MCUGEN_SOFTMAX_S16_H_INCLUDED
#define MCUGEN_SOFTMAX_S16_H_INCLUDED

#include "mcugen_softmax.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct {
    int32_t rows;
    int32_t len;
    const uint32_t *coarse; /* [256] */
    const uint32_t *fine;   /* [256] */
} mcugen_softmax_s16_params_t;

typedef struct {
    int32_t rows;
    int32_t len;
    const uint32_t *coarse; /* [256] */
    const uint32_t *fine;   /* [256] */
    int32_t exp_bits;
    int32_t factor;      /* of d */
    int32_t log2_factor; /* of log2 of the sum */
    int32_t shift;
    int32_t low;
    int32_t high;
} mcugen_log_softmax_s16_params_t;

/** The exponentials of one row: its largest value, their sum and the sum's highest bit. */
typedef struct {
    int32_t largest;
    uint32_t total;
    int32_t top;
} mcugen_row_sum_s16_t;

/** 2^exp_bits e^(-scale d). */
static inline uint32_t mcugen_exp_s16(const uint32_t *coarse, const uint32_t *fine, int32_t d)
{
    return (uint32_t)(((uint64_t)coarse[d >> 8] * fine[d & 255]) >> 31);
}

/** Largest value and sum of exponentials of one row. */
static inline mcugen_row_sum_s16_t mcugen_row_sum_s16(const int16_t *input, int32_t len,
                                                      const uint32_t *coarse, const uint32_t *fine)
{
    mcugen_row_sum_s16_t sum = {INT16_MIN, 0u, 31};

    for (int32_t i = 0; i < len; i++) {
        if (input[i] > sum.largest) {
            sum.largest = input[i];
        }
    }
    for (int32_t i = 0; i < len; i++) {
        sum.total += mcugen_exp_s16(coarse, fine, sum.largest - input[i]);
    }
    while ((sum.total >> sum.top) == 0u) {
        sum.top--;
    }
    return sum;
}

/** floor(2^(top + 31) / value) bit by bit: not every core can divide 64 bits. Bit `top` is highest. */
static inline uint32_t mcugen_reciprocal(uint32_t value, int32_t top)
{
    const uint32_t divisor = value << (31 - top);
    uint32_t rest = (divisor == 0x80000000u) ? 0u : 0x80000000u;
    uint32_t quotient = (rest == 0u) ? 1u : 0u;

    for (int32_t i = 0; i < 31; i++) {
        const uint32_t carry = rest >> 31;
        rest <<= 1;
        quotient <<= 1;
        if ((carry != 0u) || (rest >= divisor)) {
            rest -= divisor;
            quotient++;
        }
    }
    return quotient;
}

/**
 * y = e^x / sum of e^x, in steps of 2^-15.
 *
 * @param[in]  p      Sizes and exponentials.
 * @param[in]  input  int16 [rows, len].
 * @param[out] output int16 [rows, len]; may be the input.
 */
static inline void mcugen_softmax_s16(const mcugen_softmax_s16_params_t *p, const int16_t *input,
                                      int16_t *output)
{
    for (int32_t row = 0; row < p->rows; row++) {
        const mcugen_row_sum_s16_t sum = mcugen_row_sum_s16(input, p->len, p->coarse, p->fine);
        const uint64_t reciprocal = mcugen_reciprocal(sum.total, sum.top);
        const uint64_t half = (uint64_t)1 << (sum.top + 15);
        for (int32_t i = 0; i < p->len; i++) {
            const uint32_t part = mcugen_exp_s16(p->coarse, p->fine, sum.largest - input[i]);
            const int32_t y = (int32_t)(((part * reciprocal) + half) >> (sum.top + 16));
            output[i] = (int16_t)((y > INT16_MAX) ? INT16_MAX : y);
        }
        input += p->len;
        output += p->len;
    }
}

/**
 * y = x - log(sum of e^x).
 *
 * @param[in]  p      Sizes, exponentials and factors.
 * @param[in]  input  int16 [rows, len].
 * @param[out] output int16 [rows, len]; may be the input.
 */
static inline void mcugen_log_softmax_s16(const mcugen_log_softmax_s16_params_t *p,
                                          const int16_t *input, int16_t *output)
{
    const int64_t half = (int64_t)1 << (p->shift - 1);

    for (int32_t row = 0; row < p->rows; row++) {
        const mcugen_row_sum_s16_t sum = mcugen_row_sum_s16(input, p->len, p->coarse, p->fine);
        const uint32_t whole = (uint32_t)(sum.top - p->exp_bits);
        const uint32_t fraction = mcugen_log2_fraction(sum.total >> (sum.top - 15));
        const int64_t log2_sum = (int64_t)((whole << 16) + fraction);
        const int64_t first = half - ((log2_sum * p->log2_factor) >> 16);
        for (int32_t i = 0; i < p->len; i++) {
            const int64_t acc = first - ((int64_t)(sum.largest - input[i]) * p->factor);
            output[i] = (int16_t)mcugen_clamp(mcugen_asr64(acc, p->shift), p->low, p->high);
        }
        input += p->len;
        output += p->len;
    }
}

#ifdef __cplusplus
}
#endif

#endif /* MCUGEN_SOFTMAX_S16_H_INCLUDED */
