/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file mcugen_linear.h
 * @brief Fully connected layer on int8 rows.
 */
#ifndef MCUGEN_LINEAR_H_INCLUDED
#define MCUGEN_LINEAR_H_INCLUDED

#include "mcugen.h"

#ifdef __cplusplus
extern "C" {
#endif

#define MCUGEN_TYPES MCUGEN_TYPES_S8
#include "mcugen_types.h"
#include "mcugen_linear_typed.h"
#include "mcugen_types.h"

#ifdef __cplusplus
}
#endif

#endif /* MCUGEN_LINEAR_H_INCLUDED */
