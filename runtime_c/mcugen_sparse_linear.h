/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file mcugen_sparse_linear.h
 * @brief A fully connected layer that is mostly zero, for cores without the DSP extension.
 */
#ifndef MCUGEN_SPARSE_LINEAR_H_INCLUDED
#define MCUGEN_SPARSE_LINEAR_H_INCLUDED

#include "mcugen_scalar.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct {
    int32_t out_ch;
    const uint8_t *entries; /* row after row: bytes of its entries in two bytes, [delta, weight] */
    const int32_t *bias;    /* [out_ch] */
    const int32_t *multiplier; /* [out_ch] */
    const uint8_t *shift;      /* [out_ch], bits of the high word, less one */
    int32_t rounding;          /* 2 * zero point + 1 */
    int32_t low;
    int32_t high;
} mcugen_sparse_linear_s8_params_t;

/**
 * y = requantize(bias + W x). Every row has an entry, be it of weight zero.
 *
 * @param[in]  p      Weights and requantization.
 * @param[in]  input  int8 [in_ch].
 * @param[out] output int8 [out_ch]; must not overlap the input.
 */
MCUGEN_UNUSED MCUGEN_NOINLINE static void
mcugen_sparse_linear_s8(const mcugen_sparse_linear_s8_params_t *p, const int8_t *input,
                        int8_t *output)
{
    const uint8_t *entry = p->entries;

    for (int32_t c = 0; c < p->out_ch; c++) {
        const uint8_t *end = &entry[2u + ((uint32_t)entry[0] | ((uint32_t)entry[1] << 8))];
        const int8_t *x = input;
        int32_t acc = p->bias[c];
        entry = &entry[2];
        do {
            x = &x[entry[0]];
            acc += *(const int8_t *)&entry[1] * *x;
            entry = &entry[2];
        } while (entry != end);
        output[c] = mcugen_scalar_requantize(acc, p->multiplier[c], p->shift[c], p->rounding,
                                             p->low, p->high);
    }
}

#ifdef __cplusplus
}
#endif

#endif /* MCUGEN_SPARSE_LINEAR_H_INCLUDED */
