/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file mcugen_pool_s16.h
 * @brief The kernels of mcugen_pool.h where operands or results are int16.
 */
#ifndef MCUGEN_POOL_S16_H_INCLUDED
#define MCUGEN_POOL_S16_H_INCLUDED

#include "mcugen_pool.h"

#ifdef __cplusplus
extern "C" {
#endif

#define MCUGEN_TYPES MCUGEN_TYPES_S16
#include "mcugen_types.h"
#include "mcugen_max_pool_typed.h"
#include "mcugen_avg_pool_typed.h"
#define MCUGEN_TYPES MCUGEN_TYPES_S16_S8
#include "mcugen_types.h"
#include "mcugen_avg_pool_typed.h"
#define MCUGEN_TYPES MCUGEN_TYPES_S8_S16
#include "mcugen_types.h"
#include "mcugen_avg_pool_typed.h"
#include "mcugen_types.h"

#ifdef __cplusplus
}
#endif

#endif /* MCUGEN_POOL_S16_H_INCLUDED */
