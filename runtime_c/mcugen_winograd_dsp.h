/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file mcugen_winograd_dsp.h
 * @brief 3x3 convolution of stride 1 by Winograd's minimal filtering, for the DSP extension.
 *
 * F(2x2, 3x3): a tile of 2x2 outputs takes 16 products of each input channel instead of 36. Input
 * patches and weights are transformed in exact integers; the weights' transform is scaled by 4,
 * which the last shift takes out again, so the result is that of the plain sum, to the bit. Two
 * tiles side by side are computed at once, four output channels at a time.
 * Source: Lavin and Gray, "Fast Algorithms for Convolutional Neural Networks", 2015, section 4.1.
 */
#ifndef MCUGEN_WINOGRAD_DSP_H_INCLUDED
#define MCUGEN_WINOGRAD_DSP_H_INCLUDED

#include "mcugen_dsp.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct {
    int32_t in_h;
    int32_t in_w;
    int32_t in_ch; /* a multiple of 16 */
    int32_t out_h;
    int32_t out_w;
    int32_t out_ch; /* a multiple of 4 */
    int32_t pad_top;
    int32_t pad_left;
    int32_t pad_value;
    const uint32_t *weight; /* [out_ch / 4, 16, in_ch / 2, 4], two channels of input each */
    const int32_t *scale;   /* [out_ch / 4, 3, 4]: 4 * bias, multiplier, shift less one */
    int32_t zero_point;
    int32_t low;
    int32_t high;
} mcugen_winograd_s8_dsp_params_t;

#define MCUGEN_WINOGRAD_PLACES 16 /* products of a tile */
#define MCUGEN_WINOGRAD_SUMS 8    /* four channels of two tiles */
#define MCUGEN_WINOGRAD_COLS 6    /* columns of the patch that two tiles read */

#if defined(__ARM_FEATURE_DSP)

/* Products of one pair of channels: weights at the byte `at` behind r0, tiles at half that, r1. */
#define MCUGEN_WINOGRAD_PAIR(multiply, r4, r5, r6, r7, r8, r9, r10, r11)                           \
    "ldr.n r2, [r0, #\\at]\n"                                                                      \
    "ldr.n r3, [r0, #\\at + 4]\n"                                                                  \
    "ldr.w r12, [r1, #\\at / 2]\n"                                                                 \
    "ldr.w lr, [r1, #\\at / 2 + 4]\n" multiply " r4, r2, r12" r4 "\n" multiply " r8, r2, lr" r8    \
    "\n" multiply " r5, r3, r12" r5 "\n" multiply " r9, r3, lr" r9 "\n"                            \
    "ldr.n r2, [r0, #\\at + 8]\n"                                                                  \
    "ldr.n r3, [r0, #\\at + 12]\n" multiply " r6, r2, r12" r6 "\n" multiply " r10, r2, lr" r10     \
    "\n" multiply " r7, r3, r12" r7 "\n" multiply " r11, r3, lr" r11 "\n"

#define MCUGEN_WINOGRAD_MORE                                                                       \
    MCUGEN_WINOGRAD_PAIR("smlad", ", r4", ", r5", ", r6", ", r7", ", r8", ", r9", ", r10", ", r11")

/**
 * The sums of products of two tiles and four output channels.
 *
 * @param[in]  weights Of those channels: [16, 8 * rounds, 4] words.
 * @param[in]  tiles   [16, 8 * rounds, 2 tiles] words.
 * @param[out] sums    [16, 2 tiles, 4 channels].
 * @param[in]  rounds  Input channels / 16.
 */
static MCUGEN_NAKED void mcugen_winograd_products(const uint32_t *weights MCUGEN_UNUSED,
                                                  const uint32_t *tiles MCUGEN_UNUSED,
                                                  int32_t *sums MCUGEN_UNUSED,
                                                  int32_t rounds MCUGEN_UNUSED)
{
    /* clang-format off */
    __asm__ volatile(
        "push {r4-r11, lr}\n"
        "sub sp, #16\n"
        "add r12, r2, #512\n"
        "strd r2, r12, [sp, #0]\n"
        "subs r3, #1\n"
        "str r3, [sp, #8]\n"
        "0:\n"
        ".irp at, 0\n"
        MCUGEN_WINOGRAD_PAIR("smuad", "", "", "", "", "", "", "", "")
        ".endr\n"
        ".irp at, 16, 32, 48, 64, 80, 96, 112\n"
        MCUGEN_WINOGRAD_MORE
        ".endr\n"
        "ldr r2, [sp, #8]\n"
        "adds r0, #128\n"
        "adds r1, #64\n"
        "cmp r2, #0\n"
        "beq.w 2f\n"
        "1:\n"
        "str r2, [sp, #12]\n"
        ".irp at, 0, 16, 32, 48, 64, 80, 96, 112\n"
        MCUGEN_WINOGRAD_MORE
        ".endr\n"
        "ldr r2, [sp, #12]\n"
        "adds r0, #128\n"
        "adds r1, #64\n"
        "subs r2, #1\n"
        "bne.w 1b\n"
        "2:\n"
        "ldrd r2, r3, [sp, #0]\n"
        "stm r2!, {r4-r11}\n"
        "str r2, [sp, #0]\n"
        "cmp r2, r3\n"
        "bne.w 0b\n"
        "add sp, #16\n"
        "pop {r4-r11, pc}\n"
        ::: "memory");
    /* clang-format on */
}

