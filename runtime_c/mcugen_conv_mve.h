/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file mcugen_conv_mve.h
 * @brief Dense convolution on the M-profile Vector Extension: dot products of 16 int8 at a time.
 *
 * Input columns of one row of windows are laid one after the other, each with its kernel_h pixels
 * below each other: every window is then one run of bytes, and neighbours share all but stride_w
 * columns. Where windows are runs of the input already (1x1), they are read there.
 *
 * Weights of 4 bits are stored two channels to a byte, the first one lower, those of 2 bits four
 * channels to a byte. Shifted and masked to the upper bits of a byte they are 16 or 64 times the
 * weight, and so are sums, biases and what multipliers expect.
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
    const int8_t *weight; /* [fours, steps, 4, 16], a window being [kernel_w, kernel_h, in_ch];
                             of 4 bits [fours, steps, 2, 16], of 2 bits [fours, steps, 16] */
    const int32_t *bias;  /* [row classes, col_classes, fours, 4] */
    const uint16_t *row_class; /* [out_h], null where the bias is the same everywhere */
    const uint16_t *col_class; /* [out_w], null likewise */
    int32_t col_classes;
    const uint8_t *spread; /* [16], places in a column of narrow pixels' bytes; null if wide */
    mcugen_mve_requantize_t requantize;
} mcugen_conv_mve_s8_params_t;

typedef mcugen_conv_mve_s8_params_t mcugen_conv_mve_s8_w4_params_t;
typedef mcugen_conv_mve_s8_params_t mcugen_conv_mve_s8_w2_params_t;

/** What the inner block works on; assembly knows the places of the members. */
typedef struct {
    const int8_t *weight;                       /* 0: [fours, steps, 4, 16] */
    const int8_t *window[MCUGEN_CONV_MVE_TILE]; /* 4: steps * 16 bytes each */
    const int32_t *bias;                        /* 16: [fours, 4] */
    int32_t *sums;                              /* 20: [fours, MCUGEN_CONV_MVE_TILE, 4] */
    int32_t steps;                              /* 24 */
    int32_t fours;                              /* 28 */
    const int32_t *multiplier;                  /* 32: [fours, 4] */
    const int8_t *shift;                        /* 36: [fours, 4] */
    int8_t *pixel[MCUGEN_CONV_MVE_TILE];        /* 40: where the outputs go */
    const int32_t *first_sums;                  /* 52: the same as sums */
    int32_t zero_point;                         /* 56 */
    int32_t low;                                /* 60 */
    int32_t high;                               /* 64 */
    int32_t whole_fours;                        /* 68 */
    uint32_t rest_mask; /* 72: which of four more channels there are, four bits each */
} mcugen_conv_mve_block_t;

#if MCUGEN_HAS_MVE
/*
 * Two channels by three pixels: six sums, as products are added to even registers only: r0 to r10.
 * r1 weights, r3 r5 r7 windows, r11 sums in memory, r9 vectors, r12 those after the first.
 */
/* clang-format off */
#define MCUGEN_CONV_MVE_HEAD                                                                       \
    "push {r0, r4-r11, lr}\n"                                                                      \
    "vpush {d8-d15}\n"                                                                             \
    "ldr r2, [r0, #28]\n"                                                                          \
    "ldm r0, {r1, r3, r5, r7, r9, r11, r12}\n"                                                     \
    "mov r9, r12\n"                                                                                \
    "subs r12, #1\n"                                                                               \
    "push {r2}\n"

/* Two channels times a vector of each window, in registers. */
#define MCUGEN_CONV_MVE_PRODUCTS(multiply, one, two, x, y, z)                                      \
    "vldrb.8 q0, [r1, #" #one "]\n"                                                                \
    "" #multiply " r0, q0, " #x "\n"                                                               \
    "vldrb.8 q1, [r1, #" #two "]\n"                                                                \
    "" #multiply " r4, q0, " #y "\n"                                                               \
    "" #multiply " r8, q0, " #z "\n"                                                               \
    "" #multiply " r2, q1, " #x "\n"                                                               \
    "" #multiply " r6, q1, " #y "\n"                                                               \
    "" #multiply " r10, q1, " #z "\n"

