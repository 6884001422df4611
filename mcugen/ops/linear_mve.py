# SPDX-License-Identifier: Apache-2.0
"""Fully connected layers on the M-profile Vector Extension: one row alone, or pixels of a 1x1."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from mcugen.fixed_point import IntArray
from mcugen.ir.graph import Shape
from mcugen.ops import mve
from mcugen.ops.base import ConstTable, Kernel, KernelCall
from mcugen.ops.conv_mve import Geometry, Layer, dense_kernel, pack_weights, widened
from mcugen.ops.window import Window

if TYPE_CHECKING:
    from mcugen.ops.linear import LinearS8


def linear_kernels(op: LinearS8, output: Shape) -> tuple[Kernel, ...]:
    """The kernel, or nothing where it does not apply."""
    layer = widened(Layer(op.weight[:, None, None], op.bias, op.requantize, bits=op.weight_bits))
    if layer is None or not mve.applies(layer.requantize):
        return ()
    rows = math.prod(output[:-1])
    if rows == 1:
        return (_row_kernel(layer),)
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
    return (dense_kernel(of, layer),)


def _row_kernel(layer: Layer) -> Kernel:
    out_ch, _, _, in_ch = layer.weight.shape
    suffix = "" if layer.bits == 8 else f"_w{layer.bits}"
    steps = -(-in_ch // mve.VECTOR)
    bias: IntArray = mve.fill_up(layer.bias)
    requant_fields, requant_tables = mve.requantize_fields(layer.requantize, out_ch)
    call = KernelCall(
        function=f"mcugen_linear_mve_s8{suffix}",
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
                values=pack_weights(layer.weight, layer.bits),
                comment=f"[out_ch / 4, k, {layer.bits // 2}, 16]",
            ),
            ConstTable(suffix="bias", values=bias.astype("int32"), comment="[out_ch]"),
            *requant_tables,
        ),
    )
    return Kernel(variant=f"mve_4x1{suffix}", calls=(call,), cycles=instructions(layer, steps))


def instructions(layer: Layer, steps: int) -> float:
    """Executed instructions of the kernel for one row."""
    step = {8: 10.0, 4: 12.0, 2: 13.0}[layer.bits]
    return 50.0 + -(-len(layer.weight) // mve.LANES) * (34.0 + step * steps)
