# SPDX-License-Identifier: Apache-2.0
"""Depthwise convolution for cores without the DSP extension: two rows in one multiplication."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from mcugen.ir.graph import Shape
from mcugen.ops.base import ConstTable, Kernel, KernelCall, Overlap, Target
from mcugen.ops.overlap import forward_distance, window_overlap
from mcugen.ops.scalar import Fields, ScalarCosts, scalar_requantize_tables
from mcugen.ops.short_scale import short_scale
from mcugen.ops.weights import accumulator_bound
from mcugen.ops.window import Window, as_image

if TYPE_CHECKING:
    from mcugen.ops.conv import ConvS8

ROWS = 2  # output rows in one word
KERNEL = 3
WORDS = 26  # in a row of a tile at most, so that the scratch stays small
COPY_CYCLES = 2.0  # a byte of a row that is saved
BYTE_OF_TAP = (3, 0, 1)  # of a column, in its word; the assembly stores the last byte first
MARK = 2  # byte of a channel's first word: 16 bits do not hold the sum of some column


def depthwise_pair_kernels(
    op: ConvS8, inputs: Sequence[Shape], output: Shape, target: Target
) -> tuple[Kernel, ...]:
    """The kernel as it is, and with saved rows; nothing where it does not apply."""
    window = op.window
    if max(window.kernel) > KERNEL or window.dilation != (1, 1) or op.bias.ndim > 1:
        return ()
    costs = ScalarCosts.of(target)
    scale = _short_scale(op) if costs.short_strip_output else None
    output_cycles = costs.short_strip_output if scale is not None else costs.strip_output
    scale = _scale(op) if scale is None else scale
    if scale is None:
        return ()
    image, result = as_image(inputs[0]), as_image(output)
    call = _call(op, image, result, scale)
    rows, cols = window.along(0, image[0]), window.along(1, image[1])
    overlap = window_overlap(rows, cols, image[2], image[2], group=ROWS * result[1])
    cycles = _cycles(op, result, costs, output_cycles)
    plain = Kernel(variant="pair", calls=(call,), cycles=cycles, overlaps=(overlap,))
    saved = saved_rows(window, image[1], result[1])
    return (plain, _saving(plain, saved, image, result)) if saved else (plain,)


@dataclass(frozen=True, slots=True, kw_only=True)
class Scale:
    """How one of the two kernels requantizes."""

    name: str
    fields: Fields
    tables: tuple[ConstTable, ...]


def _scale(op: ConvS8) -> Scale | None:
    """By multipliers."""
    bound = accumulator_bound(op.weight, op.bias)
    requantize = scalar_requantize_tables(op.requantize, bound, multiple=1)
    if requantize is None:
        return None
    fields, tables = requantize
    bias = ConstTable(suffix="bias", values=op.bias.astype(np.int32), comment="[ch]")
    return Scale(name="pair", fields=(("bias", "bias"), *fields), tables=(bias, *tables))


def _short_scale(op: ConvS8) -> Scale | None:
    """By short factors, on Armv6-M."""
    sums = accumulator_bound(op.weight, np.zeros_like(op.bias))
    scale = short_scale(sums, op.bias, op.requantize)
    if scale is None:
        return None
    table = ConstTable(suffix="scale", values=scale.words, comment="[ch, 2]")
    return Scale(name="short", fields=(("scale", "scale"), *scale.fields()), tables=(table,))


def _call(
    op: ConvS8, image: tuple[int, int, int], output: tuple[int, int, int], scale: Scale
) -> KernelCall:
    stride, pads = op.window.stride, op.window.pads
    tile = tile_width(output[1], stride[1])
    geometry = (
        ("in_h", image[0]),
        ("in_w", image[1]),
        ("ch", image[2]),
        ("out_h", output[0]),
        ("out_w", output[1]),
        ("stride_h", stride[0]),
        ("stride_w", stride[1]),
        ("pad_top", pads[0]),
        ("pad_left", pads[1]),
        ("pad_value", op.pad_value),
        ("tile", tile),
        ("saved", 0),
        ("weight", "weight"),
    )
    return KernelCall(
        function=f"mcugen_depthwise_{scale.name}_s8",
        header="mcugen_depthwise_pair.h",
        fields=(*((f"image.{name}", value) for name, value in geometry), *scale.fields),
        tables=(
            ConstTable(suffix="weight", values=packed_weights(op.weight), comment="[ch, columns]"),
            *scale.tables,
        ),
        scratch_bytes=4 * KERNEL * ((tile - 1) * stride[1] + KERNEL),
    )


def _saving(
    plain: Kernel, saved: int, image: tuple[int, int, int], output: tuple[int, int, int]
) -> Kernel:
    """The same kernel with that many input rows in the scratch."""
    row = image[1] * image[2]
    (call,) = plain.calls
    fields = tuple((name, saved if name == "image.saved" else value) for name, value in call.fields)
    call = replace(call, fields=fields, scratch_bytes=call.scratch_bytes + saved * row)
    return Kernel(
        variant="pair_saving",
        calls=(call,),
        cycles=plain.cycles + COPY_CYCLES * image[0] * row,
        overlaps=(saving_overlap(image[0], output[0], row, output[1] * output[2]),),
    )


def tile_width(out_w: int, stride: int) -> int:
    """Output columns of a tile: as many in each as the last, nearly."""
    widest = max((WORDS - KERNEL) // stride + 1, 1)
    return -(-out_w // -(-out_w // widest))


def saved_rows(window: Window, in_w: int, out_w: int) -> int:
    """Input rows that are kept so that output rows can take their place.

    That is worth it where the output is as large as the input: those above the two that are
    computed, and these two, which the output overwrites while other channels still need them.
    """
    return window.pads[0] + ROWS if window.stride == (1, 1) and out_w <= in_w else 0


def saving_overlap(in_h: int, out_h: int, in_row: int, out_row: int) -> Overlap:
    """Before output rows y and y + 1 are written, the input rows up to y + 1 are saved."""
    nexts = np.arange(ROWS, out_h + ROWS, ROWS)
    distance = forward_distance(
        np.minimum(nexts, out_h) * out_row, np.minimum(nexts, in_h) * in_row
    )
    return Overlap(operand=0, distance=distance)


def packed_weights(weight: NDArray[np.int8]) -> NDArray[np.uint32]:
    """int8 [ch, kernel_h, kernel_w, 1] as words uint32 [ch, 3], a column of taps in each."""
    ch, height, width = weight.shape[:3]
    columns = np.zeros((ch, KERNEL, 4), np.int8)
    columns[:, :width, BYTE_OF_TAP[:height]] = weight[..., 0].transpose(0, 2, 1)
    columns[:, 0, MARK] = columns_apart(weight)
    return columns.view("<u4")[..., 0].astype(np.uint32)


def columns_apart(weight: NDArray[np.int8]) -> NDArray[np.bool_]:
    """Channels of int8 [ch, kernel_h, kernel_w, 1] with a column that needs two sums: bool [ch]."""
    taps = weight[..., 0].astype(np.int64)
    rising, falling = np.maximum(taps, 0).sum(axis=1), np.maximum(-taps, 0).sum(axis=1)
    largest = np.maximum(127 * rising + 128 * falling + 1, 128 * rising + 127 * falling)
    apart: NDArray[np.bool_] = np.any(largest > 2**15, axis=1)
    return apart


def _cycles(
    op: ConvS8, output: tuple[int, int, int], costs: ScalarCosts, output_cycles: float
) -> float:
    out_h, out_w, ch = output
    tile = tile_width(out_w, op.window.stride[1])
    pairs = -(-out_h // ROWS)
    words = KERNEL * (out_w * op.window.stride[1] + 2)
    tiles = -(-out_w // tile)
    channel = costs.strip * tiles + output_cycles * out_w + costs.strip_word * words
    return float(pairs * ch * channel)
