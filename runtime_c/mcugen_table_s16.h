/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file mcugen_table_s16.h
 * @brief Any function of one value where that or its result is int16.
 */
#ifndef MCUGEN_TABLE_S16_H_INCLUDED
#define MCUGEN_TABLE_S16_H_INCLUDED

#include "mcugen.h"

#ifdef __cplusplus
extern "C" {
#endif

#define MCUGEN_TYPES MCUGEN_TYPES_S16
#include "mcugen_types.h"
#include "mcugen_curve_typed.h"
#define MCUGEN_TYPES MCUGEN_TYPES_S16_S8
#include "mcugen_types.h"
#include "mcugen_curve_typed.h"
#include "mcugen_types.h"

typedef struct {
    int32_t len;
    const int16_t *table; /* [256], index x + 128 */
} mcugen_table_s8_s16_params_t;

/**
 * y = table[x + 128], element by element.
 *
 * @param[in]  p      Length and table.
 * @param[in]  input  int8 [len].
 * @param[out] output int16 [len].
 */
static inline void mcugen_table_s8_s16(const mcugen_table_s8_s16_params_t *p, const int8_t *input,
                                       int16_t *output)
{
    const int16_t *middle = &p->table[128];

    for (int32_t i = 0; i < p->len; i++) {
        output[i] = middle[input[i]];
    }
}

#ifdef __cplusplus
}
#endif

#endif /* MCUGEN_TABLE_S16_H_INCLUDED */