/* The same from memory, and on to the next vectors. */
#define MCUGEN_CONV_MVE_STEP(multiply)                                                             \
    "vldrb.8 q1, [r1, #16]\n"                                                                      \
    "vldrb.8 q2, [r3], #16\n"                                                                      \
    "" #multiply " r2, q1, q2\n"                                                                   \
    "vldrb.8 q0, [r1], #64\n"                                                                      \
    "" #multiply " r0, q0, q2\n"                                                                   \
    "vldrb.8 q3, [r5], #16\n"                                                                      \
    "" #multiply " r4, q0, q3\n"                                                                   \
    "" #multiply " r6, q1, q3\n"                                                                   \
    "vldrb.8 q2, [r7], #16\n"                                                                      \
    "" #multiply " r8, q0, q2\n"                                                                   \
    "" #multiply " r10, q1, q2\n"

#define MCUGEN_CONV_MVE_LOOP                                                                       \
    MCUGEN_CONV_MVE_STEP(vmladav.s8)                                                               \
    "dls lr, r12\n"                                                                                \
    "2:\n"                                                                                         \
    MCUGEN_CONV_MVE_STEP(vmladava.s8)                                                              \
    "le lr, 2b\n"                                                                                  \
    "sub r3, r3, r9, lsl #4\n"                                                                     \
    "sub r5, r5, r9, lsl #4\n"                                                                     \
    "sub r7, r7, r9, lsl #4\n"

#define MCUGEN_CONV_MVE_SUMS(place)                                                                \
    "strd r0, r2, [r11, #" #place "]\n"                                                            \
    "strd r4, r6, [r11, #16 + " #place "]\n"                                                       \
    "strd r8, r10, [r11, #32 + " #place "]\n"

#define MCUGEN_CONV_MVE_NEXT                                                                       \
    "adds r11, #48\n"                                                                              \
    "ldr r0, [sp]\n"                                                                               \
    "subs r0, #1\n"                                                                                \
    "str r0, [sp]\n"                                                                               \
    "bne 1b\n"

/*
 * Four channels of three pixels to int8. r1 multipliers, r2 shifts, r3 r4 r5 outputs, r6 sums,
 * r7 zero point, r8 biases; q6 low, q7 high.
 */
#define MCUGEN_CONV_MVE_REQUANTIZE                                                                 \
    "vldrw.32 q5, [r8], #16\n"                                                                     \
    "vldrw.32 q2, [r6], #16\n"                                                                     \
    "vadd.i32 q2, q2, q5\n"                                                                        \
    "vldrw.32 q3, [r6], #16\n"                                                                     \
    "vadd.i32 q3, q3, q5\n"                                                                        \
    "vldrw.32 q4, [r6], #16\n"                                                                     \
    "vadd.i32 q4, q4, q5\n"                                                                        \
    "vldrw.32 q0, [r1], #16\n"                                                                     \
    "vmulh.s32 q2, q2, q0\n"                                                                       \
    "vmulh.s32 q3, q3, q0\n"                                                                       \
    "vmulh.s32 q4, q4, q0\n"                                                                       \
    "vldrb.s32 q1, [r2], #4\n"                                                                     \
    "vrshl.s32 q2, q2, q1\n"                                                                       \
    "vrshl.s32 q3, q3, q1\n"                                                                       \
    "vrshl.s32 q4, q4, q1\n"                                                                       \
    "vadd.i32 q2, q2, r7\n"                                                                        \
    "vadd.i32 q3, q3, r7\n"                                                                        \
    "vadd.i32 q4, q4, r7\n"                                                                        \
    "vmax.s32 q2, q2, q6\n"                                                                        \
    "vmax.s32 q3, q3, q6\n"                                                                        \
    "vmax.s32 q4, q4, q6\n"                                                                        \
    "vmin.s32 q2, q2, q7\n"                                                                        \
    "vmin.s32 q3, q3, q7\n"                                                                        \
    "vmin.s32 q4, q4, q7\n"

