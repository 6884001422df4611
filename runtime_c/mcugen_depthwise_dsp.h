/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file mcugen_depthwise_dsp.h
 * @brief Depthwise convolution for cores with the DSP extension, plane by plane.
 *
 * Rows of two channels at a time are copied to the scratch as planes of int16 pairs, padding
 * included, and the outputs of a channel go where its inputs were. So the output may begin where
 * the input begins: what a chunk of rows writes was copied before.
 */
#ifndef MCUGEN_DEPTHWISE_DSP_H_INCLUDED
#define MCUGEN_DEPTHWISE_DSP_H_INCLUDED

#include "mcugen_depthwise_rows_dsp.h"
#include "mcugen_depthwise_strips_dsp.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Rows and columns may be those of the image or, where that is cheaper, the other way round. */
typedef struct {
    int32_t in_h;
    int32_t in_w;
    int32_t in_row; /* bytes from one input row to the next */
    int32_t in_col; /* bytes from one input column to the next */
    int32_t out_h;
    int32_t out_w;
    int32_t out_row; /* the same of the output */
    int32_t out_col;
    int32_t ch; /* at least 2 */
    int32_t kernel_h;
    int32_t kernel_w;
    int32_t stride_h;
    int32_t stride_w;
    int32_t pad_top;
    int32_t pad_left;
    int32_t pad_value;
    int32_t chunk;             /* output rows that are computed from one filling of the planes */
    int32_t row_words;         /* pairs in a row of a plane */
    int32_t sixes;             /* strips of six columns, where the kernel is 3x3 */
    int32_t fours;             /* strips of four columns behind them */
    int32_t spare;             /* 1 where the last strip has a column too many */
    const int8_t *weight;      /* [ch, kernel_h, kernel_w] */
    const int32_t *bias;       /* [ch] */
    const int32_t *multiplier; /* [ch] */
    const uint8_t *shift;      /* [ch], in [1, 62] */
    int32_t zero_point;
    int32_t low;
    int32_t high;
} mcugen_depthwise_s8_dsp_params_t;

typedef mcugen_depthwise_s8_dsp_params_t mcugen_depthwise_3x3_s8_dsp_params_t;
typedef mcugen_depthwise_s8_dsp_params_t mcugen_depthwise_3x3_stride2_s8_dsp_params_t;

/* What serves all channels of a layer. */
typedef struct {
    uint32_t *planes; /* [rows, 2 channels, row_words] */
    uint32_t *pairs;  /* weights of one channel, behind the planes */
    uint32_t padding; /* a pair of it */
    int32_t words;    /* of both channels' rows */
    mcugen_depthwise_rows_t rows;
    mcugen_depthwise_strips_t strips[2]; /* of each channel */
} mcugen_depthwise_work_t;

/** acc + the products of both halves. */
static inline int32_t mcugen_depthwise_smlad(uint32_t a, uint32_t b, int32_t acc)
{
#if defined(__ARM_FEATURE_DSP)
    int32_t sum;

    __asm__("smlad %0, %1, %2, %3" : "=r"(sum) : "r"(a), "r"(b), "r"(acc));
    return sum;
#else
    return acc + (mcugen_dsp_half(a, 0) * mcugen_dsp_half(b, 0)) +
           (mcugen_dsp_half(a, 1) * mcugen_dsp_half(b, 1));
#endif
}

/** target[i] = value. */
static MCUGEN_NOINLINE MCUGEN_UNUSED void mcugen_depthwise_fill(uint32_t *target, int32_t len,
                                                                uint32_t value)
{
    for (int32_t i = 0; i < len; i++) {
        target[i] = value;
    }
}

/** target[i] = target[step + i], from the first on; `len` is even. */
static MCUGEN_NOINLINE MCUGEN_UNUSED void mcugen_depthwise_move(uint32_t *target, int32_t step,
                                                                int32_t len)
{
    const uint32_t *source = &target[step];

#if defined(__ARM_FEATURE_DSP)
    for (; len >= 8; len -= 8) {
        __asm__ volatile("ldmia %0!, {r3-r6, r8-r10, r12}\n"
                         "stmia %1!, {r3-r6, r8-r10, r12}\n"
                         : "+r"(source), "+r"(target)
                         :
                         : "r3", "r4", "r5", "r6", "r8", "r9", "r10", "r12", "memory");
    }
#endif
    for (int32_t i = 0; i < len; i += 2) {
        const uint32_t a = source[i];
        const uint32_t b = source[i + 1];
        target[i] = a;
        target[i + 1] = b;
    }
}

