# SPDX-License-Identifier: Apache-2.0
"""Fully connected layers on the DSP extension: one vector, or rows that a convolution takes."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from mcugen.fixed_point import IntArray
from mcugen.ir.graph import Shape
from mcugen.ops.base import Kernel, KernelCall
from mcugen.ops.conv_dsp import pack, packed_table, rows_kernel
from mcugen.ops.dsp import Quads, clamp_fields, pair_order

if TYPE_CHECKING:
    from mcugen.ops.linear import LinearS8

VARIANT = "dsp_4x1"


def linear_kernels(op: LinearS8, output: Shape) -> list[Kernel]:
    """The kernel of a layer, none where it does not apply."""
    out_ch, in_ch = op.weight.shape
    rows = math.prod(output[:-1])
    order = pair_order(in_ch) if rows > 1 else _whole_words(in_ch)
    quads = pack(op.weight, op.bias, op.requantize, order, op.weight_bits)
    if quads is None:
        return []
    if rows > 1:
        return [rows_kernel(quads, rows, in_ch, out_ch, op.requantize)]
    return [_vector_kernel(op, quads)]


def _whole_words(in_ch: int) -> IntArray:
    """A single vector is read by words of four, the last one with what follows it."""
    order = pair_order(-(-in_ch // 4) * 4)
    return np.where(order < in_ch, order, -1)


def _vector_kernel(op: LinearS8, quads: Quads) -> Kernel:
    out_ch, in_ch = op.weight.shape
    call = KernelCall(
        function=f"mcugen_linear_s8_dsp{quads.suffix}",
        header=f"mcugen_linear{'' if quads.bits == 8 else '_narrow'}_dsp.h",
        fields=(
            ("packed", "packed"),
            ("in_ch", in_ch),
            ("out_ch", out_ch),
            *clamp_fields(op.requantize),
        ),
        tables=(packed_table(quads),),
    )
    return Kernel(variant=VARIANT + quads.suffix, calls=(call,), cycles=_vector_cycles(quads))


def _vector_cycles(quads: Quads) -> float:
    fours = quads.pairs // 2
    rounds = 6.0 * -(-fours // 8)
    if quads.bits == 8:
        return 90 + len(quads.packed) * (57 + rounds + 20 * fours)
    return 100 + 10 * fours + len(quads.packed) * (69 + rounds + 22 * fours)