#define MCUGEN_CONV_MVE_TAIL                                                                       \
    "pop {r2}\n"                                                                                   \
    "ldr r0, [sp, #64]\n"                                                                          \
    "adds r0, #32\n"                                                                               \
    "ldm r0, {r1-r11}\n"                                                                           \
    "vdup.32 q6, r8\n"                                                                             \
    "vdup.32 q7, r9\n"                                                                             \
    "ldr r8, [r0, #-16]\n"                                                                         \
    "wls lr, r10, 4f\n"                                                                            \
    "3:\n"                                                                                         \
    MCUGEN_CONV_MVE_REQUANTIZE                                                                     \
    "vstrb.32 q2, [r3], #4\n"                                                                      \
    "vstrb.32 q3, [r4], #4\n"                                                                      \
    "vstrb.32 q4, [r5], #4\n"                                                                      \
    "le lr, 3b\n"                                                                                  \
    "4:\n"                                                                                         \
    "cmp r11, #0\n"                                                                                \
    "beq 5f\n"                                                                                     \
    MCUGEN_CONV_MVE_REQUANTIZE                                                                     \
    "vmsr p0, r11\n"                                                                               \
    "vpsttt\n"                                                                                     \
    "vstrbt.32 q2, [r3]\n"                                                                         \
    "vstrbt.32 q3, [r4]\n"                                                                         \
    "vstrbt.32 q4, [r5]\n"                                                                         \
    "5:\n"                                                                                         \
    "vpop {d8-d15}\n"                                                                              \
    "pop {r0, r4-r11, pc}\n"

/** Windows of one vector: they stay in registers. */
static MCUGEN_NAKED void
mcugen_conv_mve_block_1(const mcugen_conv_mve_block_t *block MCUGEN_UNUSED)
{
    __asm__ __volatile__(
        MCUGEN_CONV_MVE_HEAD
        "vldrb.8 q2, [r3]\n"
        "vldrb.8 q3, [r5]\n"
        "vldrb.8 q4, [r7]\n"
        "1:\n"
        MCUGEN_CONV_MVE_PRODUCTS(vmladav.s8, 0, 16, q2, q3, q4)
        MCUGEN_CONV_MVE_SUMS(0)
        MCUGEN_CONV_MVE_PRODUCTS(vmladav.s8, 32, 48, q2, q3, q4)
        MCUGEN_CONV_MVE_SUMS(8)
        "adds r1, #64\n"
        MCUGEN_CONV_MVE_NEXT
        MCUGEN_CONV_MVE_TAIL);
}

/** Windows of two vectors: likewise. */
static MCUGEN_NAKED void
mcugen_conv_mve_block_2(const mcugen_conv_mve_block_t *block MCUGEN_UNUSED)
{
    __asm__ __volatile__(
        MCUGEN_CONV_MVE_HEAD
        "vldrb.8 q2, [r3]\n"
        "vldrb.8 q3, [r5]\n"
        "vldrb.8 q4, [r7]\n"
        "vldrb.8 q5, [r3, #16]\n"
        "vldrb.8 q6, [r5, #16]\n"
        "vldrb.8 q7, [r7, #16]\n"
        "1:\n"
        MCUGEN_CONV_MVE_PRODUCTS(vmladav.s8, 0, 16, q2, q3, q4)
        MCUGEN_CONV_MVE_PRODUCTS(vmladava.s8, 64, 80, q5, q6, q7)
        MCUGEN_CONV_MVE_SUMS(0)
        MCUGEN_CONV_MVE_PRODUCTS(vmladav.s8, 32, 48, q2, q3, q4)
        MCUGEN_CONV_MVE_PRODUCTS(vmladava.s8, 96, 112, q5, q6, q7)
        MCUGEN_CONV_MVE_SUMS(8)
        "adds r1, #128\n"
        MCUGEN_CONV_MVE_NEXT
        MCUGEN_CONV_MVE_TAIL);
}

/** Windows of more vectors. */
static MCUGEN_NAKED void
mcugen_conv_mve_block_n(const mcugen_conv_mve_block_t *block MCUGEN_UNUSED)
{
    __asm__ __volatile__(
        MCUGEN_CONV_MVE_HEAD
        "1:\n"
        MCUGEN_CONV_MVE_LOOP
        MCUGEN_CONV_MVE_SUMS(0)
        "sub r1, r1, r9, lsl #6\n"
        "adds r1, #32\n"
        MCUGEN_CONV_MVE_LOOP
        MCUGEN_CONV_MVE_SUMS(8)
        "subs r1, #32\n"
        MCUGEN_CONV_MVE_NEXT
        MCUGEN_CONV_MVE_TAIL);
}