/** Padding everywhere, and all that the channels have in common. */
static inline void mcugen_depthwise_begin(const mcugen_depthwise_s8_dsp_params_t *p,
                                          int8_t *scratch, mcugen_depthwise_work_t *work)
{
    const int32_t rows = ((p->chunk - 1) * p->stride_h) + p->kernel_h;
    const int32_t left = p->pad_left % 2;
    const int32_t pixels = p->in_w - left;

    work->words = 2 * p->row_words;
    work->planes = (uint32_t *)(void *)scratch;
    work->pairs = &work->planes[rows * work->words];
    work->padding = mcugen_depthwise_pair(p->pad_value, p->pad_value);
    work->rows.col = p->in_col;
    work->rows.plane = 4 * p->row_words;
    work->rows.pad = (uint32_t)(uint8_t)(int8_t)p->pad_value * 0x101u;
    work->rows.ends = (uint32_t)left | ((uint32_t)pixels & MCUGEN_DEPTHWISE_PAIR) |
                      (((uint32_t)pixels & 1u) * MCUGEN_DEPTHWISE_RIGHT);
    work->rows.quads = pixels / 4;
    work->rows.input_gap = p->in_row - (p->in_w * p->in_col);
    work->rows.target_gap = 4 * (work->words - ((p->in_w + left + 1) / 2));
    for (int32_t i = 0; i < 2; i++) {
        mcugen_depthwise_strips_t *s = &work->strips[i];
        s->rounding = ((2 * p->zero_point) + 1) * (1 << (MCUGEN_DEPTHWISE_SHIFT - 1));
        s->col = p->out_col;
        s->row = p->out_row;
        s->last_six = ((p->fours == 0) && (p->spare != 0)) ? 0 : p->out_col;
        s->last_four = (p->spare != 0) ? 0 : p->out_col;
        s->sixes = p->sixes;
        s->fours = p->fours;
        s->input_row = 4 * work->words;
    }
    mcugen_depthwise_fill(work->planes, rows * work->words, work->padding);
}

/**
 * The rows that output rows from `y` on read, of two channels.
 *
 * @param[in] input First channel of the first pixel.
 * @param[in] rows  Rows to be there.
 */
static inline void mcugen_depthwise_load(const mcugen_depthwise_s8_dsp_params_t *p,
                                         mcugen_depthwise_work_t *work, const int8_t *input,
                                         int32_t y, int32_t rows)
{
    const int32_t words = work->words;
    const int32_t top = (y * p->stride_h) - p->pad_top;
    const int32_t kept = p->kernel_h - p->stride_h;
    int32_t row = 0;
    int32_t end;

    if ((y > 0) && (kept > 0)) {
        /* the last rows of the chunk before are the first of this one */
        mcugen_depthwise_move(work->planes, p->chunk * p->stride_h * words, kept * words);
        row = kept;
    }
    if ((top + row) < 0) {
        end = mcugen_clamp(-top, row, rows);
        if (p->chunk < p->out_h) { /* else it is padding already */
            mcugen_depthwise_fill(&work->planes[row * words], (end - row) * words, work->padding);
        }
        row = end;
    }
    end = mcugen_clamp(p->in_h - top, row, rows);
    if (end > row) {
        work->rows.input = &input[(top + row) * p->in_row];
        work->rows.target = &work->planes[(row * words) + (p->pad_left / 2)];
        work->rows.rows = end - row;
        mcugen_depthwise_copy_rows(&work->rows);
    }
    if ((rows > end) && (p->chunk < p->out_h)) {
        mcugen_depthwise_fill(&work->planes[end * words], (rows - end) * words, work->padding);
    }
}

/** Whether the blocks for 3x3 kernels serve a channel. */
static inline int32_t mcugen_depthwise_served(const mcugen_depthwise_s8_dsp_params_t *p, int32_t c)
{
    const int32_t bits = 32 + MCUGEN_DEPTHWISE_SHIFT - p->shift[c];

    return ((bits >= 0) && (bits <= MCUGEN_DEPTHWISE_BITS)) ? 1 : 0;
}

/** What the blocks need to know of a channel. */
static inline void mcugen_depthwise_prepare(const mcugen_depthwise_s8_dsp_params_t *p, int32_t c,
                                            mcugen_depthwise_strips_t *s)
{
    /* all scaled by a power of two, so that the shift behind the multiplier is a constant */
    const int32_t scale = (int32_t)1 << (32 + MCUGEN_DEPTHWISE_SHIFT - p->shift[c]);
    const int8_t *weight = &p->weight[c * 9];

    s->bias = p->bias[c] * scale;
    s->multiplier = p->multiplier[c];
    for (int32_t row = 0; row < 3; row++) {
        const int32_t middle = weight[1] * scale;
        s->weight[2 * row] = mcugen_depthwise_pair(weight[0] * scale, middle);
        s->weight[(2 * row) + 1] = mcugen_depthwise_pair(middle, weight[2] * scale);
        weight += 3;
    }
}

