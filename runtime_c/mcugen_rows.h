/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file mcugen_rows.h
 * @brief Row buffers of layers that are computed a few rows at a time.
 *
 * Words move where places are aligned to 4 and sizes are multiples of 4, bytes elsewhere.
 */
#ifndef MCUGEN_ROWS_H_INCLUDED
#define MCUGEN_ROWS_H_INCLUDED

#include "mcugen.h"

#ifdef __cplusplus
extern "C" {
#endif

#if defined(__GNUC__)
typedef uint32_t __attribute__((may_alias)) mcugen_rows_unit_t;
#else
typedef int8_t mcugen_rows_unit_t;
#endif

/** Whether all three are multiples of a unit. */
static inline int mcugen_rows_fit(const int8_t *a, const int8_t *b, uint32_t bytes)
{
    const uintptr_t mask = (uintptr_t)sizeof(mcugen_rows_unit_t) - 1u;

    return (((uintptr_t)a | (uintptr_t)b | (uintptr_t)bytes) & mask) == 0u;
}

/** Copy `bytes` upwards: `source` is outside of the target or behind its start. */
static MCUGEN_NOINLINE MCUGEN_UNUSED void mcugen_rows_copy(int8_t *target, const int8_t *source,
                                                           uint32_t bytes)
{
    mcugen_rows_unit_t *to = (mcugen_rows_unit_t *)(void *)target;
    const mcugen_rows_unit_t *from = (const mcugen_rows_unit_t *)(const void *)source;
    uint32_t left = bytes / (uint32_t)sizeof(*to);

    if (mcugen_rows_fit(target, source, bytes) == 0) {
        for (uint32_t i = 0u; i < bytes; i++) {
            target[i] = source[i];
        }
        return;
    }
    for (; left >= 4u; left -= 4u) {
        const mcugen_rows_unit_t a = from[0];
        const mcugen_rows_unit_t b = from[1];
        const mcugen_rows_unit_t c = from[2];
        const mcugen_rows_unit_t d = from[3];
        to[0] = a;
        to[1] = b;
        to[2] = c;
        to[3] = d;
        from = &from[4];
        to = &to[4];
    }
    for (; left > 0u; left--) {
        *to = *from;
        from = &from[1];
        to = &to[1];
    }
}

/** Fill `bytes` with one value. */
static MCUGEN_NOINLINE MCUGEN_UNUSED void mcugen_rows_fill(int8_t *target, int8_t value,
                                                           uint32_t bytes)
{
    mcugen_rows_unit_t *to = (mcugen_rows_unit_t *)(void *)target;
    const uint32_t all = 0x01010101u * (uint8_t)value;
    const mcugen_rows_unit_t unit =
        (sizeof(*to) > 1u) ? (mcugen_rows_unit_t)all : (mcugen_rows_unit_t)value;

    if (mcugen_rows_fit(target, target, bytes) == 0) {
        for (uint32_t i = 0u; i < bytes; i++) {
            target[i] = value;
        }
        return;
    }
    for (uint32_t left = bytes / (uint32_t)sizeof(*to); left > 0u; left--) {
        *to = unit;
        to = &to[1];
    }
}

/** Fill `bytes` with one value of int16. */
static MCUGEN_NOINLINE MCUGEN_UNUSED void mcugen_rows_fill_s16(int8_t *target, int16_t value,
                                                               uint32_t bytes)
{
    int16_t *to = MCUGEN_S16(target);

    for (uint32_t left = bytes / 2u; left > 0u; left--) {
        *to = value;
        to = &to[1];
    }
}

/** Move the `bytes` that lie `step` behind a buffer's start to its start. */
static inline void mcugen_rows_move(int8_t *rows, uint32_t step, uint32_t bytes)
{
    mcugen_rows_copy(rows, &rows[step], bytes);
}

#ifdef __cplusplus
}
#endif

#endif /* MCUGEN_ROWS_H_INCLUDED */
