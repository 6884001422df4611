/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file mcugen_softmax.h
 * @brief Softmax and its logarithm over int8 rows: a table of exponentials, one division a row.
 *
 * exp_table[d] is 2^exp_bits e^(-scale d) for d = max(x) - x. The sum of a row stays within 2^31.
 */
#ifndef MCUGEN_SOFTMAX_H_INCLUDED
#define MCUGEN_SOFTMAX_H_INCLUDED

#include "mcugen.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct {
    int32_t rows;
    int32_t len;
    const uint32_t *exp_table; /* [256] */
} mcugen_softmax_s8_params_t;

typedef struct {
    int32_t rows;
    int32_t len;
    const uint32_t *exp_table; /* [256] */
    int32_t exp_bits;
    int32_t factor;      /* of d */
    int32_t log2_factor; /* of log2 of the sum */
    int32_t bias;
    int32_t shift;
    int32_t low;
    int32_t high;
} mcugen_log_softmax_s8_params_t;

/** The exponentials of one row: its largest value, and their sum as mantissa * 2^shift. */
typedef struct {
    int32_t largest;
    int32_t shift;
    uint32_t mantissa; /* in [2^15, 2^16) */
} mcugen_row_sum_t;

/** Largest value and sum of exponentials of one row. */
static inline mcugen_row_sum_t mcugen_row_sum(const int8_t *input, int32_t len,
                                              const uint32_t *exp_table)
{
    mcugen_row_sum_t sum = {INT8_MIN, 0, 0u};

    for (int32_t i = 0; i < len; i++) {
        if (input[i] > sum.largest) {
            sum.largest = input[i];
        }
    }
    for (int32_t i = 0; i < len; i++) {
        sum.mantissa += exp_table[sum.largest - input[i]];
    }
    while (sum.mantissa >= 0x10000u) {
        sum.mantissa >>= 1;
        sum.shift++;
    }
    return sum;
}

/**
 * y = e^x / sum of e^x, in steps of 1/256 from -128 on.
 *
 * @param[in]  p      Sizes and exponentials.
 * @param[in]  input  int8 [rows, len].
 * @param[out] output int8 [rows, len]; may be the input.
 */
static inline void mcugen_softmax_s8(const mcugen_softmax_s8_params_t *p, const int8_t *input,
                                     int8_t *output)
{
    for (int32_t row = 0; row < p->rows; row++) {
        const mcugen_row_sum_t sum = mcugen_row_sum(input, p->len, p->exp_table);
        const uint32_t reciprocal = 0x80000000u / sum.mantissa;
        for (int32_t i = 0; i < p->len; i++) {
            const uint32_t part = p->exp_table[sum.largest - input[i]] >> sum.shift;
            const int32_t y = (int32_t)(((part * reciprocal) + 0x400000u) >> 23) - 128;
            output[i] = (int8_t)((y > INT8_MAX) ? INT8_MAX : y);
        }
        input += p->len;
        output += p->len;
    }
}

/** log2(mantissa / 2^15) in 16 fraction bits, one for each squaring. */
static inline uint32_t mcugen_log2_fraction(uint32_t mantissa)
{
    uint32_t fraction = 0u;

    for (int32_t i = 0; i < 16; i++) {
        const uint32_t square = (mantissa * mantissa) >> 15;
        const uint32_t bit = square >> 16;
        fraction = (fraction << 1) | bit;
        mantissa = square >> bit;
    }
    return fraction;
}

/**
 * y = x - log(sum of e^x).
 *
 * @param[in]  p      Sizes, exponentials and factors.
 * @param[in]  input  int8 [rows, len].
 * @param[out] output int8 [rows, len]; may be the input.
 */
static inline void mcugen_log_softmax_s8(const mcugen_log_softmax_s8_params_t *p,
                                         const int8_t *input, int8_t *output)
{
    for (int32_t row = 0; row < p->rows; row++) {
        const mcugen_row_sum_t sum = mcugen_row_sum(input, p->len, p->exp_table);
        const uint32_t whole = (uint32_t)((sum.shift + 15) - p->exp_bits);
        const uint32_t log2_sum = (whole << 16) + mcugen_log2_fraction(sum.mantissa);
        const uint64_t scaled = ((uint64_t)log2_sum * (uint32_t)p->log2_factor) >> 16;
        const int32_t first = p->bias - (int32_t)scaled;
        for (int32_t i = 0; i < p->len; i++) {
            const int32_t acc = first - ((sum.largest - input[i]) * p->factor);
            output[i] = (int8_t)mcugen_clamp(mcugen_asr32(acc, p->shift), p->low, p->high);
        }
        input += p->len;
        output += p->len;
    }
}

#ifdef __cplusplus
}
#endif

#endif /* MCUGEN_SOFTMAX_H_INCLUDED */