/**
 * The weights of one channel in pairs, [kernel_h, kernel_w / 2 + 1, 2]: those of a window that
 * begins in the lower half of a word, then those of one that begins in the upper half.
 */
static inline void mcugen_depthwise_expand(const mcugen_depthwise_s8_dsp_params_t *p,
                                           const int8_t *weight, uint32_t *pairs)
{
    for (int32_t row = 0; row < p->kernel_h; row++) {
        int32_t before = 0;
        for (int32_t x = 0; x <= p->kernel_w; x += 2) {
            const int32_t even = (x < p->kernel_w) ? weight[x] : 0;
            const int32_t odd = ((x + 1) < p->kernel_w) ? weight[x + 1] : 0;
            pairs[0] = mcugen_depthwise_pair(even, odd);
            pairs[1] = mcugen_depthwise_pair(before, even);
            pairs += 2;
            before = odd;
        }
        weight += p->kernel_w;
    }
}

/** Accumulator to int8 by the high word: the single rounding of mcugen_requantize. */
static inline int8_t mcugen_depthwise_requantize(const mcugen_depthwise_s8_dsp_params_t *p,
                                                 int32_t c, int32_t acc)
{
    /* the compiler proved that an accumulator with a small shift has room for more */
    const int32_t more = (p->shift[c] < 33) ? (33 - p->shift[c]) : 0;
    const int32_t shift = p->shift[c] + more;
    const int32_t high = mcugen_depthwise_high(acc * ((int32_t)1 << more), p->multiplier[c]);
    const int32_t scaled = mcugen_asr32(high + ((int32_t)1 << (shift - 33)), shift - 32);

    return (int8_t)mcugen_clamp(scaled + p->zero_point, p->low, p->high);
}

/**
 * Rows of one channel under any kernel and stride, four outputs at a time.
 *
 * @param[in]  input  The channel's first row; the next is 2 * row_words on.
 * @param[in]  pairs  Room for the weights.
 * @param[out] output Channel c of the first pixel of `rows` rows.
 */
static MCUGEN_NOINLINE MCUGEN_UNUSED void
mcugen_depthwise_general(const mcugen_depthwise_s8_dsp_params_t *p, int32_t c,
                         const uint32_t *input, uint32_t *pairs, int8_t *output, int32_t rows)
{
    const int32_t col = p->out_col;
    const int32_t taps = (p->kernel_w / 2) + 1;
    /* of four outputs the second begins `next` words behind the first, the third `stride` */
    const int32_t stride = p->stride_w;
    const int32_t next = stride / 2;
    const int32_t upper = stride % 2;

    mcugen_depthwise_expand(p, &p->weight[c * p->kernel_h * p->kernel_w], pairs);
    for (int32_t y = 0; y < rows; y++) {
        const uint32_t *window = &input[y * p->stride_h * 2 * p->row_words];
        int8_t *out = &output[y * p->out_row];
        for (int32_t x = 0; x < p->out_w; x += 4) {
            const int32_t columns = p->out_w - x;
            const uint32_t *row = window;
            const uint32_t *weight = pairs;
            int32_t acc0 = p->bias[c];
            int32_t acc1 = acc0;
            int32_t acc2 = acc0;
            int32_t acc3 = acc0;
            for (int32_t i = 0; i < p->kernel_h; i++) {
                const uint32_t *in = row;
                for (int32_t j = 0; j < taps; j++) {
                    const uint32_t even = weight[0];
                    const uint32_t other = weight[upper];
                    acc0 = mcugen_depthwise_smlad(even, in[0], acc0);
                    acc1 = mcugen_depthwise_smlad(other, in[next], acc1);
                    acc2 = mcugen_depthwise_smlad(even, in[stride], acc2);
                    acc3 = mcugen_depthwise_smlad(other, in[stride + next], acc3);
                    weight += 2;
                    in++;
                }
                row += 2 * p->row_words;
            }
            out[0] = mcugen_depthwise_requantize(p, c, acc0);
            if (columns > 1) {
                out[col] = mcugen_depthwise_requantize(p, c, acc1);
            }
            if (columns > 2) {
                out[2 * col] = mcugen_depthwise_requantize(p, c, acc2);
            }
            if (columns > 3) {
                out[3 * col] = mcugen_depthwise_requantize(p, c, acc3);
            }
            out += 4 * col;
            window += 2 * stride;
        }
    }
}

