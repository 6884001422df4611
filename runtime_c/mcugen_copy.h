/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file mcugen_copy.h
 * @brief Blocks of one tensor copied into another: concatenation and slicing.
 */
#ifndef MCUGEN_COPY_H_INCLUDED
#define MCUGEN_COPY_H_INCLUDED

#include "mcugen.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Elements [planes, rows, len]; the strides are distances between planes and between rows. */
typedef struct {
    int32_t planes;
    int32_t rows;
    int32_t len;
    int32_t in_start;
    int32_t in_plane;
    int32_t in_row;
    int32_t out_start;
    int32_t out_plane;
    int32_t out_row;
} mcugen_copy_s8_params_t;

/**
 * Copy planes of rows from one place to another.
 *
 * @param[in]  p      Sizes, and start and strides on both sides.
 * @param[in]  input  int8.
 * @param[out] output int8; must not overlap the input; what no row covers stays as it is.
 */
static inline void mcugen_copy_s8(const mcugen_copy_s8_params_t *p, const int8_t *input,
                                  int8_t *output)
{
    for (int32_t i = 0; i < p->planes; i++) {
        for (int32_t j = 0; j < p->rows; j++) {
            const int8_t *in = &input[p->in_start + (i * p->in_plane) + (j * p->in_row)];
            int8_t *out = &output[p->out_start + (i * p->out_plane) + (j * p->out_row)];
            for (int32_t k = 0; k < p->len; k++) {
                out[k] = in[k];
            }
        }
    }
}

#ifdef __cplusplus
}
#endif

#endif /* MCUGEN_COPY_H_INCLUDED */
