# SPDX-License-Identifier: Apache-2.0
"""Fully connected layers on the M-profile Vector Extension: one row alone, or pixels of a 1x1."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from mcugen.fixed_point import IntArray
from mcugen.ir.graph import Shape
from mcugen.ops import mve
from mcugen.ops.base import ConstTable, Kernel, KernelCall
from mcugen.ops.conv_mve import Geometry, Layer, dense_kernel, pack_weights
from mcugen.ops.window import Window

if TYPE_CHECKING:
    from mcugen.ops.linear import LinearS8


def linear_kernels(op: LinearS8, output: Shape) -> tuple[Kernel, ...]:
    """The kernel, or nothing where it does not apply."""
    if not mve.applies(op.requantize):
        return ()
    rows = math.prod(output[:-1])
    if rows == 1:
        return (_row_kernel(op),)
    out_ch, in_ch = op.weight.shape
    of = Geometry(
        in_h=1,
        in_w=rows,
        in_ch=in_ch,
        out_h=1,
        out_w=rows,
        out_ch=out_ch,
        window=Window(kernel=(1, 1)),
    )
    return (dense_kernel(of, Layer(op.weight[:, None, None], op.bias, op.requantize)),)


def _row_kernel(op: LinearS8) -> Kernel:
    out_ch, in_ch = op.weight.shape
    steps = -(-in_ch // mve.VECTOR)
    bias: IntArray = mve.fill_up(op.bias)
    requant_fields, requant_tables = mve.requantize_fields(op.requantize, out_ch)
    call = KernelCall(
        function="mcugen_linear_mve_s8",
        header="mcugen_linear_mve.h",
        fields=(
            ("in_ch", in_ch),
            ("out_ch", out_ch),
            ("steps", steps),
            ("weight", "weight"),
            ("bias", "bias"),
            *requant_fields,
        ),
        tables=(
            ConstTable(
                suffix="weight",
                values=pack_weights(op.weight[:, None, None]),
                comment="[out_ch / 4, k, 4, 16]",
            ),
            ConstTable(suffix="bias", values=bias.astype("int32"), comment="[out_ch]"),
            *requant_tables,
        ),
    )
    return Kernel(variant="mve_4x1", calls=(call,), cycles=instructions(op, steps))


def instructions(op: LinearS8, steps: int) -> float:
    """Executed instructions of the kernel for one row."""
    return 50.0 + -(-len(op.weight) // mve.LANES) * (34.0 + 10.0 * steps)
