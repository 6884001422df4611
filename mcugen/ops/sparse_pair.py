# SPDX-License-Identifier: Apache-2.0
"""Layers that are mostly zero on cores without the DSP extension.

mcugen_sparse_pair.h, and mcugen_sparse_short.h on Armv6-M, where that is exact.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from mcugen.fixed_point import IntArray
from mcugen.ir.graph import Shape
from mcugen.ops.base import ConstTable, Kernel, KernelCall, Target
from mcugen.ops.dsp import aligned
from mcugen.ops.scalar import Fields, scalar_requantize_tables
from mcugen.ops.short_scale import FRACTION, short_scale
from mcugen.ops.sparse import STRIP, Columns, Tiles, as_row, image_fields, walk
from mcugen.ops.weights import accumulator_bound
from mcugen.ops.window import as_image

if TYPE_CHECKING:
    from mcugen.ops.conv import ConvS8

GROUP = 2  # entries, products that 16 bits hold the sum of
PAIR = 2  # pixels of a strip that have words of their own; the others share them
WORD_BYTES = 4  # what a delta is counted in
MAX_STEP = 255 // WORD_BYTES
MAX_GROUPS = 2**16 - 1  # in one row
MAX_SHORT_GROUPS = 2**14 - 1  # in one row with short factors
# of the assembly for Armv6-M with short factors; less where a window has one column
UNROLLED_GROUPS, GROUP_BYTES, COLUMN_GROUP_BYTES, COLUMN_SAVING = 8, 50, 48, 1.0
BIAS_LIMIT = 2**23


@dataclass(frozen=True, slots=True, kw_only=True)
class Costs:
    """Cycles of the kernels' parts on one kind of core, fitted to simulated counts."""

    tile: float
    column: float
    word: float
    row: float
    short_row: float  # 0 where there are no short factors
    short_group: float
    group: float
    # of a fully connected layer
    output: float
    weight: float

    @classmethod
    def of(cls, target: Target) -> Costs:
        """The costs on a target's core."""
        if "mul64" not in target.features:
            return ARMV6M_COSTS
        return ARMV7M_COSTS if "thumb2" in target.features else RISCV_COSTS


ARMV6M_COSTS = Costs(
    tile=186.0,
    column=103.5,
    word=11.4,
    row=189.0,
    short_row=108.0,
    short_group=30.5,
    group=31.2,
    output=90.0,
    weight=16.0,
)
ARMV7M_COSTS = Costs(
    tile=122.0,
    column=61.5,
    word=10.4,
    row=146.5,
    short_row=0.0,
    short_group=0.0,
    group=31.2,
    output=47.0,
    weight=13.0,
)
RISCV_COSTS = Costs(
    tile=94.0,
    column=40.5,
    word=11.4,
    row=115.0,
    short_row=0.0,
    short_group=0.0,
    group=31.2,
    output=47.0,
    weight=11.0,
)


def conv_kernels(
    op: ConvS8, inputs: Sequence[Shape], output: Shape, target: Target
) -> list[Kernel]:
    """The kernel of a convolution, none where it does not apply."""
    if op.groups != 1 or op.bias.ndim != 1:
        return []
    columns = Columns.of(op.window, PAIR)
    costs = Costs.of(target)
    rows = _short_rows(op, columns, costs) if costs.short_row else None
    rows = rows or _rows(op, columns, costs)
    if rows is None:
        return []
    out_h, out_w = op.window.output_size(as_image(inputs[0])[:2])
    image = as_row(op, as_image(inputs[0]))
    result = as_row(op, (out_h, out_w, output[-1]))
    tiles = Tiles(out_h=result[0], out_w=result[1], strips=1)
    laid = op.window.kernel[0] * columns.span
    words = laid * image[2]
    call = KernelCall(
        function=f"mcugen_sparse_{rows.name}_conv_s8",
        header=rows.header,
        fields=(
            *image_fields(op, image, result, columns),
            *((table.suffix, table.suffix) for table in rows.tables),
            *rows.fields,
        ),
        tables=(*rows.tables, columns.table()),
        scratch_bytes=4 * words + aligned(image[2]) + (STRIP * result[2] if tiles.ragged else 0),
    )
    laying = costs.column * laid + costs.word * words
    cycles = tiles.count * (costs.tile + laying + rows.cycles)
    row_axis, column_axis = (op.window.along(axis, image[axis]) for axis in (0, 1))
    overlap = tiles.overlap(row_axis, column_axis, (image[2], result[2]))
    return [
        Kernel(
            variant="sparse", skips_zeros=True, calls=(call,), cycles=cycles, overlaps=(overlap,)
        )
    ]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Rows:
    """What one of the kernels knows of the rows of weights, and what they cost for one strip."""

    name: str
    header: str
    tables: tuple[ConstTable, ...]
    fields: Fields
    cycles: float


