/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file mcugen_depthwise_pair.h
 * @brief Depthwise convolution up to 3x3 for cores without the DSP extension.
 *
 * Two output rows are computed at once: what they read of a channel is unfolded into three rows of
 * words x0 + 2^16 x1, so that one multiplication gives the products of both (mcugen_conv_pair.h
 * tells how their sums are kept apart). Kernels smaller than 3x3 are filled up with zeros.
 */
#ifndef MCUGEN_DEPTHWISE_PAIR_H_INCLUDED
#define MCUGEN_DEPTHWISE_PAIR_H_INCLUDED

#include "mcugen_scalar.h"
#include "mcugen_short.h"

#ifdef __cplusplus
extern "C" {
#endif

#define MCUGEN_DEPTHWISE_PAIR_ROWS 3

typedef struct {
    int32_t in_h;
    int32_t in_w;
    int32_t ch;
    int32_t out_h;
    int32_t out_w;
    int32_t stride_h;
    int32_t stride_w;
    int32_t pad_top;
    int32_t pad_left;
    int32_t pad_value;
    int32_t tile;           /* output columns that are computed at once */
    int32_t saved;          /* input rows in the scratch, 0 where the input lies clear */
    const uint32_t *weight; /* [ch, 3 rows], bytes of the taps: first, second, none, third */
} mcugen_depthwise_pair_image_t;

typedef struct {
    mcugen_depthwise_pair_image_t image;
    const int32_t *bias;       /* [ch] */
    const int32_t *multiplier; /* [ch] */
    const uint8_t *shift;      /* [ch], bits of the high word, less one */
    int32_t rounding;          /* 2 * zero point + 1 */
    int32_t low;
    int32_t high;
} mcugen_depthwise_pair_s8_params_t;

/* The same with the requantization of mcugen_short.h. */
typedef struct {
    mcugen_depthwise_pair_image_t image;
    const uint32_t *scale; /* [ch][offset, factors] */
    int32_t shift;
    int32_t low;
    int32_t span;
} mcugen_depthwise_short_s8_params_t;

/** One channel of a tile. The assembly knows the order of the members up to `back`. */
typedef struct {
    const uint32_t *weight;
    const uint32_t *scale;
    uint32_t shift;
    int8_t *output[2];
    int32_t ch;
    int32_t end; /* ch times the output columns */
    int32_t low;
    int32_t limit; /* largest output, or the span up to there */
    const uint32_t *x;
    int32_t row_step; /* bytes from the third word of a row to the first of the next one */
    int32_t back; /* bytes from the words of one output's last row to those of the next output */
    int32_t bias;
    int32_t multiplier;
    int32_t rounding;
} mcugen_depthwise_pair_job_t;

/** The sums of both rows' outputs. */
static inline void mcugen_depthwise_pair_sums(const uint32_t *weight, const uint32_t *x,
                                              int32_t step, int32_t *sums)
{
    uint32_t both = 0;
    int32_t upper = 0;

    for (int32_t i = 0; i < MCUGEN_DEPTHWISE_PAIR_ROWS; i++) {
        const uint32_t *row = &x[i * step];
        const uint32_t *word = &weight[i];
        const uint32_t two =
            (mcugen_scalar_weight(word, 0u) * row[0]) + (mcugen_scalar_weight(word, 1u) * row[1]);
        const uint32_t one = mcugen_scalar_weight(word, 3u) * row[2];
        both += two + one;
        upper += mcugen_scalar_upper(two) + mcugen_scalar_upper(one);
    }
    sums[0] = (int32_t)(both - ((uint32_t)upper << 16));
    sums[1] = upper;
}

/** Words from a row of the tile to the next. */
static inline int32_t mcugen_depthwise_pair_pitch(const mcugen_depthwise_pair_job_t *job)
{
    return (job->row_step / 4) + 3;
}

/** Words from those of an output to those of the next. */
static inline int32_t mcugen_depthwise_pair_next(const mcugen_depthwise_pair_job_t *job)
{
    return ((job->back + job->row_step) / 4) + 9 + (2 * (job->row_step / 4));
}

/** One channel of a tile. */
static inline void mcugen_depthwise_pair_channel(const mcugen_depthwise_pair_job_t *job)
{
    const int32_t step = mcugen_depthwise_pair_pitch(job);
    const int32_t next = mcugen_depthwise_pair_next(job);
    const uint32_t *x = job->x;
    int32_t sums[2];

    for (int32_t place = 0; place != job->end; place += job->ch) {
        mcugen_depthwise_pair_sums(job->weight, x, step, sums);
        const int8_t first = mcugen_scalar_requantize(
            job->bias + sums[0], job->multiplier, job->shift, job->rounding, job->low, job->limit);
        const int8_t second = mcugen_scalar_requantize(
            job->bias + sums[1], job->multiplier, job->shift, job->rounding, job->low, job->limit);
        job->output[0][place] = first;
        job->output[1][place] = second;
        x = &x[next];
    }
}

#if MCUGEN_ARMV6M
/* Three taps of a row: words r0, weights at offset W of the stack; sum of S1 r6, of P r8. */
#define MCUGEN_DEPTHWISE_PAIR_ROW(W)                                                               \
    "ldmia r0!, {r1-r3}\n"                                                                         \
    "add r0, r9\n"                                                                                 \
    "ldr r4, [sp, #" W "]\n"                                                                       \
    "sxtb r5, r4\n"                                                                                \
    "muls r1, r5\n"                                                                                \
    "lsls r5, r4, #16\n"                                                                           \
    "asrs r5, r5, #24\n"                                                                           \
    "muls r2, r5\n"                                                                                \
    "adds r1, r1, r2\n"                                                                            \
    "add r8, r1\n"                                                                                 \
    "asrs r1, r1, #16\n"                                                                           \
    "adcs r6, r1\n"                                                                                \
    "asrs r4, r4, #24\n"                                                                           \
    "muls r3, r4\n"                                                                                \
    "add r8, r3\n"                                                                                 \
    "asrs r3, r3, #16\n"                                                                           \
    "adcs r6, r3\n"

/** One channel of a tile with short factors. */
MCUGEN_NAKED static void mcugen_depthwise_short_channel(const mcugen_depthwise_pair_job_t *job
                                                        __attribute__((unused)))
{
    /* clang-format off */
    __asm__ volatile(
        ".syntax unified\n"
        "push {r4-r7, lr}\n"
        "mov r4, r8\n"
        "mov r5, r9\n"
        "mov r6, r10\n"
        "mov r7, r11\n"
        "push {r4-r7}\n"
        "sub sp, #40\n"
        "ldmia r0!, {r1, r2}\n"
        "ldmia r1!, {r3-r5}\n" /* weights */
        "mov r1, sp\n"
        "stmia r1!, {r3-r5}\n"
        "ldmia r2!, {r3, r4}\n" /* offset, factors */
        "mov r10, r3\n"
        "movs r3, r1\n"
        MCUGEN_SHORT_FACTORS("r4", "13")
        "ldmia r0!, {r4-r7}\n" /* shift, outputs, channels */
        "stmia r3!, {r1, r2, r4-r7}\n"
        "ldmia r0!, {r2, r4-r7}\n" /* end, low, limit, words, step */
        "mov r11, r2\n"
        "mov r12, r4\n"
        "mov lr, r5\n"
        "mov r8, r6\n"
        "mov r9, r7\n"
        "ldr r4, [r0]\n"
        "str r4, [r3]\n"
        "movs r7, #0\n"
        "1:\n"
        "mov r0, r8\n"
        "movs r6, #0\n"
        "mov r8, r6\n"
        MCUGEN_DEPTHWISE_PAIR_ROW("0")
        MCUGEN_DEPTHWISE_PAIR_ROW("4")
        MCUGEN_DEPTHWISE_PAIR_ROW("8")
        "ldr r1, [sp, #36]\n"
        "adds r1, r0, r1\n"
        "mov r3, r8\n"
        "mov r8, r1\n"
        "lsls r4, r6, #16\n"
        "subs r3, r3, r4\n"
        "add r0, sp, #12\n"
        "ldmia r0!, {r1, r2, r5}\n"
        "ldr r0, [sp, #24]\n"
        MCUGEN_SHORT_OUTPUT("r3", "[r0, r7]", "13")
        "ldr r0, [sp, #28]\n"
        MCUGEN_SHORT_OUTPUT("r6", "[r0, r7]", "13")
        "ldr r4, [sp, #32]\n"
        "adds r7, r7, r4\n"
        "cmp r7, r11\n"
        "beq 9f\n"
        "b 1b\n"
        "9:\n"
        "add sp, #40\n"
        "pop {r4-r7}\n"
        "mov r8, r4\n"
        "mov r9, r5\n"
        "mov r10, r6\n"
        "mov r11, r7\n"
        "pop {r4-r7, pc}\n"
        ::: "memory");
    /* clang-format on */
}
#else
/** One channel of a tile with short factors. */
static inline void mcugen_depthwise_short_channel(const mcugen_depthwise_pair_job_t *job)
{
    const int32_t step = mcugen_depthwise_pair_pitch(job);
    const int32_t next = mcugen_depthwise_pair_next(job);
    const uint32_t *x = job->x;
    int32_t sums[2];

    for (int32_t place = 0; place != job->end; place += job->ch) {
        mcugen_depthwise_pair_sums(job->weight, x, step, sums);
        for (int32_t i = 0; i < 2; i++) {
            sums[i] = mcugen_short_requantize(sums[i], job->scale, 13, (int32_t)job->shift,
                                              job->low, job->limit);
        }
        job->output[0][place] = (int8_t)sums[0];
        job->output[1][place] = (int8_t)sums[1];
        x = &x[next];
    }
}
#endif

/** Where the two output rows of a tile read their rows: null where that is outside. */
typedef struct {
    const int8_t *source[MCUGEN_DEPTHWISE_PAIR_ROWS][2];
    uint32_t *words[MCUGEN_DEPTHWISE_PAIR_ROWS]; /* of the first column inside */
    int32_t columns;                             /* that are inside */
} mcugen_depthwise_pair_tile_t;

/** One row of a tile; `source` may be null once. */
static inline void mcugen_depthwise_pair_border(const int8_t *source, uint32_t place,
                                                uint32_t filling, int32_t columns, int32_t ch,
                                                uint32_t *words)
{
    for (int32_t i = 0; i < columns; i++) {
        words[i] = filling + ((uint32_t)(int32_t)*source << place);
        source = &source[ch];
    }
}

/** One channel of a tile as words. */
static inline void mcugen_depthwise_pair_unfold(const mcugen_depthwise_pair_image_t *p,
                                                const mcugen_depthwise_pair_tile_t *tile,
                                                int32_t channel)
{
    const uint32_t padding = (uint32_t)p->pad_value;

    for (int32_t i = 0; i < MCUGEN_DEPTHWISE_PAIR_ROWS; i++) {
        const int8_t *const a = tile->source[i][0];
        const int8_t *const b = tile->source[i][1];
        if ((a != NULL) && (b != NULL)) {
            mcugen_scalar_unfold(&a[channel], &b[channel], p->ch, tile->columns, tile->words[i]);
        } else if (a != NULL) {
            mcugen_depthwise_pair_border(&a[channel], 0u, padding << 16, tile->columns, p->ch,
                                         tile->words[i]);
        } else if (b != NULL) {
            mcugen_depthwise_pair_border(&b[channel], 16u, padding, tile->columns, p->ch,
                                         tile->words[i]);
        } else {
            /* padding altogether, which is there */
        }
    }
}

/** Where the input is: rows up to `last` in a ring, the others where they were. */
typedef struct {
    const int8_t *rows;
    int8_t *ring;
    int32_t last; /* -1 where there is no ring */
    int32_t slot; /* of the last row */
} mcugen_depthwise_pair_input_t;

/** The ring's place of a row that is `back` rows before the last one. */
static inline int8_t *mcugen_depthwise_pair_slot(const mcugen_depthwise_pair_image_t *p,
                                                 const mcugen_depthwise_pair_input_t *input,
                                                 int32_t back)
{
    const int32_t slot = input->slot - back;

    return &input->ring[((slot < 0) ? (slot + p->saved) : slot) * p->in_w * p->ch];
}

/** Copy two more rows into the ring, before results are written where they are. */
static inline void mcugen_depthwise_pair_save(const mcugen_depthwise_pair_image_t *p,
                                              mcugen_depthwise_pair_input_t *input)
{
    for (int32_t i = 0; i < 2; i++) {
        input->last++;
        input->slot = (input->slot + 1 < p->saved) ? (input->slot + 1) : 0;
        if (input->last < p->in_h) {
            mcugen_scalar_copy(&input->rows[input->last * p->in_w * p->ch], p->in_w * p->ch,
                               mcugen_depthwise_pair_slot(p, input, 0));
        }
    }
}

/** Row y of the input from column x on, null where it is outside. */
static inline const int8_t *mcugen_depthwise_pair_row(const mcugen_depthwise_pair_image_t *p,
                                                      const mcugen_depthwise_pair_input_t *input,
                                                      int32_t y, int32_t x)
{
    if ((y < 0) || (y >= p->in_h)) {
        return NULL;
    }
    if (y <= input->last) {
        return &mcugen_depthwise_pair_slot(p, input, input->last - y)[x * p->ch];
    }
    return &input->rows[((y * p->in_w) + x) * p->ch];
}

/** Find the rows of output rows y[0] and y[1] from column x on; pad the words. */
static inline void mcugen_depthwise_pair_place(const mcugen_depthwise_pair_image_t *p,
                                               const mcugen_depthwise_pair_input_t *input,
                                               const int32_t *y, int32_t x, int32_t pitch,
                                               uint32_t *words, mcugen_depthwise_pair_tile_t *tile)
{
    const int32_t in_x = (x * p->stride_w) - p->pad_left;
    const int32_t first = (in_x < 0) ? -in_x : 0;
    const int32_t last = ((p->in_w - in_x) < pitch) ? (p->in_w - in_x) : pitch;

    tile->columns = last - first;
    for (int32_t i = 0; i < MCUGEN_DEPTHWISE_PAIR_ROWS; i++) {
        for (int32_t j = 0; j < pitch; j++) {
            words[(i * pitch) + j] = (uint32_t)p->pad_value + ((uint32_t)p->pad_value << 16);
        }
        for (int32_t k = 0; k < 2; k++) {
            tile->source[i][k] =
                (tile->columns > 0)
                    ? mcugen_depthwise_pair_row(p, input, (y[k] * p->stride_h) - p->pad_top + i,
                                                in_x + first)
                    : NULL;
        }
        tile->words[i] = &words[(i * pitch) + ((tile->columns > 0) ? first : 0)];
    }
}

/** All channels of a tile: `job` knows its outputs and words; `p` is null with short factors. */
static MCUGEN_ALWAYS_INLINE void mcugen_depthwise_pair_tile(
    const mcugen_depthwise_pair_image_t *image, const mcugen_depthwise_pair_s8_params_t *p,
    const mcugen_depthwise_pair_tile_t *tile, mcugen_depthwise_pair_job_t job)
{
    for (int32_t channel = 0; channel < image->ch; channel++) {
        mcugen_depthwise_pair_unfold(image, tile, channel);
        if (p == NULL) {
            mcugen_depthwise_short_channel(&job);
            job.scale = &job.scale[2];
        } else {
            job.multiplier = p->multiplier[channel];
            job.shift = p->shift[channel];
            job.bias = p->bias[channel];
            mcugen_depthwise_pair_channel(&job);
        }
        job.output[0]++;
        job.output[1]++;
        job.weight = &job.weight[MCUGEN_DEPTHWISE_PAIR_ROWS];
    }
}

/** All tiles; of the job, what belongs to requantization is there. */
static MCUGEN_ALWAYS_INLINE void mcugen_depthwise_pair_tiles(
    const mcugen_depthwise_pair_image_t *image, const mcugen_depthwise_pair_s8_params_t *p,
    mcugen_depthwise_pair_job_t job, const int8_t *input, int8_t *output, int8_t *scratch)
{
    uint32_t *const words = (uint32_t *)(void *)scratch;
    const int32_t pitch = ((image->tile - 1) * image->stride_w) + 3;
    mcugen_depthwise_pair_input_t source = {
        input, (int8_t *)&words[MCUGEN_DEPTHWISE_PAIR_ROWS * pitch], -1, -1};
    mcugen_depthwise_pair_tile_t tile;

    job.weight = image->weight;
    job.ch = image->ch;
    job.x = words;
    job.row_step = 4 * (pitch - 3);
    job.back = (4 * image->stride_w) - (3 * (job.row_step + 12));
    for (int32_t row = 0; row < image->out_h; row += 2) {
        const int32_t y[2] = {row, (row + 1 < image->out_h) ? (row + 1) : row};
        if (image->saved > 0) {
            mcugen_depthwise_pair_save(image, &source);
        }
        for (int32_t x = 0; x < image->out_w; x += image->tile) {
            const int32_t left = image->out_w - x;
            mcugen_depthwise_pair_place(image, &source, y, x, pitch, words, &tile);
            job.end = image->ch * ((left < image->tile) ? left : image->tile);
            for (int32_t k = 0; k < 2; k++) {
                job.output[k] = &output[((y[k] * image->out_w) + x) * image->ch];
            }
            mcugen_depthwise_pair_tile(image, p, &tile, job);
        }
    }
}

/**
 * Depthwise convolution, two rows at a time; a last single one is computed twice.
 *
 * @param[in]  p       Geometry, weights and requantization.
 * @param[in]  input   int8 [in_h, in_w, ch].
 * @param[out] output  int8 [out_h, out_w, ch]; may overlap the input as far as the rows that this
 *                     and later pairs of rows read are not overwritten. Where the last `saved` rows
 *                     are kept, an output row may take the place of the input row of its number.
 * @param      scratch 12 * ((tile - 1) * stride_w + 3) + saved * in_w * ch bytes, aligned to 4.
 */
MCUGEN_UNUSED MCUGEN_NOINLINE static void
mcugen_depthwise_pair_s8(const mcugen_depthwise_pair_s8_params_t *p, const int8_t *input,
                         int8_t *output, int8_t *scratch)
{
    const mcugen_depthwise_pair_job_t job = {
        NULL, NULL, 0u, {NULL, NULL}, 0, 0, p->low, p->high, NULL, 0, 0, 0, 0, p->rounding};

    mcugen_depthwise_pair_tiles(&p->image, p, job, input, output, scratch);
}

/** mcugen_depthwise_pair_s8 with short factors. */
MCUGEN_UNUSED MCUGEN_NOINLINE static void
mcugen_depthwise_short_s8(const mcugen_depthwise_short_s8_params_t *p, const int8_t *input,
                          int8_t *output, int8_t *scratch)
{
    const mcugen_depthwise_pair_job_t job = {
        NULL, p->scale, (uint32_t)p->shift, {NULL, NULL}, 0, 0, p->low, p->span, NULL, 0, 0, 0,
        0,    0};

    mcugen_depthwise_pair_tiles(&p->image, NULL, job, input, output, scratch);
}

#ifdef __cplusplus
}
#endif

#endif /* MCUGEN_DEPTHWISE_PAIR_H_INCLUDED */
