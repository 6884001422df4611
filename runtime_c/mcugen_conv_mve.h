/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file mcugen_conv_mve.h
 * @brief Dense convolution on the M-profile Vector Extension: dot products of 16 int8 at a time.
 *
 * Input columns of one row of windows are laid one after the other, each with its kernel_h pixels
 * below each other: every window is then one run of bytes, and neighbours share all but stride_w
 * columns. Where windows are runs of the input already (1x1), they are read there.
 */
#ifndef MCUGEN_CONV_MVE_H_INCLUDED
#define MCUGEN_CONV_MVE_H_INCLUDED

#include "mcugen_mve.h"

#ifdef __cplusplus
extern "C" {
#endif

#define MCUGEN_CONV_MVE_TILE 3 /* pixels of one pass over the weights */

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
    int32_t pad_top;
    int32_t pad_left;
    int32_t pad_value;
    int32_t direct;       /* windows are runs of the input: no padding, one row each */
    int32_t steps;        /* vectors per window, the last one filled up with zero weights */
    int32_t fours;        /* output channels by four, the last ones filled up with zero weights */
    const int8_t *weight; /* [fours, steps, 4, 16], a window being [kernel_w, kernel_h, in_ch] */
    const int32_t *bias;  /* [row classes, col_classes, fours, 4] */
    const uint16_t *row_class; /* [out_h], null where the bias is the same everywhere */
    const uint16_t *col_class; /* [out_w], null likewise */
    int32_t col_classes;
    const uint8_t *spread; /* [16], places in a column of narrow pixels' bytes; null if wide */
    mcugen_mve_requantize_t requantize;
} mcugen_conv_mve_s8_params_t;

/** What the inner block works on. */
typedef struct {
    const int8_t *weight; /* [fours, steps, 4, 16] */
    const int32_t *bias;  /* [fours, 4] */
    int32_t *acc;         /* [fours, MCUGEN_CONV_MVE_TILE, 4] */
    int32_t steps;
    int32_t fours;
    const int8_t *window[MCUGEN_CONV_MVE_TILE]; /* steps * 16 bytes each */
} mcugen_conv_mve_block_t;

#if MCUGEN_HAS_MVE
/*
 * Two channels by three pixels: six accumulators, as dot products add to even registers only.
 * r1 weights, r3 r5 r7 windows, r9 bias, r11 accumulators, r12 steps; r0 to r10 even: the sums.
 */
#define MCUGEN_CONV_MVE_PAIR(low)                                                                  \
    "ldrd r0, r2, [r9], #8\n"                                                                      \
    "mov r4, r0\n"                                                                                 \
    "mov r6, r2\n"                                                                                 \
    "mov r8, r0\n"                                                                                 \
    "mov r10, r2\n"                                                                                \
    "dls lr, r12\n"                                                                                \
    "2:\n"                                                                                         \
    "vldrb.8 q1, [r1, #16]\n"                                                                      \
    "vldrb.8 q2, [r3], #16\n"                                                                      \
    "vmladava.s8 r2, q1, q2\n"                                                                     \
    "vldrb.8 q0, [r1], #64\n"                                                                      \
    "vmladava.s8 r0, q0, q2\n"                                                                     \
    "vldrb.8 q3, [r5], #16\n"                                                                      \
    "vmladava.s8 r4, q0, q3\n"                                                                     \
    "vmladava.s8 r6, q1, q3\n"                                                                     \
    "vldrb.8 q2, [r7], #16\n"                                                                      \
    "vmladava.s8 r8, q0, q2\n"                                                                     \
    "vmladava.s8 r10, q1, q2\n"                                                                    \
    "le lr, 2b\n"                                                                                  \
    "strd r0, r2, [r11, #" #low "]\n"                                                              \
    "strd r4, r6, [r11, #16 + " #low "]\n"                                                         \
    "strd r8, r10, [r11, #32 + " #low "]\n"                                                        \
    "sub r3, r3, r12, lsl #4\n"                                                                    \
    "sub r5, r5, r12, lsl #4\n"                                                                    \
    "sub r7, r7, r12, lsl #4\n"

