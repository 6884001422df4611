/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file profile_main.c
 * @brief One inference between two calls of mcugen_trace, which the counting simulator recognises.
 *
 * Results: stack bytes below main and a checksum of the outputs, uint32 each.
 */
#include "harness.h"
#include "mcugen.h"
#include "mcugen_network.h"
#include "trace_mark.h"

#define PAINT 0xA5
#define PAINT_BYTES 65536
#define RED_ZONE_BYTES 64 /* main's own calls may write here */

static uint8_t arena[MCUGEN_NETWORK_ARENA_BYTES] __attribute__((aligned(16)));
static uint32_t random_state = 1u;

/** Marsaglia's xorshift32. */
static uint32_t random_word(void)
{
    random_state ^= random_state << 13;
    random_state ^= random_state >> 17;
    random_state ^= random_state << 5;
    return random_state;
}

#ifdef MCUGEN_NETWORK_PUSH_ROW
static int8_t input[MCUGEN_NETWORK_ROWS * MCUGEN_NETWORK_ROW_BYTES] __attribute__((aligned(4)));

MCUGEN_NOINLINE static int infer(void)
{
    int result = 0;

    for (uint32_t y = 0u; y < MCUGEN_NETWORK_ROWS; y++) {
        const void *const row = &input[y * MCUGEN_NETWORK_ROW_BYTES];

        result = MCUGEN_NETWORK_PUSH(MCUGEN_NETWORK_PUSH_ROW, arena, row, y);
    }
    return (result == 1) ? 0 : -1;
}

static void fill_inputs(void)
{
    for (uint32_t i = 0; i < sizeof input; i++) {
        input[i] = (int8_t)(random_word() >> 24);
    }
}
#else
MCUGEN_NOINLINE static int infer(void)
{
    return MCUGEN_NETWORK_CALL(MCUGEN_NETWORK_INVOKE, arena);
}

#define FILL_INPUT(function, bytes)                                                                \
    {                                                                                              \
        int8_t *const input = (int8_t *)(void *)MCUGEN_NETWORK_CALL(function, arena);              \
                                                                                                   \
        for (uint32_t i = 0; i < (bytes); i++) {                                                   \
            input[i] = (int8_t)(random_word() >> 24);                                              \
        }                                                                                          \
    }

static void fill_inputs(void)
{
    MCUGEN_NETWORK_INPUTS(FILL_INPUT)
}
#endif

/* FNV-1a */
#define HASH_OUTPUT(function, bytes)                                                               \
    {                                                                                              \
        const void *const place = MCUGEN_NETWORK_CALL(function, arena);                            \
        const int8_t *const output = (const int8_t *)place;                                        \
                                                                                                   \
        for (uint32_t i = 0; i < (bytes); i++) {                                                   \
            results[1] = (results[1] ^ (uint8_t)output[i]) * 16777619u;                            \
        }                                                                                          \
    }

int main(void)
{
    uint32_t results[2] = {0u, 2166136261u};
    volatile uint8_t *stack;

#if defined(__riscv)
    __asm volatile("mv %0, sp" : "=r"(stack));
#else
    __asm volatile("mov %0, sp" : "=r"(stack));
#endif
    mcugen_trace(0u, arena, 0u);
    fill_inputs();
    for (uint32_t i = RED_ZONE_BYTES; i < PAINT_BYTES; i++) {
        stack[-(int32_t)i] = PAINT;
    }
    if (infer() != 0) {
        harness_fail("invoke failed");
    }
    results[0] = PAINT_BYTES - 1;
    while ((results[0] > RED_ZONE_BYTES) && (stack[-(int32_t)results[0]] == PAINT)) {
        results[0]--;
    }
    MCUGEN_NETWORK_OUTPUTS(HASH_OUTPUT)
    mcugen_trace(0u, arena, 0u);
    harness_write(results, sizeof results);

    return 0;
}
