/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file mcugen_conv_pair.h
 * @brief Dense convolution for cores without the DSP extension: two pixels in one multiplication.
 *
 * The windows of two output pixels are unfolded side by side into a column of words x0 + 2^16 x1.
 * A weight times such a word gives both products at once, and 16 bits hold the sum of two of them:
 * 2 * 127 * 128 < 2^15. So after every two taps ("a group") the sum P = S0 + 2^16 S1 is taken apart:
 * S1 = (P >> 16) + bit 15 of P is added up on its own, and so is P, modulo 2^32; the sum of S0
 * is what is left of the latter without 2^16 times the former.
 */
#ifndef MCUGEN_CONV_PAIR_H_INCLUDED
#define MCUGEN_CONV_PAIR_H_INCLUDED

#include "mcugen_conv.h"
#include "mcugen_conv_narrow_pair.h"
#include "mcugen_scalar.h"

#ifdef __cplusplus
extern "C" {
#endif

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
    int32_t pad_len;           /* bytes of padding that the scratch holds, 0 where none is read */
    int32_t groups;            /* pairs of taps in a window, the last filled up with zeros */
    const uint32_t *weight;    /* [channel pairs, groups], bytes [2 channels, 2 taps] */
    const int32_t *bias;       /* [row classes, col_classes, 2 * channel pairs] */
    const uint16_t *row_class; /* [out_h], null where the bias is the same everywhere */
    const uint16_t *col_class; /* [out_w], null likewise */
    int32_t col_classes;
    const int32_t *multiplier; /* [2 * channel pairs] */
    const uint8_t *shift;      /* [2 * channel pairs], bits of the high word, less one */
    int32_t rounding;          /* 2 * zero point + 1 */
    int32_t low;
    int32_t high;
    int32_t wide; /* what accumulators are multiplied by before; for weights of 8 bits 1 */
} mcugen_conv_pair_s8_params_t;

/*
 * The same with weights of 4 and 2 bits as in mcugen_conv_narrow_pair.h. Words of weights, biases
 * and what belongs to requantization are by four channels, and of 2 bits groups are even in number.
 * Without a table of shifts a bias is what its word holds above a byte, and that byte the shift.
 */
typedef mcugen_conv_pair_s8_params_t mcugen_conv_pair_s8_w4_params_t;
typedef mcugen_conv_pair_s8_params_t mcugen_conv_pair_s8_w2_params_t;

/** All channels of two pixels. The assembly knows the order of the members. */
typedef struct {
    const uint32_t *column;
    const uint32_t *column_end;
    const uint32_t *weight;
    uint32_t skip; /* bytes of code before the first group */
    const int32_t *bias[2];
    const int32_t *multiplier;
    const uint8_t *shift;
    int8_t *output[2];
    int32_t out_ch;
    int32_t rounding;
    int32_t low;
    int32_t high;
    int32_t wide;
    int32_t bias_place; /* bits below a bias in its word */
} mcugen_conv_pair_job_t;

#if MCUGEN_ARMV6M
/* Bytes of code of one group, and groups in one turn of the loop. */
#define MCUGEN_CONV_PAIR_GROUP_BYTES 42u
#define MCUGEN_CONV_PAIR_UNROLL 4u

/*
 * Two taps of two channels. In: column r0, weights r1; sums of S1 in r6 and r7, of P in r8 and r9.
 * Shifting right by 16 leaves bit 15 in the carry.
 */
#define MCUGEN_CONV_PAIR_GROUP                                                                     \
    "ldmia r0!, {r2, r3}\n"                                                                        \
    "ldmia r1!, {r4}\n"                                                                            \
    "sxtb r5, r4\n"                                                                                \
    "muls r5, r2\n"                                                                                \
    "mov r10, r5\n"                                                                                \
    "lsls r5, r4, #16\n"                                                                           \
    "asrs r5, r5, #24\n"                                                                           \
    "muls r5, r3\n"                                                                                \
    "add r5, r10\n"                                                                                \
    "add r8, r5\n"                                                                                 \
    "asrs r5, r5, #16\n"                                                                           \
    "adcs r6, r5\n"                                                                                \
    "lsls r5, r4, #8\n"                                                                            \
    "asrs r5, r5, #24\n"                                                                           \
    "muls r2, r5\n"                                                                                \
    "asrs r4, r4, #24\n"                                                                           \
    "muls r3, r4\n"                                                                                \
    "adds r2, r2, r3\n"                                                                            \
    "add r9, r2\n"                                                                                 \
    "asrs r2, r2, #16\n"                                                                           \
    "adcs r7, r2\n"

