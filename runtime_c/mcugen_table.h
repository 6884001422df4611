/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file mcugen_table.h
 * @brief Any function of one int8 value, as a table of 256 entries.
 */
#ifndef MCUGEN_TABLE_H_INCLUDED
#define MCUGEN_TABLE_H_INCLUDED

#include "mcugen.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct {
    int32_t len;
    const int8_t *table; /* [256], index x + 128 */
} mcugen_table_s8_params_t;

/**
 * y = table[x + 128], element by element.
 *
 * @param[in]  p      Length and table.
 * @param[in]  input  int8 [len].
 * @param[out] output int8 [len]; may be the input.
 */
static inline void mcugen_table_s8(const mcugen_table_s8_params_t *p, const int8_t *input,
                                   int8_t *output)
{
    for (int32_t i = 0; i < p->len; i++) {
        output[i] = p->table[input[i] + 128];
    }
}

#ifdef __cplusplus
}
#endif

#endif /* MCUGEN_TABLE_H_INCLUDED */
