/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file mcugen_mul_typed.h
 * @brief Kernels of mcugen_mul.h, for the integers that mcugen_types.h has chosen.
 */
#ifdef MCUGEN_TYPED

typedef struct {
    mcugen_broadcast_t axes;
    int32_t left_zero_point;
    int32_t right_zero_point;
    int32_t multiplier;
    int32_t shift;
    int32_t zero_point;
    int32_t low;
    int32_t high;
    int32_t double_rounding;
} MCUGEN_TYPED_PARAMS(mcugen_mul);

/**
 * y = requantize((left - left_zero_point) * (right - right_zero_point)).
 *
 * @param[in]  p      How the operands are walked, zero points and requantization.
 * @param[in]  left   Integers, any shape that broadcasts to the output's.
 * @param[in]  right  Integers, likewise.
 * @param[out] output Integers [rows, row_len]; may be an operand of the same shape.
 */
static inline void MCUGEN_TYPED(mcugen_mul)(const MCUGEN_TYPED_PARAMS(mcugen_mul) * p,
                                            const MCUGEN_IN *left, const MCUGEN_IN *right,
                                            MCUGEN_OUT *output)
{
    MCUGEN_BY_OPERAND(mcugen_broadcast_row) row = {left, right, 0, 0};
    const int32_t rows = mcugen_broadcast_rows(&p->axes);
    const int32_t row_len = p->axes.row_len;
    const int32_t left_step = p->axes.left_step;
    const int32_t right_step = p->axes.right_step;
    /* a copy, which no write to the output can change */
    const MCUGEN_TYPED_PARAMS(mcugen_mul) own = *p;

    for (int32_t r = 0; r < rows; r++) {
        const MCUGEN_IN *x = row.left;
        const MCUGEN_IN *y = row.right;
        for (int32_t i = 0; i < row_len; i++) {
            const int32_t product = (*x - own.left_zero_point) * (*y - own.right_zero_point);
            *output = (MCUGEN_OUT)MCUGEN_REQUANTIZE(product, own.multiplier, own.shift, &own);
            output++;
            x += left_step;
            y += right_step;
        }
        MCUGEN_BY_OPERAND(mcugen_broadcast_next)(&p->axes, &row);
    }
}

#endif