static MCUGEN_NAKED void mcugen_conv_mve_block(const mcugen_conv_mve_block_t *block
                                               __attribute__((unused)))
{
    __asm__ __volatile__("push {r4-r11, lr}\n"
                         "ldr r1, [r0]\n"
                         "ldr r9, [r0, #4]\n"
                         "ldr r11, [r0, #8]\n"
                         "ldr r12, [r0, #12]\n"
                         "ldr r3, [r0, #20]\n"
                         "ldr r5, [r0, #24]\n"
                         "ldr r7, [r0, #28]\n"
                         "ldr r2, [r0, #16]\n"
                         "push {r2}\n"
                         "1:\n" MCUGEN_CONV_MVE_PAIR(0) "sub r1, r1, r12, lsl #6\n"
                                                        "adds r1, #32\n" MCUGEN_CONV_MVE_PAIR(
                                                            8) "subs r1, #32\n"
                                                               "adds r11, #48\n"
                                                               "ldr r0, [sp]\n"
                                                               "subs r0, #1\n"
                                                               "str r0, [sp]\n"
                                                               "bne 1b\n"
                                                               "pop {r2, r4-r11, pc}\n");
}
#else
/** The same in plain C. */
static inline void mcugen_conv_mve_block(const mcugen_conv_mve_block_t *block)
{
    const int8_t *weight = block->weight;
    int32_t *acc = block->acc;

    for (int32_t o = 0; o < (4 * block->fours); o += 4) {
        for (int32_t p = 0; p < MCUGEN_CONV_MVE_TILE; p++) {
            for (int32_t i = 0; i < 4; i++) {
                acc[(4 * p) + i] = block->bias[o + i];
            }
        }
        for (int32_t k = 0; k < (MCUGEN_VECTOR * block->steps); k += MCUGEN_VECTOR) {
            for (int32_t i = 0; i < 4; i++) {
                for (int32_t j = 0; j < MCUGEN_VECTOR; j++) {
                    for (int32_t p = 0; p < MCUGEN_CONV_MVE_TILE; p++) {
                        acc[(4 * p) + i] += weight[j] * block->window[p][k + j];
                    }
                }
                weight += MCUGEN_VECTOR;
            }
        }
        acc += 4 * MCUGEN_CONV_MVE_TILE;
    }
}
#endif

/**
 * Accumulators of one tile to its pixels.
 *
 * @param[in]  acc    int32 [fours, MCUGEN_CONV_MVE_TILE, 4].
 * @param[in]  pixels How many of the tile there are.
 * @param[out] output int8 [pixels, out_ch].
 */
static inline void mcugen_conv_mve_store(const mcugen_conv_mve_s8_params_t *p, const int32_t *acc,
                                         int32_t pixels, int8_t *output)
{
#if MCUGEN_HAS_MVE
    const int32x4_t low = vdupq_n_s32(p->requantize.low);
    const int32x4_t high = vdupq_n_s32(p->requantize.high);
    const int32_t zero_point = p->requantize.zero_point;
    const int32_t *multiplier = p->requantize.multiplier;
    const int8_t *shift = p->requantize.shift;
    const int32_t out_ch = p->out_ch;
    int8_t *const second = &output[(pixels > 1) ? out_ch : 0];
    int8_t *const third = &output[(pixels > 2) ? (2 * out_ch) : 0];

    /* pixels that are not there are stored first, under those that are */
    for (int32_t o = 0; o < out_ch; o += 4) {
        const mve_pred16_t some = vctp32q((uint32_t)(out_ch - o));
        const int32x4_t factor = vldrwq_s32(multiplier);
        const int32x4_t right = vldrbq_s32(shift);
        vstrbq_p_s32(
            &third[o],
            mcugen_mve_requantize(vldrwq_s32(&acc[8]), factor, right, zero_point, low, high), some);
        vstrbq_p_s32(
            &second[o],
            mcugen_mve_requantize(vldrwq_s32(&acc[4]), factor, right, zero_point, low, high), some);
        vstrbq_p_s32(&output[o],
                     mcugen_mve_requantize(vldrwq_s32(acc), factor, right, zero_point, low, high),
                     some);
        acc += 4 * MCUGEN_CONV_MVE_TILE;
        multiplier += 4;
        shift += 4;
    }
#else
    for (int32_t i = 0; i < pixels; i++) {
        for (int32_t o = 0; o < p->out_ch; o++) {
            const int32_t place = (((o / 4) * MCUGEN_CONV_MVE_TILE) + i) * 4;
            output[(i * p->out_ch) + o] =
                mcugen_mve_requantize_one(&p->requantize, acc[place + (o % 4)], o);
        }
    }
#endif
}

