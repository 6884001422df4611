# SPDX-License-Identifier: Apache-2.0
"""Dense convolution on the DSP extension, two pixels by four channels: mcugen_conv_dsp.h."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from mcugen.fixed_point import IntArray, Requantize
from mcugen.ir.graph import Shape
from mcugen.ops.base import ConstTable, Kernel, KernelCall
from mcugen.ops.dsp import Fields, Quads, aligned, clamp_fields, pack_quads, pair_order
from mcugen.ops.narrow_dsp import pack_narrow
from mcugen.ops.overlap import window_overlap
from mcugen.ops.weights import bias_classes
from mcugen.ops.window import AxisWindows, Window, as_image

if TYPE_CHECKING:
    from mcugen.ops.conv import ConvS8

Image = tuple[int, int, int]
SIZES = ("in_h", "in_w", "in_ch", "out_h", "out_w", "out_ch")
HEADER = "mcugen_conv_dsp.h"
VARIANT = "dsp_4x2"
GROUP = 2  # pixels whose windows are read before their outputs are written


def conv_kernels(op: ConvS8, inputs: Sequence[Shape], output: Shape) -> list[Kernel]:
    """The kernel of a dense convolution, none where it does not apply."""
    if op.groups != 1:
        return []
    out_ch, kernel_h, kernel_w, in_ch = op.weight.shape
    order = pair_order(kernel_w * in_ch, kernel_h)
    quads = pack(op.weight.reshape(out_ch, -1), op.bias, op.requantize, order, op.weight_bits)
    if quads is None:
        return []
    image = as_image(inputs[0])
    steps = any(op.window.pads) or op.window.stride != (1, 1)
    if op.window.kernel == (1, 1) and op.bias.ndim == 1 and not steps:
        rows = image[0] * image[1]
        return [rows_kernel(quads, rows, in_ch, out_ch, op.requantize)]
    return [_windows_kernel(op, quads, image, as_image(output))]


def pack(
    weight: NDArray[np.int8], bias: IntArray, requantize: Requantize, order: IntArray, bits: int
) -> Quads | None:
    """The layer in quads for the width of its weights; see `pack_quads` and `pack_narrow`."""
    if bits == 8:
        return pack_quads(weight, bias, requantize, order)
    return pack_narrow(weight, bias, requantize, order, bits)


def rows_kernel(quads: Quads, rows: int, in_ch: int, out_ch: int, requantize: Requantize) -> Kernel:
    """Each row of [rows, in_ch] times the weights."""
    call = KernelCall(
        function=f"mcugen_conv_1x1_s8_dsp{quads.suffix}",
        header=HEADER,
        fields=(
            ("pixels", rows),
            ("in_ch", in_ch),
            ("out_ch", out_ch),
            ("pairs", quads.pairs),
            ("packed", "packed"),
            *clamp_fields(requantize),
        ),
        tables=(packed_table(quads),),
        scratch_bytes=_columns_bytes(quads),
    )
    one, along = (Window(kernel=(1, 1)).along(0, size) for size in (1, rows))
    return Kernel(
        variant=VARIANT + quads.suffix,
        calls=(call,),
        cycles=_rows_cycles(quads, rows, in_ch),
        overlaps=(window_overlap(one, along, in_ch, out_ch, group=GROUP, copied=True),),
    )


def _windows_kernel(op: ConvS8, quads: Quads, image: Image, output: Image) -> Kernel:
    """Windows of any size, stride, padding and dilation."""
    row_len = aligned(op.window.kernel[1] * image[2])
    rows, cols = (op.window.along(axis, image[axis]) for axis in (0, 1))
    (first_y, last_y), (first_x, last_x) = _whole(rows), _whole(cols)
    if cols.dilation > 1:
        last_x = first_x
    whole = (first_y, last_y, first_x, last_x) == (0, output[0], 0, output[1])
    bias_fields, bias_tables = _bias(quads, output)
    call = KernelCall(
        function=f"mcugen_conv_s8_dsp{quads.suffix}",
        header=HEADER,
        fields=(
            *zip(SIZES, (*image, *output), strict=True),
            *op.window.fields(),
            ("pad_value", op.pad_value),
            ("first_y", first_y),
            ("last_y", last_y),
            ("first_x", first_x),
            ("last_x", last_x),
            ("row_len", row_len),
            ("pairs", quads.pairs),
            ("packed", "packed"),
            *bias_fields,
            *clamp_fields(op.requantize),
        ),
        tables=(packed_table(quads), *bias_tables),
        scratch_bytes=_columns_bytes(quads)
        + (0 if whole else GROUP * op.window.kernel[0] * row_len),
    )
    return Kernel(
        variant=VARIANT + quads.suffix,
        calls=(call,),
        cycles=_windows_cycles(op, quads, (last_y - first_y) * (last_x - first_x), output),
        overlaps=(window_overlap(rows, cols, image[2], output[2], group=GROUP, copied=True),),
    )


def _bias(quads: Quads, output: Image) -> tuple[Fields, tuple[ConstTable, ...]]:
    if quads.bias.ndim == 2:
        fields: Fields = (
            ("bias", None),
            ("row_class", None),
            ("col_class", None),
            ("col_classes", 1),
        )
        return fields, ()
    return bias_classes(quads.bias.astype(np.int64).reshape(*output[:2], -1))


def packed_table(quads: Quads) -> ConstTable:
    """The layer's data in the kernel's order."""
    axes = (
        "[out_ch / 4][4 bias, weight pairs, 4 multiplier, shift]"
        if quads.bits == 8
        else "[out_ch / 4][4 bias * 256 + shift, weight pairs, 4 multiplier]"
    )
    return ConstTable(suffix="packed", values=quads.packed, comment=axes)


def _columns_bytes(quads: Quads) -> int:
    return GROUP * 4 * quads.pairs


def _whole(axis: AxisWindows) -> tuple[int, int]:
    """The outputs, from first to before last, whose windows lie in the input without gaps."""
    starts, ends = axis.starts(), axis.starts() + axis.span
    inside = np.flatnonzero((starts >= 0) & (ends <= axis.in_len))
    return (int(inside[0]), int(inside[-1]) + 1) if inside.size else (0, 0)


def _quads_cycles(quads: Quads) -> float:
    """All channels of two pixels: rounds of 16 pairs, requantization, entry and exit."""
    rounds = 8 * -(-quads.pairs // 16)
    if quads.bits == 8:
        return 64.0 + len(quads.packed) * (79 + rounds + 15 * quads.pairs)
    sums = 34.0 + 5.25 * quads.pairs
    return 64.0 + sums + len(quads.packed) * (98 + rounds + 16 * quads.pairs)


def _expand_cycles(length: int, rows: int) -> float:
    """Rows of `length` values of two pixels."""
    words, rest = divmod(length, 4)
    row = 15 + 28 * (words // 2) + 19 * (words % 2) + (14 if rest else 0)
    return 24.0 + rows * row


def _rows_cycles(quads: Quads, rows: int, in_ch: int) -> float:
    return 60.0 + -(-rows // GROUP) * (33 + _expand_cycles(in_ch, 1) + _quads_cycles(quads))


def _windows_cycles(op: ConvS8, quads: Quads, inner: int, output: Image) -> float:
    """`inner` of the output pixels have windows that need not be gathered."""
    kernel_h, kernel_w = op.window.kernel
    length = kernel_w * op.weight.shape[3]
    pixels = output[0] * output[1]
    gathered = (pixels - inner) * (60.0 + kernel_h * (35 + length))
    pair = 115 + _expand_cycles(length, kernel_h) + _quads_cycles(quads)
    return float(gathered + -(-pixels // GROUP) * pair)
