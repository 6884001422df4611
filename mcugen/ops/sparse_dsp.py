# SPDX-License-Identifier: Apache-2.0
"""Convolution by weights that are mostly zero, on the DSP extension: mcugen_sparse_dsp.h."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from mcugen.fixed_point import IntArray
from mcugen.ir.graph import Shape
from mcugen.ops import mve, sparse_mve
from mcugen.ops.base import ConstTable, Kernel, KernelCall, Target
from mcugen.ops.dsp import MIXED, aligned, clamp_fields, high_word_scale
from mcugen.ops.sparse import (
    STRIP,
    Columns,
    Image,
    Tiles,
    as_row,
    entry_rows,
    image_fields,
)
from mcugen.ops.weights import SHORT_ZEROS, accumulator_bound
from mcugen.ops.window import as_image

if TYPE_CHECKING:
    from mcugen.ops.conv import ConvS8

# what fits into the first word of a row; longer ones have a word more
SHORT_BIAS, SHORT_COUNT = 2**19, 2**6
MAX_COUNT = 2**19  # entries of one row
EMPTY, LONG = 1, 3  # in the place of twice the number of entries, less one
INSTRUCTIONS = 0.74  # executed in a cycle of the model, fitted to simulated counts
BLOCK_SPANS = (4, 6, 8, 9)  # columns that the kernel for 1x4 blocks is compiled for


@dataclass(frozen=True, slots=True, kw_only=True)
class Form:
    """One way to put weights into entries, and what its kernel costs.

    An entry holds the weights of `outs` outputs and `ins` neighbouring input channels.
    """

    name: str  # of the variant
    header: str
    outs: int
    ins: int
    strips: int  # of pixels, computed at once
    unit: int  # input channels that share a word of activations
    planes: int  # words that hold the activations of all strips
    factor: int  # what sums are multiplied by
    ahead: int  # bytes that are read beyond a row's head
    # cycles, fitted to simulated counts: a step of the strips, then what is within
    tile: float
    column: float  # of the input that is laid out, its words apart
    word: float
    row: float  # of weights, requantization included
    entry: float


SINGLE = Form(
    name="sparse", header="mcugen_sparse_single_dsp.h", outs=1, ins=1, strips=2, unit=1, planes=1,
    factor=512, ahead=2, tile=175.0, column=115.0, word=5.64, row=95.5, entry=14.0,
)  # fmt: skip
BLOCK_2X2 = Form(
    name="sparse_2x2", header="mcugen_sparse_2x2_dsp.h", outs=2, ins=2, strips=1, unit=2, planes=1,
    factor=MIXED, ahead=0, tile=121.0, column=78.0, word=4.76, row=81.1, entry=20.7,
)  # fmt: skip
BLOCK_1X4 = Form(
    name="sparse_1x4", header="mcugen_sparse_1x4_dsp.h", outs=1, ins=4, strips=2, unit=2, planes=2,
    factor=1, ahead=0, tile=197.0, column=83.0, word=3.69, row=72.6, entry=46.5,
)  # fmt: skip
FORMS = (SINGLE, BLOCK_2X2, BLOCK_1X4)


def conv_kernels(
    op: ConvS8, inputs: Sequence[Shape], output: Shape, target: Target
) -> list[Kernel]:
    """The kernels of a convolution with zeros among its weights, none where they do not apply."""
    if op.groups != 1 or op.bias.ndim != 1:
        return []
    image = as_image(inputs[0])
    result = (*op.window.output_size(image[:2]), output[-1])
    found = (_kernel(form, op, image, result) for form in FORMS)
    own = [counted(kernel, target, INSTRUCTIONS) for kernel in found if kernel is not None]
    if mve.FEATURE in target.features:
        own += sparse_mve.conv_kernels(op, image, result)
    return own


def counted(kernel: Kernel, target: Target, instructions: float) -> Kernel:
    """The kernel with its cost as the target counts it: on vector cores, in instructions."""
    if mve.FEATURE not in target.features:
        return kernel
    return replace(kernel, cycles=instructions * kernel.cycles)


def _kernel(form: Form, op: ConvS8, image: Image, output: Image) -> Kernel | None:
    columns = Columns.of(op.window)
    if form is BLOCK_1X4 and columns.span not in BLOCK_SPANS:
        return None
    if output[2] % form.outs:
        return None
    scale = _scale(form, op)
    rows = entry_rows(*_places(form, op.weight, columns))
    counts = np.array([len(row) for row in rows])
    if scale is None or counts.max() >= MAX_COUNT:
        return None
    window = op.window
    image, output = as_row(op, image), as_row(op, output)
    span = f"_span{columns.span}" if form is BLOCK_1X4 else ""
    tiles = Tiles(out_h=output[0], out_w=output[1], strips=form.strips)
    units = _units(form, image[2])
    words = window.kernel[0] * units * form.planes * columns.span
    aside = STRIP * form.strips * output[2] if tiles.ragged else 0
    call = KernelCall(
        function=f"mcugen_{form.name}{span}_conv_s8_dsp",
        header=form.header,
        fields=(
            *image_fields(op, image, output, columns),
            ("units", units),
            ("entries", "entries"),
            *clamp_fields(op.requantize),
        ),
        tables=(
            ConstTable(
                suffix="entries",
                values=_stream(form, rows, op.bias, scale),
                comment=f"rows [head, [delta, {form.outs} * {form.ins} weights], multipliers]",
            ),
            columns.table(),
        ),
        scratch_bytes=4 * words + aligned(image[2]) + aside,
    )
    height, width = (window.along(axis, image[axis]) for axis in (0, 1))
    laid = window.kernel[0] * columns.span * form.planes
    cycles = _cycles(form, tiles, laid, words, counts)
    overlap = tiles.overlap(height, width, (image[2], output[2]))
    return Kernel(
        variant=form.name, calls=(call,), cycles=cycles, overlaps=(overlap,), skips_zeros=True
    )


def _units(form: Form, in_ch: int) -> int:
    """Words that hold all channels of a pixel; pairs are laid out two at a time."""
    most = 1 if form.unit == 1 else 4
    return -(-in_ch // most) * most // form.unit


def _scale(form: Form, op: ConvS8) -> tuple[IntArray, IntArray] | None:
    """Of each channel a multiplier of 16 bits, and the shift: int64 [out_ch] each.

    The second of two outputs has 256 times its sum, and the shift for that. None where that would
    not be exact for accumulators, or for `form.factor` times these.
    """
    bound = accumulator_bound(op.weight, op.bias)
    ones = np.ones(len(bound), np.int64)
    scale = high_word_scale(bound, ones, op.requantize)
    wide = high_word_scale(bound, form.factor * ones, op.requantize)
    if scale is None or wide is None or np.any(scale[0] % (1 << SHORT_ZEROS)):
        return None
    second = np.arange(len(bound)) % form.outs == 1
    return scale[0] >> SHORT_ZEROS, np.where(second, wide[1], scale[1])


def _stream(
    form: Form, rows: Sequence[NDArray[np.uint8]], bias: IntArray, scale: tuple[IntArray, IntArray]
) -> NDArray[np.uint8]:
    """The table of the kernels: rows of heads, entries and multipliers, then the end."""
    multiplier, shift = (values.reshape(-1, form.outs) for values in scale)
    none = np.zeros((1, 1 + form.outs * form.ins), np.uint8)
    parts: list[NDArray[np.uint8]] = []
    for row, own, factors, drops in zip(
        rows, bias.reshape(-1, form.outs), multiplier, shift, strict=True
    ):
        # a long row cannot be empty
        held = row if len(row) or abs(own[0]) < SHORT_BIAS else none
        parts += [_head(len(held), own, drops), held.ravel(), factors.astype("<u2").view(np.uint8)]
    end = np.array([_word(-1, LONG, 0)] + [0] * (form.outs - 1), "<u4").view(np.uint8)
    return np.concatenate([*parts, end, np.zeros(form.ahead, np.uint8)])


def _head(count: int, bias: IntArray, shift: IntArray) -> NDArray[np.uint8]:
    """What a row begins with: bias and shift of each output, the number of entries: uint8 [bytes].

    A long row has the number, less one, in place of the bias, and that in a word behind its head.
    Of a second output 27 bits of bias and 5 of shift.
    """
    first, drop = int(bias[0]), int(shift[0])
    more = [int(b) << 5 | int(s) for b, s in zip(bias[1:], shift[1:], strict=True)]
    if abs(first) >= SHORT_BIAS or count > SHORT_COUNT:
        words = [_word(count - 1, LONG, drop), *more, first]
    else:
        words = [_word(first, 2 * (count - 1) if count else EMPTY, drop), *more]
    return (np.array(words) & 0xFFFFFFFF).astype("<u4").view(np.uint8)


def _word(upper: int, few: int, shift: int) -> int:
    """The first word of a row: 20 bits, a number of 7, the shift in 5."""
    return (upper << 12 | few << 5 | shift) & 0xFFFFFFFF


def _places(
    form: Form, weight: NDArray[np.int8], columns: Columns
) -> tuple[NDArray[np.uint8], IntArray]:
    """What an entry may hold: its bytes [rows, places, outs * ins], its steps [places]."""
    _, kernel_h, kernel_w, in_ch = weight.shape
    full = np.pad(weight.astype(np.int64), ((0, 0), (0, 0), (0, 0), (0, -in_ch % form.ins)))
    blocks = full.shape[3] // form.ins
    split = full.reshape(-1, form.outs, kernel_h, kernel_w, blocks, form.ins)
    at_row = np.arange(kernel_h)[:, None, None] * _units(form, in_ch) * form.planes
    at_block = np.arange(blocks)[None, None, :] * form.ins // form.unit * form.planes
    offsets = (at_row + at_block) * columns.span + columns.first[None, :, None]
    values = _bytes(form, split.transpose(0, 2, 3, 4, 1, 5))
    order = np.argsort(offsets.ravel(), kind="stable")
    steps = offsets.ravel()[order] // _step(form, columns)
    return values.reshape(len(split), -1, form.outs * form.ins)[:, order], steps


def _step(form: Form, columns: Columns) -> int:
    """Words that a delta counts as one: of a kernel for one column, those of a block."""
    return 4 * columns.span if form is BLOCK_1X4 and columns.span == STRIP else 1


def _bytes(form: Form, blocks: IntArray) -> NDArray[np.uint8]:
    """The weights [..., outs, ins] as the kernel's instructions take them."""
    if form is BLOCK_2X2:
        halves = blocks[..., 0, :] + MIXED * blocks[..., 1, :]
        return np.ascontiguousarray(halves.astype("<i2")).view(np.uint8)
    return blocks.reshape(*blocks.shape[:-2], -1).astype(np.uint8)


def _cycles(form: Form, tiles: Tiles, columns: int, words: int, counts: IntArray) -> float:
    laid = form.column * columns + form.word * words
    rows = form.row * len(counts) + form.entry * int(counts.sum())
    return tiles.count * (form.tile + laid + rows)
