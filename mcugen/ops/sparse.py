# SPDX-License-Identifier: Apache-2.0
"""Weights that are mostly zero, as entries of the others: layouts in docs/SPARSE.md."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from mcugen.fixed_point import IntArray
from mcugen.ops.base import ConstTable, Kernel, Overlap, Target
from mcugen.ops.overlap import forward_distance
from mcugen.ops.window import AxisWindows, Window

if TYPE_CHECKING:
    from mcugen.ops.conv import ConvS8

Image = tuple[int, int, int]
Fields = tuple[tuple[str, int | str | None], ...]
MAX_DELTA = 255  # that one byte holds
MAX_LENGTH = 2**16 - 1  # bytes of one row
STRIP = 4  # output pixels of one row that are computed at once
LARGE_TABLES = 2.0  # times the smallest ones
MOSTLY_ZERO = 0.5  # share of zeros from which on skipping them pays on every core
BLOCKS = ((4, 1), (2, 2))  # input times output channels, as the kernels take them
FILLED = 0.75  # share of their weights that blocks have
LEAST_ZEROS = 0.1  # as a share; with fewer, no kernel that skips them can win


def has_zeros(weight: NDArray[np.int8]) -> bool:
    """There are enough zeros to try."""
    return zero_share(weight) >= LEAST_ZEROS


def zero_share(weight: NDArray[np.int8]) -> float:
    """How many of the weights are zero, 0 to 1."""
    return 1.0 - float(np.count_nonzero(weight)) / max(weight.size, 1)


def mostly_zero(weight: NDArray[np.int8]) -> bool:
    """Half of the weights or more are zero, channels without any aside.

    weight: int8 [out_ch, h, w, in_ch].
    """
    rows, channels = np.any(weight, axis=(1, 2, 3)), np.any(weight, axis=(0, 1, 2))
    return zero_share(weight[rows][..., channels]) >= MOSTLY_ZERO


def blocks_of(weight: NDArray[np.int8]) -> tuple[int, int]:
    """Neighbouring input and output channels of a mostly zero convolution that are zero together.

    weight: int8 [out_ch, h, w, in_ch]. (1, 1) where there are no such blocks.
    """
    for ins, outs in BLOCKS:
        missing = ((0, -weight.shape[0] % outs), (0, 0), (0, 0), (0, -weight.shape[3] % ins))
        full = np.pad(weight, missing)
        split = full.reshape(-1, outs, *full.shape[1:3], full.shape[3] // ins, ins)
        used = ins * outs * np.count_nonzero(np.any(split, axis=(1, 5)))
        if np.count_nonzero(weight) > FILLED * used:
            return ins, outs
    return 1, 1


def that_pay(kernels: Sequence[Kernel], others: Sequence[Kernel], target: Target) -> list[Kernel]:
    """Those kernels that skip zeros and are faster for it than the others.

    Others that buy their speed with larger tables do not count, the plan weighs these itself. Where
    flash is all that counts, kernels stay that save some of it.
    """
    least = min(kernel.table_bytes for kernel in others)
    fastest = min(k.cycles for k in others if k.table_bytes <= LARGE_TABLES * least)
    # kernels that were chosen before were weighed against each other, slower and smaller ones too
    saving = target.optimize == "size" or bool(target.chosen)
    return [k for k in kernels if k.cycles < fastest or (saving and k.table_bytes < least)]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Entries:
    """The rows of a layer, one after the other.

    stream: uint8, of every row the bytes of its entries (two bytes, the lower first) and then the
    entries, a delta and weights each; at last two bytes of zero. counts: int64 [rows], the entries.
    """

    stream: NDArray[np.uint8]
    counts: IntArray

    @property
    def total(self) -> int:
        """Entries of all rows."""
        return int(self.counts.sum())


def walk(offsets: IntArray, most: int = MAX_DELTA) -> tuple[IntArray, IntArray]:
    """Steps from 0 to each of the ascending offsets, and at which step each one is reached.

    Where it is too far for one step, there are steps of `most` before it.
    """
    distances = np.diff(offsets, prepend=0)
    more = np.maximum(-(-distances // most) - 1, 0)
    last = np.cumsum(more + 1) - 1
    deltas = np.full(int(more.sum()) + len(more), most, np.int64)
    deltas[last] = distances - most * more
    return deltas, last


def entry_rows(values: NDArray[np.uint8], offsets: IntArray) -> list[NDArray[np.uint8]]:
    """The entries of each row, a delta and weights: uint8 [entries, 1 + bytes].

    values: uint8 [rows, places, bytes], of which those that are all zero are left out; offsets:
    int64 [places], where the activations of a place are, ascending. A delta leads from the entry
    before, at first from 0. Where it is too large, entries without weights lie between.
    """
    rows = []
    for row, places in enumerate(np.any(values, axis=2)):
        chosen = np.flatnonzero(places)
        deltas, last = walk(offsets[chosen])
        part = np.zeros((len(deltas), 1 + values.shape[2]), np.uint8)
        part[:, 0] = deltas
        part[last, 1:] = values[row, chosen]
        rows.append(part)
    return rows


def encode(values: NDArray[np.uint8], offsets: IntArray) -> Entries | None:
    """The rows of `entry_rows` with their lengths; None where one of them is too long.

    A row without weights has one entry.
    """
    rows = entry_rows(values, offsets)
    parts = [row if len(row) else np.zeros((1, 1 + values.shape[2]), np.uint8) for row in rows]
    lengths = [part.size for part in parts]
    if max(lengths) > MAX_LENGTH:
        return None
    heads = [np.array([size % 256, size // 256], np.uint8) for size in (*lengths, 0)]
    pieces = [piece for head, part in zip(heads, parts, strict=False) for piece in (head, part)]
    stream = np.concatenate([piece.ravel() for piece in (*pieces, heads[-1])])
    return Entries(stream=stream, counts=np.array([len(part) for part in parts]))


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Columns:
    """Which columns of the input a strip of output pixels reads, in the order of the kernels.

    A column serves each tap that any of the pixels reads it by. Those of one tap, pixel after
    pixel, lie side by side: columns that are a whole stride apart follow each other.
    offsets: int64 [span], from the first pixel's window on; first: int64 [kernel_w], where each
    tap's columns begin.
    """

    offsets: IntArray
    first: IntArray

    @property
    def span(self) -> int:
        """How many columns there are."""
        return len(self.offsets)

    @classmethod
    def of(cls, window: Window, pixels: int = STRIP) -> Columns:
        """The columns of a window, for so many pixels side by side."""
        stride = window.stride[1]
        taps = np.arange(window.kernel[1]) * window.dilation[1]
        offsets: list[int] = []
        first = np.zeros(len(taps), np.int64)
        for rest in np.unique(taps % stride).tolist():
            own = taps % stride == rest
            first[own] = len(offsets) + taps[own] // stride
            last = int(taps[own].max()) // stride + pixels
            offsets += range(rest, rest + last * stride, stride)
        return cls(offsets=np.array(offsets, np.int64), first=first)

    def table(self) -> ConstTable:
        """The columns in C."""
        return ConstTable(suffix="columns", values=self.offsets.astype(np.int16), comment="[span]")


def as_row(op: ConvS8, image: Image) -> Image:
    """An input or output of the layer; one of a 1x1 kernel is one row of pixels."""
    window = op.window
    if window.kernel == (1, 1) and window.stride == (1, 1) and not any(window.pads):
        return 1, image[0] * image[1], image[2]
    return image


def image_fields(op: ConvS8, image: Image, output: Image, columns: Columns) -> Fields:
    """The members of a `mcugen_sparse_image_t` within a parameter struct."""
    names = ("in_h", "in_w", "in_ch", "out_h", "out_w", "out_ch")
    window = op.window
    fields: Fields = (
        *zip(names, (*image, *output), strict=True),
        ("kernel_h", window.kernel[0]),
        ("stride_h", window.stride[0]),
        ("stride_w", window.stride[1]),
        ("dilation_h", window.dilation[0]),
        ("pad_top", window.pads[0]),
        ("pad_left", window.pads[1]),
        ("pad_value", op.pad_value),
        ("span", columns.span),
        ("columns", "columns"),
    )
    return tuple((f"image.{name}", value) for name, value in fields)


@dataclass(frozen=True, slots=True, kw_only=True)
class Tiles:
    """Output pixels in the order of the kernels: strips of a row, one or two at a time."""

    out_h: int
    out_w: int
    strips: int  # computed at once

    @property
    def count(self) -> int:
        """How many steps it takes."""
        return -(-self.out_h * -(-self.out_w // STRIP) // self.strips)

    @property
    def ragged(self) -> bool:
        """Some step has less than all of its pixels."""
        return self.out_w % STRIP > 0 or self.out_h * self.out_w % (STRIP * self.strips) > 0

    def ends(self) -> IntArray:
        """The pixel after the last of every step, in row-major order: int64 [count]."""
        per_row = -(-self.out_w // STRIP)
        strip = np.arange(1, self.out_h * per_row + 1)
        ends = np.where(
            strip % per_row == 0,
            strip // per_row * self.out_w,
            strip // per_row * self.out_w + strip % per_row * STRIP,
        )
        return np.append(ends[self.strips - 1 :: self.strips], ends[-1:])[: self.count]

    def overlap(self, rows: AxisWindows, cols: AxisWindows, channels: tuple[int, int]) -> Overlap:
        """The overlap of a kernel that copies a step's windows before it writes its outputs."""
        in_ch, out_ch = channels
        tops = np.clip(rows.starts(), 0, rows.in_len)
        lefts = np.clip(cols.starts(), 0, cols.in_len)
        reads = ((tops[:, None] * cols.in_len + lefts) * in_ch).ravel()
        ends = self.ends()
        later = np.minimum.reduceat(reads, ends[:-1]) if len(ends) > 1 else np.zeros(0, np.int64)
        firsts = np.append(later, rows.in_len * cols.in_len * in_ch)
        return Overlap(operand=0, distance=forward_distance(ends * out_ch, firsts))
