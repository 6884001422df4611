/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file mcugen_packed.h
 * @brief Convolution and fully connected layers whose weights are packed, several in a byte.
 *
 * Weights of 2 or 4 bits are two's complement, the first one in a byte's lowest bits. Every filter
 * begins with a new byte. Apart from how weights are read these are the kernels of mcugen_conv.h and
 * mcugen_linear.h; a depthwise convolution is one with as many groups as channels.
 */
#ifndef MCUGEN_PACKED_H_INCLUDED
#define MCUGEN_PACKED_H_INCLUDED

#include "mcugen_conv.h"

#ifdef __cplusplus
extern "C" {
#endif

/** Weight number `i` of a filter. */
static inline int32_t mcugen_packed_weight(const uint8_t *filter, int32_t i, int32_t bits)
{
    const int32_t first = (i * bits) & 7;
    const uint32_t top = ((uint32_t)filter[(i * bits) >> 3] << (8 - bits - first)) & 0xffu;

    return mcugen_asr32((int32_t)(int8_t)(uint8_t)top, 8 - bits);
}

#define MCUGEN_TYPES MCUGEN_TYPES_S8
#include "mcugen_types.h"
#include "mcugen_packed_typed.h"
#include "mcugen_types.h"

#ifdef __cplusplus
}
#endif

#endif /* MCUGEN_PACKED_H_INCLUDED */
