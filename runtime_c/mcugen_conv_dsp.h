/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file mcugen_conv_dsp.h
 * @brief Dense convolution for cores with the DSP extension: two pixels times four channels.
 *
 * The windows of two output pixels are laid into columns, from which the block for the width of
 * the weights computes all channels: mcugen_conv_block_dsp.h, mcugen_conv_narrow_dsp.h.
 */
#ifndef MCUGEN_CONV_DSP_H_INCLUDED
#define MCUGEN_CONV_DSP_H_INCLUDED

#include "mcugen_conv_block_dsp.h"
#include "mcugen_conv_narrow_dsp.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct {
    int32_t pixels;
    int32_t in_ch;
    int32_t out_ch;
    int32_t pairs;          /* pairs of values in a column */
    const uint32_t *packed; /* [ceil(out_ch / 4), words of a quad] */
    int32_t zero_point;
    int32_t low;
    int32_t high;
} mcugen_conv_1x1_s8_dsp_params_t;

typedef struct {
    int32_t in_h;
    int32_t in_w;
    int32_t in_ch;
    int32_t out_h;
    int32_t out_w;
    int32_t out_ch;
    int32_t kernel_h;
    int32_t kernel_w;
    int32_t stride_h;
    int32_t stride_w;
    int32_t dilation_h;
    int32_t dilation_w;
    int32_t pad_top;
    int32_t pad_left;
    int32_t pad_value;
    int32_t first_y; /* windows of rows first_y to last_y - 1 and columns first_x to last_x - 1 */
    int32_t last_y;  /* lie in the input, row by row in one piece */
    int32_t first_x;
    int32_t last_x;
    int32_t row_len;        /* bytes in a row of a window, up to the next multiple of 4 */
    int32_t pairs;          /* pairs of values in a column */
    const uint32_t *packed; /* [ceil(out_ch / 4), words of a quad] */
    const int32_t *bias;    /* [row classes, col_classes, quads, 4], null where it is in `packed` */
    const uint16_t *row_class; /* [out_h], null likewise */
    const uint16_t *col_class; /* [out_w], null likewise */
    int32_t col_classes;
    int32_t zero_point;
    int32_t low;
    int32_t high;
} mcugen_conv_s8_dsp_params_t;

/* The same for weights of 4 and 2 bits; of those pairs are even in number, the last maybe zero. */
typedef mcugen_conv_1x1_s8_dsp_params_t mcugen_conv_1x1_s8_dsp_w4_params_t;
typedef mcugen_conv_1x1_s8_dsp_params_t mcugen_conv_1x1_s8_dsp_w2_params_t;
typedef mcugen_conv_s8_dsp_params_t mcugen_conv_s8_dsp_w4_params_t;
typedef mcugen_conv_s8_dsp_params_t mcugen_conv_s8_dsp_w2_params_t;

/** All channels of two pixels, as mcugen_dsp_block, for weights of `bits` bits. */
static MCUGEN_ALWAYS_INLINE void mcugen_dsp_block_of(int32_t bits, const mcugen_dsp_block_t *block,
                                                     int8_t *output, int32_t pixel_stride)
{
    if (bits == 4) {
        mcugen_narrow_block_4(block, output, pixel_stride);
    } else if (bits == 2) {
        mcugen_narrow_block_2(block, output, pixel_stride);
    } else {
        mcugen_dsp_block(block, output, pixel_stride);
    }
}

/**
 * Convolution of single pixels without padding or stride, and fully connected layers of many rows.
 *
 * @param[in]  bits    Of a weight: 8, 4 or 2.
 * @param[in]  p       Sizes, weights and requantization.
 * @param[in]  input   int8 [pixels, in_ch].
 * @param[out] output  int8 [pixels, out_ch]; may overlap the input as far as two pixels are read
 *                     before their outputs are written.
 * @param[out] scratch 8 * pairs bytes, aligned to 4.
 */
static MCUGEN_ALWAYS_INLINE void mcugen_dsp_conv_1x1(int32_t bits,
                                                     const mcugen_conv_1x1_s8_dsp_params_t *p,
                                                     const int8_t *input, int8_t *output,
                                                     int8_t *scratch)
{
    int16_t *columns = (int16_t *)(void *)scratch;
    int8_t *const start = output;
    const mcugen_dsp_block_t block = {
        p->packed, columns, p->out_ch, p->pairs, (2 * p->zero_point) + 1, {NULL, NULL}};

    for (int32_t pixel = 0; pixel < p->pixels; pixel += 2) {
        const int32_t second = ((p->pixels - pixel) > 1) ? 1 : 0;
        mcugen_dsp_expand(input, &input[second * p->in_ch], p->in_ch, columns, 1, 0, 0);
        mcugen_dsp_block_of(bits, &block, output, second * p->out_ch);
        input += 2 * p->in_ch;
        output += 2 * p->out_ch;
    }
    mcugen_dsp_clamp(start, p->pixels * p->out_ch, p->low, p->high);
}

