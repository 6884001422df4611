/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file mcugen_broadcast.h
 * @brief Walking two operands of unlike shapes together, row by row of the output.
 *
 * The output is size0 x size1 x size2 rows of row_len elements. Within a row an operand advances by
 * its row step, 1 or, where one value serves the whole row, 0.
 */
#ifndef MCUGEN_BROADCAST_H_INCLUDED
#define MCUGEN_BROADCAST_H_INCLUDED

#include "mcugen.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct {
    int32_t size0;
    int32_t size1;
    int32_t size2;
    int32_t row_len;
    int32_t left_step0; /* from row to row along each axis, in values; 0 where broadcast */
    int32_t left_step1;
    int32_t left_step2;
    int32_t left_step;
    int32_t right_step0;
    int32_t right_step1;
    int32_t right_step2;
    int32_t right_step;
} mcugen_broadcast_t;

/** Number of rows of the output. */
static inline int32_t mcugen_broadcast_rows(const mcugen_broadcast_t *axes)
{
    return axes->size0 * axes->size1 * axes->size2;
}

#define MCUGEN_TYPES MCUGEN_TYPES_S8
#include "mcugen_types.h"
#include "mcugen_broadcast_typed.h"
#include "mcugen_types.h"

#ifdef __cplusplus
}
#endif

#endif /* MCUGEN_BROADCAST_H_INCLUDED */
