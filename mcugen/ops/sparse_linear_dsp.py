# SPDX-License-Identifier: Apache-2.0
"""Fully connected layers that are mostly zero, on the DSP extension: mcugen_sparse_linear_dsp.h."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from mcugen.fixed_point import IntArray
from mcugen.ir.graph import Shape
from mcugen.ops import sparse_dsp
from mcugen.ops.base import ConstTable, Kernel, KernelCall, Target
from mcugen.ops.dsp import clamp_fields
from mcugen.ops.sparse import walk

if TYPE_CHECKING:
    from mcugen.ops.linear import LinearS8

GROUP = 4  # weights that two words hold, their deltas in the first
MAX_GROUPS = 2**16 - 1  # in one row
INSTRUCTIONS = 0.79  # executed in a cycle of the model, fitted to simulated counts


def linear_kernels(op: LinearS8, output: Shape, target: Target) -> list[Kernel]:
    """The kernels of a layer, none where they do not apply."""
    rows = math.prod(output[:-1])
    out_ch, in_ch = op.weight.shape
    if rows > 1:
        return sparse_dsp.conv_kernels(op.as_conv, ((rows, in_ch),), (rows, out_ch), target)
    scale = sparse_dsp.scale_words(op.weight, op.bias, op.requantize, factor=1)
    entries, counts = _groups(op.weight)
    if scale is None or counts.max(initial=0) > MAX_GROUPS:
        return []
    call = KernelCall(
        function="mcugen_sparse_linear_s8_dsp",
        header="mcugen_sparse_linear_dsp.h",
        fields=(
            ("out_ch", out_ch),
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
    cycles = 150.0 + 27.0 * out_ch + 19.4 * int(counts.sum())
    kernel = Kernel(variant="sparse", calls=(call,), cycles=cycles, skips_zeros=True)
    return [sparse_dsp.counted(kernel, target, INSTRUCTIONS)]


def _groups(weight: NDArray[np.int8]) -> tuple[NDArray[np.uint32], IntArray]:
    """The rows' groups of weights, uint32 [groups, 2], and how many each row has, int64 [rows].

    A group is filled up by weights of zero.
    """
    parts, counts = [], []
    for row in weight:
        chosen = np.flatnonzero(row) if np.any(row) else np.array([0])
        deltas, last = walk(chosen)
        groups = -(-len(deltas) // GROUP)
        part = np.zeros((2, groups * GROUP), np.uint8)
        part[0, : len(deltas)] = deltas
        part[1, last] = row[chosen].astype(np.uint8)
        parts.append(part.reshape(2, groups, GROUP).transpose(1, 0, 2))
        counts.append(groups)
    words = np.ascontiguousarray(np.concatenate(parts)).view("<u4")[..., 0]
    return words.astype(np.uint32), np.array(counts)
