/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file semihosting.h
 * @brief Calls from a simulated core to the simulator.
 */
#ifndef MCUGEN_SEMIHOSTING_H_INCLUDED
#define MCUGEN_SEMIHOSTING_H_INCLUDED

#include <stdint.h>

#define SEMIHOSTING_OPEN 0x01u
#define SEMIHOSTING_WRITE0 0x04u
#define SEMIHOSTING_WRITE 0x05u
#define SEMIHOSTING_READ 0x06u
#define SEMIHOSTING_EXIT 0x18u

#define SEMIHOSTING_MODE_RB 1u
#define SEMIHOSTING_MODE_WB 5u

#define SEMIHOSTING_STOPPED_APPLICATION_EXIT 0x20026u
#define SEMIHOSTING_STOPPED_RUN_TIME_ERROR 0x20023u

static inline uintptr_t semihosting_call(uintptr_t operation, const void *argument)
{
#if defined(__riscv)
    register uintptr_t result __asm("a0") = operation;
    register const void *block __asm("a1") = argument;

    /* the three instructions must lie in one page and be uncompressed */
    __asm volatile(".option push\n"
                   ".option norvc\n"
                   ".balign 16\n"
                   "slli x0, x0, 0x1f\n"
                   "ebreak\n"
                   "srai x0, x0, 0x7\n"
                   ".option pop\n"
                   : "+r"(result)
                   : "r"(block)
                   : "memory");
#else
    register uintptr_t result __asm("r0") = operation;
    register const void *block __asm("r1") = argument;

    __asm volatile("bkpt 0xab\n" : "+r"(result) : "r"(block) : "memory");
#endif
    return result;
}

/** End the simulation: as successful where `status` is 0. */
static inline void semihosting_exit(int status)
{
    const uintptr_t reason =
        (status == 0) ? SEMIHOSTING_STOPPED_APPLICATION_EXIT : SEMIHOSTING_STOPPED_RUN_TIME_ERROR;

    (void)semihosting_call(SEMIHOSTING_EXIT, (const void *)reason);
    for (;;) {
    }
}

#endif /* MCUGEN_SEMIHOSTING_H_INCLUDED */
