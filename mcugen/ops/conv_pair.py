# SPDX-License-Identifier: Apache-2.0
"""Dense convolution for cores without the DSP extension: two pixels in one multiplication."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from mcugen.fixed_point import IntArray
from mcugen.ir.graph import Shape
from mcugen.ops.base import ConstTable, Kernel, KernelCall, Target
from mcugen.ops.overlap import window_overlap
from mcugen.ops.scalar import Fields, ScalarCosts, scalar_requantize_tables
from mcugen.ops.weights import accumulator_bound, bias_classes
from mcugen.ops.window import as_image

if TYPE_CHECKING:
    from mcugen.ops.conv import ConvS8

CHANNELS = 2  # computed at once
NARROW_CHANNELS = 4  # with weights of 4 or 2 bits
TAPS = 2  # products that 16 bits hold the sum of
PIXELS = 2  # in one word
SHIFT_BITS = 8  # of a word with a bias
MOST_BIAS = 1 << (31 - SHIFT_BITS)


def conv_pair_kernels(
    op: ConvS8, inputs: Sequence[Shape], output: Shape, target: Target
) -> tuple[Kernel, ...]:
    """The kernel, or nothing where it does not apply."""
    if op.groups > 1:
        return ()
    bits = op.weight_bits
    channels = CHANNELS if bits == 8 else NARROW_CHANNELS
    requantize = scalar_requantize_tables(
        op.requantize, accumulator_bound(op.weight, op.bias), channels, widened=bits < 8
    )
    if requantize is None:
        return ()
    requant_fields, requant_tables = requantize
    bias = _filled_up(op.bias, channels)
    if bits < 8 and np.all(np.abs(bias) < MOST_BIAS):
        requant_fields, requant_tables, bias = _shifts_in_biases(*requantize, bias)
    image = as_image(inputs[0])
    geometry = _geometry(op, image, as_image(output))
    bias_fields, bias_tables = bias_classes(bias)
    words = packed_weights(op.weight) if bits == 8 else narrow_weights(op.weight, bits)
    groups = words.shape[1] * (2 if bits == 2 else 1)
    call = KernelCall(
        function="mcugen_conv_pair_s8" + ("" if bits == 8 else f"_w{bits}"),
        header="mcugen_conv_pair.h",
        fields=(
            *geometry,
            ("groups", groups),
            ("weight", "weight"),
            *bias_fields,
            *requant_fields,
            *((("wide", 1),) if bits == 8 else ()),
        ),
        tables=(
            ConstTable(
                suffix="weight",
                values=words,
                comment="[out_ch / 2, taps / 2], bytes [2 out_ch, 2 taps]"
                if bits == 8
                else f"[out_ch / 4, taps / {8 // bits}], from the top [taps, 4 out_ch]",
            ),
            *bias_tables,
            *requant_tables,
        ),
        scratch_bytes=4 * TAPS * groups + dict(geometry)["pad_len"],
    )
    rows, cols = (op.window.along(axis, image[axis]) for axis in (0, 1))
    overlap = window_overlap(rows, cols, image[2], as_image(output)[2], group=PIXELS, copied=True)
    cycles = _cycles(op, output, groups, target)
    variant = "pair" if bits == 8 else f"pair_w{bits}"
    return (Kernel(variant=variant, calls=(call,), cycles=cycles, overlaps=(overlap,)),)


def packed_weights(weight: NDArray[np.int8]) -> NDArray[np.uint32]:
    """int8 [out_ch, ...] as words uint32 [out_ch / 2, taps / 2], rounded up and filled with 0.

    The bytes of a word are, from the lowest, two taps of one channel and the same of the next.
    """
    flat = weight.reshape(len(weight), -1)
    out_ch, taps = (-(-n // 2) * 2 for n in flat.shape)
    full = np.zeros((out_ch, taps), np.int8)
    full[: len(flat), : flat.shape[1]] = flat
    pairs = full.reshape(out_ch // 2, 2, taps // 2, 2).transpose(0, 2, 1, 3)
    words = np.ascontiguousarray(pairs).reshape(out_ch // 2, -1).view("<u4")
    return words.astype(np.uint32)


def narrow_weights(weight: NDArray[np.int8], bits: int) -> NDArray[np.uint32]:
    """int8 [out_ch, ...] as words uint32 [out_ch / 4, taps / 2 or 4], rounded up.

    From the top, the taps of a word, and of each four channels: the first in two's complement, the
    others with 2^(bits - 1) added. See mcugen_conv_narrow_pair.h.
    """
    flat = weight.reshape(len(weight), -1).astype(np.int64)
    each = 8 // bits
    margins = ((0, -len(flat) % NARROW_CHANNELS), (0, -flat.shape[1] % each))
    full = np.pad(flat, margins)
    quads = full.reshape(-1, NARROW_CHANNELS, full.shape[1] // each, each).transpose(0, 2, 3, 1)
    offset = 1 << (bits - 1)
    codes = (quads + np.array([0, offset, offset, offset])) & ((1 << bits) - 1)
    places = np.arange(32 - bits, -1, -bits).reshape(each, NARROW_CHANNELS)
    words: NDArray[np.uint32] = (codes << places).sum(axis=(2, 3)).astype(np.uint32)
    return words


def _shifts_in_biases(
    fields: Fields, tables: tuple[ConstTable, ...], bias: IntArray
) -> tuple[Fields, tuple[ConstTable, ...], IntArray]:
    """Requantization without a table of shifts: the lowest byte of each bias is the channel's."""
    own = {table.suffix: table for table in tables}
    shifts = own.pop("shift").values
    kept = tuple((name, None if name == "shift" else value) for name, value in fields)
    packed: IntArray = (bias << SHIFT_BITS) + shifts.astype(np.int64)
    return kept, tuple(own.values()), packed