/* Weights of two channels times a vector of each window, and on to the next vectors. */
#define MCUGEN_CONV_MVE_NARROW_STEP(multiply, weights)                                             \
    weights                                                                                        \
    "vldrb.8 q2, [r3], #16\n"                                                                      \
    "" #multiply " r0, q0, q2\n"                                                                   \
    "vldrb.8 q3, [r5], #16\n"                                                                      \
    "" #multiply " r2, q1, q2\n"                                                                   \
    "vldrb.8 q2, [r7], #16\n"                                                                      \
    "" #multiply " r4, q0, q3\n"                                                                   \
    "" #multiply " r6, q1, q3\n"                                                                   \
    "" #multiply " r8, q0, q2\n"                                                                   \
    "" #multiply " r10, q1, q2\n"

#define MCUGEN_CONV_MVE_NARROW_LOOP(weights)                                                       \
    MCUGEN_CONV_MVE_NARROW_STEP(vmladav.s8, weights)                                               \
    "wls lr, r12, 3f\n"                                                                            \
    "2:\n"                                                                                         \
    MCUGEN_CONV_MVE_NARROW_STEP(vmladava.s8, weights)                                              \
    "le lr, 2b\n"                                                                                  \
    "3:\n"                                                                                         \
    "sub r3, r3, r9, lsl #4\n"                                                                     \
    "sub r5, r5, r9, lsl #4\n"                                                                     \
    "sub r7, r7, r9, lsl #4\n"

/** Weights of 4 bits. */
static MCUGEN_NAKED void
mcugen_conv_mve_block_w4(const mcugen_conv_mve_block_t *block MCUGEN_UNUSED)
{
    __asm__ __volatile__(
        MCUGEN_CONV_MVE_HEAD
        "vmov.i8 q4, #0xf0\n"
        "1:\n"
        MCUGEN_CONV_MVE_NARROW_LOOP("vldrb.8 q1, [r1], #32\n"
                                    "vshl.i8 q0, q1, #4\n"
                                    "vand q1, q1, q4\n")
        MCUGEN_CONV_MVE_SUMS(0)
        "sub r1, r1, r9, lsl #5\n"
        "adds r1, #16\n"
        MCUGEN_CONV_MVE_NARROW_LOOP("vldrb.8 q1, [r1], #32\n"
                                    "vshl.i8 q0, q1, #4\n"
                                    "vand q1, q1, q4\n")
        MCUGEN_CONV_MVE_SUMS(8)
        "subs r1, #16\n"
        MCUGEN_CONV_MVE_NEXT
        MCUGEN_CONV_MVE_TAIL);
}

/** Weights of 2 bits. */
static MCUGEN_NAKED void
mcugen_conv_mve_block_w2(const mcugen_conv_mve_block_t *block MCUGEN_UNUSED)
{
    __asm__ __volatile__(
        MCUGEN_CONV_MVE_HEAD
        "vmov.i8 q4, #0xc0\n"
        "1:\n"
        MCUGEN_CONV_MVE_NARROW_LOOP("vldrb.8 q1, [r1], #16\n"
                                    "vshl.i8 q0, q1, #6\n"
                                    "vshl.i8 q1, q1, #4\n"
                                    "vand q1, q1, q4\n")
        MCUGEN_CONV_MVE_SUMS(0)
        "sub r1, r1, r9, lsl #4\n"
        MCUGEN_CONV_MVE_NARROW_LOOP("vldrb.8 q1, [r1], #16\n"
                                    "vshl.i8 q0, q1, #2\n"
                                    "vand q1, q1, q4\n"
                                    "vand q0, q0, q4\n")
        MCUGEN_CONV_MVE_SUMS(8)
        MCUGEN_CONV_MVE_NEXT
        MCUGEN_CONV_MVE_TAIL);
}
/* clang-format on */
#endif

