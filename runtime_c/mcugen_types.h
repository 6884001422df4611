/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file mcugen_types.h
 * @brief Chooses the integers of the kernels in the *_typed.h headers that are included after it.
 *
 * A kernel is written once, as MCUGEN_TYPED(name), and becomes name_s8, name_s16 and so on: operands
 * of MCUGEN_IN, results of MCUGEN_OUT, sums of MCUGEN_SUM. Define MCUGEN_TYPES before each
 * inclusion; without it, no kernels follow.
 */
#ifndef MCUGEN_TYPES_H_INCLUDED
#define MCUGEN_TYPES_H_INCLUDED

#include "mcugen.h"

#define MCUGEN_TYPES_S8 1          /* int8 to int8 */
#define MCUGEN_TYPES_S16 2         /* int16 to int16 */
#define MCUGEN_TYPES_S16_S8 3      /* int16 to int8 */
#define MCUGEN_TYPES_S8_S16 4      /* int8 to int16 */
#define MCUGEN_TYPES_S16_WIDE 5    /* int16 to int16, sums of 64 bits */
#define MCUGEN_TYPES_S16_S8_WIDE 6 /* int16 to int8, sums of 64 bits */

#define MCUGEN_ASR_32(sum, shift) mcugen_asr32((sum), (shift))
#define MCUGEN_ASR_64(sum, shift) mcugen_asr64((sum), (shift))
/* p is the kernel's parameters: those of int8 choose between two roundings. */
#define MCUGEN_REQUANTIZE_S8(acc, multiplier, shift, p)                                            \
    mcugen_requantize((acc), (multiplier), (shift), (p)->double_rounding, (p)->zero_point,         \
                      (p)->low, (p)->high)
#define MCUGEN_REQUANTIZE_S32(acc, multiplier, shift, p)                                           \
    mcugen_requantize_s32((acc), (multiplier), (shift), (p)->zero_point, (p)->low, (p)->high)
#define MCUGEN_REQUANTIZE_S64(acc, multiplier, shift, p)                                           \
    mcugen_requantize_s64((acc), (multiplier), (shift), (p)->zero_point, (p)->low, (p)->high)

#endif /* MCUGEN_TYPES_H_INCLUDED */

#undef MCUGEN_OPERAND_BYTES
#undef MCUGEN_TYPED
#undef MCUGEN_TYPED_PARAMS
#undef MCUGEN_BY_OPERAND
#undef MCUGEN_IN
#undef MCUGEN_OUT
#undef MCUGEN_SUM
#undef MCUGEN_ASR
#undef MCUGEN_REQUANTIZE

#if defined(MCUGEN_TYPES)
#if MCUGEN_TYPES == MCUGEN_TYPES_S8
#define MCUGEN_TYPED(name) name##_s8
#define MCUGEN_TYPED_PARAMS(name) name##_s8_params_t
#define MCUGEN_REQUANTIZE MCUGEN_REQUANTIZE_S8
#elif MCUGEN_TYPES == MCUGEN_TYPES_S16
#define MCUGEN_TYPED(name) name##_s16
#define MCUGEN_TYPED_PARAMS(name) name##_s16_params_t
#elif MCUGEN_TYPES == MCUGEN_TYPES_S16_S8
#define MCUGEN_TYPED(name) name##_s16_s8
#define MCUGEN_TYPED_PARAMS(name) name##_s16_s8_params_t
#elif MCUGEN_TYPES == MCUGEN_TYPES_S8_S16
#define MCUGEN_TYPED(name) name##_s8_s16
#define MCUGEN_TYPED_PARAMS(name) name##_s8_s16_params_t
#elif MCUGEN_TYPES == MCUGEN_TYPES_S16_WIDE
#define MCUGEN_TYPED(name) name##_s16_wide
#define MCUGEN_TYPED_PARAMS(name) name##_s16_wide_params_t
#elif MCUGEN_TYPES == MCUGEN_TYPES_S16_S8_WIDE
#define MCUGEN_TYPED(name) name##_s16_s8_wide
#define MCUGEN_TYPED_PARAMS(name) name##_s16_s8_wide_params_t
#endif

#if (MCUGEN_TYPES == MCUGEN_TYPES_S8) || (MCUGEN_TYPES == MCUGEN_TYPES_S8_S16)
#define MCUGEN_IN int8_t
#define MCUGEN_OPERAND_BYTES 1
#define MCUGEN_BY_OPERAND(name) name##_s8
#else
#define MCUGEN_IN int16_t
#define MCUGEN_OPERAND_BYTES 2
#define MCUGEN_BY_OPERAND(name) name##_s16
#endif

#if (MCUGEN_TYPES == MCUGEN_TYPES_S8) || (MCUGEN_TYPES == MCUGEN_TYPES_S16_S8) ||                  \
    (MCUGEN_TYPES == MCUGEN_TYPES_S16_S8_WIDE)
#define MCUGEN_OUT int8_t
#else
#define MCUGEN_OUT int16_t
#endif

#if (MCUGEN_TYPES == MCUGEN_TYPES_S16_WIDE) || (MCUGEN_TYPES == MCUGEN_TYPES_S16_S8_WIDE)
#define MCUGEN_SUM int64_t
#define MCUGEN_ASR MCUGEN_ASR_64
#define MCUGEN_REQUANTIZE MCUGEN_REQUANTIZE_S64
#else
#define MCUGEN_SUM int32_t
#define MCUGEN_ASR MCUGEN_ASR_32
#if MCUGEN_TYPES != MCUGEN_TYPES_S8
#define MCUGEN_REQUANTIZE MCUGEN_REQUANTIZE_S32
#endif
#endif
#endif

#undef MCUGEN_TYPES
