/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file mcugen_transpose.h
 * @brief Another order of a tensor's axes.
 */
#ifndef MCUGEN_TRANSPOSE_H_INCLUDED
#define MCUGEN_TRANSPOSE_H_INCLUDED

#include "mcugen.h"

#ifdef __cplusplus
extern "C" {
#endif

#define MCUGEN_TYPES MCUGEN_TYPES_S8
#include "mcugen_types.h"
#include "mcugen_transpose_typed.h"
#include "mcugen_types.h"

#ifdef __cplusplus
}
#endif

#endif /* MCUGEN_TRANSPOSE_H_INCLUDED */