/** Move an input that the output overlaps without beginning with it to the output's begin. */
static inline const int8_t *mcugen_depthwise_settle(const mcugen_depthwise_s8_dsp_params_t *p,
                                                    const int8_t *input, int8_t *output)
{
    const uintptr_t source = (uintptr_t)input;
    const uintptr_t target = (uintptr_t)output;
    const int32_t len = p->in_h * p->in_w * p->ch;

    if ((target >= source) || ((target + (uintptr_t)(p->out_h * p->out_w * p->ch)) <= source)) {
        return input;
    }
    for (int32_t i = 0; i < len; i++) {
        output[i] = input[i];
    }
    return output;
}

/** Rows of channel `c`, number `i` of the two in the planes, by the blocks where they serve it. */
static inline void mcugen_depthwise_plane(const mcugen_depthwise_s8_dsp_params_t *p,
                                          mcugen_depthwise_work_t *work, int32_t c, int32_t i,
                                          int8_t *output, int32_t rows, int32_t stride)
{
    const uint32_t *input = &work->planes[i * p->row_words];
    mcugen_depthwise_strips_t *s = &work->strips[i];

    if ((stride == 0) || (mcugen_depthwise_served(p, c) == 0)) {
        mcugen_depthwise_general(p, c, input, work->pairs, output, rows);
        return;
    }
    s->input = input;
    s->output = output;
    s->strip = output;
    s->end = &output[rows * p->out_row];
    if (stride == 1) {
        mcugen_depthwise_strips_1(s);
    } else {
        mcugen_depthwise_strips_2(s);
    }
}

/** Two channels at a time, `stride` being that of a 3x3 kernel, or 0 for any other. */
static inline void mcugen_depthwise_planes(const mcugen_depthwise_s8_dsp_params_t *p,
                                           const int8_t *input, int8_t *output, int8_t *scratch,
                                           int32_t stride)
{
    mcugen_depthwise_work_t work;

    input = mcugen_depthwise_settle(p, input, output);
    mcugen_depthwise_begin(p, scratch, &work);
    for (int32_t c = 0; c < p->ch; c += 2) {
        /* of an odd number of channels the last one is copied together with the one before */
        const int32_t first = (c < (p->ch - 1)) ? c : (c - 1);
        for (int32_t i = 0; i < 2; i++) {
            if ((stride != 0) && (mcugen_depthwise_served(p, first + i) != 0)) {
                mcugen_depthwise_prepare(p, first + i, &work.strips[i]);
            }
        }
        for (int32_t y = 0; y < p->out_h; y += p->chunk) {
            const int32_t left = p->out_h - y;
            const int32_t rows = (left < p->chunk) ? left : p->chunk;
            mcugen_depthwise_load(p, &work, &input[first], y,
                                  ((rows - 1) * p->stride_h) + p->kernel_h);
            for (int32_t i = c - first; i < 2; i++) {
                mcugen_depthwise_plane(p, &work, first + i, i,
                                       &output[(y * p->out_row) + first + i], rows, stride);
            }
        }
    }
    mcugen_dsp_clamp(output, p->out_h * p->out_w * p->ch, p->low, p->high);
}

/**
 * Depthwise convolution with any kernel and stride, without dilation.
 *
 * @param[in]  p       Geometry, weights and requantization.
 * @param[in]  input   int8 [in_h, in_w, ch].
 * @param[out] output  int8 [out_h, out_w, ch]; may begin with the input or before it, where the
 *                     compiler found that no row is written before it was copied.
 * @param      scratch Two planes of words and the weights of one channel in pairs.
 */
static MCUGEN_NOINLINE MCUGEN_UNUSED void
mcugen_depthwise_s8_dsp(const mcugen_depthwise_s8_dsp_params_t *p, const int8_t *input,
                        int8_t *output, int8_t *scratch)
{
    mcugen_depthwise_planes(p, input, output, scratch, 0);
}

/** The same for 3x3 kernels of stride 1, out_w at least 3. */
static MCUGEN_NOINLINE MCUGEN_UNUSED void
mcugen_depthwise_3x3_s8_dsp(const mcugen_depthwise_3x3_s8_dsp_params_t *p, const int8_t *input,
                            int8_t *output, int8_t *scratch)
{
    mcugen_depthwise_planes(p, input, output, scratch, 1);
}

/** The same for 3x3 kernels of stride 2 on both axes, out_w at least 3. */
static MCUGEN_NOINLINE MCUGEN_UNUSED void
mcugen_depthwise_3x3_stride2_s8_dsp(const mcugen_depthwise_3x3_stride2_s8_dsp_params_t *p,
                                    const int8_t *input, int8_t *output, int8_t *scratch)
{
    mcugen_depthwise_planes(p, input, output, scratch, 2);
}

#ifdef __cplusplus
}
#endif

#endif /* MCUGEN_DEPTHWISE_DSP_H_INCLUDED */
