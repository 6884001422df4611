/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file mcugen_broadcast_s16.h
 * @brief mcugen_broadcast.h over int16 operands.
 */
#ifndef MCUGEN_BROADCAST_S16_H_INCLUDED
#define MCUGEN_BROADCAST_S16_H_INCLUDED

#include "mcugen_broadcast.h"

#ifdef __cplusplus
extern "C" {
#endif

#define MCUGEN_TYPES MCUGEN_TYPES_S16
#include "mcugen_types.h"
#include "mcugen_broadcast_typed.h"
#include "mcugen_types.h"

#ifdef __cplusplus
}
#endif

#endif /* MCUGEN_BROADCAST_S16_H_INCLUDED */
