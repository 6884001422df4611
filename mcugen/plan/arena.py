# SPDX-License-Identifier: Apache-2.0
"""Offsets of buffers in the arena: a deterministic search, and its independent proof."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np

from mcugen.errors import InternalError
from mcugen.ir.graph import Graph
from mcugen.ops.base import Kernel
from mcugen.plan.chains import Chain
from mcugen.plan.exact import Program, solve
from mcugen.plan.lifetimes import (
    ALIGNMENT,
    ROWS,
    SCRATCH,
    Buffer,
    Buffers,
    align,
    find_buffers,
    live_bytes,
    lower_bound,
)

SEARCH_STEPS = 400
Proof: TypeAlias = Literal["bound", "solver"]
"""Why no arena is smaller: as much is live at once, or the solver has tried all that could be."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """Byte offset of every tensor (under its node's name) and scratch (`<node>.scratch`).

    `arena_bytes` is all the RAM the network needs, `bound_bytes` what is live at once at least,
    which no plan for this execution order and these kernels can undercut, `peak` the node at whose
    step that is. `proof` says why there is no smaller arena, None where there may be one.

    Offsets from `arena_bytes` on lie in a second block, of `fast_bytes`, to which `fast_share` of
    all accesses go; then the proof is that there is no larger share.
    """

    offsets: Mapping[str, int]
    arena_bytes: int
    bound_bytes: int
    peak: str
    proof: Proof | None = None
    fast_bytes: int = 0
    fast_share: float = 0.0


Placement = Mapping[str, int]


def plan_arena(
    graph: Graph,
    kernels: Mapping[str, Kernel],
    chains: Sequence[Chain] = (),
    outside: Collection[str] = (),
) -> Plan:
    """Place every tensor of an integer graph; the result is proved before it is returned.

    `kernels` are the chosen ones by node, `outside` inputs that get no place: their rows come one
    by one.
    """
    buffers = find_buffers(graph, kernels, chains, outside)
    placed, proof = _best(buffers)
    prove(buffers, placed)
    return Plan(
        offsets=offsets_of(buffers, placed),
        arena_bytes=align(extent(buffers, placed)),
        bound_bytes=align(lower_bound(buffers)),
        peak=_peak(graph, buffers),
        proof=proof,
    )


def offsets_of(buffers: Buffers, placed: Placement) -> dict[str, int]:
    """The offset of every tensor, scratch and row buffer."""
    offsets = {name: placed[buffer] for name, buffer in buffers.home.items()}
    return offsets | {
        name: offset for name, offset in placed.items() if name.endswith((SCRATCH, ROWS))
    }


def _best(buffers: Buffers) -> tuple[Placement, Proof | None]:
    """The smallest arena and the proof that it is, or the smallest that was found."""
    placed = search(buffers)
    found = align(extent(buffers, placed))
    if found == align(lower_bound(buffers)):
        return placed, "bound"
    solution = solve(Program(buffers=buffers, limit_bytes=found - ALIGNMENT))
    if solution.offsets is not None and not conflict(buffers, solution.offsets):
        placed = solution.offsets
    return placed, "solver" if solution.optimal else None


_ORDERS: tuple[Callable[[Buffer], tuple[int, ...]], ...] = (
    lambda b: (-b.size_bytes, b.first),
    lambda b: (b.first, -b.size_bytes),
    lambda b: (-(b.last - b.first), -b.size_bytes),
    lambda b: (-b.size_bytes * (b.last - b.first + 1), b.first),
    lambda b: (b.last, -b.size_bytes),
    # backwards, operands climb above the outputs that may overlap them
    lambda b: (-b.first, -b.size_bytes),
    lambda b: (-b.last, -b.size_bytes),
)


def search(buffers: Buffers, steps: int = SEARCH_STEPS) -> Placement:
    """The best of some orders of placement, improved by exchanging buffers until the bound.

    Deterministic: the random exchanges come from a fixed seed.
    """
    bound = align(lower_bound(buffers))
    rivals = _rivals(buffers)
    orders = [sorted(buffers.all, key=key) for key in _ORDERS]
    best_order = min(orders, key=lambda order: extent(buffers, _place(rivals, order)))
    best = _place(rivals, best_order)
    generator = np.random.default_rng(0)
    for _ in range(steps if len(best_order) > 1 else 0):
        if extent(buffers, best) <= bound:
            break
        order = list(best_order)
        source, target = generator.integers(0, len(order), 2)
        order.insert(int(target), order.pop(int(source)))
        placed = _place(rivals, order)
        if extent(buffers, placed) <= extent(buffers, best):
            best_order, best = order, placed
    return best


def place(buffers: Buffers, order: Sequence[Buffer]) -> Placement:
    """Each buffer at the lowest offset that is free of those placed before it.

    Source: Pisarchyk and Lee, "Efficient Memory Management for Deep Neural Net Inference", 2020;
    here with pairs that may overlap.
    """
    return _place(_rivals(buffers), order)


# of each buffer, the others that are live with it: from where to where, relative to such another
# one's offset, it must not begin, both ends excluded
_Rivals = Mapping[str, Mapping[str, tuple[int, int]]]


def _rivals(buffers: Buffers) -> _Rivals:
    return {
        one.name: {
            other.name: _forbidden(buffers, one, other)
            for other in buffers.all
            if other is not one and other.meets(one)
        }
        for one in buffers.all
    }


def _forbidden(buffers: Buffers, one: Buffer, other: Buffer) -> tuple[int, int]:
    """They would touch, and not as the kernel that reads one and writes the other allows."""
    as_output = buffers.distances.get((one.name, other.name), one.size_bytes)
    as_operand = buffers.distances.get((other.name, one.name), other.size_bytes)
    return -min(one.size_bytes, as_output), min(other.size_bytes, as_operand)


def _place(rivals: _Rivals, order: Sequence[Buffer]) -> Placement:
    placed: dict[str, int] = {}
    for buffer in order:
        near = rivals[buffer.name]
        taken = sorted((at + near[n][0], at + near[n][1]) for n, at in placed.items() if n in near)
        offset = 0
        for start, end in taken:
            if offset <= start:
                break  # and so before all that follow
            if offset < end:
                offset = align(end)
        placed[buffer.name] = offset
    return placed


def extent(buffers: Buffers, placed: Placement) -> int:
    """Bytes from the arena's start to the end of the last buffer."""
    return max((placed[b.name] + b.size_bytes for b in buffers.all), default=0)


def _peak(graph: Graph, buffers: Buffers) -> str:
    steps = range(len(graph.nodes))
    return graph.nodes[max(steps, key=lambda step: live_bytes(buffers, step), default=0)].name


def prove(buffers: Buffers, placed: Placement) -> None:
    """Raise InternalError unless no two buffers live at the same step share a byte unallowed."""
    wrong = conflict(buffers, placed)
    if wrong is not None:
        msg = f"arena plan: {wrong}"
        raise InternalError(msg)


def conflict(buffers: Buffers, placed: Placement) -> str | None:
    """What is wrong with a placement, None where nothing is."""
    for i, one in enumerate(buffers.all):
        if placed[one.name] % ALIGNMENT or placed[one.name] < 0:
            return f"{one.name} is at {placed[one.name]}, not aligned to {ALIGNMENT}"
        for other in buffers.all[i + 1 :]:
            if not one.meets(other):
                continue
            a, b = placed[one.name], placed[other.name]
            apart = a + one.size_bytes <= b or b + other.size_bytes <= a
            if not apart and not _excused(buffers, placed, one, other):
                return f"{one.name} and {other.name} are live together and overlap"
    return None


def _excused(buffers: Buffers, placed: Placement, one: Buffer, other: Buffer) -> bool:
    """One is written by the kernel that reads the other for the last time, far enough below."""
    for output, operand in ((one, other), (other, one)):
        distance = buffers.distances.get((output.name, operand.name))
        if distance is not None and output.written == operand.last:
            return placed[output.name] + distance <= placed[operand.name]
    return False
