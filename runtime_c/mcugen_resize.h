/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file mcugen_resize.h
 * @brief Linear interpolation of images and sequences.
 */
#ifndef MCUGEN_RESIZE_H_INCLUDED
#define MCUGEN_RESIZE_H_INCLUDED

#include "mcugen.h"

#ifdef __cplusplus
extern "C" {
#endif

/* A weight of 1 in an interpolation table; weights of both axes multiply, times 2^7 below 2^31. */
#define MCUGEN_LINEAR_BITS 11
#define MCUGEN_LINEAR_ONE 2048

#define MCUGEN_TYPES MCUGEN_TYPES_S8
#include "mcugen_types.h"
#include "mcugen_resize_typed.h"
#include "mcugen_types.h"

#ifdef __cplusplus
}
#endif

#endif /* MCUGEN_RESIZE_H_INCLUDED */
