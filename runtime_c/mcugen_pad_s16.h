/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file mcugen_pad_s16.h
 * @brief The kernels of mcugen_pad.h where operands or results are int16.
 */
#ifndef MCUGEN_PAD_S16_H_INCLUDED
#define MCUGEN_PAD_S16_H_INCLUDED

#include "mcugen_pad.h"

#ifdef __cplusplus
extern "C" {
#endif

#define MCUGEN_TYPES MCUGEN_TYPES_S16
#include "mcugen_types.h"
#include "mcugen_pad_typed.h"
#include "mcugen_types.h"

#ifdef __cplusplus
}
#endif

#endif /* MCUGEN_PAD_S16_H_INCLUDED */