/* One channel of both pixels: its sum of S1 in register S1, of P in register P. */
#define MCUGEN_CONV_PAIR_FINISH(S1, P, MULTIPLIER, CHANNEL)                                        \
    "ldr r4, [sp, #24]\n"                                                                          \
    "ldr r3, [r4, #" MULTIPLIER "]\n"                                                              \
    "lsrs r2, r3, #16\n"                                                                           \
    "uxth r3, r3\n"                                                                                \
    "ldr r4, [sp, #28]\n"                                                                          \
    "ldrb r1, [r4, #" CHANNEL "]\n"                                                                \
    "ldr r4, [sp, #44]\n"                                                                          \
    "lsls r4, r1\n"                                                                                \
    "mov r10, r4\n"                                                                                \
    "lsls r4, " S1 ", #16\n"                                                                       \
    "mov r0, " P "\n"                                                                              \
    "subs r0, r0, r4\n" MCUGEN_ARMV6M_REQUANTIZE "ldr r4, [sp, #32]\n"                             \
    "strb r0, [r4, #" CHANNEL "]\n"                                                                \
    "movs r0, " S1 "\n" MCUGEN_ARMV6M_REQUANTIZE "ldr r4, [sp, #36]\n"                             \
    "strb r0, [r4, #" CHANNEL "]\n"

/** All channels of two pixels. */
MCUGEN_NAKED static void mcugen_conv_pair_channels(const mcugen_conv_pair_job_t *job
                                                   __attribute__((unused)))
{
    __asm__ volatile(".syntax unified\n"
                     "push {r4-r7, lr}\n"
                     "mov r4, r8\n"
                     "mov r5, r9\n"
                     "mov r6, r10\n"
                     "mov r7, r11\n"
                     "push {r4-r7}\n"
                     "sub sp, #56\n"
                     "mov r1, sp\n"
                     "ldmia r0!, {r2-r7}\n"
                     "stmia r1!, {r2-r7}\n"
                     "ldmia r0!, {r2-r7}\n"
                     "stmia r1!, {r2-r7}\n"
                     "ldmia r0!, {r2, r3}\n"
                     "mov r12, r2\n"
                     "mov lr, r3\n"
                     "1:\n" /* the biases, then the sums of two channels */
                     "ldr r1, [sp, #16]\n"
                     "ldmia r1!, {r2, r3}\n"
                     "str r1, [sp, #16]\n"
                     "ldr r1, [sp, #20]\n"
                     "ldmia r1!, {r6, r7}\n"
                     "str r1, [sp, #20]\n"
                     "lsls r4, r6, #16\n"
                     "adds r2, r2, r4\n"
                     "mov r8, r2\n"
                     "lsls r4, r7, #16\n"
                     "adds r3, r3, r4\n"
                     "mov r9, r3\n"
                     "ldr r1, [sp, #4]\n"
                     "mov r11, r1\n"
                     "ldr r0, [sp, #0]\n"
                     "ldr r1, [sp, #8]\n"
                     "ldr r5, [sp, #12]\n"
                     "add pc, r5\n"
                     "nop\n"
                     "2:\n" MCUGEN_CONV_PAIR_GROUP MCUGEN_CONV_PAIR_GROUP MCUGEN_CONV_PAIR_GROUP
                         MCUGEN_CONV_PAIR_GROUP "cmp r0, r11\n"
                     "bne 2b\n"
                     "str r1, [sp, #8]\n" MCUGEN_CONV_PAIR_FINISH(
                         "r6", "r8", "0", "0") "ldr r4, [sp, #40]\n"
                                               "cmp r4, #1\n"
                                               "beq 9f\n" MCUGEN_CONV_PAIR_FINISH(
                                                   "r7", "r9", "4", "1") "ldr r1, [sp, #24]\n"
                                                                         "ldr r2, [sp, #28]\n"
                                                                         "ldr r3, [sp, #32]\n"
                                                                         "ldr r4, [sp, #36]\n"
                                                                         "ldr r5, [sp, #40]\n"
                                                                         "adds r1, #8\n"
                                                                         "adds r2, #2\n"
                                                                         "adds r3, #2\n"
                                                                         "adds r4, #2\n"
                                                                         "add r0, sp, #24\n"
                                                                         "subs r5, #2\n"
                                                                         "stmia r0!, {r1-r5}\n"
                                                                         "beq 9f\n"
                                                                         "b 1b\n"
                                                                         "9:\n"
                                                                         "add sp, #56\n"
                                                                         "pop {r4-r7}\n"
                                                                         "mov r8, r4\n"
                                                                         "mov r9, r5\n"
                                                                         "mov r10, r6\n"
                                                                         "mov r11, r7\n"
                                                                         "pop {r4-r7, pc}\n");
}

