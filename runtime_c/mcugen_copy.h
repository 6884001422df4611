/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file mcugen_copy.h
 * @brief Blocks of one tensor copied into another: concatenation and slicing.
 */
#ifndef MCUGEN_COPY_H_INCLUDED
#define MCUGEN_COPY_H_INCLUDED

#include "mcugen.h"

#ifdef __cplusplus
extern "C" {
#endif

#define MCUGEN_TYPES MCUGEN_TYPES_S8
#include "mcugen_types.h"
#include "mcugen_copy_typed.h"
#include "mcugen_types.h"

#ifdef __cplusplus
}
#endif

#endif /* MCUGEN_COPY_H_INCLUDED */
