# SPDX-License-Identifier: Apache-2.0
"""Weights of fewer than 8 bits: their range, and the portable kernels that unpack them.

What other kernels there are for them is asked of the files of the cores' extensions.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from mcugen.ops.base import ConstTable, KernelCall
from mcugen.ops.weights import bias_classes, bias_table, requantize_tables
from mcugen.ops.window import as_image

if TYPE_CHECKING:
    from mcugen.ir.graph import Shape
    from mcugen.ops.conv import ConvS8
    from mcugen.ops.linear import LinearS8

WIDTHS = (8, 4, 2)


def check_width(weight: NDArray[np.int8], bits: int) -> None:
    """Raise ValueError unless the weights are integers of `bits` bits, symmetric about zero."""
    if bits not in WIDTHS:
        msg = f"weights of {bits} bits; expected one of {', '.join(map(str, WIDTHS))}"
        raise ValueError(msg)
    most = 2 ** (bits - 1) - 1 if bits < 8 else 128
    found = int(np.abs(weight.astype(np.int64)).max(initial=0))
    if found > most:
        msg = f"a weight of {bits} bits is {found} from zero; expected at most {most}"
        raise ValueError(msg)


def pack_rows(weight: NDArray[np.int8], bits: int) -> NDArray[np.uint8]:
    """[out_ch, ...] as bytes [out_ch, filter_bytes], two's complement, the first weight lowest."""
    each = 8 // bits
    rows = weight.reshape(len(weight), -1)
    full = np.pad(rows, ((0, 0), (0, -rows.shape[1] % each))).reshape(len(rows), -1, each)
    codes = full.astype(np.uint8) & ((1 << bits) - 1)
    packed: NDArray[np.uint8] = (codes << np.arange(0, 8, bits, dtype=np.uint8)).sum(
        axis=2, dtype=np.uint8
    )
    return packed


def conv_call(op: ConvS8, source: Shape, output: Shape) -> KernelCall:
    """The portable kernel of a convolution, grouped and depthwise ones included."""
    (in_h, in_w, in_ch), (out_h, out_w, out_ch) = as_image(source), as_image(output)
    bias_fields, bias_tables = bias_classes(op.bias, wide=op.has_wide_sums)
    requant_fields, requant_tables = requantize_tables(op.requantize)
    table = _weight_table(op.weight, op.weight_bits)
    function, header = op.typed("mcugen_conv_packed", "mcugen_packed")
    return KernelCall(
        function=function,
        header=header,
        fields=(
            ("bits", op.weight_bits),
            ("in_h", in_h),
            ("in_w", in_w),
            ("in_ch", in_ch),
            ("out_h", out_h),
            ("out_w", out_w),
            ("out_ch", out_ch),
            ("group_in_ch", op.weight.shape[3]),
            ("group_out_ch", out_ch // op.groups),
            *op.window.fields(),
            ("pad_value", op.pad_value),
            ("filter_bytes", table.values.shape[1]),
            ("weight", "weight"),
            *bias_fields,
            *requant_fields,
        ),
        tables=(table, *bias_tables, *requant_tables),
    )


def linear_call(op: LinearS8, output: Shape) -> KernelCall:
    """The portable kernel of a fully connected layer, over all rows."""
    out_ch, in_ch = op.weight.shape
    requant_fields, requant_tables = requantize_tables(op.requantize)
    table = _weight_table(op.weight, op.weight_bits)
    function, header = op.typed("mcugen_linear_packed", "mcugen_packed")
    return KernelCall(
        function=function,
        header=header,
        fields=(
            ("bits", op.weight_bits),
            ("rows", int(np.prod(output[:-1]))),
            ("in_ch", in_ch),
            ("out_ch", out_ch),
            ("filter_bytes", table.values.shape[1]),
            ("weight", "weight"),
            ("bias", "bias"),
            *requant_fields,
        ),
        tables=(
            table,
            bias_table(op.bias, "[out_ch]", wide=op.has_wide_sums),
            *requant_tables,
        ),
    )


def _weight_table(weight: NDArray[np.int8], bits: int) -> ConstTable:
    comment = f"[out_ch, bytes], {8 // bits} weights a byte"
    return ConstTable(suffix="weight", values=pack_rows(weight, bits), comment=comment)
