/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file mcugen_sparse_pair.h
 * @brief Convolution by weights that are mostly zero, for cores without the DSP extension.
 *
 * Four pixels at a time. A word holds one channel's values of two pixels of a strip, two pixels
 * apart, as x0 + 2^16 x1, so that one multiplication gives two products. As in mcugen_conv_pair.h,
 * 16 bits hold the sum of two of them: after every two entries ("a group") the sum
 * P = S0 + 2^16 S1 is taken apart, S1 = (P >> 16) + bit 15 of P is added up on its own, and so is P.
 */
#ifndef MCUGEN_SPARSE_PAIR_H_INCLUDED
#define MCUGEN_SPARSE_PAIR_H_INCLUDED

#include "mcugen_scalar.h"
#include "mcugen_sparse.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct {
    mcugen_sparse_image_t image;
    const uint32_t *entries; /* groups: bytes [2 entries][delta in bytes, weight] */
    const uint16_t *counts;  /* [out_ch], groups of each row */
    const uint32_t *scale;   /* [out_ch][256 * bias + shift, multiplier] */
    int32_t rounding;        /* 2 * zero point + 1 */
    int32_t low;
    int32_t high;
} mcugen_sparse_pair_conv_s8_params_t;

/** All channels of one strip. The assembly knows the order of the members. */
typedef struct {
    const uint32_t *entries;
    const uint32_t *words;
    const uint32_t *scale;
    const uint16_t *counts;
    int8_t *output; /* of the first pixel */
    int32_t stride; /* to the next pixel's */
    int32_t out_ch;
    int32_t rounding;
    int32_t low;
    int32_t high;
} mcugen_sparse_pair_job_t;

#if MCUGEN_ARMV6M
/*
 * Two entries, of 46 bytes and what LOAD takes. In: groups r0, words r1; sums of S1 in r6 and r7, of
 * P in r8 and r9. LOAD fetches the words of the first entry to r4 and r5. Shifting right by 16 leaves
 * bit 15 in the carry.
 */
#define MCUGEN_SPARSE_PAIR_ENTRIES(LOAD)                                                           \
    "ldmia r0!, {r2}\n"                                                                            \
    "uxtb r3, r2\n"                                                                                \
    "adds r1, r1, r3\n"                                                                            \
    "lsls r3, r2, #16\n"                                                                           \
    "asrs r3, r3, #24\n" LOAD "muls r4, r3\n"                                                      \
    "muls r5, r3\n"                                                                                \
    "lsls r3, r2, #8\n"                                                                            \
    "lsrs r3, r3, #24\n"                                                                           \
    "adds r1, r1, r3\n"                                                                            \
    "asrs r2, r2, #24\n"                                                                           \
    "ldr r3, [r1]\n"                                                                               \
    "muls r3, r2\n"                                                                                \
    "adds r4, r4, r3\n"                                                                            \
    "ldr r3, [r1, #4]\n"                                                                           \
    "muls r3, r2\n"                                                                                \
    "adds r5, r5, r3\n"                                                                            \
    "add r8, r4\n"                                                                                 \
    "asrs r4, r4, #16\n"                                                                           \
    "adcs r6, r4\n"                                                                                \
    "add r9, r5\n"                                                                                 \
    "asrs r5, r5, #16\n"                                                                           \
    "adcs r7, r5\n"

/* 50 bytes. */
#define MCUGEN_SPARSE_PAIR_GROUP MCUGEN_SPARSE_PAIR_ENTRIES("ldr r4, [r1]\nldr r5, [r1, #4]\n")

/* Output of the pixel in r0, and on to the next pixel's. */
#define MCUGEN_SPARSE_PAIR_PIXEL                                                                   \
    MCUGEN_ARMV6M_REQUANTIZE "mov r4, r11\n"                                                       \
                             "strb r0, [r4]\n"                                                     \
                             "ldr r5, [sp, #16]\n"                                                 \
                             "add r11, r5\n"

