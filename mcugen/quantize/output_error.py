# SPDX-License-Identifier: Apache-2.0
"""Ranges by what they do to the outputs of the layers that read them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from mcugen.ir.graph import Graph, Node, QParams
from mcugen.ops.base import Op
from mcugen.quantize.affine import Range, fake_quantize, qparams_for
from mcugen.quantize.options import QuantOptions
from mcugen.quantize.qparams import Group, share
from mcugen.quantize.walk import few
from mcugen.train.forward import forward

SAMPLES = 32
# shares of both ends of a range; the ends' ratio stays, so that zero keeps its place
RANGE_SHARES = 0.95 ** np.arange(28)

Tensors = Mapping[str, torch.Tensor]


def all_tensors(graph: Graph, samples: Sequence[NDArray[np.float32]]) -> dict[str, torch.Tensor]:
    """Every tensor of the float network on at most 32 samples."""
    values: dict[str, torch.Tensor] = {}
    with torch.no_grad():
        inputs = [torch.from_numpy(x) for x in few(samples, SAMPLES)]
        forward(graph, inputs, values.__setitem__)
    return values


def fit_ranges(
    graph: Graph,
    ranges: Mapping[str, Range],
    values: Tensors,
    options: QuantOptions,
    bits: Mapping[str, int] | None = None,
) -> dict[str, Range]:
    """Shrink each range to the share of it that disturbs the tensor's readers' outputs least.

    The error of a reader is relative to its output's power, with its other operands exact; that of
    a tensor which the network gives out counts as well. Inputs of the network keep their range, and
    so do int16 tensors unless the rule is given for them too.
    """
    chosen = dict(ranges)
    for group in share(graph, ranges, bits):
        if options.rule_for(group.bits).name != "output":
            continue
        if group.fixed is not None or any(name in graph.inputs for name in group.members):
            continue

        def cost(part: float, group: Group = group) -> float:
            low, high = group.range
            made = qparams_for(
                low * part, high * part, options.symmetric, options.power_of_two, group.bits
            )
            return _disturbance(graph, group.members, values, made)

        best = min(RANGE_SHARES, key=cost)
        low, high = group.range
        chosen |= dict.fromkeys(group.members, (low * best, high * best))
    return chosen


def _disturbance(graph: Graph, members: Sequence[str], values: Tensors, qparams: QParams) -> float:
    total = 0.0
    with torch.no_grad():
        for name in members:
            rounded = fake_quantize(values[name], qparams)
            if name in graph.outputs:
                total += _relative_error(rounded, values[name])
            for reader in graph.consumers[name]:
                if reader.name not in members:
                    total += _relative_error(
                        _computed(reader, values, name, rounded), values[reader.name]
                    )
    return total


def _computed(reader: Node, values: Tensors, name: str, rounded: torch.Tensor) -> torch.Tensor:
    assert isinstance(reader.op, Op)
    return reader.op.forward([rounded if n == name else values[n] for n in reader.inputs])


def _relative_error(got: torch.Tensor, wanted: torch.Tensor) -> float:
    power = float((wanted.double() ** 2).sum())
    return float(((got - wanted).double() ** 2).sum()) / max(power, 1e-30)