/** Sums of a tile: the same in plain C. */
static inline void mcugen_conv_mve_sums(int32_t bits, const mcugen_conv_mve_block_t *block)
{
    const int8_t *weight = block->weight;
    int32_t *sums = block->sums;

    for (int32_t o = 0; o < (4 * block->fours); o += 4) {
        for (int32_t p = 0; p < MCUGEN_CONV_MVE_TILE; p++) {
            for (int32_t i = 0; i < 4; i++) {
                sums[(4 * p) + i] = block->bias[o + i];
            }
        }
        for (int32_t k = 0; k < (MCUGEN_VECTOR * block->steps); k += MCUGEN_VECTOR) {
            for (int32_t i = 0; i < 4; i++) {
                for (int32_t j = 0; j < MCUGEN_VECTOR; j++) {
                    const int32_t w = mcugen_mve_weight(weight, i, j, bits);
                    for (int32_t p = 0; p < MCUGEN_CONV_MVE_TILE; p++) {
                        sums[(4 * p) + i] += w * block->window[p][k + j];
                    }
                }
            }
            weight += (MCUGEN_VECTOR / 2) * bits;
        }
        sums += 4 * MCUGEN_CONV_MVE_TILE;
    }
}

/** All channels of the pixels of a tile. None is stored before all are summed up. */
static MCUGEN_ALWAYS_INLINE void mcugen_conv_mve_tile(int32_t bits,
                                                      const mcugen_conv_mve_s8_params_t *p,
                                                      const mcugen_conv_mve_block_t *block)
{
#if MCUGEN_HAS_MVE
    if (bits == 4) {
        mcugen_conv_mve_block_w4(block);
    } else if (bits == 2) {
        mcugen_conv_mve_block_w2(block);
    } else if (p->steps == 1) {
        mcugen_conv_mve_block_1(block);
    } else if (p->steps == 2) {
        mcugen_conv_mve_block_2(block);
    } else {
        mcugen_conv_mve_block_n(block);
    }
#else
    mcugen_conv_mve_sums(bits, block);
    for (int32_t i = 0; i < MCUGEN_CONV_MVE_TILE; i++) {
        for (int32_t o = 0; o < p->out_ch; o++) {
            const int32_t place = (((o / 4) * MCUGEN_CONV_MVE_TILE) + i) * 4;
            block->pixel[i][o] =
                mcugen_mve_requantize_one(&p->requantize, block->sums[place + (o % 4)], o);
        }
    }
#endif
}

/** How one row of the input is laid into the columns; assembly knows the places of the members. */
typedef struct {
    int32_t len;           /* 0: bytes that are moved at once, up to 16 */
    int32_t rest;          /* 4: bytes of one move more, 0 for none */
    int32_t source_step;   /* 8: bytes from one move to the next */
    int32_t target_step;   /* 12 */
    const uint8_t *places; /* 16: [16], of narrow pixels; unused for wide ones */
} mcugen_conv_mve_moves_t;

#if MCUGEN_HAS_MVE
/** Move up to 16 channels of each pixel. */
static MCUGEN_NAKED void mcugen_conv_mve_move(int8_t *target MCUGEN_UNUSED,
                                              const int8_t *source MCUGEN_UNUSED,
                                              int32_t count MCUGEN_UNUSED,
                                              const mcugen_conv_mve_moves_t *moves MCUGEN_UNUSED)
{
    __asm__ __volatile__("push {r4, lr}\n"
                         "ldr r4, [r3]\n"
                         "vctp.8 r4\n"
                         "ldr r4, [r3, #12]\n"
                         "ldr r3, [r3, #8]\n"
                         "wls lr, r2, 2f\n"
                         "1:\n"
                         "vpstt\n"
                         "vldrbt.u8 q0, [r1]\n"
                         "vstrbt.8 q0, [r0]\n"
                         "add r1, r3\n"
                         "add r0, r4\n"
                         "le lr, 1b\n"
                         "2:\n"
                         "pop {r4, pc}\n");
}

