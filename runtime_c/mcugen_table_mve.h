/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file mcugen_table_mve.h
 * @brief Any function of one int8 value on the M-profile Vector Extension, 16 look-ups at a time.
 */
#ifndef MCUGEN_TABLE_MVE_H_INCLUDED
#define MCUGEN_TABLE_MVE_H_INCLUDED

#include "mcugen_mve.h"
#include "mcugen_table.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef mcugen_table_s8_params_t mcugen_table_mve_s8_params_t;

/**
 * y = table[x + 128], element by element.
 *
 * @param[in]  p      Length and table.
 * @param[in]  input  int8 [len].
 * @param[out] output int8 [len]; may be the input.
 */
MCUGEN_KERNEL void mcugen_table_mve_s8(const mcugen_table_mve_s8_params_t *p, const int8_t *input,
                                       int8_t *output)
{
#if MCUGEN_HAS_MVE
    for (int32_t left = p->len; left > 0; left -= MCUGEN_VECTOR) {
        const mve_pred16_t some = vctp8q((uint32_t)left);
        const int8x16_t x = vldrbq_z_s8(input, some);
        const uint8x16_t place = vaddq_n_u8(vreinterpretq_u8_s8(x), 128);
        vstrbq_p_s8(output, vldrbq_gather_offset_z_s8(p->table, place, some), some);
        input += MCUGEN_VECTOR;
        output += MCUGEN_VECTOR;
    }
#else
    mcugen_table_s8(p, input, output);
#endif
}

#ifdef __cplusplus
}
#endif

#endif /* MCUGEN_TABLE_MVE_H_INCLUDED */
