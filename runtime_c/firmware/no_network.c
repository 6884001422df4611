/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file no_network.c
 * @brief The network's functions as names without code, to see what a test program takes by itself.
 */
#include "mcugen_network.h"

#define NAME(function, len) __asm(".global " #function "\n" #function ":\n");
#define NAME_OF(macro) NAME(macro, 0)

#ifdef MCUGEN_NETWORK_PUSH_ROW
NAME_OF(MCUGEN_NETWORK_PUSH_ROW)
#else
NAME_OF(MCUGEN_NETWORK_INVOKE)
MCUGEN_NETWORK_INPUTS(NAME)
#endif
MCUGEN_NETWORK_OUTPUTS(NAME)
