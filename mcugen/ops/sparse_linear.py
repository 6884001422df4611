# SPDX-License-Identifier: Apache-2.0
"""Fully connected layers that are mostly zero without the DSP extension: mcugen_sparse_linear.h."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from mcugen.ir.graph import Shape
from mcugen.ops import sparse_pair
from mcugen.ops.base import ConstTable, Kernel, KernelCall, Target
from mcugen.ops.scalar import scalar_requantize_tables
from mcugen.ops.sparse import encode
from mcugen.ops.weights import accumulator_bound

if TYPE_CHECKING:
    from mcugen.ops.linear import LinearS8


def linear_kernels(op: LinearS8, output: Shape, target: Target) -> list[Kernel]:
    """The kernel of a layer, none where it does not apply; several rows are a convolution."""
    rows = math.prod(output[:-1])
    out_ch, in_ch = op.weight.shape
    if rows > 1:
        return sparse_pair.conv_kernels(op.as_conv, ((rows, in_ch),), (rows, out_ch), target)
    bound = accumulator_bound(op.weight, op.bias)
    requantize = scalar_requantize_tables(op.requantize, bound, multiple=1)
    entries = encode(op.weight[..., None].astype(np.uint8), np.arange(in_ch))
    if requantize is None or entries is None:
        return []
    fields, tables = requantize
    call = KernelCall(
        function="mcugen_sparse_linear_s8",
        header="mcugen_sparse_linear.h",
        fields=(("out_ch", out_ch), ("entries", "entries"), ("bias", "bias"), *fields),
        tables=(
            ConstTable(
                suffix="entries", values=entries.stream, comment="rows [2 length, [delta, weight]]"
            ),
            ConstTable(suffix="bias", values=op.bias.astype(np.int32), comment="[out_ch]"),
            *tables,
        ),
    )
    costs = sparse_pair.Costs.of(target)
    cycles = costs.output * out_ch + costs.weight * entries.total
    return [Kernel(variant="sparse", calls=(call,), cycles=cycles, skips_zeros=True)]
