/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file mcugen_add_typed.h
 * @brief Kernels of mcugen_add.h, for the integers that mcugen_types.h has chosen.
 */
#ifdef MCUGEN_TYPED

typedef struct {
    mcugen_broadcast_t axes;
    int32_t left_factor;
    int32_t right_factor;
    MCUGEN_SUM bias; /* zero points and the rounding half are inside */
    int32_t shift;
    int32_t low;
    int32_t high;
} MCUGEN_TYPED_PARAMS(mcugen_add);

/**
 * y = clamp((left * left_factor + right * right_factor + bias) >> shift), within int32.
 *
 * @param[in]  p      How the operands are walked, and the linear form.
 * @param[in]  left   Integers, any shape that broadcasts to the output's.
 * @param[in]  right  Integers, likewise.
 * @param[out] output Integers [rows, row_len]; may be an operand of the same shape.
 */
static inline void MCUGEN_TYPED(mcugen_add)(const MCUGEN_TYPED_PARAMS(mcugen_add) * p,
                                            const MCUGEN_IN *left, const MCUGEN_IN *right,
                                            MCUGEN_OUT *output)
{
    MCUGEN_BY_OPERAND(mcugen_broadcast_row) row = {left, right, 0, 0};
    const int32_t rows = mcugen_broadcast_rows(&p->axes);
    const int32_t row_len = p->axes.row_len;
    const int32_t left_step = p->axes.left_step;
    const int32_t right_step = p->axes.right_step;
    const int32_t left_factor = p->left_factor;
    const int32_t right_factor = p->right_factor;
    const MCUGEN_SUM bias = p->bias;
    const int32_t shift = p->shift;
    const int32_t low = p->low;
    const int32_t high = p->high;

    for (int32_t r = 0; r < rows; r++) {
        const MCUGEN_IN *x = row.left;
        const MCUGEN_IN *y = row.right;
        for (int32_t i = 0; i < row_len; i++) {
            const MCUGEN_SUM sum =
                ((MCUGEN_SUM)*x * left_factor) + ((MCUGEN_SUM)*y * right_factor) + bias;
            *output = (MCUGEN_OUT)mcugen_clamp(MCUGEN_ASR(sum, shift), low, high);
            output++;
            x += left_step;
            y += right_step;
        }
        MCUGEN_BY_OPERAND(mcugen_broadcast_next)(&p->axes, &row);
    }
}

#endif
