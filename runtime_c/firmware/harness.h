/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file harness.h
 * @brief What a test program needs from the machine it runs on; no part of a generated folder.
 *
 * harness_host.c implements it with the C library, harness_semihosting.c on a simulated core.
 */
#ifndef MCUGEN_HARNESS_H_INCLUDED
#define MCUGEN_HARNESS_H_INCLUDED

#include <stdint.h>

/** The arena: exactly MCUGEN_NETWORK_ARENA_BYTES, aligned to 16. */
void *harness_arena(void);

/** 0 where something was written right before or behind the arena. */
int harness_arena_is_intact(void);

/** The next bytes of the file of inputs. @return how many; fewer than asked for at its end. */
uint32_t harness_read(void *target, uint32_t bytes);

/** The next bytes of the file of results. */
void harness_write(const void *source, uint32_t bytes);

/** End the program as failed, with one line that says why. */
void harness_fail(const char *message);

#endif /* MCUGEN_HARNESS_H_INCLUDED */
