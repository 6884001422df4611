/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file mcugen_resize_s16.h
 * @brief The kernels of mcugen_resize.h where operands or results are int16.
 */
#ifndef MCUGEN_RESIZE_S16_H_INCLUDED
#define MCUGEN_RESIZE_S16_H_INCLUDED

#include "mcugen_resize.h"

#ifdef __cplusplus
extern "C" {
#endif

#define MCUGEN_TYPES MCUGEN_TYPES_S16_WIDE
#include "mcugen_types.h"
#include "mcugen_resize_typed.h"
#include "mcugen_types.h"

#ifdef __cplusplus
}
#endif

#endif /* MCUGEN_RESIZE_S16_H_INCLUDED */
