/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file mcugen_add_s16.h
 * @brief The kernels of mcugen_add.h where operands or results are int16.
 */
#ifndef MCUGEN_ADD_S16_H_INCLUDED
#define MCUGEN_ADD_S16_H_INCLUDED

#include "mcugen_add.h"
#include "mcugen_broadcast_s16.h"

#ifdef __cplusplus
extern "C" {
#endif

#define MCUGEN_TYPES MCUGEN_TYPES_S16_WIDE
#include "mcugen_types.h"
#include "mcugen_add_typed.h"
#define MCUGEN_TYPES MCUGEN_TYPES_S16_S8
#include "mcugen_types.h"
#include "mcugen_add_typed.h"
#define MCUGEN_TYPES MCUGEN_TYPES_S8_S16
#include "mcugen_types.h"
#include "mcugen_add_typed.h"
#include "mcugen_types.h"

#ifdef __cplusplus
}
#endif

#endif /* MCUGEN_ADD_S16_H_INCLUDED */
