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
    const int8_t *middle = &p->table[128];
    const int32_t len = p->len;
    int32_t i = 0;

    for (; i < (len - 3); i += 4) {
        /* all loads first: where the output may be the input, compilers keep their order */
        const int8_t a = middle[input[i]];
        const int8_t b = middle[input[i + 1]];
        const int8_t c = middle[input[i + 2]];
        const int8_t d = middle[input[i + 3]];
        output[i] = a;
        output[i + 1] = b;
        output[i + 2] = c;
        output[i + 3] = d;
    }
    for (; i < len; i++) {
        output[i] = middle[input[i]];
    }
}

#ifdef __cplusplus
}
#endif

#endif /* MCUGEN_TABLE_H_INCLUDED */