/** Lay one row of the input, or padding, into the columns: pixel i at target[i * step]. */
static inline void mcugen_conv_mve_lay_row(const mcugen_conv_mve_s8_params_t *p, const int8_t *row,
                                           int8_t *target, int32_t pixels, int32_t step)
{
#if MCUGEN_HAS_MVE
    const int32_t ch = p->in_ch;

    if (p->spread != NULL) {
        /* several narrow pixels at once */
        const int32_t once = MCUGEN_VECTOR / ch;
        const uint8x16_t places = vldrbq_u8(p->spread);
        for (int32_t left = pixels * ch; left > 0; left -= once * ch) {
            const mve_pred16_t some = vctp8q((uint32_t)((left < (once * ch)) ? left : (once * ch)));
            vstrbq_scatter_offset_p_s8(target, places, vldrbq_z_s8(row, some), some);
            row += once * ch;
            target += once * step;
        }
        return;
    }
    for (int32_t c = 0; c < ch; c += MCUGEN_VECTOR) {
        const mve_pred16_t some = vctp8q((uint32_t)(ch - c));
        const int8_t *source = &row[c];
        int8_t *place = &target[c];
        for (int32_t i = pixels; i > 0; i--) {
            vstrbq_p_s8(place, vldrbq_z_s8(source, some), some);
            source += ch;
            place += step;
        }
    }
#else
    for (int32_t i = 0; i < pixels; i++) {
        mcugen_mve_copy(&target[i * step], &row[i * p->in_ch], p->in_ch);
    }
#endif
}

/** Lay the columns of one row of windows; the padding at their left and right is there already. */
static inline void mcugen_conv_mve_lay(const mcugen_conv_mve_s8_params_t *p, const int8_t *input,
                                       int32_t y, int8_t *columns)
{
    const int32_t step = p->kernel_h * p->in_ch;
    const int32_t span = ((p->out_w - 1) * p->stride_w) + p->kernel_w - p->pad_left;
    const int32_t pixels = (span < p->in_w) ? span : p->in_w;
    int8_t *target = &columns[p->pad_left * step];

    for (int32_t i = 0; i < p->kernel_h; i++) {
        const int32_t in_y = (y * p->stride_h) - p->pad_top + (i * p->dilation_h);
        if ((in_y < 0) || (in_y >= p->in_h)) {
            for (int32_t x = 0; x < pixels; x++) {
                mcugen_mve_fill(&target[x * step], p->pad_value, p->in_ch);
            }
        } else {
            mcugen_conv_mve_lay_row(p, &input[in_y * p->in_w * p->in_ch], target, pixels, step);
        }
        target += p->in_ch;
    }
}

/** How many pixels from x on one tile takes: those that share their biases. */
static inline int32_t mcugen_conv_mve_tile(const mcugen_conv_mve_s8_params_t *p, int32_t x)
{
    const int32_t left = p->out_w - x;
    const int32_t most = (left < MCUGEN_CONV_MVE_TILE) ? left : MCUGEN_CONV_MVE_TILE;
    int32_t pixels = 1;

    if (p->col_class == NULL) {
        return most;
    }
    while ((pixels < most) && (p->col_class[x + pixels] == p->col_class[x])) {
        pixels++;
    }
    return pixels;
}

