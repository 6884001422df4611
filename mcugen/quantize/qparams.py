# SPDX-License-Identifier: Apache-2.0
"""From ranges to scale and zero point of every tensor. Knows no operator by name."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from mcugen.ir.graph import Graph, Node, QParams
from mcugen.ops.base import Op
from mcugen.quantize.observers import Range

# a tensor joins a shared range if that is at most this much wider than its own
MAX_WIDENING = 2.0


def qparams_for(low: float, high: float) -> QParams:
    """Asymmetric int8 over a real range, widened to hold zero; scale is a float32 exactly.

    Source: Jacob et al., "Quantization and Training of Neural Networks", 2018, section 3.
    """
    low, high = min(low, 0.0), max(high, 0.0)
    scale = float(np.float32((high - low) / 255.0))
    if scale < 1e-20:
        return QParams(scale=1.0, zero_point=0)
    zero_point = int(np.clip(np.floor(-128.0 - low / scale + 0.5), -128, 127))
    return QParams(scale=scale, zero_point=zero_point)


def choose_qparams(graph: Graph, ranges: Mapping[str, Range]) -> dict[str, QParams]:
    """Quantization of every tensor.

    Operators that only move values share one range with their operands; an operand whose own range
    is much narrower, or fixed, keeps its own and is rescaled on the way in.
    """
    groups = _tied(graph, ranges)
    chosen: dict[str, QParams] = {}
    for members in groups:
        fixed = [q for q in (_fixed(graph.by_name[name]) for name in members) if q is not None]
        low = min(_range(graph.by_name[name], ranges)[0] for name in members)
        high = max(_range(graph.by_name[name], ranges)[1] for name in members)
        qparams = fixed[0] if fixed else qparams_for(low, high)
        chosen |= dict.fromkeys(members, qparams)
    return chosen


def _fixed(node: Node) -> QParams | None:
    assert isinstance(node.op, Op)
    return node.op.fixed_qparams()


def _range(node: Node, ranges: Mapping[str, Range]) -> Range:
    assert isinstance(node.op, Op)
    low, high = ranges[node.name]
    limits = node.op.fixed_range()
    return (low, high) if limits is None else (max(low, limits[0]), min(high, limits[1]))


def _tied(graph: Graph, ranges: Mapping[str, Range]) -> list[list[str]]:
    """Groups of tensors that share their quantization."""
    leader = {node.name: node.name for node in graph.nodes}

    def find(name: str) -> str:
        while leader[name] != name:
            name = leader[name]
        return name

    for node in graph.nodes:
        if isinstance(node.op, Op) and node.op.keeps_scale:
            for name in node.inputs:
                if len(node.inputs) == 1 or _may_join(graph, name, node, ranges):
                    leader[find(node.name)] = find(name)
    groups: dict[str, list[str]] = {}
    for node in graph.nodes:
        groups.setdefault(find(node.name), []).append(node.name)
    return list(groups.values())


def _may_join(graph: Graph, name: str, node: Node, ranges: Mapping[str, Range]) -> bool:
    operand = graph.by_name[name]
    if _fixed(operand) is not None or graph.uses[name] > 1 or name in graph.inputs:
        return False
    own = _range(operand, ranges)
    shared = [_range(graph.by_name[n], ranges) for n in (*node.inputs, node.name)]
    wide = max(0.0, *(r[1] for r in shared)) - min(0.0, *(r[0] for r in shared))
    return wide <= MAX_WIDENING * (max(own[1], 0.0) - min(own[0], 0.0))
