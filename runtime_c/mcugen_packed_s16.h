/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file mcugen_packed_s16.h
 * @brief The kernels of mcugen_packed.h where operands or results are int16.
 */
#ifndef MCUGEN_PACKED_S16_H_INCLUDED
#define MCUGEN_PACKED_S16_H_INCLUDED

#include "mcugen_packed.h"

#ifdef __cplusplus
extern "C" {
#endif

#define MCUGEN_TYPES MCUGEN_TYPES_S16
#include "mcugen_types.h"
#include "mcugen_packed_typed.h"
#define MCUGEN_TYPES MCUGEN_TYPES_S16_S8
#include "mcugen_types.h"
#include "mcugen_packed_typed.h"
#define MCUGEN_TYPES MCUGEN_TYPES_S8_S16
#include "mcugen_types.h"
#include "mcugen_packed_typed.h"
#define MCUGEN_TYPES MCUGEN_TYPES_S16_WIDE
#include "mcugen_types.h"
#include "mcugen_packed_typed.h"
#define MCUGEN_TYPES MCUGEN_TYPES_S16_S8_WIDE
#include "mcugen_types.h"
#include "mcugen_packed_typed.h"
#include "mcugen_types.h"

#ifdef __cplusplus
}
#endif

#endif /* MCUGEN_PACKED_S16_H_INCLUDED */
