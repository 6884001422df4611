/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file mcugen_resize_typed.h
 * @brief Kernels of mcugen_resize.h, for the integers that mcugen_types.h has chosen.
 */
#ifdef MCUGEN_TYPED

typedef struct {
    int32_t in_rows;
    int32_t in_cols;
    int32_t out_rows;
    int32_t out_cols;
    int32_t ch;
    const uint16_t *row;        /* [out_rows], the upper of two neighbours */
    const uint16_t *row_weight; /* [out_rows], of the lower one */
    const uint16_t *col;        /* [out_cols], the left of two neighbours */
    const uint16_t *col_weight; /* [out_cols], of the right one */
} MCUGEN_TYPED_PARAMS(mcugen_linear_resize);

/**
 * Linear interpolation along both axes, one rounding, half up.
 *
 * @param[in]  p      Sizes and tables; a position's second neighbour is the next one, or itself at
 *                    the end of the axis. Weights are in steps of 2^-11.
 * @param[in]  input  Integers [in_rows, in_cols, ch].
 * @param[out] output Integers [out_rows, out_cols, ch]; must not overlap the input.
 */
static inline void
MCUGEN_TYPED(mcugen_linear_resize)(const MCUGEN_TYPED_PARAMS(mcugen_linear_resize) * p,
                                   const MCUGEN_IN *input, MCUGEN_OUT *output)
{
    const int32_t half = (int32_t)1 << ((2 * MCUGEN_LINEAR_BITS) - 1);

    for (int32_t i = 0; i < p->out_rows; i++) {
        const int32_t row = p->row[i];
        const int32_t low_weight = p->row_weight[i];
        const int32_t high_weight = MCUGEN_LINEAR_ONE - low_weight;
        const int32_t down = (row < (p->in_rows - 1)) ? (p->in_cols * p->ch) : 0;
        const MCUGEN_IN *line = &input[row * p->in_cols * p->ch];
        for (int32_t j = 0; j < p->out_cols; j++) {
            const int32_t col = p->col[j];
            const int32_t right_weight = p->col_weight[j];
            const int32_t left_weight = MCUGEN_LINEAR_ONE - right_weight;
            const int32_t next = (col < (p->in_cols - 1)) ? p->ch : 0;
            const MCUGEN_IN *high = &line[col * p->ch];
            const MCUGEN_IN *low = &high[down];
            for (int32_t k = 0; k < p->ch; k++) {
                const int32_t above = (left_weight * high[k]) + (right_weight * high[k + next]);
                const int32_t below = (left_weight * low[k]) + (right_weight * low[k + next]);
                const MCUGEN_SUM acc =
                    ((MCUGEN_SUM)high_weight * above) + ((MCUGEN_SUM)low_weight * below) + half;
                output[k] = (MCUGEN_OUT)MCUGEN_ASR(acc, 2 * MCUGEN_LINEAR_BITS);
            }
            output += p->ch;
        }
    }
}

#endif
