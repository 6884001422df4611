/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file mcugen_gather_typed.h
 * @brief Kernels of mcugen_gather.h, for the integers that mcugen_types.h has chosen.
 */
#ifdef MCUGEN_TYPED

typedef struct {
    int32_t in_cols;
    int32_t out_rows;
    int32_t out_cols;
    int32_t len;
    const uint16_t *row; /* [out_rows], null where output row i is input row i */
    const uint16_t *col; /* [out_cols], null likewise */
} MCUGEN_TYPED_PARAMS(mcugen_gather);

/**
 * Output (i, j) is input (row[i], col[j]).
 *
 * @param[in]  p      Sizes and tables.
 * @param[in]  input  Integers [rows, in_cols, len].
 * @param[out] output Integers [out_rows, out_cols, len]; must not overlap the input.
 */
static inline void MCUGEN_TYPED(mcugen_gather)(const MCUGEN_TYPED_PARAMS(mcugen_gather) * p,
                                               const MCUGEN_IN *input, MCUGEN_OUT *output)
{
    for (int32_t i = 0; i < p->out_rows; i++) {
        const int32_t row = (p->row != NULL) ? (int32_t)p->row[i] : i;
        const MCUGEN_IN *line = &input[row * p->in_cols * p->len];
        for (int32_t j = 0; j < p->out_cols; j++) {
            const int32_t col = (p->col != NULL) ? (int32_t)p->col[j] : j;
            const MCUGEN_IN *in = &line[col * p->len];
            for (int32_t k = 0; k < p->len; k++) {
                output[k] = in[k];
            }
            output += p->len;
        }
    }
}

#endif