/** Bytes of code before the first group, so that the loop ends with its last one. */
static inline uint32_t mcugen_conv_pair_skip(int32_t groups)
{
    return MCUGEN_CONV_PAIR_GROUP_BYTES * ((0u - (uint32_t)groups) % MCUGEN_CONV_PAIR_UNROLL);
}
#else
/** One channel of both pixels: `sum` of P with the biases in it, `upper` of S1. */
static inline void mcugen_conv_pair_finish(const mcugen_conv_pair_job_t *job, int32_t channel,
                                           uint32_t sum, int32_t upper)
{
    const int32_t lower = (int32_t)(sum - ((uint32_t)upper << 16));
    const int32_t multiplier = job->multiplier[channel];
    const uint32_t shift = job->shift[channel];
    const int8_t first = mcugen_scalar_requantize(job->bias[0][channel] + lower, multiplier, shift,
                                                  job->rounding, job->low, job->high);
    const int8_t second = mcugen_scalar_requantize(job->bias[1][channel] + upper, multiplier, shift,
                                                   job->rounding, job->low, job->high);

    job->output[0][channel] = first;
    job->output[1][channel] = second;
}

/** What two channels add up: P, and S1 alone. The assembly knows the order of the members. */
typedef struct {
    uint32_t sum_a;
    int32_t upper_a;
    uint32_t sum_b;
    int32_t upper_b;
} mcugen_conv_pair_sums_t;

#if MCUGEN_ARMV7M
/* Two taps of a channel, its weights in R10: sum of P and of S1 in the given registers. */
#define MCUGEN_CONV_PAIR_TAPS(FIRST, SECOND, SUM, UPPER)                                           \
    FIRST "mul r11, r11, r8\n" SECOND "mla r11, r12, r9, r11\n"                                    \
          "add " SUM ", r11\n"                                                                     \
          "asrs r11, r11, #16\n"                                                                   \
          "adcs " UPPER ", " UPPER ", r11\n"

#define MCUGEN_CONV_PAIR_GROUP                                                                     \
    "ldrd r8, r9, [r0], #8\n"                                                                      \
    "ldr r10, [r2], #4\n" MCUGEN_CONV_PAIR_TAPS("sxtb r11, r10\n", "sxtb r12, r10, ror #8\n",      \
                                                "r4", "r5")                                        \
        MCUGEN_CONV_PAIR_TAPS("sxtb r11, r10, ror #16\n", "asr r12, r10, #24\n", "r6", "r7")

/** Two channels: words from `x` to `end`, the weights of the first two taps in `weight`. */
MCUGEN_NAKED static void mcugen_conv_pair_sums(const uint32_t *x __attribute__((unused)),
                                               const uint32_t *end __attribute__((unused)),
                                               const uint32_t *weight __attribute__((unused)),
                                               mcugen_conv_pair_sums_t *sums
                                               __attribute__((unused)))
{
    __asm__ volatile(".syntax unified\n"
                     "push {r3-r11, lr}\n"
                     "movs r4, #0\n"
                     "movs r5, #0\n"
                     "movs r6, #0\n"
                     "movs r7, #0\n"
                     "subs r3, r1, r0\n"
                     "tst r3, #8\n"
                     "bne 2f\n"
                     "1:\n" MCUGEN_CONV_PAIR_GROUP "2:\n" MCUGEN_CONV_PAIR_GROUP "cmp r0, r1\n"
                     "bne 1b\n"
                     "ldr r3, [sp]\n"
                     "stmia r3, {r4-r7}\n"
                     "pop {r3-r11, pc}\n");
}
#else
/** Two taps of one channel. */
static inline uint32_t mcugen_conv_pair_products(const uint32_t *x, const uint32_t *weight,
                                                 uint32_t place)
{
    return (mcugen_scalar_weight(weight, place) * x[0]) +
           (mcugen_scalar_weight(weight, place + 1u) * x[1]);
}

