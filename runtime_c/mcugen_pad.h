/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file mcugen_pad.h
 * @brief A constant value around a tensor.
 */
#ifndef MCUGEN_PAD_H_INCLUDED
#define MCUGEN_PAD_H_INCLUDED

#include "mcugen.h"

#ifdef __cplusplus
extern "C" {
#endif

#define MCUGEN_TYPES MCUGEN_TYPES_S8
#include "mcugen_types.h"
#include "mcugen_pad_typed.h"
#include "mcugen_types.h"

#ifdef __cplusplus
}
#endif

#endif /* MCUGEN_PAD_H_INCLUDED */
