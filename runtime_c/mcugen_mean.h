/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file mcugen_mean.h
 * @brief Mean and sum of int8 values over whole axes.
 */
#ifndef MCUGEN_MEAN_H_INCLUDED
#define MCUGEN_MEAN_H_INCLUDED

#include "mcugen.h"

#ifdef __cplusplus
extern "C" {
#endif

#define MCUGEN_TYPES MCUGEN_TYPES_S8
#include "mcugen_types.h"
#include "mcugen_mean_typed.h"
#include "mcugen_types.h"

#ifdef __cplusplus
}
#endif

#endif /* MCUGEN_MEAN_H_INCLUDED */
