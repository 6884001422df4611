/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file mcugen_broadcast_typed.h
 * @brief The part of mcugen_broadcast.h that holds pointers to operands.
 */
#ifdef MCUGEN_TYPED

/** Both operands' pointers at one row of the output, and where that row is. */
typedef struct {
    const MCUGEN_IN *left;
    const MCUGEN_IN *right;
    int32_t index1;
    int32_t index2;
} MCUGEN_BY_OPERAND(mcugen_broadcast_row);

/** Advance to the next row of the output. */
static inline void
MCUGEN_BY_OPERAND(mcugen_broadcast_next)(const mcugen_broadcast_t *axes,
                                         MCUGEN_BY_OPERAND(mcugen_broadcast_row) * row)
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

#endif