/** All channels of one strip. */
MCUGEN_NAKED static void mcugen_sparse_pair_rows(const mcugen_sparse_pair_job_t *job
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
        "sub sp, #32\n"
        "mov r1, sp\n"
        "ldmia r0!, {r2-r7}\n"
        "stmia r1!, {r3-r7}\n"
        "ldmia r0!, {r3-r6}\n"
        "stmia r1!, {r3, r4}\n"
        "mov r12, r5\n"
        "mov lr, r6\n"
        "mov r0, r2\n"
        "1:\n"
        "ldr r4, [sp, #8]\n"
        "ldrh r5, [r4]\n"
        "adds r4, #2\n"
        "str r4, [sp, #8]\n"
        "lsls r3, r5, #2\n"
        "adds r3, r3, r0\n"
        "mov r11, r3\n"
        "ldr r4, [sp, #4]\n"
        "ldr r2, [r4]\n"
        "asrs r2, r2, #8\n"
        "movs r6, r2\n"
        "movs r7, r2\n"
        "lsls r3, r2, #16\n"
        "adds r2, r2, r3\n"
        "mov r8, r2\n"
        "mov r9, r2\n"
        "ldr r1, [sp, #0]\n"
        "negs r5, r5\n"  /* so many groups of the first round are skipped */
        "movs r3, #3\n"
        "ands r5, r3\n"
        "movs r3, #50\n"
        "muls r5, r3\n"
        "add pc, r5\n"
        "nop\n"
        "2:\n"
        MCUGEN_SPARSE_PAIR_GROUP MCUGEN_SPARSE_PAIR_GROUP
        MCUGEN_SPARSE_PAIR_GROUP MCUGEN_SPARSE_PAIR_GROUP
        "cmp r0, r11\n"
        "bne 2b\n"
        "str r0, [sp, #28]\n"
        "ldr r4, [sp, #4]\n"
        "ldmia r4!, {r1, r3}\n"
        "str r4, [sp, #4]\n"
        "uxtb r1, r1\n"
        "lsrs r2, r3, #16\n"
        "uxth r3, r3\n"
        "ldr r4, [sp, #24]\n"
        "lsls r4, r1\n"
        "mov r10, r4\n"
        "ldr r4, [sp, #12]\n"
        "mov r11, r4\n"
        "adds r4, #1\n"
        "str r4, [sp, #12]\n"
        "lsls r4, r6, #16\n"
        "mov r0, r8\n"
        "subs r0, r0, r4\n"
        MCUGEN_SPARSE_PAIR_PIXEL
        "lsls r4, r7, #16\n"
        "mov r0, r9\n"
        "subs r0, r0, r4\n"
        MCUGEN_SPARSE_PAIR_PIXEL
        "movs r0, r6\n"
        MCUGEN_SPARSE_PAIR_PIXEL
        "movs r0, r7\n"
        MCUGEN_SPARSE_PAIR_PIXEL
        "ldr r0, [sp, #28]\n"
        "ldr r4, [sp, #20]\n"
        "subs r4, #1\n"
        "str r4, [sp, #20]\n"
        "beq 3f\n"
        "b 1b\n"
        "3:\n"
        "add sp, #32\n"
        "pop {r4-r7}\n"
        "mov r8, r4\n"
        "mov r9, r5\n"
        "mov r10, r6\n"
        "mov r11, r7\n"
        "pop {r4-r7, pc}\n"
        ::: "memory");
    /* clang-format on */
}

#define MCUGEN_SPARSE_PAIR_WORD                                                                    \
    "ldrsb r5, [r0, r7]\n"                                                                         \
    "ldrsb r6, [r1, r7]\n"                                                                         \
    "lsls r6, r6, #16\n"                                                                           \
    "adds r5, r5, r6\n"                                                                            \
    "str r5, [r3]\n"                                                                               \
    "adds r3, r3, r4\n"                                                                            \
    "adds r7, #1\n"