/** Two channels: words from `x` to `end`, the weights of the first two taps in `weight`. */
static inline void mcugen_conv_pair_sums(const uint32_t *x, const uint32_t *end,
                                         const uint32_t *weight, mcugen_conv_pair_sums_t *sums)
{
    uint32_t sum_a = 0;
    uint32_t sum_b = 0;
    int32_t upper_a = 0;
    int32_t upper_b = 0;

    while (x != end) {
        const uint32_t a = mcugen_conv_pair_products(x, weight, 0u);
        const uint32_t b = mcugen_conv_pair_products(x, weight, 2u);
        x = &x[2];
        weight++;
        sum_a += a;
        upper_a += mcugen_scalar_upper(a);
        sum_b += b;
        upper_b += mcugen_scalar_upper(b);
    }
    sums->sum_a = sum_a;
    sums->upper_a = upper_a;
    sums->sum_b = sum_b;
    sums->upper_b = upper_b;
}
#endif

/** All channels of two pixels. */
static inline void mcugen_conv_pair_channels(const mcugen_conv_pair_job_t *job)
{
    const uint32_t *weight = job->weight;
    mcugen_conv_pair_sums_t sums;

    for (int32_t channel = 0; channel < job->out_ch; channel += 2) {
        mcugen_conv_pair_sums(job->column, job->column_end, weight, &sums);
        weight = &weight[(job->column_end - job->column) / 2];
        mcugen_conv_pair_finish(job, channel, sums.sum_a, sums.upper_a);
        if (channel + 1 < job->out_ch) {
            mcugen_conv_pair_finish(job, channel + 1, sums.sum_b, sums.upper_b);
        }
    }
}

/** The plain C needs none. */
static inline uint32_t mcugen_conv_pair_skip(int32_t groups)
{
    (void)groups;
    return 0;
}
#endif

/** Four channels or what is left of them, from `first` on. */
static inline void mcugen_narrow_pair_outputs(const mcugen_conv_pair_job_t *job, int32_t first,
                                              const mcugen_narrow_pair_sum_t *sums,
                                              const int32_t excess[2])
{
    for (int32_t k = 0; (k < MCUGEN_NARROW_PAIR_CHANNELS) && ((first + k) < job->out_ch); k++) {
        const int32_t c = first + k;
        const int32_t own[2] = {
            (int32_t)(sums[k].both - ((uint32_t)sums[k].upper << 16)),
            sums[k].upper,
        };
        const uint32_t shift =
            (job->shift == NULL) ? ((uint32_t)job->bias[0][c] & 255u) : job->shift[c];
        for (int32_t i = 0; i < 2; i++) {
            const int32_t bias = mcugen_asr32(job->bias[i][c], job->bias_place);
            const int32_t acc = bias + own[i] - ((k > 0) ? excess[i] : 0);
            job->output[i][c] = mcugen_scalar_requantize(job->wide * acc, job->multiplier[c], shift,
                                                         job->rounding, job->low, job->high);
        }
    }
}

/** All channels of two pixels with weights of 4 or 2 bits. */
static MCUGEN_ALWAYS_INLINE void mcugen_narrow_pair_channels(int32_t bits,
                                                             const mcugen_conv_pair_job_t *job)
{
    const int32_t words = (int32_t)(job->column_end - job->column) / ((bits == 4) ? 2 : 4);
    const mcugen_narrow_pair_sum_t values = mcugen_narrow_pair_values(job->column, job->column_end);
    const int32_t offset = (bits == 4) ? 8 : 2;
    const int32_t excess[2] = {
        offset * (int32_t)(values.both - ((uint32_t)values.upper << 16)),
        offset * values.upper,
    };
    const uint32_t *weight = job->weight;

    for (int32_t first = 0; first < job->out_ch; first += MCUGEN_NARROW_PAIR_CHANNELS) {
        mcugen_narrow_pair_sum_t sums[MCUGEN_NARROW_PAIR_CHANNELS];
        for (int32_t k = 0; k < MCUGEN_NARROW_PAIR_CHANNELS; k++) {
            sums[k].upper = 0;
            sums[k].both = 0;
        }
        if (bits == 4) {
            mcugen_narrow_pair_sums_4(job->column, weight, words, sums);
        } else {
            mcugen_narrow_pair_sums_2(job->column, weight, words, sums);
        }
        weight = &weight[words];
        mcugen_narrow_pair_outputs(job, first, sums, excess);
    }
}