/* Sums of one column of a tile, at the byte `at` behind r0: those of both rows of outputs. */
#define MCUGEN_WINOGRAD_COLUMN(a, b, c, d, at0, at1, at2, at3, bias)                               \
    "ldr.w " a ", [r0, #" at0 "]\n"                                                                \
    "ldr.w " b ", [r0, #" at1 "]\n"                                                                \
    "ldr.w " c ", [r0, #" at2 "]\n"                                                                \
    "ldr.w " d ", [r0, #" at3 "]\n" bias "add " a ", " a ", " b "\n"                               \
    "add " a ", " a ", " c "\n"                                                                    \
    "sub " b ", " b ", " c "\n"                                                                    \
    "sub " b ", " b ", " d "\n"

/* The high word, rounded, of one output. */
#define MCUGEN_WINOGRAD_SCALE(acc)                                                                 \
    "smmla " acc ", " acc ", r6, r10\n"                                                            \
    "asr " acc ", " acc ", r8\n"                                                                   \
    "ssat " acc ", #8, " acc ", asr #1\n"

/**
 * The outputs of two tiles and four channels.
 *
 * @param[in]  sums     [16, 2 tiles, 4 channels].
 * @param[in]  scale    [3, 4]: 4 * bias, multiplier, shift less one.
 * @param[in]  rounding 2 * zero point + 1.
 * @param[out] block    int8 [2 rows, 4 columns, 4 channels].
 */
static MCUGEN_NAKED void mcugen_winograd_outputs(const int32_t *sums MCUGEN_UNUSED,
                                                 const int32_t *scale MCUGEN_UNUSED,
                                                 int32_t rounding MCUGEN_UNUSED,
                                                 int8_t *block MCUGEN_UNUSED)
{
    /* clang-format off */
    __asm__ volatile(
        "push {r2, r4-r11, lr}\n"
        "mov r12, r1\n"
        "mov r1, r3\n"
        "mov lr, #8\n"
        "1:\n"
        MCUGEN_WINOGRAD_COLUMN("r2", "r3", "r4", "r5", "0", "128", "256", "384", "")
        MCUGEN_WINOGRAD_COLUMN("r4", "r5", "r6", "r7", "32", "160", "288", "416",
                               "ldr.w r8, [r12]\n" "add r5, r5, r8\n")
        MCUGEN_WINOGRAD_COLUMN("r6", "r7", "r8", "r9", "64", "192", "320", "448", "")
        MCUGEN_WINOGRAD_COLUMN("r8", "r9", "r10", "r11", "96", "224", "352", "480", "")
        "add r2, r2, r4\n"
        "add r2, r2, r6\n"
        "sub r4, r4, r6\n"
        "sub r4, r4, r8\n"
        "add r3, r3, r5\n"
        "add r3, r3, r7\n"
        "sub r5, r5, r7\n"
        "sub r5, r5, r9\n"
        "ldr.w r8, [r12, #32]\n"
        "ldr.w r6, [r12, #16]\n"
        "ldr r7, [sp, #0]\n"
        "adds r0, #4\n"
        "lsl r10, r7, r8\n"
        MCUGEN_WINOGRAD_SCALE("r2")
        MCUGEN_WINOGRAD_SCALE("r4")
        MCUGEN_WINOGRAD_SCALE("r3")
        MCUGEN_WINOGRAD_SCALE("r5")
        "strb r2, [r1], #1\n"
        "strb r4, [r1, #3]\n"
        "strb r3, [r1, #15]\n"
        "strb r5, [r1, #19]\n"
        "add r12, r12, #4\n"
        "subs lr, #1\n"
        "cmp lr, #4\n"
        "itt eq\n"  /* the second tile */
        "subeq r12, #16\n"
        "addeq r1, #4\n"
        "cmp lr, #0\n"
        "bne.w 1b\n"
        "pop {r2, r4-r11, pc}\n"
        ::: "memory");
    /* clang-format on */
}

#else

