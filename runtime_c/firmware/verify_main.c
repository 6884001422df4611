/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file verify_main.c
 * @brief Runs a network on every sample of a file; writes all tensors, then the outputs.
 *
 * Each piece of a tensor comes as two words, layer and bytes, and the bytes.
 */
#include "harness.h"
#include "mcugen.h"
#include "mcugen_network.h"

void mcugen_trace(uint32_t layer, const void *data, uint32_t bytes)
{
    const uint32_t head[2] = {layer, bytes};

    harness_write(head, (uint32_t)sizeof(head));
    harness_write(data, bytes);
}

#define READ_INPUT(function, len)                                                                  \
    if (harness_read(MCUGEN_NETWORK_CALL(function, arena), (len)) != (len)) {                      \
        return 0;                                                                                  \
    }

/** The next sample's inputs. @return 0 at the end of the file. */
static int read_inputs(void *arena)
{
    MCUGEN_NETWORK_INPUTS(READ_INPUT)
    return 1;
}

#define WRITE_OUTPUT(function, len) harness_write(MCUGEN_NETWORK_CALL(function, arena), (len));

static void write_outputs(void *arena)
{
    const uint32_t end[2] = {UINT32_MAX, 0u};

    harness_write(end, (uint32_t)sizeof(end));
    MCUGEN_NETWORK_OUTPUTS(WRITE_OUTPUT)
}

int main(void)
{
    void *const arena = harness_arena();

    while (read_inputs(arena)) {
        if (MCUGEN_NETWORK_CALL(MCUGEN_NETWORK_INVOKE, arena) != 0) {
            harness_fail("invoke failed");
        }
        write_outputs(arena);
        if (!harness_arena_is_intact()) {
            harness_fail("memory beyond the arena was overwritten");
        }
    }

    return 0;
}
