/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file host_trace.c
 * @brief Collects every layer's tensor on the host, for verification; no part of a generated folder.
 */
#include <string.h>

#include "mcugen.h"

static unsigned char *trace_buffer;
static uint32_t *trace_next;
static const uint32_t *trace_ends;

void mcugen_trace_into(unsigned char *buffer, uint32_t *next, const uint32_t *ends);

/** The tensor of layer i goes to buffer[next[i]] and on, up to, not including, buffer[ends[i]]. */
void mcugen_trace_into(unsigned char *buffer, uint32_t *next, const uint32_t *ends)
{
    trace_buffer = buffer;
    trace_next = next;
    trace_ends = ends;
}

void mcugen_trace(uint32_t layer, const void *data, uint32_t bytes)
{
    const uint32_t room = trace_ends[layer] - trace_next[layer];
    const uint32_t taken = (bytes < room) ? bytes : room;

    memcpy(&trace_buffer[trace_next[layer]], data, taken);
    trace_next[layer] += taken;
}
