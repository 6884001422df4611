# SPDX-License-Identifier: Apache-2.0
"""Layers that are mostly zero on cores without the DSP extension: mcugen_sparse_pair.h."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from mcugen.fixed_point import IntArray
from mcugen.ir.graph import Shape
from mcugen.ops.base import ConstTable, Kernel, KernelCall, Target
from mcugen.ops.scalar import accumulator_bound, scalar_requantize_tables
from mcugen.ops.sparse import STRIP, Columns, Tiles, as_row, image_fields, walk
from mcugen.ops.window import as_image

if TYPE_CHECKING:
    from mcugen.ops.conv import ConvS8

GROUP = 2  # entries, products that 16 bits hold the sum of
PAIR = 2  # pixels of a strip that have words of their own; the others share them
WORD_BYTES = 4  # what a delta is counted in
MAX_STEP = 255 // WORD_BYTES
MAX_GROUPS = 2**16 - 1  # in one row
BIAS_LIMIT = 2**23


@dataclass(frozen=True, slots=True, kw_only=True)
class Costs:
    """Cycles of the kernels' parts on one kind of core, fitted to simulated counts."""

    tile: float
    column: float
    word: float
    row: float
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
    tile=186.0, column=103.5, word=11.4, row=189.0, group=31.2, output=90.0, weight=16.0
)
ARMV7M_COSTS = Costs(
    tile=122.0, column=61.5, word=10.4, row=146.5, group=31.2, output=47.0, weight=13.0
)
RISCV_COSTS = Costs(
    tile=94.0, column=40.5, word=11.4, row=115.0, group=31.2, output=47.0, weight=11.0
)


def conv_kernels(
    op: ConvS8, inputs: Sequence[Shape], output: Shape, target: Target
) -> list[Kernel]:
    """The kernel of a convolution, none where it does not apply."""
    if op.groups != 1 or op.bias.ndim != 1 or np.abs(op.bias).max(initial=0) >= BIAS_LIMIT:
        return []
    bound = accumulator_bound(op.weight, op.bias)
    requantize = scalar_requantize_tables(op.requantize, bound, multiple=1)
    columns = Columns.of(op.window, PAIR)
    entries, counts = _groups(*_places(op.weight, columns))
    if requantize is None or counts.max(initial=0) > MAX_GROUPS:
        return []
    fields, (multiplier, shift) = requantize
    upper, lower = (table.values.astype(np.int64) for table in (multiplier, shift))
    scale = np.stack([256 * op.bias + lower, upper], axis=1)
    out_h, out_w = op.window.output_size(as_image(inputs[0])[:2])
    image = as_row(op, as_image(inputs[0]))
    result = as_row(op, (out_h, out_w, output[-1]))
    tiles = Tiles(out_h=result[0], out_w=result[1], strips=1)
    words = op.window.kernel[0] * image[2] * columns.span
    call = KernelCall(
        function="mcugen_sparse_pair_conv_s8",
        header="mcugen_sparse_pair.h",
        fields=(
            *image_fields(op, image, result, columns),
            ("entries", "entries"),
            ("counts", "counts"),
            ("scale", "scale"),
            *fields[2:],
        ),
        tables=(
            ConstTable(
                suffix="entries", values=entries, comment="[groups], bytes [2][4 * delta, weight]"
            ),
            ConstTable(suffix="counts", values=counts.astype(np.uint16), comment="[out_ch]"),
            ConstTable(
                suffix="scale", values=(scale & 0xFFFFFFFF).astype(np.uint32), comment="[ch, 2]"
            ),
            columns.table(),
        ),
        scratch_bytes=4 * words
        + -(-image[2] // 4) * 4
        + (STRIP * result[2] if tiles.ragged else 0),
    )
    rows, cols = (op.window.along(axis, image[axis]) for axis in (0, 1))
    laid = op.window.kernel[0] * columns.span
    return [
        Kernel(
            variant="sparse",
            skips_zeros=True,
            calls=(call,),
            cycles=_cycles(Costs.of(target), tiles.count, laid, words, counts),
            overlaps=(tiles.overlap(rows, cols, (image[2], result[2])),),
        )
    ]


def _places(weight: NDArray[np.int8], columns: Columns) -> tuple[NDArray[np.int8], IntArray]:
    """Weights int8 [out_ch, taps] and the offset of each tap's words, ascending."""
    out_ch, kernel_h, _, in_ch = weight.shape
    units = np.arange(kernel_h)[:, None, None] * in_ch + np.arange(in_ch)
    offsets = (units * columns.span + columns.first[None, :, None]).ravel()
    order = np.argsort(offsets, kind="stable")
    return weight.reshape(out_ch, -1)[:, order], offsets[order]


def _groups(weight: NDArray[np.int8], offsets: IntArray) -> tuple[NDArray[np.uint32], IntArray]:
    """The rows' groups, uint32 [groups], and how many each row has, int64 [rows]."""
    parts, counts = [], []
    for row in weight:
        chosen = np.flatnonzero(row) if np.any(row) else np.array([0])
        deltas, last = walk(offsets[chosen], MAX_STEP)
        part = np.zeros((-(-len(deltas) // GROUP) * GROUP, 2), np.uint8)
        part[: len(deltas), 0] = WORD_BYTES * deltas
        part[last, 1] = row[chosen].astype(np.uint8)
        parts.append(part.reshape(-1, 2 * GROUP))
        counts.append(len(parts[-1]))
    words = np.ascontiguousarray(np.concatenate(parts)).view("<u4")[:, 0]
    return words.astype(np.uint32), np.array(counts)


def _cycles(costs: Costs, tiles: int, laid: int, words: int, counts: IntArray) -> float:
    rows = costs.row * len(counts) + costs.group * int(counts.sum())
    return tiles * (costs.tile + costs.column * laid + costs.word * words + rows)
