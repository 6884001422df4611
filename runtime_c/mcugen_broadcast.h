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
    int32_t left_step0; /* from row to row along each axis, in bytes; 0 where broadcast */
    int32_t left_step1;
    int32_t left_step2;
    int32_t left_step;
    int32_t right_step0;
    int32_t right_step1;
    int32_t right_step2;
    int32_t right_step;
} mcugen_broadcast_t;

/** Both operands' pointers at one row of the output, and where that row is. */
typedef struct {
    const int8_t *left;
    const int8_t *right;
    int32_t index1;
    int32_t index2;
} mcugen_broadcast_row_t;

/** Number of rows of the output. */
static inline int32_t mcugen_broadcast_rows(const mcugen_broadcast_t *axes)
{
    return axes->size0 * axes->size1 * axes->size2;
}

/** Advance to the next row of the output. */
static inline void mcugen_broadcast_next(const mcugen_broadcast_t *axes,
                                         mcugen_broadcast_row_t *row)
{
    row->left += axes->left_step2;
    row->right += axes->right_step2;
    row->index2++;
    if (row->index2 == axes->size2) {
        row->index2 = 0;
        row->left += axes->left_step1 - (axes->size2 * axes->left_step2);
        row->right += axes->right_step1 - (axes->size2 * axes->right_step2);
        row->index1++;
    }
    if (row->index1 == axes->size1) {
        row->index1 = 0;
        row->left += axes->left_step0 - (axes->size1 * axes->left_step1);
        row->right += axes->right_step0 - (axes->size1 * axes->right_step1);
    }
}

#ifdef __cplusplus
}
#endif

#endif /* MCUGEN_BROADCAST_H_INCLUDED */