def _rows(op: ConvS8, columns: Columns, costs: Costs) -> Rows | None:
    """The rows with biases and multipliers."""
    requantize = scalar_requantize_tables(
        op.requantize, accumulator_bound(op.weight, op.bias), multiple=1
    )
    too_large = np.abs(op.bias).max(initial=0) >= BIAS_LIMIT
    entries, counts = _groups(*_places(op.weight, columns))
    if requantize is None or too_large or counts.max(initial=0) > MAX_GROUPS:
        return None
    fields, (multiplier, shift) = requantize
    upper, lower = (table.values.astype(np.int64) for table in (multiplier, shift))
    scale = np.stack([256 * op.bias + lower, upper], axis=1) & 0xFFFFFFFF
    return Rows(
        name="pair",
        header="mcugen_sparse_pair.h",
        tables=(
            ConstTable(
                suffix="entries", values=entries, comment="[groups], bytes [2][4 * delta, weight]"
            ),
            ConstTable(suffix="counts", values=counts.astype(np.uint16), comment="[out_ch]"),
            ConstTable(suffix="scale", values=scale.astype(np.uint32), comment="[ch, 2]"),
        ),
        fields=fields[2:],
        cycles=costs.row * len(counts) + costs.group * int(counts.sum()),
    )


def _short_rows(op: ConvS8, columns: Columns, costs: Costs) -> Rows | None:
    """The rows with short factors, on Armv6-M."""
    sums = accumulator_bound(op.weight, np.zeros_like(op.bias))
    scale = short_scale(sums, op.bias, op.requantize)
    if scale is None:
        scale = short_scale(sums, op.bias, op.requantize, FRACTION - 1)
    # what is read behind the last words with a weight of zero is padding
    one_column = op.window.kernel[1] == 1 and op.weight.shape[3] > WORD_BYTES
    over = PAIR if one_column else 0
    entries, counts = _groups(*_places(op.weight, columns), over)
    if scale is None or counts.max(initial=0) > MAX_SHORT_GROUPS:
        return None
    code = (COLUMN_GROUP_BYTES if one_column else GROUP_BYTES) * (-counts % UNROLLED_GROUPS)
    heads = (code + 4 * counts * 2**16).astype(np.uint32)
    rows = np.split(entries, np.cumsum(counts)[:-1])
    parts = [np.concatenate([[h], *row]) for h, *row in zip(heads, rows, scale.words, strict=True)]
    group = costs.short_group - (COLUMN_SAVING if one_column else 0.0)
    column, wide = ("column_" * one_column), ("wide_" * (scale.fraction < FRACTION))
    return Rows(
        name=f"short_{column}{wide}"[:-1],
        header="mcugen_sparse_short.h",
        tables=(
            ConstTable(
                suffix="entries",
                values=np.concatenate([*parts, np.zeros(1, np.uint32)]),
                comment="rows [head, groups of bytes [2][4 * delta, weight], offset, factors], 0",
            ),
        ),
        fields=scale.fields(),
        cycles=costs.short_row * len(counts) + group * int(counts.sum()),
    )


def _places(weight: NDArray[np.int8], columns: Columns) -> tuple[NDArray[np.int8], IntArray]:
    """Weights int8 [out_ch, taps] and the offset of each tap's words, ascending."""
    out_ch, kernel_h, _, in_ch = weight.shape
    units = np.arange(kernel_h)[:, None, None] * in_ch + np.arange(in_ch)
    offsets = (units * columns.span + columns.first[None, :, None]).ravel()
    order = np.argsort(offsets, kind="stable")
    return weight.reshape(out_ch, -1)[:, order], offsets[order]


def _groups(
    weight: NDArray[np.int8], offsets: IntArray, over: int = 0
) -> tuple[NDArray[np.uint32], IntArray]:
    """The rows' groups, uint32 [groups], and how many each row has, int64 [rows].

    `over`: words, one or a multiple of which all offsets are, that the kernel steps over between
    the entries of a group.
    """
    parts, counts = [], []
    most = MAX_STEP // over * over if over else MAX_STEP
    for row in weight:
        chosen = np.flatnonzero(row) if np.any(row) else np.array([0])
        deltas, last = walk(offsets[chosen], most)
        deltas[1::GROUP] -= over
        part = np.zeros((-(-len(deltas) // GROUP) * GROUP, 2), np.uint8)
        part[: len(deltas), 0] = WORD_BYTES * deltas
        part[last, 1] = row[chosen].astype(np.uint8)
        parts.append(part.reshape(-1, 2 * GROUP))
        counts.append(len(parts[-1]))
    words = np.ascontiguousarray(np.concatenate(parts)).view("<u4")[:, 0]
    return words.astype(np.uint32), np.array(counts)
