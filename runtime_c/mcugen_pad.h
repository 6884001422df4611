/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file mcugen_pad.h
 * @brief A constant value around a tensor.
 */
#ifndef MCUGEN_PAD_H_INCLUDED
#define MCUGEN_PAD_H_INCLUDED

#include "mcugen.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Elements [planes, rows, len] and how much of the value stands before, between and after them. */
typedef struct {
    int32_t planes;
    int32_t rows;
    int32_t len;
    int32_t head;      /* before the first row */
    int32_t row_gap;   /* between rows of a plane */
    int32_t plane_gap; /* between planes */
    int32_t tail;      /* after the last row */
    int32_t value;
} mcugen_pad_s8_params_t;

/** `len` times the value; returns where the output goes on. */
static inline int8_t *mcugen_fill(int8_t *output, int32_t len, int32_t value)
{
    for (int32_t i = 0; i < len; i++) {
        output[i] = (int8_t)value;
    }
    return &output[len];
}

/**
 * The input's rows with the value around them, written from front to back.
 *
 * @param[in]  p      Sizes and the value.
 * @param[in]  input  int8 [planes, rows, len].
 * @param[out] output int8; must not overlap the input.
 */
static inline void mcugen_pad_s8(const mcugen_pad_s8_params_t *p, const int8_t *input,
                                 int8_t *output)
{
    output = mcugen_fill(output, p->head, p->value);
    for (int32_t i = 0; i < p->planes; i++) {
        for (int32_t j = 0; j < p->rows; j++) {
            for (int32_t k = 0; k < p->len; k++) {
                output[k] = input[k];
            }
            input += p->len;
            output += p->len;
            if (j < (p->rows - 1)) {
                output = mcugen_fill(output, p->row_gap, p->value);
            }
        }
        if (i < (p->planes - 1)) {
            output = mcugen_fill(output, p->plane_gap, p->value);
        }
    }
    (void)mcugen_fill(output, p->tail, p->value);
}

#ifdef __cplusplus
}
#endif

#endif /* MCUGEN_PAD_H_INCLUDED */