/** words[i * step] = a[i] + 2^16 b[i] for i in [0, len), len > 0; `step` in bytes. */
MCUGEN_NAKED static void mcugen_sparse_pair_lay(const int8_t *a __attribute__((unused)),
                                                const int8_t *b __attribute__((unused)),
                                                int32_t len __attribute__((unused)),
                                                uint32_t *words __attribute__((unused)),
                                                int32_t step __attribute__((unused)))
{
    /* clang-format off */
    __asm__ volatile(
        ".syntax unified\n"
        "push {r4-r7, lr}\n"
        "ldr r4, [sp, #20]\n"
        "movs r7, #0\n"
        "lsrs r5, r2, #1\n"  /* leaves the lowest bit in the carry */
        "bcc 1f\n"
        MCUGEN_SPARSE_PAIR_WORD
        "1:\n"
        "lsrs r5, r2, #2\n"
        "bcc 2f\n"
        MCUGEN_SPARSE_PAIR_WORD MCUGEN_SPARSE_PAIR_WORD
        "2:\n"
        "cmp r7, r2\n"
        "beq 4f\n"
        "3:\n"
        MCUGEN_SPARSE_PAIR_WORD MCUGEN_SPARSE_PAIR_WORD
        MCUGEN_SPARSE_PAIR_WORD MCUGEN_SPARSE_PAIR_WORD
        "cmp r7, r2\n"
        "bne 3b\n"
        "4:\n"
        "pop {r4-r7, pc}\n"
        ::: "memory");
    /* clang-format on */
}
#else
/** Output of one pixel. */
static inline void mcugen_sparse_pair_pixel(const mcugen_sparse_pair_job_t *job, int32_t channel,
                                            int32_t pixel, int32_t acc)
{
    const uint32_t *scale = &job->scale[2 * channel];

    job->output[(pixel * job->stride) + channel] = mcugen_scalar_requantize(
        acc, (int32_t)scale[1], scale[0] & 0xffu, job->rounding, job->low, job->high);
}

/** The words that a group's entry wants. */
static inline const uint32_t *mcugen_sparse_pair_words(const uint32_t *words, const uint32_t *group,
                                                       uint32_t place)
{
    return &words[((*group >> (8u * place)) & 0xffu) / 4u];
}

/** The sums of four pixels by so many groups, which step over so many words between their entries;
 * gives back what is behind them. */
static inline const uint32_t *mcugen_sparse_pair_sums(const uint32_t *group, uint32_t count,
                                                      const uint32_t *words, int32_t over,
                                                      int32_t *sums)
{
    const uint32_t *const end = &group[count];
    uint32_t both[2] = {0, 0};
    int32_t upper[2] = {0, 0};

    for (; group != end; group++) {
        const uint32_t first = mcugen_scalar_weight(group, 1u);
        const uint32_t second = mcugen_scalar_weight(group, 3u);
        words = mcugen_sparse_pair_words(words, group, 0u);
        uint32_t a = first * words[0];
        uint32_t b = first * words[1];
        words = mcugen_sparse_pair_words(&words[over], group, 2u);
        a += second * words[0];
        b += second * words[1];
        both[0] += a;
        upper[0] += mcugen_scalar_upper(a);
        both[1] += b;
        upper[1] += mcugen_scalar_upper(b);
    }
    for (int32_t pixel = 0; pixel < 2; pixel++) {
        sums[pixel] = (int32_t)(both[pixel] - ((uint32_t)upper[pixel] << 16));
        sums[pixel + 2] = upper[pixel];
    }
    return group;
}

/** All channels of one strip. */
static inline void mcugen_sparse_pair_rows(const mcugen_sparse_pair_job_t *job)
{
    const uint32_t *group = job->entries;
    int32_t sums[MCUGEN_SPARSE_STRIP];

    for (int32_t channel = 0; channel < job->out_ch; channel++) {
        const int32_t bias = mcugen_asr32((int32_t)job->scale[2 * channel], 8);
        group = mcugen_sparse_pair_sums(group, job->counts[channel], job->words, 0, sums);
        for (int32_t pixel = 0; pixel < MCUGEN_SPARSE_STRIP; pixel++) {
            mcugen_sparse_pair_pixel(job, channel, pixel, bias + sums[pixel]);
        }
    }
}

