/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file startup.c
 * @brief From reset to main on a simulated Cortex-M or RISC-V core; faults end the simulation.
 */
#include <stdint.h>

#include "harness.h"
#include "semihosting.h"

/* of the linker script */
extern uint32_t data_load, data_start, data_end, bss_start, bss_end, stack_top;

int main(void);
void reset(void);
void fault(void);

void fault(void)
{
    harness_fail("the core stopped with a fault");
}

#if defined(__riscv)
__asm(".section .vectors, \"ax\"\n"
      ".global vectors\n"
      "vectors:\n"
      ".option push\n"
      ".option norelax\n"
      "la gp, __global_pointer$\n"
      ".option pop\n"
      "la sp, stack_top\n"
      "la t0, trap\n"
      ".4byte 0x30529073\n" /* csrw mtvec, t0: of the zicsr extension, which -march may lack */
      "j reset\n"
      ".balign 4\n"
      "trap:\n"
      "la sp, stack_top\n"
      "j fault\n"
      ".text\n");
#else
extern const void *const vectors[16];

__attribute__((section(".vectors"), used)) const void *const vectors[16] = {
    (const void *)&stack_top,       (const void *)(uintptr_t)reset, (const void *)(uintptr_t)fault,
    (const void *)(uintptr_t)fault, (const void *)(uintptr_t)fault, (const void *)(uintptr_t)fault,
    (const void *)(uintptr_t)fault, (const void *)(uintptr_t)fault,
};
#endif

__attribute__((used)) void reset(void)
{
    const uint32_t *source = &data_load;

    /* volatile: no memcpy or memset, which would then not count as the network's own */
    for (volatile uint32_t *target = &data_start; target < &data_end; target++) {
        *target = *source++;
    }
    for (volatile uint32_t *target = &bss_start; target < &bss_end; target++) {
        *target = 0;
    }
#if defined(__arm__) && !defined(__ARM_FEATURE_UNALIGNED)
    /* CCR.UNALIGN_TRP: a Cortex-M0+ faults on what the simulated Cortex-M3 would do */
    *(volatile uint32_t *)0xE000ED14 |= 1u << 3;
    __asm volatile("dsb\n isb\n");
#endif
#if defined(__ARM_FP) || defined(__ARM_FEATURE_MVE)
    /* CPACR: full access to the floating-point and vector unit */
    *(volatile uint32_t *)0xE000ED88 |= 0xFu << 20;
    __asm volatile("dsb\n isb\n");
#endif
    semihosting_exit(main());
}
