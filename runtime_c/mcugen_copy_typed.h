/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file mcugen_copy_typed.h
 * @brief Kernels of mcugen_copy.h, for the integers that mcugen_types.h has chosen.
 */
#ifdef MCUGEN_TYPED

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
} MCUGEN_TYPED_PARAMS(mcugen_copy);

/**
 * Copy planes of rows from one place to another.
 *
 * @param[in]  p      Sizes, and start and strides on both sides.
 * @param[in]  input  Integers.
 * @param[out] output Integers; must not overlap the input; what no row covers stays as it is.
 */
static inline void MCUGEN_TYPED(mcugen_copy)(const MCUGEN_TYPED_PARAMS(mcugen_copy) * p,
                                             const MCUGEN_IN *input, MCUGEN_OUT *output)
{
    for (int32_t i = 0; i < p->planes; i++) {
        for (int32_t j = 0; j < p->rows; j++) {
            const MCUGEN_IN *in = &input[p->in_start + (i * p->in_plane) + (j * p->in_row)];
            MCUGEN_OUT *out = &output[p->out_start + (i * p->out_plane) + (j * p->out_row)];
            for (int32_t k = 0; k < p->len; k++) {
                out[k] = in[k];
            }
        }
    }
}

#endif
