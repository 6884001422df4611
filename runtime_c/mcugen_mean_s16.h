/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file mcugen_mean_s16.h
 * @brief The kernels of mcugen_mean.h where operands or results are int16.
 */
#ifndef MCUGEN_MEAN_S16_H_INCLUDED
#define MCUGEN_MEAN_S16_H_INCLUDED

#include "mcugen_mean.h"

#ifdef __cplusplus
extern "C" {
#endif

#define MCUGEN_TYPES MCUGEN_TYPES_S16
#include "mcugen_types.h"
#include "mcugen_mean_typed.h"
#define MCUGEN_TYPES MCUGEN_TYPES_S16_S8
#include "mcugen_types.h"
#include "mcugen_mean_typed.h"
#define MCUGEN_TYPES MCUGEN_TYPES_S8_S16
#include "mcugen_types.h"
#include "mcugen_mean_typed.h"
#include "mcugen_types.h"

#ifdef __cplusplus
}
#endif

#endif /* MCUGEN_MEAN_S16_H_INCLUDED */
