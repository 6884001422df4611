# SPDX-License-Identifier: Apache-2.0
"""Offsets of buffers in the arena: a greedy search and its independent proof."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from mcugen.errors import InternalError
from mcugen.ir.graph import Graph
from mcugen.plan.lifetimes import ALIGNMENT, Buffer, find_buffers, lower_bound


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """Byte offset of every tensor (under its node's name) and scratch (`<node>.scratch`).

    `arena_bytes` is all the RAM the network needs, `bound_bytes` what no plan for this execution
    order can undercut, `peak` the node at whose step the bound is reached.
    """

    offsets: Mapping[str, int]
    arena_bytes: int
    bound_bytes: int
    peak: str


def plan_arena(graph: Graph, scratch: Mapping[str, int]) -> Plan:
    """Place every tensor of an integer graph; the result is proved before it is returned."""
    home, buffers = find_buffers(graph, scratch)
    placed = min((_place(buffers, key) for key in _ORDERS), key=lambda p: _extent(buffers, p))
    prove(buffers, placed)
    offsets = {name: placed[buffer] for name, buffer in home.items()}
    offsets |= {b.name: placed[b.name] for b in buffers if b.name.endswith(".scratch")}
    return Plan(
        offsets=offsets,
        arena_bytes=_aligned(_extent(buffers, placed)),
        bound_bytes=lower_bound(buffers),
        peak=_peak(graph, buffers),
    )


_ORDERS: tuple[Callable[[Buffer], tuple[int, ...]], ...] = (
    lambda b: (-b.size_bytes, b.first),
    lambda b: (b.first, -b.size_bytes),
    lambda b: (-(b.last - b.first), -b.size_bytes),
    lambda b: (-b.size_bytes * (b.last - b.first + 1), b.first),
    lambda b: (b.last, -b.size_bytes),
)


def _place(buffers: Sequence[Buffer], order: Callable[[Buffer], tuple[int, ...]]) -> dict[str, int]:
    """Each buffer at the lowest offset that no buffer placed before it and live with it takes.

    Source: Pisarchyk and Lee, "Efficient Memory Management for Deep Neural Net Inference", 2020.
    """
    placed: dict[str, int] = {}
    done: list[Buffer] = []
    for buffer in sorted(buffers, key=order):
        offset = 0
        for other in sorted((b for b in done if b.overlaps(buffer)), key=lambda b: placed[b.name]):
            if offset + buffer.size_bytes <= placed[other.name]:
                break
            offset = max(offset, _aligned(placed[other.name] + other.size_bytes))
        placed[buffer.name] = offset
        done.append(buffer)
    return placed


def _aligned(size: int) -> int:
    return -(-size // ALIGNMENT) * ALIGNMENT


def _extent(buffers: Sequence[Buffer], placed: Mapping[str, int]) -> int:
    return max((placed[b.name] + b.size_bytes for b in buffers), default=0)


def _peak(graph: Graph, buffers: Sequence[Buffer]) -> str:
    def live(step: int) -> int:
        return sum(b.size_bytes for b in buffers if b.first <= step <= b.last)

    step = max(range(len(graph.nodes)), key=live, default=0)
    return graph.nodes[step].name


def prove(buffers: Sequence[Buffer], placed: Mapping[str, int]) -> None:
    """Raise InternalError unless no two buffers live at the same step share a byte."""
    for i, one in enumerate(buffers):
        if placed[one.name] % ALIGNMENT or placed[one.name] < 0:
            msg = f"arena plan: {one.name} is at {placed[one.name]}, not aligned to {ALIGNMENT}"
            raise InternalError(msg)
        for other in buffers[i + 1 :]:
            apart = (
                placed[one.name] + one.size_bytes <= placed[other.name]
                or placed[other.name] + other.size_bytes <= placed[one.name]
            )
            if one.overlaps(other) and not apart:
                msg = f"arena plan: {one.name} and {other.name} are live together and overlap"
                raise InternalError(msg)
