/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file harness_host.c
 * @brief harness.h with the C library. The arena comes from the heap, where sanitizers guard it.
 */
#include <stdio.h>
#include <stdlib.h>

#include "harness.h"
#include "mcugen_network.h"

#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#define HAS_ADDRESS_SANITIZER 1
#endif
#endif

#if !defined(HAS_ADDRESS_SANITIZER) && !defined(__SANITIZE_ADDRESS__)
/* zig cc takes -fsanitize=address without a word, and does nothing */
#error "this compiler has no address sanitizer: use gcc or clang"
#endif

/** The file `name`, opened once and kept until the program ends. */
static FILE *opened(FILE **file, const char *name, const char *mode)
{
    if (*file == NULL) {
        *file = fopen(name, mode);
    }
    if (*file == NULL) {
        harness_fail(name);
    }
    return *file;
}

void *harness_arena(void)
{
    static void *arena; /* reachable until the end, so that it is no leak */

    arena = malloc(MCUGEN_NETWORK_ARENA_BYTES);
    if (arena == NULL) {
        harness_fail("no memory for the arena");
    }
    return arena;
}

int harness_arena_is_intact(void)
{
    return 1;
}

uint32_t harness_read(void *target, uint32_t bytes)
{
    static FILE *inputs;

    return (uint32_t)fread(target, 1, bytes, opened(&inputs, "inputs.bin", "rb"));
}

void harness_write(const void *source, uint32_t bytes)
{
    static FILE *results;

    if (fwrite(source, 1, bytes, opened(&results, "results.bin", "wb")) != bytes) {
        harness_fail("results cannot be written");
    }
}

void harness_fail(const char *message)
{
    (void)fprintf(stderr, "harness: %s\n", message);
    exit(1);
}
