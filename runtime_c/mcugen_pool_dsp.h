/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file mcugen_pool_dsp.h
 * @brief Average pooling of four channels at a time for cores with the DSP extension.
 */
#ifndef MCUGEN_POOL_DSP_H_INCLUDED
#define MCUGEN_POOL_DSP_H_INCLUDED

#include "mcugen_pool.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef mcugen_avg_pool_s8_params_t mcugen_avg_pool_s8_dsp_params_t;

/** One mean of its sum, that of a window of class `place`; a function, as several places call it. */
static MCUGEN_NOINLINE MCUGEN_UNUSED int8_t mcugen_avg_scale(const mcugen_avg_pool_s8_params_t *p,
                                                             int32_t acc, int32_t place)
{
    const int32_t scaled = mcugen_scale_single(acc, p->multiplier[place], p->shift[place]);

    return (int8_t)mcugen_clamp(scaled + p->zero_point, p->low, p->high);
}

/**
 * Means of all channels of one window.
 *
 * @param[in]  window First pixel.
 * @param[in]  place  Class of the window.
 */
static inline void mcugen_avg_of_window(const mcugen_avg_pool_s8_params_t *p, const int8_t *window,
                                        int32_t h, int32_t w, int32_t place, int8_t *output)
{
    const int32_t ch = p->ch;
    const int32_t row = p->cols.in_len * ch;
    const int32_t bias = -(h * w * p->in_zero_point);

    for (int32_t c = 0; c < ch; c += 4) {
        /* of the last four some may be stored already */
        const int32_t first = ((c + 4) <= ch) ? c : (ch - 4);
        int32_t acc[4] = {bias, bias, bias, bias};
        for (int32_t y = 0; y < h; y++) {
            mcugen_sum_bytes(&window[first + (y * row)], ch, w, acc);
        }
        for (int32_t k = c - first; k < 4; k++) {
            output[first + k] = mcugen_avg_scale(p, acc[k], place);
        }
    }
}

/**
 * Average pooling: y = requantize(sum of (x - in_zero_point)), the divisor in the multiplier;
 * in one rounding.
 *
 * @param[in]  p      Windows, channels (at least 4), divisors and requantization.
 * @param[in]  input  int8 [in_h, in_w, ch].
 * @param[out] output int8 [out_h, out_w, ch]; may lie on pixels that no later window reads.
 */
static MCUGEN_NOINLINE MCUGEN_UNUSED void
mcugen_avg_pool_s8_dsp(const mcugen_avg_pool_s8_dsp_params_t *p, const int8_t *input,
                       int8_t *output)
{
    for (int32_t i = 0; i < p->rows.out_len; i++) {
        const mcugen_extent_t rows = mcugen_window_extent(&p->rows, i);
        const int32_t row_class = (p->row_class != NULL) ? p->row_class[i] : 0;
        for (int32_t j = 0; j < p->cols.out_len; j++) {
            const mcugen_extent_t cols = mcugen_window_extent(&p->cols, j);
            const int32_t col_class = (p->col_class != NULL) ? p->col_class[j] : 0;
            mcugen_avg_of_window(p, &input[((rows.first * p->cols.in_len) + cols.first) * p->ch],
                                 rows.end - rows.first, cols.end - cols.first,
                                 (row_class * p->col_classes) + col_class, output);
            output += p->ch;
        }
    }
}

#ifdef __cplusplus
}
#endif

#endif /* MCUGEN_POOL_DSP_H_INCLUDED */
