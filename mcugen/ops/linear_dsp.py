# SPDX-License-Identifier: Apache-2.0
"""Fully connected layers on the DSP extension: one vector, or rows that a convolution takes."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from mcugen.fixed_point import IntArray
from mcugen.ir.graph import Shape
from mcugen.ops.base import Kernel, KernelCall
from mcugen.ops.conv_dsp import packed_table, rows_kernel
from mcugen.ops.dsp import QUAD, Quads, clamp_fields, pack_quads, pair_order

if TYPE_CHECKING:
    from mcugen.ops.linear import LinearS8

VARIANT = "dsp_4x1"


def linear_kernels(op: LinearS8, output: Shape) -> list[Kernel]:
    """The kernel of a layer, none where it does not apply."""
    out_ch, in_ch = op.weight.shape
    rows = math.prod(output[:-1])
    order = pair_order(in_ch) if rows > 1 else _whole_words(in_ch)
    quads = pack_quads(op.weight, op.bias, op.requantize, order)
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
        function="mcugen_linear_s8_dsp",
        header="mcugen_linear_dsp.h",
        fields=(
            ("packed", "packed"),
            ("in_ch", in_ch),
            ("out_ch", out_ch),
            *clamp_fields(op.requantize),
        ),
        tables=(packed_table(quads),),
    )
    fours = quads.pairs // 2
    cycles = 90 + -(-out_ch // QUAD) * (57 + 6 * -(-fours // 8) + 20 * fours)
    return Kernel(variant=VARIANT, calls=(call,), cycles=float(cycles))
