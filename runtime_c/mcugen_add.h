/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file mcugen_add.h
 * @brief Weighted sum of two int8 tensors with their own scales, broadcast to one shape.
 */
#ifndef MCUGEN_ADD_H_INCLUDED
#define MCUGEN_ADD_H_INCLUDED

#include "mcugen_broadcast.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct {
    mcugen_broadcast_t axes;
    int32_t left_factor;
    int32_t right_factor;
    int32_t bias; /* zero points and the rounding half are inside */
    int32_t shift;
    int32_t low;
    int32_t high;
} mcugen_add_s8_params_t;

/**
 * y = clamp((left * left_factor + right * right_factor + bias) >> shift), within int32.
 *
 * @param[in]  p      How the operands are walked, and the linear form.
 * @param[in]  left   int8, any shape that broadcasts to the output's.
 * @param[in]  right  int8, likewise.
 * @param[out] output int8 [rows, row_len]; may be an operand of the same shape.
 */
static inline void mcugen_add_s8(const mcugen_add_s8_params_t *p, const int8_t *left,
                                 const int8_t *right, int8_t *output)
{
    mcugen_broadcast_row_t row = {left, right, 0, 0};
    const int32_t rows = mcugen_broadcast_rows(&p->axes);
    const int32_t row_len = p->axes.row_len;
    const int32_t left_step = p->axes.left_step;
    const int32_t right_step = p->axes.right_step;
    const int32_t left_factor = p->left_factor;
    const int32_t right_factor = p->right_factor;
    const int32_t bias = p->bias;
    const int32_t shift = p->shift;
    const int32_t low = p->low;
    const int32_t high = p->high;

    for (int32_t r = 0; r < rows; r++) {
        const int8_t *x = row.left;
        const int8_t *y = row.right;
        for (int32_t i = 0; i < row_len; i++) {
            const int32_t sum = (*x * left_factor) + (*y * right_factor) + bias;
            *output = (int8_t)mcugen_clamp(mcugen_asr32(sum, shift), low, high);
            output++;
            x += left_step;
            y += right_step;
        }
        mcugen_broadcast_next(&p->axes, &row);
    }
}

#ifdef __cplusplus
}
#endif

#endif /* MCUGEN_ADD_H_INCLUDED */
