# SPDX-License-Identifier: Apache-2.0
"""Convolution by weights that are mostly zero, on the DSP extension: mcugen_sparse_dsp.h."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from mcugen.fixed_point import IntArray, Requantize
from mcugen.ir.graph import Shape
from mcugen.ops import mve, sparse_mve
from mcugen.ops.base import ConstTable, Kernel, KernelCall, Target
from mcugen.ops.dsp import MIXED, aligned, clamp_fields, high_word_scale
from mcugen.ops.sparse import (
    STRIP,
    Columns,
    Entries,
    Image,
    Tiles,
    as_row,
    encode,
    image_fields,
)
from mcugen.ops.weights import accumulator_bound
from mcugen.ops.window import as_image

if TYPE_CHECKING:
    from mcugen.ops.conv import ConvS8

BIAS_LIMIT = 2**23
INSTRUCTIONS = 0.72  # executed in a cycle of the model, fitted to simulated counts
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
    # cycles, fitted to simulated counts: a step of the strips, then what is within
    tile: float
    column: float  # of the input that is laid out, its words apart
    word: float
    row: float  # of weights, requantization included
    entry: float


SINGLE = Form(
    name="sparse", header="mcugen_sparse_single_dsp.h", outs=1, ins=1, strips=2, unit=1, planes=1,
    factor=512, tile=162.0, column=116.0, word=5.65, row=98.8, entry=13.8,
)  # fmt: skip
BLOCK_2X2 = Form(
    name="sparse_2x2", header="mcugen_sparse_2x2_dsp.h", outs=2, ins=2, strips=1, unit=2, planes=1,
    factor=MIXED, tile=126.0, column=80.0, word=4.8, row=78.5, entry=20.5,
)  # fmt: skip
BLOCK_1X4 = Form(
    name="sparse_1x4", header="mcugen_sparse_1x4_dsp.h", outs=1, ins=4, strips=2, unit=2, planes=2,
    factor=1, tile=188.0, column=85.0, word=3.9, row=73.3, entry=46.3,
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
    scale = scale_words(op.weight, op.bias, op.requantize, form.factor)
    entries = encode(*_places(form, op.weight, columns))
    if scale is None or entries is None:
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
            ("scale", "scale"),
            *clamp_fields(op.requantize),
        ),
        tables=_tables(form, columns, entries, scale),
        scratch_bytes=4 * words + aligned(image[2]) + aside,
    )
    rows, cols = (window.along(axis, image[axis]) for axis in (0, 1))
    laid = window.kernel[0] * columns.span * form.planes
    cycles = _cycles(form, tiles, laid, words, entries)
    overlap = tiles.overlap(rows, cols, (image[2], output[2]))
    return Kernel(
        variant=form.name, calls=(call,), cycles=cycles, overlaps=(overlap,), skips_zeros=True
    )


def _units(form: Form, in_ch: int) -> int:
    """Words that hold all channels of a pixel; pairs are laid out two at a time."""
    most = 1 if form.unit == 1 else 4
    return -(-in_ch // most) * most // form.unit


def _tables(
    form: Form, columns: Columns, entries: Entries, scale: NDArray[np.uint32]
) -> tuple[ConstTable, ...]:
    weights = f"{form.outs} * {form.ins} weights"
    return (
        ConstTable(
            suffix="entries", values=entries.stream, comment=f"rows [2 length, [delta, {weights}]]"
        ),
        ConstTable(suffix="scale", values=scale, comment="[ch, 2]"),
        columns.table(),
    )


def scale_words(
    weight: NDArray[np.int8], bias: IntArray, requantize: Requantize, factor: int
) -> NDArray[np.uint32] | None:
    """Of each channel 256 * bias + shift and multiplier: uint32 [out_ch, 2].

    None where that would not be exact for accumulators, or for `factor` times these.
    """
    bound = accumulator_bound(weight.reshape(len(weight), -1).astype(np.int64), bias)
    ones = np.ones(len(bound), np.int64)
    scale = high_word_scale(bound, ones, requantize)
    wide = high_word_scale(bound, factor * ones, requantize)
    if scale is None or wide is None or np.abs(bias).max(initial=0) >= BIAS_LIMIT:
        return None
    multiplier, shift = scale
    packed = np.stack([256 * bias + shift, multiplier], axis=1)
    return (packed & 0xFFFFFFFF).astype(np.uint32)


def _places(
    form: Form, weight: NDArray[np.int8], columns: Columns
) -> tuple[NDArray[np.uint8], IntArray]:
    """What an entry may hold: its bytes [rows, places, outs * ins], its words' offset [places]."""
    _, kernel_h, kernel_w, in_ch = weight.shape
    full = np.pad(weight.astype(np.int64), ((0, 0), (0, 0), (0, 0), (0, -in_ch % form.ins)))
    blocks = full.shape[3] // form.ins
    split = full.reshape(-1, form.outs, kernel_h, kernel_w, blocks, form.ins)
    at_row = np.arange(kernel_h)[:, None, None] * _units(form, in_ch) * form.planes
    at_block = np.arange(blocks)[None, None, :] * form.ins // form.unit * form.planes
    offsets = (at_row + at_block) * columns.span + columns.first[None, :, None]
    values = _bytes(form, split.transpose(0, 2, 3, 4, 1, 5))
    order = np.argsort(offsets.ravel(), kind="stable")
    return values.reshape(len(split), -1, form.outs * form.ins)[:, order], offsets.ravel()[order]


def _bytes(form: Form, blocks: IntArray) -> NDArray[np.uint8]:
    """The weights [..., outs, ins] as the kernel's instructions take them."""
    if form is BLOCK_2X2:
        halves = blocks[..., 0, :] + MIXED * blocks[..., 1, :]
        return np.ascontiguousarray(halves.astype("<i2")).view(np.uint8)
    return blocks.reshape(*blocks.shape[:-2], -1).astype(np.uint8)


def _cycles(form: Form, tiles: Tiles, columns: int, words: int, entries: Entries) -> float:
    laid = form.column * columns + form.word * words
    rows = form.row * len(entries.counts) + form.entry * entries.total
    return tiles.count * (form.tile + laid + rows)