/** words[i * step] = a[i] + 2^16 b[i] for i in [0, len), len > 0; `step` in bytes. */
static inline void mcugen_sparse_pair_lay(const int8_t *a, const int8_t *b, int32_t len,
                                          uint32_t *words, int32_t step)
{
    for (int32_t i = 0; i < len; i++) {
        *words = (uint32_t)(int32_t)a[i] + ((uint32_t)(int32_t)b[i] << 16);
        words = &words[step / 4];
    }
}
#endif

/** A strip on its way over the image, and the scratch. */
typedef struct {
    uint32_t *words;
    int8_t *padding;
    int8_t *aside;
    int8_t *output;
    mcugen_sparse_strip_t strip;
    int32_t left; /* strips */
} mcugen_sparse_pair_place_t;

/** The first strip. */
static inline mcugen_sparse_pair_place_t mcugen_sparse_pair_begin(const mcugen_sparse_image_t *p,
                                                                  int8_t *output, int8_t *scratch)
{
    int8_t *padding = &scratch[4 * p->kernel_h * p->in_ch * p->span];
    const mcugen_sparse_pair_place_t place = {(uint32_t *)(void *)scratch,
                                              padding,
                                              &padding[mcugen_sparse_padding_len(p)],
                                              output,
                                              mcugen_sparse_first(p),
                                              mcugen_sparse_strips(p)};

    for (int32_t i = 0; i < p->in_ch; i++) {
        padding[i] = (int8_t)p->pad_value;
    }
    return place;
}

/** All words of a strip; gives back where its outputs go. */
static inline int8_t *mcugen_sparse_pair_lay_strip(const mcugen_sparse_image_t *p,
                                                   const int8_t *input,
                                                   const mcugen_sparse_pair_place_t *place)
{
    const mcugen_sparse_strip_t *first = &place->strip;
    const mcugen_sparse_strip_t second = {first->y, first->x + (MCUGEN_SPARSE_STRIP / 2), 0};

    for (int32_t row = 0; row < p->kernel_h; row++) {
        for (int32_t column = 0; column < p->span; column++) {
            mcugen_sparse_pair_lay(
                mcugen_sparse_source(p, input, place->padding, first, row, column),
                mcugen_sparse_source(p, input, place->padding, &second, row, column), p->in_ch,
                &place->words[(row * p->in_ch * p->span) + column], 4 * p->span);
        }
    }
    return mcugen_sparse_target(p, first, place->output, place->aside);
}

/** On to the next strip. */
static inline void mcugen_sparse_pair_next(const mcugen_sparse_image_t *p,
                                           mcugen_sparse_pair_place_t *place)
{
    mcugen_sparse_settle(p, &place->strip, place->output, place->aside);
    mcugen_sparse_step(p, &place->strip);
    place->left--;
}

/**
 * Convolution.
 *
 * @param[in]  p       Geometry, weights and requantization.
 * @param[in]  input   int8 [in_h, in_w, in_ch].
 * @param[out] output  int8 [out_h, out_w, out_ch]; may overlap the input as far as the windows of
 *                     a strip are read before its outputs are written.
 * @param[out] scratch 4 * kernel_h * in_ch * span bytes, in_ch of them up to the next multiple of
 *                     4, and 4 * out_ch where not all strips are whole; aligned to 4.
 */
MCUGEN_UNUSED MCUGEN_NOINLINE static void
mcugen_sparse_pair_conv_s8(const mcugen_sparse_pair_conv_s8_params_t *p, const int8_t *input,
                           int8_t *output, int8_t *scratch)
{
    const mcugen_sparse_image_t *image = &p->image;
    mcugen_sparse_pair_place_t place = mcugen_sparse_pair_begin(image, output, scratch);
    mcugen_sparse_pair_job_t job = {p->entries,    place.words,   p->scale,    p->counts, NULL,
                                    image->out_ch, image->out_ch, p->rounding, p->low,    p->high};

    while (place.left > 0) {
        job.output = mcugen_sparse_pair_lay_strip(image, input, &place);
        mcugen_sparse_pair_rows(&job);
        mcugen_sparse_pair_next(image, &place);
    }
}

#ifdef __cplusplus
}
#endif

#endif /* MCUGEN_SPARSE_PAIR_H_INCLUDED */
