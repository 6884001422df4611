/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file mcugen_pool.h
 * @brief Maximum and average pooling of int8 images [H, W, C]: padded, dilated, adaptive.
 *
 * Windows are clipped to the image: padding takes no part in a maximum and adds nothing to a sum.
 */
#ifndef MCUGEN_POOL_H_INCLUDED
#define MCUGEN_POOL_H_INCLUDED

#include "mcugen_dsp_bytes.h"

#ifdef __cplusplus
extern "C" {
#endif

/**
 * The windows along one axis. Window i covers every dilation-th position from
 * floor(i * step / parts) - pad up to, not including, floor((i * step + span) / parts) - pad.
 */
typedef struct {
    int32_t in_len;
    int32_t out_len;
    int32_t step;
    int32_t span;
    int32_t parts;
    int32_t pad;
    int32_t dilation;
} mcugen_axis_windows_t;

/** The positions that one window reads: from first, by the dilation, below end. */
typedef struct {
    int32_t first;
    int32_t end;
} mcugen_extent_t;

typedef struct {
    mcugen_axis_windows_t rows;
    mcugen_axis_windows_t cols;
    int32_t ch;
} mcugen_max_pool_s8_params_t;

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
} mcugen_avg_pool_s8_params_t;

/** numerator / denominator, at little cost where that is 1: not every core can divide. */
static inline int32_t mcugen_window_quotient(int32_t numerator, int32_t denominator)
{
    return (denominator == 1) ? numerator : (numerator / denominator);
}

/** Window i along one axis, clipped to the axis. */
static inline mcugen_extent_t mcugen_window_extent(const mcugen_axis_windows_t *axis, int32_t i)
{
    const int32_t start = i * axis->step;
    mcugen_extent_t extent;

    extent.first = mcugen_window_quotient(start, axis->parts) - axis->pad;
    extent.end = mcugen_window_quotient(start + axis->span, axis->parts) - axis->pad;
    while (extent.first < 0) {
        extent.first += axis->dilation;
    }
    if (extent.end > axis->in_len) {
        extent.end = axis->in_len;
    }
    return extent;
}

/** The larger of two values. */
static inline int8_t mcugen_max(int8_t a, int8_t b)
{
    return (a > b) ? a : b;
}

/** output[c] = the largest of four pixels' values; pixels may be the same, or the output. */
static MCUGEN_NOINLINE MCUGEN_UNUSED void mcugen_max_of_four(int8_t *output,
                                                             const int8_t *const *pixel, int32_t ch)
{
    const int8_t *a = pixel[0];
    const int8_t *b = pixel[1];
    const int8_t *c = pixel[2];
    const int8_t *d = pixel[3];
    int32_t i = 0;

#if defined(__ARM_FEATURE_DSP)
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
        output[i] = mcugen_max(mcugen_max(a[i], b[i]), mcugen_max(c[i], d[i]));
    }
}

/** One window of a maximum pooling: its pixels four at a time, the maximum so far being one. */
static inline void mcugen_max_of_window(const mcugen_max_pool_s8_params_t *p, const int8_t *input,
                                        mcugen_extent_t rows, mcugen_extent_t cols, int8_t *output)
{
    const int8_t *pixel[4] = {input, input, input, input};
    int32_t count = 0;

    for (int32_t y = rows.first; y < rows.end; y += p->rows.dilation) {
        for (int32_t x = cols.first; x < cols.end; x += p->cols.dilation) {
            if (count == 4) {
                mcugen_max_of_four(output, pixel, p->ch);
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
    mcugen_max_of_four(output, pixel, p->ch);
}

/**
 * Maximum pooling.
 *
 * @param[in]  p      Windows and channels.
 * @param[in]  input  int8 [in_h, in_w, ch].
 * @param[out] output int8 [out_h, out_w, ch]; may lie on pixels that no window reads any more.
 */
static inline void mcugen_max_pool_s8(const mcugen_max_pool_s8_params_t *p, const int8_t *input,
                                      int8_t *output)
{
    for (int32_t i = 0; i < p->rows.out_len; i++) {
        const mcugen_extent_t rows = mcugen_window_extent(&p->rows, i);
        for (int32_t j = 0; j < p->cols.out_len; j++) {
            const mcugen_extent_t cols = mcugen_window_extent(&p->cols, j);
            mcugen_max_of_window(p, input, rows, cols, output);
            output += p->ch;
        }
    }
}

/**
 * Sum of one channel over a window.
 *
 * @param[in] input First value of the window in that channel.
 * @param[in] h     Rows of the window, `row` bytes apart.
 * @param[in] w     Columns of the window, `ch` bytes apart.
 */
static inline int32_t mcugen_window_sum(const int8_t *input, int32_t h, int32_t w, int32_t row,
                                        int32_t ch)
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
 * @param[in]  input  int8 [in_h, in_w, ch].
 * @param[out] output int8 [out_h, out_w, ch]; may lie on pixels that no window reads any more.
 */
static inline void mcugen_avg_pool_s8(const mcugen_avg_pool_s8_params_t *p, const int8_t *input,
                                      int8_t *output)
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
            const int8_t *window = &input[(rows.first * row) + (cols.first * p->ch)];
            for (int32_t c = 0; c < p->ch; c++) {
                const int32_t acc = mcugen_window_sum(&window[c], h, w, row, p->ch) - offset;
                *output = mcugen_requantize(acc, p->multiplier[place], p->shift[place],
                                            p->double_rounding, p->zero_point, p->low, p->high);
                output++;
            }
        }
    }
}

#ifdef __cplusplus
}
#endif

#endif /* MCUGEN_POOL_H_INCLUDED */
