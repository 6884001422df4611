/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file layer_marks.h
 * @brief Notes where each layer's code ends, without an instruction; included before mcugen.h.
 *
 * The section .mcugen_marks holds pairs of words: layer, address.
 */
#ifndef MCUGEN_LAYER_MARKS_H_INCLUDED
#define MCUGEN_LAYER_MARKS_H_INCLUDED

#define MCUGEN_TRACE_LAYER(layer, data, bytes)                                                     \
    __asm volatile(".pushsection .mcugen_marks, \"a\"\n"                                           \
                   ".4byte %c0, 1f\n"                                                              \
                   ".popsection\n"                                                                 \
                   "1:\n"                                                                          \
                   :                                                                               \
                   : "i"(layer)                                                                    \
                   : "memory")

#endif /* MCUGEN_LAYER_MARKS_H_INCLUDED */