/** Spread several narrow pixels at once to their columns. */
static MCUGEN_NAKED void mcugen_conv_mve_spread(int8_t *target MCUGEN_UNUSED,
                                                const int8_t *source MCUGEN_UNUSED,
                                                int32_t count MCUGEN_UNUSED,
                                                const mcugen_conv_mve_moves_t *moves MCUGEN_UNUSED)
{
    __asm__ __volatile__("push {r4-r6, lr}\n"
                         "ldm r3, {r3-r6, r12}\n"
                         "vldrb.8 q1, [r12]\n"
                         "vctp.8 r3\n"
                         "wls lr, r2, 2f\n"
                         "1:\n"
                         "vpstt\n"
                         "vldrbt.u8 q0, [r1]\n"
                         "vstrbt.8 q0, [r0, q1]\n"
                         "add r1, r5\n"
                         "add r0, r6\n"
                         "le lr, 1b\n"
                         "2:\n"
                         "vctp.8 r4\n"
                         "vpstt\n"
                         "vldrbt.u8 q0, [r1]\n"
                         "vstrbt.8 q0, [r0, q1]\n"
                         "pop {r4-r6, pc}\n");
}
#endif

/** Lay one row of the input into the columns: pixel i at target[i * step]. */
static inline void mcugen_conv_mve_lay_row(const mcugen_conv_mve_s8_params_t *p, const int8_t *row,
                                           int8_t *target, int32_t pixels, int32_t step)
{
#if MCUGEN_HAS_MVE
    const int32_t ch = p->in_ch;
    mcugen_conv_mve_moves_t moves;

    moves.places = p->spread;
    if (p->spread != NULL) {
        const int32_t once = MCUGEN_VECTOR / ch;
        moves.len = once * ch;
        moves.rest = (pixels % once) * ch;
        moves.source_step = moves.len;
        moves.target_step = once * step;
        mcugen_conv_mve_spread(target, row, pixels / once, &moves);
        return;
    }
    moves.rest = 0;
    moves.source_step = ch;
    moves.target_step = step;
    for (int32_t c = 0; c < ch; c += MCUGEN_VECTOR) {
        moves.len = ch - c;
        mcugen_conv_mve_move(&target[c], &row[c], pixels, &moves);
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
    const int32_t most = (span < p->in_w) ? span : p->in_w;
    const int32_t pixels = (most > 0) ? most : 0;
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

/** How many pixels from x on share a tile: those that share their biases. */
static inline int32_t mcugen_conv_mve_pixels(const mcugen_conv_mve_s8_params_t *p, int32_t x)
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
 * Move windows to where all their vectors may be read: the last one may reach into what follows,
 * where it meets zero weights, but not beyond the end of the input.
 */
static inline void mcugen_conv_mve_copy_windows(const mcugen_conv_mve_s8_params_t *p,
                                                mcugen_conv_mve_block_t *block, int8_t *copies)
{
    for (int32_t i = 0; i < MCUGEN_CONV_MVE_TILE; i++) {
        mcugen_mve_copy(copies, block->window[i], p->kernel_w * p->kernel_h * p->in_ch);
        block->window[i] = copies;
        copies += MCUGEN_VECTOR * p->steps;
    }
}

/**
 * One row of outputs.
 *
 * @param[in]  bits   Of a weight: 8, 4 or 2.
 * @param[in]  row    The windows: each kernel_w columns long, stride_w columns after the last.
 * @param[in]  len    Bytes that may be read from there.
 * @param[out] output int8 [out_w, out_ch].
 * @param      copies Room for MCUGEN_CONV_MVE_TILE windows, where they may end after len.
 */
static MCUGEN_ALWAYS_INLINE void mcugen_conv_mve_row(int32_t bits,
                                                     const mcugen_conv_mve_s8_params_t *p,
                                                     mcugen_conv_mve_block_t *block, int32_t y,
                                                     const int8_t *row, int32_t len, int8_t *output,
                                                     int8_t *copies)
{
    const int32_t step = p->stride_w * p->kernel_h * p->in_ch;
    const int32_t out_ch = p->out_ch;
    const int32_t safe = len - (MCUGEN_VECTOR * p->steps); /* where a last window may begin */
    int32_t place = 0;

    for (int32_t x = 0; x < p->out_w;) {
        const int32_t pixels = mcugen_conv_mve_pixels(p, x);
        const int32_t second = (pixels > 1) ? 1 : 0;
        const int32_t third = (pixels > 2) ? 2 : second;
        /* what is missing in a tile is its last pixel again */
        block->window[0] = &row[place];
        block->window[1] = &row[place + (second * step)];
        block->window[2] = &row[place + (third * step)];
        block->pixel[0] = output;
        block->pixel[1] = &output[second * out_ch];
        block->pixel[2] = &output[third * out_ch];
        if (p->col_class != NULL) {
            const int32_t at = (p->row_class[y] * p->col_classes) + p->col_class[x];
            block->bias = &p->bias[at * 4 * p->fours];
        }
        if ((place + (third * step)) > safe) {
            mcugen_conv_mve_copy_windows(p, block, copies);
        }
        mcugen_conv_mve_tile(bits, p, block);
        output += pixels * out_ch;
        place += pixels * step;
        x += pixels;
    }
}

/**
 * Convolution with undivided channels and no dilation along the width.
 *
 * @param[in]  bits    Of a weight: 8, 4 or 2.
 * @param[in]  p       Geometry, weights and requantization.
 * @param[in]  input   int8 [in_h, in_w, in_ch].
 * @param[out] output  int8 [out_h, out_w, out_ch].
 * @param      scratch int32 [fours, MCUGEN_CONV_MVE_TILE, 4] of sums, then the columns of one row
 *                     of windows and a vector more, or MCUGEN_CONV_MVE_TILE windows if direct.
 */
static MCUGEN_ALWAYS_INLINE void mcugen_conv_mve(int32_t bits, const mcugen_conv_mve_s8_params_t *p,
                                                 const int8_t *input, int8_t *output,
                                                 int8_t *scratch)
{
    const int32_t columns = ((p->out_w - 1) * p->stride_w) + p->kernel_w;
    const int32_t columns_len = columns * p->kernel_h * p->in_ch;
    const int32_t in_row = p->stride_h * p->in_w * p->in_ch;
    const int32_t out_row = p->out_w * p->out_ch;
    int8_t *const lines = &scratch[4 * 4 * MCUGEN_CONV_MVE_TILE * p->fours];
    int32_t len = p->in_h * p->in_w * p->in_ch;
    mcugen_conv_mve_block_t block;

    block.weight = p->weight;
    block.bias = p->bias;
    block.sums = (int32_t *)(void *)scratch;
    block.first_sums = block.sums;
    block.steps = p->steps;
    block.fours = p->fours;
    block.multiplier = p->requantize.multiplier;
    block.shift = p->requantize.shift;
    block.zero_point = p->requantize.zero_point;
    block.low = p->requantize.low;
    block.high = p->requantize.high;
    block.whole_fours = p->out_ch / 4;
    block.rest_mask = (1u << (4 * (p->out_ch % 4))) - 1u;
    if (p->direct != 0) {
        for (int32_t y = 0; y < p->out_h; y++) {
            mcugen_conv_mve_row(bits, p, &block, y, &input[y * in_row], len, &output[y * out_row],
                                lines);
            len -= in_row;
        }
        return;
    }
    mcugen_mve_fill(lines, p->pad_value, columns_len + MCUGEN_VECTOR);
    for (int32_t y = 0; y < p->out_h; y++) {
        mcugen_conv_mve_lay(p, input, y, lines);
        mcugen_conv_mve_row(bits, p, &block, y, lines, columns_len + MCUGEN_VECTOR,
                            &output[y * out_row], lines);
    }
}

/** mcugen_conv_mve. */
MCUGEN_KERNEL void mcugen_conv_mve_s8(const mcugen_conv_mve_s8_params_t *p, const int8_t *input,
                                      int8_t *output, int8_t *scratch)
{
    mcugen_conv_mve(8, p, input, output, scratch);
}

/** mcugen_conv_mve with weights of 4 bits. */
MCUGEN_KERNEL void mcugen_conv_mve_s8_w4(const mcugen_conv_mve_s8_w4_params_t *p,
                                         const int8_t *input, int8_t *output, int8_t *scratch)
{
    mcugen_conv_mve(4, p, input, output, scratch);
}

/** mcugen_conv_mve with weights of 2 bits. */
MCUGEN_KERNEL void mcugen_conv_mve_s8_w2(const mcugen_conv_mve_s8_w2_params_t *p,
                                         const int8_t *input, int8_t *output, int8_t *scratch)
{
    mcugen_conv_mve(2, p, input, output, scratch);
}

#ifdef __cplusplus
}
#endif

#endif /* MCUGEN_CONV_MVE_H_INCLUDED */
