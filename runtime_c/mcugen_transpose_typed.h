/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file mcugen_transpose_typed.h
 * @brief Kernels of mcugen_transpose.h, for the integers that mcugen_types.h has chosen.
 */
#ifdef MCUGEN_TYPED

typedef struct {
    int32_t rows;
    int32_t cols;
} MCUGEN_TYPED_PARAMS(mcugen_transpose_2d);

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
} MCUGEN_TYPED_PARAMS(mcugen_transpose);

/**
 * Columns become rows.
 *
 * @param[in]  p      Size of the input.
 * @param[in]  input  Integers [rows, cols].
 * @param[out] output Integers [cols, rows]; must not overlap the input.
 */
static inline void
MCUGEN_TYPED(mcugen_transpose_2d)(const MCUGEN_TYPED_PARAMS(mcugen_transpose_2d) * p,
                                  const MCUGEN_IN *input, MCUGEN_OUT *output)
{
    for (int32_t c = 0; c < p->cols; c++) {
        for (int32_t r = 0; r < p->rows; r++) {
            *output = input[(r * p->cols) + c];
            output++;
        }
    }
}

/** The three innermost axes; returns where the output goes on. */
static inline MCUGEN_OUT *
MCUGEN_TYPED(mcugen_transpose_inner)(const MCUGEN_TYPED_PARAMS(mcugen_transpose) * p,
                                     const MCUGEN_IN *input, MCUGEN_OUT *output)
{
    for (int32_t i = 0; i < p->size3; i++) {
        for (int32_t j = 0; j < p->size4; j++) {
            const MCUGEN_IN *in = &input[(i * p->stride3) + (j * p->stride4)];
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
 * @param[in]  input  Integers, as many elements as the output.
 * @param[out] output Integers [size0, ..., size5]; must not overlap the input.
 */
static inline void MCUGEN_TYPED(mcugen_transpose)(const MCUGEN_TYPED_PARAMS(mcugen_transpose) * p,
                                                  const MCUGEN_IN *input, MCUGEN_OUT *output)
{
    for (int32_t i = 0; i < p->size0; i++) {
        for (int32_t j = 0; j < p->size1; j++) {
            const MCUGEN_IN *in = &input[(i * p->stride0) + (j * p->stride1)];
            for (int32_t k = 0; k < p->size2; k++) {
                output = MCUGEN_TYPED(mcugen_transpose_inner)(p, &in[k * p->stride2], output);
            }
        }
    }
}

#endif
