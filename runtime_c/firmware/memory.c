/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file memory.c
 * @brief What compilers call by themselves, for toolchains that come without a C library.
 */
#include <stddef.h>
#include <stdint.h>

void *memcpy(void *restrict target, const void *restrict source, size_t bytes);
void *memmove(void *target, const void *source, size_t bytes);
void *memset(void *target, int value, size_t bytes);

/* The barrier keeps compilers from turning these loops into calls of the function they are in. */
#define KEEP_LOOP() __asm volatile("" ::: "memory")

void *memcpy(void *restrict target, const void *restrict source, size_t bytes)
{
    uint8_t *to = target;
    const uint8_t *from = source;

    for (size_t i = 0; i < bytes; i++) {
        to[i] = from[i];
        KEEP_LOOP();
    }
    return target;
}

void *memmove(void *target, const void *source, size_t bytes)
{
    uint8_t *to = target;
    const uint8_t *from = source;

    if ((uintptr_t)to <= (uintptr_t)from) {
        return memcpy(target, source, bytes);
    }
    for (size_t i = bytes; i > 0; i--) {
        to[i - 1] = from[i - 1];
        KEEP_LOOP();
    }
    return target;
}

void *memset(void *target, int value, size_t bytes)
{
    uint8_t *to = target;

    for (size_t i = 0; i < bytes; i++) {
        to[i] = (uint8_t)value;
        KEEP_LOOP();
    }
    return target;
}