/** Values of one row of a window; `target` holds padding. */
static inline void mcugen_dsp_gather_row(const mcugen_conv_s8_dsp_params_t *p, const int8_t *input,
                                         int32_t y, int32_t x, int8_t *target)
{
    const int8_t *source = &input[y * p->in_w * p->in_ch];

    if (p->dilation_w == 1) {
        const int32_t first = (x < 0) ? -x : 0;
        const int32_t last = ((x + p->kernel_w) <= p->in_w) ? p->kernel_w : (p->in_w - x);
        if (first < last) {
            mcugen_dsp_copy(&target[first * p->in_ch], &source[(x + first) * p->in_ch],
                            (last - first) * p->in_ch);
        }
        return;
    }
    for (int32_t j = 0; j < p->kernel_w; j++) {
        const int32_t in_x = x + (j * p->dilation_w);
        if ((in_x >= 0) && (in_x < p->in_w)) {
            mcugen_dsp_copy(&target[j * p->in_ch], &source[in_x * p->in_ch], p->in_ch);
        }
    }
}

/**
 * The window of one pixel of the output, wherever it lies.
 *
 * @param[in]  p      Geometry.
 * @param[in]  input  int8 [in_h, in_w, in_ch].
 * @param[in]  y      Place of the pixel.
 * @param[in]  x      Likewise.
 * @param[out] target int8 [kernel_h, row_len].
 */
static MCUGEN_NOINLINE MCUGEN_UNUSED void mcugen_dsp_gather(const mcugen_conv_s8_dsp_params_t *p,
                                                            const int8_t *input, int32_t y,
                                                            int32_t x, int8_t *target)
{
    int32_t in_y = (y * p->stride_h) - p->pad_top;

    mcugen_dsp_fill(target, p->pad_value, p->kernel_h * p->row_len);
    for (int32_t i = 0; i < p->kernel_h; i++) {
        if ((in_y >= 0) && (in_y < p->in_h)) {
            mcugen_dsp_gather_row(p, input, in_y, (x * p->stride_w) - p->pad_left, target);
        }
        in_y += p->dilation_h;
        target += p->row_len;
    }
}

/** The window of the pixel at (y, x) of the output lies in the input, row by row in one piece. */
static inline int32_t mcugen_dsp_is_inner(const mcugen_conv_s8_dsp_params_t *p, int32_t y,
                                          int32_t x)
{
    return ((y >= p->first_y) && (y < p->last_y) && (x >= p->first_x) && (x < p->last_x)) ? 1 : 0;
}

/** The first value of that window. */
static inline const int8_t *mcugen_dsp_window(const mcugen_conv_s8_dsp_params_t *p,
                                              const int8_t *input, int32_t y, int32_t x)
{
    const int32_t in_y = (y * p->stride_h) - p->pad_top;

    return &input[((in_y * p->in_w) + (x * p->stride_w) - p->pad_left) * p->in_ch];
}

/** The biases of the pixel at (y, x) of the output. */
static inline const int32_t *mcugen_dsp_bias(const mcugen_conv_s8_dsp_params_t *p, int32_t y,
                                             int32_t x)
{
    const int32_t channels = (p->out_ch + MCUGEN_DSP_QUAD - 1) & ~(MCUGEN_DSP_QUAD - 1);

    return &p->bias[((p->row_class[y] * p->col_classes) + p->col_class[x]) * channels];
}

/**
 * Convolution.
 *
 * @param[in]  bits    Of a weight: 8, 4 or 2.
 * @param[in]  p       Geometry, weights and requantization.
 * @param[in]  input   int8 [in_h, in_w, in_ch].
 * @param[out] output  int8 [out_h, out_w, out_ch]; may overlap the input as far as the windows of
 *                     two pixels are read before their outputs are written.
 * @param[out] scratch 8 * pairs + 2 * kernel_h * row_len bytes, aligned to 4; none of the
 *                     latter where all windows lie in the input in one piece.
 */
