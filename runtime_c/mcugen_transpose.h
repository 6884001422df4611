/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file mcugen_transpose.h
 * @brief Another order of a tensor's axes.
 */
#ifndef MCUGEN_TRANSPOSE_H_INCLUDED
#define MCUGEN_TRANSPOSE_H_INCLUDED

#include "mcugen.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct {
    int32_t rows;
    int32_t cols;
} mcugen_transpose_2d_s8_params_t;

/* Output axes, the last one innermost; unused ones in front have size 1. */
typedef struct {
    int32_t size0;
    int32_t size1;
    int32_t size2;
    int32_t size3;
    int32_t size4;
    int32_t size5;
    int32_t stride0; /* distance in the input of neighbours along output axis 0 */
    int32_t stride1;
    int32_t stride2;
    int32_t stride3;
    int32_t stride4;
    int32_t stride5;
} mcugen_transpose_s8_params_t;

/**
 * Columns become rows.
 *
 * @param[in]  p      Size of the input.
 * @param[in]  input  int8 [rows, cols].
 * @param[out] output int8 [cols, rows]; must not overlap the input.
 */
static inline void mcugen_transpose_2d_s8(const mcugen_transpose_2d_s8_params_t *p,
                                          const int8_t *input, int8_t *output)
{
    for (int32_t c = 0; c < p->cols; c++) {
        for (int32_t r = 0; r < p->rows; r++) {
            *output = input[(r * p->cols) + c];
            output++;
        }
    }
}

/** The three innermost axes; returns where the output goes on. */
static inline int8_t *mcugen_transpose_inner(const mcugen_transpose_s8_params_t *p,
                                             const int8_t *input, int8_t *output)
{
    for (int32_t i = 0; i < p->size3; i++) {
        for (int32_t j = 0; j < p->size4; j++) {
            const int8_t *in = &input[(i * p->stride3) + (j * p->stride4)];
            for (int32_t k = 0; k < p->size5; k++) {
                output[k] = in[k * p->stride5];
            }
            output += p->size5;
        }
    }
    return output;
}

/**
 * The elements in another order of the axes.
 *
 * @param[in]  p      Sizes of the output's axes and their strides in the input.
 * @param[in]  input  int8, as many elements as the output.
 * @param[out] output int8 [size0, ..., size5]; must not overlap the input.
 */
static inline void mcugen_transpose_s8(const mcugen_transpose_s8_params_t *p, const int8_t *input,
                                       int8_t *output)
{
    for (int32_t i = 0; i < p->size0; i++) {
        for (int32_t j = 0; j < p->size1; j++) {
            const int8_t *in = &input[(i * p->stride0) + (j * p->stride1)];
            for (int32_t k = 0; k < p->size2; k++) {
                output = mcugen_transpose_inner(p, &in[k * p->stride2], output);
            }
        }
    }
}

#ifdef __cplusplus
}
#endif

#endif /* MCUGEN_TRANSPOSE_H_INCLUDED */
