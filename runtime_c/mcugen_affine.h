/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file mcugen_affine.h
 * @brief Linear functions of one int8 value, per channel: scale and shift, and PReLU.
 *
 * Each is clamp((x * factor + bias) >> shift); zero points and the rounding half are in the bias,
 * and the compiler proved that no int8 value leaves int32.
 */
#ifndef MCUGEN_AFFINE_H_INCLUDED
#define MCUGEN_AFFINE_H_INCLUDED

#include "mcugen.h"

#ifdef __cplusplus
extern "C" {
#endif

#define MCUGEN_TYPES MCUGEN_TYPES_S8
#include "mcugen_types.h"
#include "mcugen_affine_typed.h"
#include "mcugen_types.h"

#ifdef __cplusplus
}
#endif

#endif /* MCUGEN_AFFINE_H_INCLUDED */
