# SPDX-License-Identifier: Apache-2.0
"""From ranges to scale and zero point of every tensor. Knows no operator by name."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from mcugen.ir.graph import Graph, Node, QParams
from mcugen.ops.base import Op
from mcugen.quantize.affine import Range, qparams_for
from mcugen.quantize.options import QuantOptions

# a tensor joins a shared range if that is at most this much wider than its own
MAX_WIDENING = 2.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """Tensors that share their quantization: their names, and the range that holds them all."""

    members: tuple[str, ...]
    range: Range
    bits: int
    fixed: QParams | None  # dictated by an operator


def choose_qparams(
    graph: Graph,
    ranges: Mapping[str, Range],
    options: QuantOptions,
    bits: Mapping[str, int] | None = None,
) -> dict[str, QParams]:
    """Quantization of every tensor; `bits` of each by name, 8 where it says nothing."""
    chosen: dict[str, QParams] = {}
    for group in share(graph, ranges, bits):
        qparams = group.fixed or qparams_for(
            *group.range, options.symmetric, options.power_of_two, group.bits
        )
        chosen |= dict.fromkeys(group.members, qparams)
    return chosen


def share(
    graph: Graph, ranges: Mapping[str, Range], bits: Mapping[str, int] | None = None
) -> list[Group]:
    """Every tensor in its group, all of one width.

    Operators that only move values share one range with their operands; an operand whose own range
    is much narrower, or fixed, keeps its own and is rescaled on the way in.
    """
    groups = []
    widths = {node.name: (bits or {}).get(node.name, 8) for node in graph.nodes}
    for members in _tied(graph, ranges, widths):
        nodes = [graph.by_name[name] for name in members]
        width = widths[members[0]]
        dictated = [q for node in nodes if (q := _fixed(node, width)) is not None]
        held = [_range(node, ranges) for node in nodes]
        low, high = min(r[0] for r in held), max(r[1] for r in held)
        fixed = dictated[0] if dictated else None
        groups.append(Group(members=tuple(members), range=(low, high), bits=width, fixed=fixed))
    return groups


def _fixed(node: Node, bits: int = 8) -> QParams | None:
    assert isinstance(node.op, Op)
    return node.op.fixed_qparams(bits)


def _range(node: Node, ranges: Mapping[str, Range]) -> Range:
    assert isinstance(node.op, Op)
    low, high = ranges[node.name]
    limits = node.op.fixed_range()
    return (low, high) if limits is None else (max(low, limits[0]), min(high, limits[1]))


def _tied(graph: Graph, ranges: Mapping[str, Range], bits: Mapping[str, int]) -> list[list[str]]:
    """Groups of tensors that share their quantization, by name."""
    leader = {node.name: node.name for node in graph.nodes}

    def find(name: str) -> str:
        while leader[name] != name:
            name = leader[name]
        return name

    for node in graph.nodes:
        if isinstance(node.op, Op) and node.op.keeps_scale:
            for name in node.inputs:
                if bits[name] != bits[node.name]:
                    continue
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
