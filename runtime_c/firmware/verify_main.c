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

#ifdef MCUGEN_NETWORK_PUSH_ROW
/** The next sample, row by row. @return 0 at the end of the file. */
static int run_next(void *arena)
{
    static int8_t row[MCUGEN_NETWORK_ROW_BYTES] __attribute__((aligned(4)));

    for (uint32_t y = 0u; y < MCUGEN_NETWORK_ROWS; y++) {
        const int ready = (y + 1u) == MCUGEN_NETWORK_ROWS;

        if (harness_read(row, MCUGEN_NETWORK_ROW_BYTES) != MCUGEN_NETWORK_ROW_BYTES) {
            return 0;
        }
        if (MCUGEN_NETWORK_PUSH(MCUGEN_NETWORK_PUSH_ROW, arena, (const void *)row, y) != ready) {
            harness_fail("push_row returned something else than it should");
        }
    }
    return 1;
}
#else
#define READ_INPUT(function, bytes)                                                                \
    if (harness_read(MCUGEN_NETWORK_CALL(function, arena), (bytes)) != (bytes)) {                  \
        return 0;                                                                                  \
    }

/** The next sample. @return 0 at the end of the file. */
static int run_next(void *arena)
{
    MCUGEN_NETWORK_INPUTS(READ_INPUT)
    if (MCUGEN_NETWORK_CALL(MCUGEN_NETWORK_INVOKE, arena) != 0) {
        harness_fail("invoke failed");
    }
    return 1;
}
#endif

#define WRITE_OUTPUT(function, bytes) harness_write(MCUGEN_NETWORK_CALL(function, arena), (bytes));

static void write_outputs(void *arena)
{
    const uint32_t end[2] = {UINT32_MAX, 0u};

    harness_write(end, (uint32_t)sizeof(end));
    MCUGEN_NETWORK_OUTPUTS(WRITE_OUTPUT)
}

int main(void)
{
    void *const arena = harness_arena();

    while (run_next(arena)) {
        write_outputs(arena);
        if (!harness_arena_is_intact()) {
            harness_fail("memory beyond the arena was overwritten");
        }
    }

    return 0;
}
