/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file mcugen_avg_pool_typed.h
 * @brief Kernels of mcugen_pool.h, for the integers that mcugen_types.h has chosen.
 */
#ifdef MCUGEN_TYPED

typedef struct {
    mcugen_axis_windows_t rows;
    mcugen_axis_windows_t cols;
    int32_t ch;
    int32_t in_zero_point;
    const uint8_t *row_class; /* [out_h], null where there is one class */
    const uint8_t *col_class; /* [out_w], null likewise */
    int32_t col_classes;
    const int32_t *multiplier; /* [row classes, col_classes] */
    const uint8_t *shift;      /* [row classes, col_classes] */
    int32_t zero_point;
    int32_t low;
    int32_t high;
    int32_t double_rounding;
} MCUGEN_TYPED_PARAMS(mcugen_avg_pool);

/**
 * Sum of one channel over a window.
 *
 * @param[in] input First value of the window in that channel.
 * @param[in] h     Rows of the window, `row` values apart.
 * @param[in] w     Columns of the window, `ch` values apart.
 */
static inline int32_t MCUGEN_TYPED(mcugen_window_sum)(const MCUGEN_IN *input, int32_t h, int32_t w,
                                                      int32_t row, int32_t ch)
{
    int32_t acc = 0;

    for (int32_t y = 0; y < h; y++) {
        for (int32_t x = 0; x < (w * ch); x += ch) {
            acc += input[(y * row) + x];
        }
    }
    return acc;
}

/**
 * Average pooling: y = requantize(sum of (x - in_zero_point)), the divisor in the multiplier.
 *
 * @param[in]  p      Windows, channels, divisors and requantization.
 * @param[in]  input  Integers [in_h, in_w, ch].
 * @param[out] output Integers [out_h, out_w, ch]; may lie on pixels that no window reads any more.
 */
static inline void MCUGEN_TYPED(mcugen_avg_pool)(const MCUGEN_TYPED_PARAMS(mcugen_avg_pool) * p,
                                                 const MCUGEN_IN *input, MCUGEN_OUT *output)
{
    const int32_t row = p->cols.in_len * p->ch;

    for (int32_t i = 0; i < p->rows.out_len; i++) {
        const mcugen_extent_t rows = mcugen_window_extent(&p->rows, i);
        const int32_t h = rows.end - rows.first;
        const int32_t row_class = (p->row_class != NULL) ? p->row_class[i] : 0;
        for (int32_t j = 0; j < p->cols.out_len; j++) {
            const mcugen_extent_t cols = mcugen_window_extent(&p->cols, j);
            const int32_t w = cols.end - cols.first;
            const int32_t col_class = (p->col_class != NULL) ? p->col_class[j] : 0;
            const int32_t place = (row_class * p->col_classes) + col_class;
            const int32_t offset = h * w * p->in_zero_point;
            const MCUGEN_IN *window = &input[(rows.first * row) + (cols.first * p->ch)];
            for (int32_t c = 0; c < p->ch; c++) {
                const int32_t acc =
                    MCUGEN_TYPED(mcugen_window_sum)(&window[c], h, w, row, p->ch) - offset;
                *output =
                    (MCUGEN_OUT)MCUGEN_REQUANTIZE(acc, p->multiplier[place], p->shift[place], p);
                output++;
            }
        }
    }
}

#endif
