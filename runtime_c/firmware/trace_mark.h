/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file trace_mark.h
 * @brief The trace hook, also where the network is compiled without it.
 */
#ifndef MCUGEN_TRACE_MARK_H_INCLUDED
#define MCUGEN_TRACE_MARK_H_INCLUDED

#include <stdint.h>

void mcugen_trace(uint32_t layer, const void *data, uint32_t bytes);

#endif /* MCUGEN_TRACE_MARK_H_INCLUDED */
