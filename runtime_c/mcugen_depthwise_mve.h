/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file mcugen_depthwise_mve.h
 * @brief Depthwise convolution of at most 4x4 on the M-profile Vector Extension.
 *
 * Sixteen channels of a strip of the image are laid out as [column, channel, 4 rows]. A vector of
 * four words, one from each of four columns, is then a patch of 4x4 pixels of one channel, and a
 * product with weights in the right places is one output. A kernel of 3x3 with stride 1 has four
 * outputs in one patch.
 */
#ifndef MCUGEN_DEPTHWISE_MVE_H_INCLUDED
#define MCUGEN_DEPTHWISE_MVE_H_INCLUDED

#include "mcugen_mve.h"

#ifdef __cplusplus
extern "C" {
#endif

#define MCUGEN_DEPTHWISE_MVE_ROWS 4
#define MCUGEN_DEPTHWISE_MVE_COLUMN (MCUGEN_VECTOR * MCUGEN_DEPTHWISE_MVE_ROWS) /* bytes */

typedef struct {
    int32_t in_h;
    int32_t in_w;
    int32_t ch;
    int32_t out_h;
    int32_t out_w;
    int32_t kernel_h;
    int32_t kernel_w;
    int32_t stride_h;
    int32_t stride_w;
    int32_t pad_top;
    int32_t pad_left;
    int32_t pad_value;
    int32_t square;            /* 2x2 outputs from one patch, else 4 in a row from one each */
    int32_t strip;             /* output columns of a strip */
    int32_t copies;            /* where in the scratch rows are copied to, 0 if they are not */
    int32_t tap_mask;          /* which of the patch's bytes [4 columns, 4 rows] have a weight */
    const uint8_t *taps;       /* [16], and which one */
    const int8_t *weight;      /* [ch, kernel_h, kernel_w] */
    const int32_t *bias;       /* [ch] */
    const int32_t *multiplier; /* [ch] */
    const int8_t *shift;       /* [ch], 31 - t with t in [33, 55] */
    int32_t zero_point;
} mcugen_depthwise_mve_s8_params_t;

/** What the inner block works on: up to 16 channels of a strip, with the outputs of one patch. */
typedef struct {
    const int32_t *bias;       /* 0: of the first of the channels */
    const int32_t *multiplier; /* 4 */
    const int8_t *shift;       /* 8 */
    int8_t *output;            /* 12: of the first output pixel */
    const uint8_t *taps;       /* 16 */
    int32_t tap_mask;          /* 20 */
    uint32_t mask;             /* 24: which four outputs to store, four bits each */
    uint32_t rest_mask;        /* 28: which after the last whole step, 0 for none */
    const int8_t *weight;      /* 32 */
    int32_t tap_count;         /* 36 */
    int32_t channels;          /* 40 */
    int32_t steps;             /* 44: of four outputs */
    int32_t twice_zero_point;  /* 48: and 1 */
    int32_t advance;           /* 52: of the output in one step, in bytes */
    const int8_t *patch;       /* 56: int8 [column, 16, 4] */
    int32_t pitch;             /* 60: of windows in the patch, if in a row; in bytes */
    uint32_t columns[4];       /* 64: addresses of the patch's first four columns */
    int32_t places[4];         /* 80: of four outputs */
} mcugen_depthwise_mve_block_t;

#if MCUGEN_HAS_MVE
/*
 * r9 block, r10 channel, r11 its weights; r3 bias, r7 31 - t, r5 what is added to the high word of
 * 2 * acc * M so that a shift by 31 - t rounds and adds the zero point; r1 output, r8 its advance,
 * r12 the mask of the rest; q0 addresses of the columns, q5 M, q6 places of the outputs.
 */
#define MCUGEN_DEPTHWISE_MVE_HEAD                                                                  \
    "push {r4-r11, lr}\n"                                                                          \
    "vpush {d8-d15}\n"                                                                             \
    "mov r9, r0\n"                                                                                 \
    "movs r0, #0\n"                                                                                \
    "mov r10, r0\n"                                                                                \
    "ldr r11, [r9, #32]\n"                                                                         \
    "ldr r8, [r9, #52]\n"                                                                          \
    "vldrw.32 q6, [r9, #80]\n"                                                                     \
    "1:\n"                                                                                         \
    "ldrd r0, r2, [r9]\n"                                                                          \
    "ldr r3, [r0, r10, lsl #2]\n"                                                                  \
    "ldr r4, [r2, r10, lsl #2]\n"                                                                  \
    "vdup.32 q5, r4\n"                                                                             \
    "ldrd r0, r1, [r9, #8]\n"                                                                      \
    "ldrsb r7, [r0, r10]\n"                                                                        \
    "add r1, r10\n"                                                                                \
    "mvns r0, r7\n"                                                                                \
    "ldr r5, [r9, #48]\n"                                                                          \
    "lsls r5, r0\n"                                                                                \
    "ldrd r2, r4, [r9, #16]\n"                                                                     \
    "vldrb.8 q7, [r2]\n"                                                                           \
    "vmsr p0, r4\n"                                                                                \
    "vpst\n"                                                                                       \
    "vldrbt.u8 q1, [r11, q7]\n"

#define MCUGEN_DEPTHWISE_MVE_ENTER                                                                 \
    "ldr r0, [r9, #36]\n"                                                                          \
    "add r11, r0\n"                                                                                \
    "vldrw.32 q0, [r9, #64]\n"                                                                     \
    "mov r0, r10\n"                                                                                \
    "lsls r0, #2\n"                                                                                \
    "vadd.i32 q0, q0, r0\n"                                                                        \
    "ldrd r0, r12, [r9, #24]\n"                                                                    \
    "vmsr p0, r0\n"                                                                                \
    "ldr r0, [r9, #44]\n"                                                                          \
    "wls lr, r0, 3f\n"                                                                             \
    "2:\n"

#define MCUGEN_DEPTHWISE_MVE_TAIL                                                                  \
    "vmov q7[2], q7[0], r0, r4\n"                                                                  \
    "vmov q7[3], q7[1], r2, r6\n"                                                                  \
    "vadd.i32 q7, q7, r3\n"                                                                        \
    "vqdmlash.s32 q7, q5, r5\n"                                                                    \
    "vshl.s32 q7, r7\n"                                                                            \
    "vqmovnb.s32 q7, q7\n"                                                                         \
    "vqmovnb.s16 q7, q7\n"                                                                         \
    "vpst\n"                                                                                       \
    "vstrbt.32 q7, [r1, q6]\n"                                                                     \
    "add r1, r8\n"                                                                                 \
    "le lr, 2b\n"                                                                                  \
    "3:\n"                                                                                         \
    "movs r0, #0\n"                                                                                \
    "cmp r12, r0\n"                                                                                \
    "beq 4f\n"                                                                                     \
    "vmsr p0, r12\n"                                                                               \
    "mov r12, r0\n"                                                                                \
    "mov lr, #1\n"                                                                                 \
    "b 2b\n"                                                                                       \
    "4:\n"                                                                                         \
    "ldr r0, [r9, #40]\n"                                                                          \
    "add r10, #1\n"                                                                                \
    "cmp r10, r0\n"                                                                                \
    "bne 1b\n"                                                                                     \
    "vpop {d8-d15}\n"                                                                              \
    "pop {r4-r11, pc}\n"

/** 2x2 outputs of each patch: the weights as they are, a row lower, a column on, and both. */
static MCUGEN_NAKED void
mcugen_depthwise_mve_squares(const mcugen_depthwise_mve_block_t *block MCUGEN_UNUSED)
{
    __asm__ __volatile__(MCUGEN_DEPTHWISE_MVE_HEAD
                         "lsls r4, #4\n"
                         "vmsr p0, r4\n"
                         "sub r0, r11, #1\n"
                         "vpst\n"
                         "vldrbt.u8 q3, [r0, q7]\n"
                         "vshl.i32 q2, q1, #8\n"
                         "vshl.i32 q4, q3, #8\n" MCUGEN_DEPTHWISE_MVE_ENTER
                         "vldrw.u32 q7, [q0, #128]!\n"
                         "vmladav.s8 r0, q7, q1\n"
                         "vmladav.s8 r2, q7, q3\n"
                         "vmladav.s8 r4, q7, q2\n"
                         "vmladav.s8 r6, q7, q4\n" MCUGEN_DEPTHWISE_MVE_TAIL);
}

/** One output of each patch, four in a row. */
static MCUGEN_NAKED void
mcugen_depthwise_mve_row(const mcugen_depthwise_mve_block_t *block MCUGEN_UNUSED)
{
    __asm__ __volatile__(MCUGEN_DEPTHWISE_MVE_HEAD
                         "ldr r0, [r9, #60]\n"
                         "vdup.32 q4, r0\n" MCUGEN_DEPTHWISE_MVE_ENTER "vldrw.u32 q7, [q0]\n"
                         "vmladav.s8 r0, q7, q1\n"
                         "vadd.i32 q0, q0, q4\n"
                         "vldrw.u32 q2, [q0]\n"
                         "vmladav.s8 r2, q2, q1\n"
                         "vadd.i32 q0, q0, q4\n"
                         "vldrw.u32 q3, [q0]\n"
                         "vmladav.s8 r4, q3, q1\n"
                         "vadd.i32 q0, q0, q4\n"
                         "vldrw.u32 q2, [q0]\n"
                         "vmladav.s8 r6, q2, q1\n"
                         "vadd.i32 q0, q0, q4\n" MCUGEN_DEPTHWISE_MVE_TAIL);
}
#endif

/** Outputs of up to 16 channels from a patch: the same as both blocks in plain C. */
static inline void mcugen_depthwise_mve_plain(const mcugen_depthwise_mve_s8_params_t *p,
                                              const mcugen_depthwise_mve_block_t *block,
                                              int32_t row, int32_t columns)
{
    for (int32_t c = 0; c < block->channels; c++) {
        const int8_t *weight = &block->weight[c * block->tap_count];
        for (int32_t x = 0; x < columns; x++) {
            const int8_t *patch =
                &block->patch[(x * block->pitch) + (MCUGEN_DEPTHWISE_MVE_ROWS * c) + row];
            int32_t acc = block->bias[c];
            for (int32_t i = 0; i < p->kernel_h; i++) {
                for (int32_t j = 0; j < p->kernel_w; j++) {
                    acc += weight[(i * p->kernel_w) + j] *
                           patch[(j * MCUGEN_DEPTHWISE_MVE_COLUMN) + i];
                }
            }
            block->output[(((row * p->out_w) + x) * p->ch) + c] =
                mcugen_requantize(acc, block->multiplier[c], 31 - block->shift[c], 0, p->zero_point,
                                  INT8_MIN, INT8_MAX);
        }
    }
}

/** Where four rows of a patch come from, and how far their pixels are apart. */
typedef struct {
    const int8_t *place[MCUGEN_DEPTHWISE_MVE_ROWS];
    int32_t step[MCUGEN_DEPTHWISE_MVE_ROWS];
} mcugen_depthwise_mve_source_t;

#if MCUGEN_HAS_MVE
/** Columns of the patch: 16 channels of four pixels, interleaved. */
static MCUGEN_NAKED void
mcugen_depthwise_mve_columns(int8_t *patch MCUGEN_UNUSED,
                             const mcugen_depthwise_mve_source_t *source MCUGEN_UNUSED,
                             int32_t columns MCUGEN_UNUSED, int32_t channels MCUGEN_UNUSED)
{
    __asm__ __volatile__("push {r4-r11, lr}\n"
                         "ldm r1, {r4-r11}\n"
                         "vctp.8 r3\n"
                         "wls lr, r2, 2f\n"
                         "1:\n"
                         "vpstttt\n"
                         "vldrbt.u8 q0, [r4]\n"
                         "vldrbt.u8 q1, [r5]\n"
                         "vldrbt.u8 q2, [r6]\n"
                         "vldrbt.u8 q3, [r7]\n"
                         "add r4, r8\n"
                         "add r5, r9\n"
                         "vst40.8 {q0, q1, q2, q3}, [r0]\n"
                         "vst41.8 {q0, q1, q2, q3}, [r0]\n"
                         "add r6, r10\n"
                         "add r7, r11\n"
                         "vst42.8 {q0, q1, q2, q3}, [r0]\n"
                         "vst43.8 {q0, q1, q2, q3}, [r0]!\n"
                         "le lr, 1b\n"
                         "2:\n"
                         "pop {r4-r11, pc}\n");
}
#else
/** The same in plain C. */
static inline void mcugen_depthwise_mve_columns(int8_t *patch,
                                                const mcugen_depthwise_mve_source_t *source,
                                                int32_t columns, int32_t channels)
{
    for (int32_t i = 0; i < MCUGEN_DEPTHWISE_MVE_ROWS; i++) {
        for (int32_t x = 0; x < columns; x++) {
            int8_t *column = &patch[x * MCUGEN_DEPTHWISE_MVE_COLUMN];
            const int8_t *pixel = &source->place[i][x * source->step[i]];
            for (int32_t c = 0; c < channels; c++) {
                column[(c * MCUGEN_DEPTHWISE_MVE_ROWS) + i] = pixel[c];
            }
        }
    }
}
#endif

/**
 * Lay out a patch.
 *
 * @param[in] rows     Four rows of the image; null for padding.
 * @param[in] c        First of the channels.
 * @param[in] channels How many of them, up to 16.
 * @param[in] x        Column of the image, or left of it, that is the first.
 * @param[in] columns  How many.
 * @param     patch    int8 [columns, 16, 4].
 * @param[in] padding  16 bytes.
 */
static inline void mcugen_depthwise_mve_lay(const mcugen_depthwise_mve_s8_params_t *p,
                                            const int8_t *const *rows, int32_t c, int32_t channels,
                                            int32_t x, int32_t columns, int8_t *patch,
                                            const int8_t *padding)
{
    const mcugen_depthwise_mve_source_t outside = {{padding, padding, padding, padding},
                                                   {0, 0, 0, 0}};
    mcugen_depthwise_mve_source_t source = outside;
    const int32_t first = (x < 0) ? 0 : x;
    const int32_t end = ((x + columns) < p->in_w) ? (x + columns) : p->in_w;
    const int32_t before = (first < (x + columns)) ? (first - x) : columns;
    const int32_t inside = (end > first) ? (end - first) : 0;
    const int32_t behind = columns - before - inside;

    for (int32_t i = 0; i < MCUGEN_DEPTHWISE_MVE_ROWS; i++) {
        if ((rows[i] != NULL) && (inside > 0)) {
            source.place[i] = &rows[i][(first * p->ch) + c];
            source.step[i] = p->ch;
        }
    }
    if (before > 0) {
        mcugen_depthwise_mve_columns(patch, &outside, before, channels);
        patch += before * MCUGEN_DEPTHWISE_MVE_COLUMN;
    }
    mcugen_depthwise_mve_columns(patch, &source, inside, channels);
    if (behind > 0) {
        patch += inside * MCUGEN_DEPTHWISE_MVE_COLUMN;
        mcugen_depthwise_mve_columns(patch, &outside, behind, channels);
    }
}

/** All channels of one strip: output rows y and, of squares, y + 1; columns from x on. */
static inline void mcugen_depthwise_mve_strip(const mcugen_depthwise_mve_s8_params_t *p,
                                              const int8_t *const *rows, int8_t *output, int32_t y,
                                              int32_t x, int8_t *scratch)
{
    const int32_t left = p->out_w - x;
    const int32_t columns = (left < p->strip) ? left : p->strip;
    const int32_t out_rows = ((p->square != 0) && ((y + 1) < p->out_h)) ? 2 : 1;
    const int32_t at_once = (p->square != 0) ? 2 : 4;
    int8_t *const patch = &scratch[MCUGEN_VECTOR];
    mcugen_depthwise_mve_block_t block;

    block.taps = p->taps;
    block.tap_mask = p->tap_mask;
    block.tap_count = p->kernel_h * p->kernel_w;
    block.steps = columns / at_once;
    block.twice_zero_point = (2 * p->zero_point) + 1;
    block.advance = at_once * p->ch;
    block.patch = patch;
    block.pitch = p->stride_w * MCUGEN_DEPTHWISE_MVE_COLUMN;
    block.places[0] = 0;
    block.places[1] = p->ch;
    if (p->square != 0) {
        block.places[2] = p->out_w * p->ch;
        block.mask = (out_rows == 2) ? 0xffffu : 0x00ffu;
        block.rest_mask = ((columns % 2) != 0) ? (block.mask & 0x0f0fu) : 0u;
    } else {
        block.places[2] = 2 * p->ch;
        block.mask = 0xffffu;
        block.rest_mask = (1u << (4 * (columns % 4))) - 1u;
    }
    block.places[3] = block.places[2] + p->ch;
    for (int32_t c = 0; c < p->ch; c += MCUGEN_VECTOR) {
        block.channels = ((p->ch - c) < MCUGEN_VECTOR) ? (p->ch - c) : MCUGEN_VECTOR;
        block.weight = &p->weight[c * block.tap_count];
        block.bias = &p->bias[c];
        block.multiplier = &p->multiplier[c];
        block.shift = &p->shift[c];
        block.output = &output[(((y * p->out_w) + x) * p->ch) + c];
        mcugen_depthwise_mve_lay(p, rows, c, block.channels, (x * p->stride_w) - p->pad_left,
                                 ((columns - 1) * p->stride_w) + p->kernel_w, patch, scratch);
#if MCUGEN_HAS_MVE
        for (uint32_t i = 0; i < 4u; i++) {
            block.columns[i] = (uint32_t)patch + (i * (uint32_t)MCUGEN_DEPTHWISE_MVE_COLUMN);
        }
        if (p->square != 0) {
            /* addresses are advanced by two columns before each load */
            for (uint32_t i = 0; i < 4u; i++) {
                block.columns[i] -= 2u * (uint32_t)MCUGEN_DEPTHWISE_MVE_COLUMN;
            }
            mcugen_depthwise_mve_squares(&block);
        } else {
            mcugen_depthwise_mve_row(&block);
        }
#else
        for (int32_t row = 0; row < out_rows; row++) {
            mcugen_depthwise_mve_plain(p, &block, row, columns);
        }
#endif
    }
}

/**
 * Four rows of the image for output rows y and y + 1. The first three are read from copies, as the
 * outputs may lie over them: each row is copied once, to the place of one that is done with.
 */
static inline void mcugen_depthwise_mve_copy_rows(const mcugen_depthwise_mve_s8_params_t *p,
                                                  const int8_t *input, int32_t y, int8_t *copies,
                                                  const int8_t **rows)
{
    const int32_t len = p->in_w * p->ch;

    for (int32_t i = 0; i < MCUGEN_DEPTHWISE_MVE_ROWS; i++) {
        const int32_t in_y = y - p->pad_top + i;
        rows[i] = NULL;
        if ((in_y >= 0) && (in_y < p->in_h)) {
            const int8_t *row = &input[in_y * len];
            int8_t *const copy = &copies[((y + i) % 3) * len];
            if ((i < 3) && ((i > 0) || (y == 0))) {
                mcugen_mve_copy(copy, row, len);
            }
            rows[i] = (i < 3) ? copy : row;
        }
    }
}

/**
 * Depthwise convolution: output channel c reads input channel c alone.
 *
 * @param[in]  p       Geometry, weights and requantization.
 * @param[in]  input   int8 [in_h, in_w, ch].
 * @param[out] output  int8 [out_h, out_w, ch].
 * @param      scratch 16 bytes of padding, the patch of a strip, and three rows of the image if
 *                     they are copied.
 */
MCUGEN_KERNEL void mcugen_depthwise_mve_s8(const mcugen_depthwise_mve_s8_params_t *p,
                                           const int8_t *input, int8_t *output, int8_t *scratch)
{
    const int8_t *rows[MCUGEN_DEPTHWISE_MVE_ROWS];

    mcugen_mve_fill(scratch, p->pad_value, MCUGEN_VECTOR);
    for (int32_t y = 0; y < p->out_h; y += (p->square != 0) ? 2 : 1) {
        if (p->copies != 0) {
            mcugen_depthwise_mve_copy_rows(p, input, y, &scratch[p->copies], rows);
        } else {
            for (int32_t i = 0; i < MCUGEN_DEPTHWISE_MVE_ROWS; i++) {
                const int32_t in_y = (y * p->stride_h) - p->pad_top + i;
                const int32_t there = ((in_y >= 0) && (in_y < p->in_h)) ? 1 : 0;
                rows[i] = (there != 0) ? &input[in_y * p->in_w * p->ch] : NULL;
            }
        }
        for (int32_t x = 0; x < p->out_w; x += p->strip) {
            mcugen_depthwise_mve_strip(p, rows, output, y, x, scratch);
        }
    }
}

#ifdef __cplusplus
}
#endif

#endif /* MCUGEN_DEPTHWISE_MVE_H_INCLUDED */