/** Where a window begins in the input, and where its output pixel is. */
typedef struct {
    int32_t y;
    int32_t x;
    int32_t in_y;
    int32_t in_x;
} mcugen_conv_pair_place_t;

/** Index of the input that a window begins with, were there no border. */
static inline int32_t mcugen_conv_pair_start(const mcugen_conv_pair_s8_params_t *p,
                                             const mcugen_conv_pair_place_t *place)
{
    return ((place->in_y * p->in_w) + place->in_x) * p->in_ch;
}

/** The windows of two pixels that are inside the image in width, row after row. */
static inline void mcugen_conv_pair_inside(const mcugen_conv_pair_s8_params_t *p,
                                           const int8_t *input, const int8_t *padding,
                                           const mcugen_conv_pair_place_t *places, uint32_t *column)
{
    const int32_t len = p->kernel_w * p->in_ch;
    const int32_t row = p->dilation_h * p->in_w * p->in_ch;
    int32_t start = mcugen_conv_pair_start(p, &places[0]);
    int32_t other = mcugen_conv_pair_start(p, &places[1]);

    for (int32_t i = 0; i < p->kernel_h * p->dilation_h; i += p->dilation_h) {
        const uint32_t y = (uint32_t)(places[0].in_y + i);
        const uint32_t z = (uint32_t)(places[1].in_y + i);
        mcugen_scalar_unfold((y < (uint32_t)p->in_h) ? &input[start] : padding,
                             (z < (uint32_t)p->in_h) ? &input[other] : padding, 1, len, column);
        column = &column[len];
        start += row;
        other += row;
    }
}

/** One tap of a window, or the padding where that is outside. */
static inline const int8_t *mcugen_conv_pair_tap(const mcugen_conv_pair_s8_params_t *p,
                                                 const int8_t *input, const int8_t *padding,
                                                 int32_t y, int32_t x)
{
    if (((uint32_t)y >= (uint32_t)p->in_h) || ((uint32_t)x >= (uint32_t)p->in_w)) {
        return padding;
    }
    return &input[((y * p->in_w) + x) * p->in_ch];
}

/** The windows of two pixels, tap after tap. */
static inline void mcugen_conv_pair_border(const mcugen_conv_pair_s8_params_t *p,
                                           const int8_t *input, const int8_t *padding,
                                           const mcugen_conv_pair_place_t *places, uint32_t *column)
{
    for (int32_t i = 0; i < p->kernel_h; i++) {
        const int32_t y = i * p->dilation_h;
        for (int32_t j = 0; j < p->kernel_w; j++) {
            const int32_t x = j * p->dilation_w;
            mcugen_scalar_unfold(
                mcugen_conv_pair_tap(p, input, padding, places[0].in_y + y, places[0].in_x + x),
                mcugen_conv_pair_tap(p, input, padding, places[1].in_y + y, places[1].in_x + x), 1,
                p->in_ch, column);
            column = &column[p->in_ch];
        }
    }
}

/** The windows of two pixels side by side. */
static inline void mcugen_conv_pair_windows(const mcugen_conv_pair_s8_params_t *p,
                                            const int8_t *input, const int8_t *padding,
                                            const mcugen_conv_pair_place_t *places,
                                            uint32_t *column)
{
    const uint32_t last = (uint32_t)(p->in_w - p->kernel_w);

    /* taps are neighbours in memory where the row of a window is all inside, or has one alone */
    if (((p->dilation_w == 1) || (p->kernel_w == 1)) && ((uint32_t)places[0].in_x <= last) &&
        ((uint32_t)places[1].in_x <= last) && (p->in_w >= p->kernel_w)) {
        mcugen_conv_pair_inside(p, input, padding, places, column);
    } else {
        mcugen_conv_pair_border(p, input, padding, places, column);
    }
}

/** From one output pixel to the next, row after row. */
static inline void mcugen_conv_pair_step(const mcugen_conv_pair_s8_params_t *p,
                                         mcugen_conv_pair_place_t *place)
{
    place->x++;
    place->in_x += p->stride_w;
    if (place->x == p->out_w) {
        place->x = 0;
        place->in_x = -p->pad_left;
        place->y++;
        place->in_y += p->stride_h;
    }
}

