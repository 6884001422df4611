# SPDX-License-Identifier: Apache-2.0
"""Fully connected layers that are mostly zero, on the DSP extension.

mcugen_sparse_linear_dsp.h, and mcugen_sparse_sorted_dsp.h where no row has many weights.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from mcugen.fixed_point import IntArray
from mcugen.ir.graph import Shape
from mcugen.ops import sparse_dsp
from mcugen.ops.base import ConstTable, Kernel, KernelCall, Target
from mcugen.ops.dsp import clamp_fields, high_word_scale
from mcugen.ops.sparse import walk
from mcugen.ops.weights import accumulator_bound

if TYPE_CHECKING:
    from mcugen.ops.linear import LinearS8

BIAS_LIMIT = 2**23
GROUP = 4  # weights that two words hold, their deltas in the first
MAX_GROUPS = 2**16 - 1  # in one row
MAX_PAIRS = 16  # in one row that is sorted
MAX_ORDER = 256  # rows whose places a byte holds
# cycles of sorted rows, fitted to simulated counts
SORTED, SORTED_RUN, SORTED_ROW, SORTED_PAIR = 96.0, 14.0, 19.0, 9.0
INSTRUCTIONS = 0.79  # executed in a cycle of the model, fitted to simulated counts


def linear_kernels(op: LinearS8, output: Shape, target: Target) -> list[Kernel]:
    """The kernels of a layer, none where they do not apply."""
    rows = math.prod(output[:-1])
    out_ch, in_ch = op.weight.shape
    if rows > 1:
        return sparse_dsp.conv_kernels(op.as_conv, ((rows, in_ch),), (rows, out_ch), target)
    scale = _scale_words(op)
    if scale is None:
        return []
    found = [_grouped(op, scale), _sorted(op, scale)]
    return [sparse_dsp.counted(k, target, INSTRUCTIONS) for k in found if k is not None]


def _scale_words(op: LinearS8) -> NDArray[np.uint32] | None:
    """Of each output 256 * bias + shift and multiplier: uint32 [out_ch, 2]; None if not exact."""
    bound = accumulator_bound(op.weight, op.bias)
    scale = high_word_scale(bound, np.ones(len(bound), np.int64), op.requantize)
    if scale is None or np.abs(op.bias).max(initial=0) >= BIAS_LIMIT:
        return None
    packed = np.stack([256 * op.bias + scale[1], scale[0]], axis=1)
    return (packed & 0xFFFFFFFF).astype(np.uint32)


def _grouped(op: LinearS8, scale: NDArray[np.uint32]) -> Kernel | None:
    """Row after row, four weights at a time."""
    entries, counts = _groups(op.weight)
    if counts.max(initial=0) > MAX_GROUPS:
        return None
    call = KernelCall(
        function="mcugen_sparse_linear_s8_dsp",
        header="mcugen_sparse_linear_dsp.h",
        fields=(
            ("out_ch", len(counts)),
            ("entries", "entries"),
            ("counts", "counts"),
            ("scale", "scale"),
            *clamp_fields(op.requantize),
        ),
        tables=(
            ConstTable(
                suffix="entries", values=entries, comment="[groups, 2], 4 deltas and 4 weights"
            ),
            ConstTable(suffix="counts", values=counts.astype(np.uint16), comment="[out_ch]"),
            ConstTable(suffix="scale", values=scale, comment="[ch, 2]"),
        ),
    )
    cycles = 150.0 + 27.0 * len(counts) + 19.4 * int(counts.sum())
    return Kernel(variant="sparse", calls=(call,), cycles=cycles, skips_zeros=True)


def _sorted(op: LinearS8, scale: NDArray[np.uint32]) -> Kernel | None:
    """Rows of few weights, sorted by their number, two weights at a time."""
    rows = [_pairs(row) for row in op.weight]
    counts = np.array([len(row) for row in rows])
    if counts.max(initial=0) > MAX_PAIRS or len(rows) > MAX_ORDER:
        return None
    order = np.argsort(counts, kind="stable")
    parts: list[NDArray[np.uint32]] = []
    for count in np.unique(counts):
        run = [rows[place] for place in order if counts[place] == count]
        parts += [np.array([len(run) << 16 | count], np.uint32), *run]
    entries = np.concatenate([*parts, np.zeros(1, np.uint32)])
    call = KernelCall(
        function="mcugen_sparse_sorted_linear_s8_dsp",
        header="mcugen_sparse_sorted_dsp.h",
        fields=(
            ("out_ch", len(rows)),
            ("entries", "entries"),
            ("scale", "scale"),
            ("order", "order"),
            *clamp_fields(op.requantize),
        ),
        tables=(
            ConstTable(
                suffix="entries",
                values=entries,
                comment="runs [rows and pairs, bytes [2][delta, weight]]",
            ),
            ConstTable(suffix="scale", values=scale[order], comment="[ch, 2], sorted"),
            ConstTable(suffix="order", values=order.astype(np.uint8), comment="[ch]"),
        ),
    )
    runs = len(np.unique(counts))
    cycles = SORTED + SORTED_RUN * runs + SORTED_ROW * len(rows) + SORTED_PAIR * int(counts.sum())
    return Kernel(variant="sparse_sorted", calls=(call,), cycles=cycles, skips_zeros=True)


def _pairs(row: NDArray[np.int8]) -> NDArray[np.uint32]:
    """The weights of a row, two in a word with the ways to them; a last one may be zero."""
    deltas, weights = _steps(row)
    words = np.zeros((-(-len(deltas) // 2) * 2, 2), np.uint8)
    words[: len(deltas)] = np.stack([deltas, weights], axis=1)
    return words.reshape(-1, 4).view("<u4")[:, 0].astype(np.uint32)


def _steps(row: NDArray[np.int8]) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """The ways from weight to weight and the weights, zeros where a way is too long for one."""
    chosen = np.flatnonzero(row) if np.any(row) else np.array([0])
    deltas, last = walk(chosen)
    weights = np.zeros(len(deltas), np.uint8)
    weights[last] = row[chosen].astype(np.uint8)
    return deltas.astype(np.uint8), weights


def _groups(weight: NDArray[np.int8]) -> tuple[NDArray[np.uint32], IntArray]:
    """The rows' groups of weights, uint32 [groups, 2], and how many each row has, int64 [rows].

    A group is filled up by weights of zero.
    """
    parts, counts = [], []
    for row in weight:
        deltas, weights = _steps(row)
        groups = -(-len(deltas) // GROUP)
        part = np.zeros((2, groups * GROUP), np.uint8)
        part[:, : len(deltas)] = deltas, weights
        parts.append(part.reshape(2, groups, GROUP).transpose(1, 0, 2))
        counts.append(groups)
    words = np.ascontiguousarray(np.concatenate(parts)).view("<u4")[..., 0]
    return words.astype(np.uint32), np.array(counts)
