/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file host_trace.c
 * @brief Collects every layer's tensor on the host, for verification; no part of a generated folder.
 */
#include <string.h>

#include "mcugen.h"

static unsigned char *trace_next;

void mcugen_trace_into(unsigned char *buffer);

/** The next layers' tensors go to `buffer`, one after the other. */
void mcugen_trace_into(unsigned char *buffer)
{
    trace_next = buffer;
}

void mcugen_trace(uint32_t layer, const void *data, uint32_t bytes)
{
    (void)layer;
    memcpy(trace_next, data, bytes);
    trace_next += bytes;
}