/**
 * Point at the windows of a tile. The last vector of a window may reach into what follows, where
 * it meets zero weights; windows at the end of the input are copied to where that is allowed.
 */
static inline void mcugen_conv_mve_point(const mcugen_conv_mve_s8_params_t *p,
                                         mcugen_conv_mve_block_t *block, const int8_t *first,
                                         int32_t pixels, const int8_t *end, int8_t *copies)
{
    const int32_t window_len = p->kernel_w * p->kernel_h * p->in_ch;
    const int32_t vectors_len = MCUGEN_VECTOR * p->steps;
    const int32_t step = p->stride_w * p->kernel_h * p->in_ch;

    for (int32_t i = 0; i < MCUGEN_CONV_MVE_TILE; i++) {
        block->window[i] = first;
        if (vectors_len > (int32_t)(end - first)) {
            mcugen_mve_copy(copies, first, window_len);
            block->window[i] = copies;
            copies += vectors_len;
        }
        first += (i < (pixels - 1)) ? step : 0;
    }
}

/**
 * Convolution with undivided channels and no dilation along the width.
 *
 * @param[in]  p       Geometry, weights and requantization.
 * @param[in]  input   int8 [in_h, in_w, in_ch].
 * @param[out] output  int8 [out_h, out_w, out_ch].
 * @param      scratch int32 [fours, MCUGEN_CONV_MVE_TILE, 4] of sums, then the columns of one row
 *                     of windows and a vector more, or MCUGEN_CONV_MVE_TILE windows if direct.
 */
MCUGEN_KERNEL void mcugen_conv_mve_s8(const mcugen_conv_mve_s8_params_t *p, const int8_t *input,
                                      int8_t *output, int8_t *scratch)
{
    const int32_t sums_len = 4 * 4 * MCUGEN_CONV_MVE_TILE * p->fours;
    const int32_t column_len = p->kernel_h * p->in_ch;
    const int32_t columns = ((p->out_w - 1) * p->stride_w) + p->kernel_w;
    int8_t *const lines = &scratch[sums_len];
    const int8_t *end = &input[p->in_h * p->in_w * p->in_ch];
    mcugen_conv_mve_block_t block;

    block.weight = p->weight;
    block.acc = (int32_t *)(void *)scratch;
    block.steps = p->steps;
    block.fours = p->fours;
    if (p->direct == 0) {
        mcugen_mve_fill(lines, p->pad_value, (columns * column_len) + MCUGEN_VECTOR);
        end = &lines[(columns * column_len) + MCUGEN_VECTOR];
    }
    for (int32_t y = 0; y < p->out_h; y++) {
        const int8_t *row = &input[y * p->stride_h * p->in_w * p->in_ch];
        if (p->direct == 0) {
            mcugen_conv_mve_lay(p, input, y, lines);
            row = lines;
        }
        for (int32_t x = 0; x < p->out_w;) {
            const int32_t pixels = mcugen_conv_mve_tile(p, x);
            block.bias = p->bias;
            if (p->col_class != NULL) {
                const int32_t place = (p->row_class[y] * p->col_classes) + p->col_class[x];
                block.bias = &p->bias[place * 4 * p->fours];
            }
            mcugen_conv_mve_point(p, &block, &row[x * p->stride_w * column_len], pixels, end,
                                  lines);
            mcugen_conv_mve_block(&block);
            mcugen_conv_mve_store(p, block.acc, pixels, output);
            output += pixels * p->out_ch;
            x += pixels;
        }
    }
}

#ifdef __cplusplus
}
#endif

#endif /* MCUGEN_CONV_MVE_H_INCLUDED */