static inline void mcugen_winograd_products(const uint32_t *weights, const uint32_t *tiles,
                                            int32_t *sums, int32_t rounds)
{
    for (int32_t place = 0; place < MCUGEN_WINOGRAD_PLACES; place++) {
        for (int32_t i = 0; i < MCUGEN_WINOGRAD_SUMS; i++) {
            sums[i] = 0;
        }
        for (int32_t pair = 0; pair < (8 * rounds); pair++) {
            for (int32_t i = 0; i < MCUGEN_WINOGRAD_SUMS; i++) {
                sums[i] += mcugen_dsp_half(weights[i % 4], 0) * mcugen_dsp_half(tiles[i / 4], 0);
                sums[i] += mcugen_dsp_half(weights[i % 4], 1) * mcugen_dsp_half(tiles[i / 4], 1);
            }
            weights += 4;
            tiles += 2;
        }
        sums += MCUGEN_WINOGRAD_SUMS;
    }
}

static inline void mcugen_winograd_outputs(const int32_t *sums, const int32_t *scale,
                                           int32_t rounding, int8_t *block)
{
    for (int32_t i = 0; i < MCUGEN_WINOGRAD_SUMS; i++) {
        const int32_t channel = i % 4;
        int8_t *tile = &block[(8 * (i / 4)) + channel];
        int32_t rows[2][4];
        for (int32_t j = 0; j < 4; j++) {
            const int32_t *m = &sums[(j * MCUGEN_WINOGRAD_SUMS) + i];
            const int32_t second = m[4 * MCUGEN_WINOGRAD_SUMS] + ((j == 1) ? scale[channel] : 0);
            rows[0][j] = m[0] + second + m[8 * MCUGEN_WINOGRAD_SUMS];
            rows[1][j] = second - m[8 * MCUGEN_WINOGRAD_SUMS] - m[12 * MCUGEN_WINOGRAD_SUMS];
        }
        for (int32_t row = 0; row < 2; row++) {
            const int32_t *a = rows[row];
            tile[16 * row] = mcugen_dsp_requantize(a[0] + a[1] + a[2], scale[4 + channel],
                                                   (uint32_t)scale[8 + channel], rounding);
            tile[(16 * row) + 4] = mcugen_dsp_requantize(a[1] - a[2] - a[3], scale[4 + channel],
                                                         (uint32_t)scale[8 + channel], rounding);
        }
    }
}

#endif

/**
 * Transform the columns of a patch of 4x6 pixels.
 *
 * @param[in]  p       Geometry.
 * @param[in]  input   int8 [in_h, in_w, in_ch].
 * @param[in]  padding A pixel of padding.
 * @param[in]  y       First row of the patch, which may lie outside the input.
 * @param[in]  x       First column likewise.
 * @param[out] half    [in_ch / 2, 4 rows, 6 columns] words of two channels.
 */
static inline void mcugen_winograd_columns(const mcugen_winograd_s8_dsp_params_t *p,
                                           const int8_t *input, const int8_t *padding, int32_t y,
                                           int32_t x, uint32_t *half)
{
    for (int32_t j = 0; j < MCUGEN_WINOGRAD_COLS; j++) {
        const int8_t *pixel[4];
        uint32_t *to = &half[j];
        for (int32_t i = 0; i < 4; i++) {
            const int32_t inside =
                ((y + i) >= 0) && ((y + i) < p->in_h) && ((x + j) >= 0) && ((x + j) < p->in_w);
            pixel[i] = inside ? &input[(((y + i) * p->in_w) + x + j) * p->in_ch] : padding;
        }
        for (int32_t c = 0; c < p->in_ch; c += 4) {
            const uint32_t a = mcugen_dsp_load(&pixel[0][c]);
            const uint32_t b = mcugen_dsp_load(&pixel[1][c]);
            const uint32_t d = mcugen_dsp_load(&pixel[2][c]);
            const uint32_t e = mcugen_dsp_load(&pixel[3][c]);
            to[0] = mcugen_dsp_sub16(mcugen_dsp_even(a), mcugen_dsp_even(d));
            to[6] = mcugen_dsp_add16(mcugen_dsp_even(b), mcugen_dsp_even(d));
            to[12] = mcugen_dsp_sub16(mcugen_dsp_even(d), mcugen_dsp_even(b));
            to[18] = mcugen_dsp_sub16(mcugen_dsp_even(b), mcugen_dsp_even(e));
            to[24] = mcugen_dsp_sub16(mcugen_dsp_odd(a), mcugen_dsp_odd(d));
            to[30] = mcugen_dsp_add16(mcugen_dsp_odd(b), mcugen_dsp_odd(d));
            to[36] = mcugen_dsp_sub16(mcugen_dsp_odd(d), mcugen_dsp_odd(b));
            to[42] = mcugen_dsp_sub16(mcugen_dsp_odd(b), mcugen_dsp_odd(e));
            to += 48;
        }
    }
}

