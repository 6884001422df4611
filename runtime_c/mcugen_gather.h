/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file mcugen_gather.h
 * @brief Positions picked through tables: nearest upsampling, mirrored padding, flips, repeats.
 */
#ifndef MCUGEN_GATHER_H_INCLUDED
#define MCUGEN_GATHER_H_INCLUDED

#include "mcugen.h"

#ifdef __cplusplus
extern "C" {
#endif

#define MCUGEN_TYPES MCUGEN_TYPES_S8
#include "mcugen_types.h"
#include "mcugen_gather_typed.h"
#include "mcugen_types.h"

#ifdef __cplusplus
}
#endif

#endif /* MCUGEN_GATHER_H_INCLUDED */
