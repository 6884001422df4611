/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file mcugen_mul.h
 * @brief Product of two int8 tensors with their own scales, broadcast to one shape.
 */
#ifndef MCUGEN_MUL_H_INCLUDED
#define MCUGEN_MUL_H_INCLUDED

#include "mcugen_broadcast.h"

#ifdef __cplusplus
extern "C" {
#endif

#define MCUGEN_TYPES MCUGEN_TYPES_S8
#include "mcugen_types.h"
#include "mcugen_mul_typed.h"
#include "mcugen_types.h"

#ifdef __cplusplus
}
#endif

#endif /* MCUGEN_MUL_H_INCLUDED */
