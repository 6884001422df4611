/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file mcugen_max_pool_typed.h
 * @brief Kernels of mcugen_pool.h, for the integers that mcugen_types.h has chosen.
 */
#ifdef MCUGEN_TYPED

typedef struct {
    mcugen_axis_windows_t rows;
    mcugen_axis_windows_t cols;
    int32_t ch;
} MCUGEN_TYPED_PARAMS(mcugen_max_pool);

/** The larger of two values. */
static inline MCUGEN_IN MCUGEN_TYPED(mcugen_max)(MCUGEN_IN a, MCUGEN_IN b)
{
    return (a > b) ? a : b;
}

/** output[c] = the largest of four pixels' values; pixels may be the same, or the output. */
static MCUGEN_NOINLINE MCUGEN_UNUSED void
MCUGEN_TYPED(mcugen_max_of_four)(MCUGEN_OUT *output, const MCUGEN_IN *const *pixel, int32_t ch)
{
    const MCUGEN_IN *a = pixel[0];
    const MCUGEN_IN *b = pixel[1];
    const MCUGEN_IN *c = pixel[2];
    const MCUGEN_IN *d = pixel[3];
    int32_t i = 0;

#if defined(__ARM_FEATURE_DSP) && (MCUGEN_OPERAND_BYTES == 1)
    for (; i < (ch - 3); i += 4) {
        const uint32_t word_a = mcugen_load_bytes(&a[i]);
        const uint32_t word_b = mcugen_load_bytes(&b[i]);
        const uint32_t word_c = mcugen_load_bytes(&c[i]);
        const uint32_t word_d = mcugen_load_bytes(&d[i]);
        mcugen_store_bytes(&output[i], mcugen_max_bytes(mcugen_max_bytes(word_a, word_b),
                                                        mcugen_max_bytes(word_c, word_d)));
    }
#endif
    for (; i < ch; i++) {
        output[i] = MCUGEN_TYPED(mcugen_max)(MCUGEN_TYPED(mcugen_max)(a[i], b[i]),
                                             MCUGEN_TYPED(mcugen_max)(c[i], d[i]));
    }
}

/** One window of a maximum pooling: its pixels four at a time, the maximum so far being one. */
static inline void MCUGEN_TYPED(mcugen_max_of_window)(const MCUGEN_TYPED_PARAMS(mcugen_max_pool) *
                                                          p,
                                                      const MCUGEN_IN *input, mcugen_extent_t rows,
                                                      mcugen_extent_t cols, MCUGEN_OUT *output)
{
    const MCUGEN_IN *pixel[4] = {input, input, input, input};
    int32_t count = 0;

    for (int32_t y = rows.first; y < rows.end; y += p->rows.dilation) {
        for (int32_t x = cols.first; x < cols.end; x += p->cols.dilation) {
            if (count == 4) {
                MCUGEN_TYPED(mcugen_max_of_four)(output, pixel, p->ch);
                pixel[0] = output;
                count = 1;
            }
            pixel[count] = &input[((y * p->cols.in_len) + x) * p->ch];
            count++;
        }
    }
    for (int32_t i = count; i < 4; i++) {
        pixel[i] = pixel[0];
    }
    MCUGEN_TYPED(mcugen_max_of_four)(output, pixel, p->ch);
}

/**
 * Maximum pooling.
 *
 * @param[in]  p      Windows and channels.
 * @param[in]  input  Integers [in_h, in_w, ch].
 * @param[out] output Integers [out_h, out_w, ch]; may lie on pixels that no window reads any more.
 */
static inline void MCUGEN_TYPED(mcugen_max_pool)(const MCUGEN_TYPED_PARAMS(mcugen_max_pool) * p,
                                                 const MCUGEN_IN *input, MCUGEN_OUT *output)
{
    for (int32_t i = 0; i < p->rows.out_len; i++) {
        const mcugen_extent_t rows = mcugen_window_extent(&p->rows, i);
        for (int32_t j = 0; j < p->cols.out_len; j++) {
            const mcugen_extent_t cols = mcugen_window_extent(&p->cols, j);
            MCUGEN_TYPED(mcugen_max_of_window)(p, input, rows, cols, output);
            output += p->ch;
        }
    }
}

#endif
