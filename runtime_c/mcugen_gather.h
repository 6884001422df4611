/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file mcugen_gather.h
 * @brief Positions picked through tables: nearest upsampling, mirrored padding, flips, repeats.
 */
#ifndef MCUGEN_GATHER_H_INCLUDED
#define MCUGEN_GATHER_H_INCLUDED

#include "mcugen.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct {
    int32_t in_cols;
    int32_t out_rows;
    int32_t out_cols;
    int32_t len;
    const uint16_t *row; /* [out_rows], null where output row i is input row i */
    const uint16_t *col; /* [out_cols], null likewise */
} mcugen_gather_s8_params_t;

/**
 * Output (i, j) is input (row[i], col[j]).
 *
 * @param[in]  p      Sizes and tables.
 * @param[in]  input  int8 [rows, in_cols, len].
 * @param[out] output int8 [out_rows, out_cols, len]; must not overlap the input.
 */
static inline void mcugen_gather_s8(const mcugen_gather_s8_params_t *p, const int8_t *input,
                                    int8_t *output)
{
    for (int32_t i = 0; i < p->out_rows; i++) {
        const int32_t row = (p->row != NULL) ? (int32_t)p->row[i] : i;
        const int8_t *line = &input[row * p->in_cols * p->len];
        for (int32_t j = 0; j < p->out_cols; j++) {
            const int32_t col = (p->col != NULL) ? (int32_t)p->col[j] : j;
            const int8_t *in = &line[col * p->len];
            for (int32_t k = 0; k < p->len; k++) {
                output[k] = in[k];
            }
            output += p->len;
        }
    }
}

#ifdef __cplusplus
}
#endif

#endif /* MCUGEN_GATHER_H_INCLUDED */
