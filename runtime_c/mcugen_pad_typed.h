/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file mcugen_pad_typed.h
 * @brief Kernels of mcugen_pad.h, for the integers that mcugen_types.h has chosen.
 */
#ifdef MCUGEN_TYPED

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
} MCUGEN_TYPED_PARAMS(mcugen_pad);

/** `len` times the value; returns where the output goes on. */
static inline MCUGEN_OUT *MCUGEN_TYPED(mcugen_fill)(MCUGEN_OUT *output, int32_t len, int32_t value)
{
    for (int32_t i = 0; i < len; i++) {
        output[i] = (MCUGEN_OUT)value;
    }
    return &output[len];
}

/**
 * The input's rows with the value around them, written from front to back.
 *
 * @param[in]  p      Sizes and the value.
 * @param[in]  input  Integers [planes, rows, len].
 * @param[out] output Integers; must not overlap the input.
 */
static inline void MCUGEN_TYPED(mcugen_pad)(const MCUGEN_TYPED_PARAMS(mcugen_pad) * p,
                                            const MCUGEN_IN *input, MCUGEN_OUT *output)
{
    output = MCUGEN_TYPED(mcugen_fill)(output, p->head, p->value);
    for (int32_t i = 0; i < p->planes; i++) {
        for (int32_t j = 0; j < p->rows; j++) {
            for (int32_t k = 0; k < p->len; k++) {
                output[k] = input[k];
            }
            input += p->len;
            output += p->len;
            if (j < (p->rows - 1)) {
                output = MCUGEN_TYPED(mcugen_fill)(output, p->row_gap, p->value);
            }
        }
        if (i < (p->planes - 1)) {
            output = MCUGEN_TYPED(mcugen_fill)(output, p->plane_gap, p->value);
        }
    }
    (void)MCUGEN_TYPED(mcugen_fill)(output, p->tail, p->value);
}

#endif