static MCUGEN_ALWAYS_INLINE void mcugen_dsp_conv(int32_t bits, const mcugen_conv_s8_dsp_params_t *p,
                                                 const int8_t *input, int8_t *output,
                                                 int8_t *scratch)
{
    mcugen_dsp_block_t block = {p->packed, (const int16_t *)(void *)scratch, p->out_ch,
                                p->pairs,  (2 * p->zero_point) + 1,          {NULL, NULL}};
    const int32_t pixels = p->out_h * p->out_w;
    const int32_t step = p->dilation_h * p->in_w * p->in_ch;
    int8_t *rows = &scratch[8 * p->pairs];
    int8_t *const start = output;
    int32_t y = 0;
    int32_t x = 0;

    for (int32_t left = pixels; left > 0; left -= 2) {
        const int32_t second = (left > 1) ? 1 : 0;
        int32_t next_y = y;
        int32_t next_x = x + second;
        if (next_x == p->out_w) {
            next_x = 0;
            next_y++;
        }
        const int8_t *a = rows;
        const int8_t *b = &rows[p->kernel_h * p->row_len];
        int32_t a_step = p->row_len;
        int32_t b_step = p->row_len;
        if (mcugen_dsp_is_inner(p, y, x) != 0) {
            a = mcugen_dsp_window(p, input, y, x);
            a_step = step;
        } else {
            mcugen_dsp_gather(p, input, y, x, rows);
        }
        if (mcugen_dsp_is_inner(p, next_y, next_x) != 0) {
            b = mcugen_dsp_window(p, input, next_y, next_x);
            b_step = step;
        } else {
            mcugen_dsp_gather(p, input, next_y, next_x, &rows[p->kernel_h * p->row_len]);
        }
        mcugen_dsp_expand(a, b, p->kernel_w * p->in_ch, (int16_t *)(void *)scratch, p->kernel_h,
                          a_step, b_step);
        if (p->bias != NULL) {
            block.bias[0] = mcugen_dsp_bias(p, y, x);
            block.bias[1] = mcugen_dsp_bias(p, next_y, next_x);
        }
        mcugen_dsp_block_of(bits, &block, output, second * p->out_ch);
        output += 2 * p->out_ch;
        y = next_y;
        x = next_x + 1;
        if (x == p->out_w) {
            x = 0;
            y++;
        }
    }
    mcugen_dsp_clamp(start, pixels * p->out_ch, p->low, p->high);
}

/** mcugen_dsp_conv_1x1. */
static MCUGEN_NOINLINE MCUGEN_UNUSED void
mcugen_conv_1x1_s8_dsp(const mcugen_conv_1x1_s8_dsp_params_t *p, const int8_t *input,
                       int8_t *output, int8_t *scratch)
{
    mcugen_dsp_conv_1x1(8, p, input, output, scratch);
}

/** mcugen_dsp_conv_1x1 with weights of 4 bits. */
static MCUGEN_NOINLINE MCUGEN_UNUSED void
mcugen_conv_1x1_s8_dsp_w4(const mcugen_conv_1x1_s8_dsp_w4_params_t *p, const int8_t *input,
                          int8_t *output, int8_t *scratch)
{
    mcugen_dsp_conv_1x1(4, p, input, output, scratch);
}

/** mcugen_dsp_conv_1x1 with weights of 2 bits. */
static MCUGEN_NOINLINE MCUGEN_UNUSED void
mcugen_conv_1x1_s8_dsp_w2(const mcugen_conv_1x1_s8_dsp_w2_params_t *p, const int8_t *input,
                          int8_t *output, int8_t *scratch)
{
    mcugen_dsp_conv_1x1(2, p, input, output, scratch);
}

/** mcugen_dsp_conv. */
static MCUGEN_NOINLINE MCUGEN_UNUSED void mcugen_conv_s8_dsp(const mcugen_conv_s8_dsp_params_t *p,
                                                             const int8_t *input, int8_t *output,
                                                             int8_t *scratch)
{
    mcugen_dsp_conv(8, p, input, output, scratch);
}

/** mcugen_dsp_conv with weights of 4 bits. */
static MCUGEN_NOINLINE MCUGEN_UNUSED void
mcugen_conv_s8_dsp_w4(const mcugen_conv_s8_dsp_w4_params_t *p, const int8_t *input, int8_t *output,
                      int8_t *scratch)
{
    mcugen_dsp_conv(4, p, input, output, scratch);
}

/** mcugen_dsp_conv with weights of 2 bits. */
static MCUGEN_NOINLINE MCUGEN_UNUSED void
mcugen_conv_s8_dsp_w2(const mcugen_conv_s8_dsp_w2_params_t *p, const int8_t *input, int8_t *output,
                      int8_t *scratch)
{
    mcugen_dsp_conv(2, p, input, output, scratch);
}

#ifdef __cplusplus
}
#endif

#endif /* MCUGEN_CONV_DSP_H_INCLUDED */
