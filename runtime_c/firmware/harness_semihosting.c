/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file harness_semihosting.c
 * @brief harness.h on a simulated core: files through Arm's or RISC-V's semihosting.
 *
 * Operations and their arguments: Arm, "Semihosting for AArch32 and AArch64"; RISC-V Semihosting.
 */
#include "harness.h"
#include "mcugen_network.h"
#include "semihosting.h"

#define GUARD_BYTES 64
#define GUARD_VALUE 0x5A

static struct {
    uint8_t before[GUARD_BYTES];
    uint8_t arena[MCUGEN_NETWORK_ARENA_BYTES] __attribute__((aligned(16)));
    uint8_t behind[GUARD_BYTES];
} ram;

static uintptr_t open_file(const char *name, uintptr_t mode)
{
    uintptr_t len = 0;
    uintptr_t file;

    while (name[len] != '\0') {
        len++;
    }
    {
        const uintptr_t block[3] = {(uintptr_t)name, mode, len};

        file = semihosting_call(SEMIHOSTING_OPEN, block);
    }
    if (file == UINTPTR_MAX) {
        harness_fail("a file of the simulation cannot be opened");
    }
    return file;
}

void *harness_arena(void)
{
    for (uint32_t i = 0; i < GUARD_BYTES; i++) {
        ram.before[i] = GUARD_VALUE;
        ram.behind[i] = GUARD_VALUE;
    }
    /* rubbish, so that a network that relies on zeros is found */
    for (uint32_t i = 0; i < MCUGEN_NETWORK_ARENA_BYTES; i++) {
        ram.arena[i] = GUARD_VALUE;
    }
    return ram.arena;
}

int harness_arena_is_intact(void)
{
    for (uint32_t i = 0; i < GUARD_BYTES; i++) {
        if ((ram.before[i] != GUARD_VALUE) || (ram.behind[i] != GUARD_VALUE)) {
            return 0;
        }
    }
    return 1;
}

uint32_t harness_read(void *target, uint32_t bytes)
{
    static uintptr_t file;
    static int is_open;

    if (!is_open) {
        file = open_file("inputs.bin", SEMIHOSTING_MODE_RB);
        is_open = 1;
    }
    {
        const uintptr_t block[3] = {file, (uintptr_t)target, bytes};

        return bytes - (uint32_t)semihosting_call(SEMIHOSTING_READ, block);
    }
}

void harness_write(const void *source, uint32_t bytes)
{
    static uintptr_t file;
    static int is_open;

    if (!is_open) {
        file = open_file("results.bin", SEMIHOSTING_MODE_WB);
        is_open = 1;
    }
    {
        const uintptr_t block[3] = {file, (uintptr_t)source, bytes};

        if (semihosting_call(SEMIHOSTING_WRITE, block) != 0) {
            harness_fail("results cannot be written");
        }
    }
}

void harness_fail(const char *message)
{
    (void)semihosting_call(SEMIHOSTING_WRITE0, "harness: ");
    (void)semihosting_call(SEMIHOSTING_WRITE0, message);
    (void)semihosting_call(SEMIHOSTING_WRITE0, "\n");
    semihosting_exit(1);
}