def _filled_up(bias: IntArray, channels: int) -> IntArray:
    """More channels, of zeros, up to a multiple of so many."""
    margins = [(0, 0)] * (bias.ndim - 1) + [(0, -bias.shape[-1] % channels)]
    return np.pad(bias, margins)


def _geometry(
    op: ConvS8, image: tuple[int, int, int], output: tuple[int, int, int]
) -> tuple[tuple[str, int], ...]:
    """Parameter fields of sizes; a 1x1 kernel of stride 1 sees one long row of pixels."""
    (in_h, in_w, in_ch), (out_h, out_w, out_ch) = image, output
    if _is_pointwise(op):
        in_h, in_w, out_h, out_w = 1, in_h * in_w, 1, out_h * out_w
    sizes = (in_h, in_w, in_ch, out_h, out_w, out_ch)
    names = ("in_h", "in_w", "in_ch", "out_h", "out_w", "out_ch")
    return (
        *zip(names, sizes, strict=True),
        *op.window.fields(),
        ("pad_value", op.pad_value),
        ("pad_len", _pad_len(op, image)),
    )


def _is_pointwise(op: ConvS8) -> bool:
    window = op.window
    alike = op.bias.ndim == 1 and not any(window.pads)
    return alike and window.kernel == (1, 1) and window.stride == (1, 1)


def _pad_len(op: ConvS8, image: tuple[int, int, int]) -> int:
    """Bytes that are read at once from outside the image: a row of the window, or one tap."""
    window = op.window
    outside = any(
        np.any(axis.starts() < 0) or np.any(axis.ends() > axis.in_len)
        for axis in (window.along(0, image[0]), window.along(1, image[1]))
    )
    taps = window.kernel[1] if window.dilation[1] == 1 else 1
    return taps * image[2] if outside else 0


def _cycles(op: ConvS8, output: Shape, groups: int, target: Target) -> float:
    costs = ScalarCosts.of(target)
    *pixels, out_ch = output
    pairs = -(-int(np.prod(pixels)) // PIXELS)
    window = costs.window_row * op.window.kernel[0] + costs.tap * op.weight[0].size
    if op.weight_bits == 8:
        block = costs.block + costs.group * groups
        return float(pairs * (costs.pair + window + block * -(-out_ch // CHANNELS)))
    words = 2 * groups * op.weight_bits / 8
    block = costs.narrow_block + costs.narrow_word[op.weight_bits] * words
    sums = 3.0 * op.weight[0].size
    return float(pairs * (costs.pair + window + sums + block * -(-out_ch // NARROW_CHANNELS)))