/** Transform the rows of a patch whose columns are: [pairs, 4, 6] words to [4, 4, pairs, 2]. */
static inline void mcugen_winograd_rows(const uint32_t *half, uint32_t *tiles, int32_t pairs)
{
    for (int32_t i = 0; i < 4; i++) {
        const uint32_t *from = &half[MCUGEN_WINOGRAD_COLS * i];
        uint32_t *to0 = &tiles[8 * pairs * i];
        uint32_t *to1 = &to0[2 * pairs];
        uint32_t *to2 = &to1[2 * pairs];
        uint32_t *to3 = &to2[2 * pairs];
        for (int32_t k = 0; k < (2 * pairs); k += 2) {
            const uint32_t b = from[1];
            const uint32_t c = from[2];
            const uint32_t d = from[3];
            const uint32_t e = from[4];
            to0[k] = mcugen_dsp_sub16(from[0], c);
            to0[k + 1] = mcugen_dsp_sub16(c, e);
            to1[k] = mcugen_dsp_add16(b, c);
            to1[k + 1] = mcugen_dsp_add16(d, e);
            to2[k] = mcugen_dsp_sub16(c, b);
            to2[k + 1] = mcugen_dsp_sub16(e, d);
            to3[k] = mcugen_dsp_sub16(b, d);
            to3[k + 1] = mcugen_dsp_sub16(d, from[5]);
            from += 4 * MCUGEN_WINOGRAD_COLS;
        }
    }
}

/**
 * All channels of two tiles.
 *
 * @param[in]  p      Geometry, weights and requantization.
 * @param[in]  tiles  [16, in_ch / 2, 2] words.
 * @param[out] sums   Room for [16, 8].
 * @param[out] output First output of the first tile.
 * @param[in]  rows   Rows of the output from there on.
 * @param[in]  cols   Columns likewise.
 */
static inline void mcugen_winograd_channels(const mcugen_winograd_s8_dsp_params_t *p,
                                            const uint32_t *tiles, int32_t *sums, int8_t *output,
                                            int32_t rows, int32_t cols)
{
    const uint32_t *weight = p->weight;
    const int32_t *scale = p->scale;
    const int32_t height = (rows < 2) ? rows : 2;
    const int32_t width = (cols < 4) ? cols : 4;
    int8_t block[32];

    for (int32_t c = 0; c < p->out_ch; c += 4) {
        mcugen_winograd_products(weight, tiles, sums, p->in_ch / 16);
        mcugen_winograd_outputs(sums, scale, (2 * p->zero_point) + 1, block);
        for (int32_t y = 0; y < height; y++) {
            for (int32_t x = 0; x < width; x++) {
                mcugen_dsp_copy(&output[(((y * p->out_w) + x) * p->out_ch) + c],
                                &block[(16 * y) + (4 * x)], 4);
            }
        }
        weight += MCUGEN_WINOGRAD_PLACES * 2 * p->in_ch;
        scale += 12;
    }
}

/**
 * Convolution with a 3x3 kernel.
 *
 * @param[in]  p       Geometry, weights and requantization.
 * @param[in]  input   int8 [in_h, in_w, in_ch], aligned to 4.
 * @param[out] output  int8 [out_h, out_w, out_ch]; may overlap the input as far as the patch of
 *                     two tiles is read before their outputs are written.
 * @param[out] scratch 512 + 113 * in_ch bytes, aligned to 4.
 */
static MCUGEN_NOINLINE MCUGEN_UNUSED void
mcugen_winograd_s8_dsp(const mcugen_winograd_s8_dsp_params_t *p, const int8_t *input,
                       int8_t *output, int8_t *scratch)
{
    int32_t *sums = (int32_t *)(void *)scratch;
    uint32_t *tiles = (uint32_t *)(void *)&scratch[512];
    uint32_t *half = &tiles[MCUGEN_WINOGRAD_PLACES * p->in_ch];
    int8_t *padding = &scratch[512 + (112 * p->in_ch)];

    mcugen_dsp_fill(padding, p->pad_value, p->in_ch);
    for (int32_t y = 0; y < p->out_h; y += 2) {
        for (int32_t x = 0; x < p->out_w; x += 4) {
            mcugen_winograd_columns(p, input, padding, y - p->pad_top, x - p->pad_left, half);
            mcugen_winograd_rows(half, tiles, p->in_ch / 2);
            mcugen_winograd_channels(p, tiles, sums, &output[((y * p->out_w) + x) * p->out_ch],
                                     p->out_h - y, p->out_w - x);
        }
    }
    mcugen_dsp_clamp(output, p->out_h * p->out_w * p->out_ch, p->low, p->high);
}

#ifdef __cplusplus
}
#endif

#endif /* MCUGEN_WINOGRAD_DSP_H_INCLUDED */