/** The biases of an output pixel, which are there for a multiple of so many channels. */
static inline const int32_t *mcugen_conv_pair_bias(const mcugen_conv_pair_s8_params_t *p,
                                                   const mcugen_conv_pair_place_t *place,
                                                   int32_t multiple)
{
    const int32_t channels = (p->out_ch + multiple - 1) & ~(multiple - 1);

    return mcugen_conv_bias(p->bias, p->row_class, p->col_class, p->col_classes, channels, place->y,
                            place->x);
}

/**
 * Convolution, two pixels at a time; a last single one is computed twice.
 *
 * @param[in]  bits    Of a weight: 8, 4 or 2.
 * @param[in]  p       Geometry, weights and requantization.
 * @param[in]  input   int8 [in_h, in_w, in_ch].
 * @param[out] output  int8 [out_h, out_w, out_ch]; may overlap the input as far as the windows of
 *                     later pixels are not overwritten.
 * @param      scratch 8 * groups + pad_len bytes, aligned to 4.
 */
static MCUGEN_ALWAYS_INLINE void mcugen_conv_pair(int32_t bits,
                                                  const mcugen_conv_pair_s8_params_t *p,
                                                  const int8_t *input, int8_t *output,
                                                  int8_t *scratch)
{
    const int32_t multiple = (bits == 8) ? 2 : MCUGEN_NARROW_PAIR_CHANNELS;
    const int32_t taps = 2 * p->groups;
    uint32_t *const column = (uint32_t *)(void *)scratch;
    int8_t *const padding = &scratch[8 * p->groups];
    mcugen_conv_pair_job_t job = {column,       &column[taps],
                                  p->weight,    mcugen_conv_pair_skip(p->groups),
                                  {NULL, NULL}, p->multiplier,
                                  p->shift,     {NULL, NULL},
                                  p->out_ch,    p->rounding,
                                  p->low,       p->high,
                                  p->wide,      (p->shift == NULL) ? 8 : 0};
    mcugen_conv_pair_place_t places[2] = {{0, 0, -p->pad_top, -p->pad_left}, {0, 0, 0, 0}};
    int32_t left = p->out_h * p->out_w;

    for (int32_t i = 0; i < p->pad_len; i++) {
        padding[i] = (int8_t)p->pad_value;
    }
    /* the taps that fill up the last word of weights, if there are any */
    for (int32_t i = taps - ((bits == 2) ? 3 : 1); i < taps; i++) {
        column[i] = 0;
    }
    while (left > 0) {
        places[1] = places[0];
        if (left > 1) {
            mcugen_conv_pair_step(p, &places[1]);
        }
        mcugen_conv_pair_windows(p, input, padding, places, column);
        job.bias[0] = mcugen_conv_pair_bias(p, &places[0], multiple);
        job.bias[1] = mcugen_conv_pair_bias(p, &places[1], multiple);
        job.output[0] = output;
        job.output[1] = (left > 1) ? &output[p->out_ch] : output;
        if (bits == 8) {
            mcugen_conv_pair_channels(&job);
        } else {
            mcugen_narrow_pair_channels(bits, &job);
        }
        output = &output[2 * p->out_ch];
        places[0] = places[1];
        mcugen_conv_pair_step(p, &places[0]);
        left -= 2;
    }
}

/** mcugen_conv_pair. */
MCUGEN_UNUSED MCUGEN_NOINLINE static void mcugen_conv_pair_s8(const mcugen_conv_pair_s8_params_t *p,
                                                              const int8_t *input, int8_t *output,
                                                              int8_t *scratch)
{
    mcugen_conv_pair(8, p, input, output, scratch);
}

/** mcugen_conv_pair with weights of 4 bits. */
MCUGEN_UNUSED MCUGEN_NOINLINE static void
mcugen_conv_pair_s8_w4(const mcugen_conv_pair_s8_w4_params_t *p, const int8_t *input,
                       int8_t *output, int8_t *scratch)
{
    mcugen_conv_pair(4, p, input, output, scratch);
}

/** mcugen_conv_pair with weights of 2 bits. */
MCUGEN_UNUSED MCUGEN_NOINLINE static void
mcugen_conv_pair_s8_w2(const mcugen_conv_pair_s8_w2_params_t *p, const int8_t *input,
                       int8_t *output, int8_t *scratch)
{
    mcugen_conv_pair(2, p, input, output, scratch);
}

#ifdef __cplusplus
}
#endif

#endif /* MCUGEN_CONV_PAIR_H_INCLUDED */
