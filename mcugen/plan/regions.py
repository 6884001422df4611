# SPDX-License-Identifier: Apache-2.0
"""Two blocks of RAM: what is read and written most goes to the fast one, as much as fits.

Both blocks lie on one line, the slow one first, so all that holds for offsets in one arena holds
for both: a buffer lies in one of them whole.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from mcugen.errors import InternalError
from mcugen.ir.graph import Graph, Node
from mcugen.ops.base import IntOp, Kernel
from mcugen.plan.arena import Placement, conflict, extent, prove, search
from mcugen.plan.chains import Chain
from mcugen.plan.exact import Program, solve
from mcugen.plan.lifetimes import ALIGNMENT, ROWS, SCRATCH, Buffers, align

MACS_PER_BYTE = 4  # of what is read from scratch: a value is taken for four channels at once
SUBSET_STEPS = 20  # exchanges with which it is seen whether one more buffer fits
SLOW_SHARE = 1e-3  # of all accesses: what the whole slow block counts for beside them


@dataclass(frozen=True, slots=True, kw_only=True)
class Split:
    """Offsets on the line of both blocks, of which the last `fast_bytes` are the fast one.

    `fast_share` is the part of all accesses that go there; `optimal` where there is no larger one.
    """

    offsets: Placement
    slow_bytes: int
    fast_bytes: int
    fast_share: float
    optimal: bool


def split_arena(
    buffers: Buffers, accesses: Mapping[str, float], fast_limit: int, slow_limit: int
) -> Split:
    """The buffers in two blocks, the fast one of at most `fast_limit` bytes.

    `accesses` are bytes read and written in one inference, by buffer; `slow_limit` is the arena
    without a fast block.
    """
    limit = fast_limit // ALIGNMENT * ALIGNMENT
    total = sum(accesses.values()) or 1.0
    split = _greedy(buffers, accesses, limit)
    solution = solve(
        Program(
            buffers=buffers,
            limit_bytes=slow_limit,
            arena_cost=SLOW_SHARE / max(slow_limit, 1),
            fast_bytes=limit,
            gains={name: count / total for name, count in accesses.items()},
        )
    )
    if solution.offsets is None or conflict(buffers, solution.offsets):
        _prove(buffers, split, limit)
        return split
    solved = _on_line(buffers, accesses, solution.offsets, slow_limit)
    best = max(split, solved, key=lambda each: (each.fast_share, -each.slow_bytes))
    _prove(buffers, best, limit)
    return replace(best, optimal=solution.optimal)


def _prove(buffers: Buffers, split: Split, limit: int) -> None:
    """Raise InternalError unless the offsets are right and each buffer lies in one block."""
    prove(buffers, split.offsets)
    across = [
        b.name
        for b in buffers.all
        if split.offsets[b.name] < split.slow_bytes < split.offsets[b.name] + b.size_bytes
    ]
    if across or split.fast_bytes > limit:
        msg = f"arena plan: {', '.join(across) or 'the fast block'} does not fit its block"
        raise InternalError(msg)


def _greedy(buffers: Buffers, accesses: Mapping[str, float], limit: int) -> Split:
    """Buffers of most accesses for their bytes first, each where it fits beside those before."""
    fast: list[str] = []
    order = sorted(buffers.all, key=lambda b: (-accesses[b.name] / max(b.size_bytes, 1), b.first))
    for buffer in order:
        tried = _only(buffers, {*fast, buffer.name})
        if extent(tried, search(tried, SUBSET_STEPS)) <= limit:
            fast.append(buffer.name)
    inside = _only(buffers, set(fast))
    outside = _only(buffers, {b.name for b in buffers.all} - set(fast))
    slow, quick = search(outside), search(inside, SUBSET_STEPS)
    start = align(extent(outside, slow))
    offsets = {**slow, **{name: start + offset for name, offset in quick.items()}}
    return _on_line(buffers, accesses, offsets, start)


def _only(buffers: Buffers, names: set[str]) -> Buffers:
    return replace(buffers, all=tuple(b for b in buffers.all if b.name in names))


def _on_line(
    buffers: Buffers, accesses: Mapping[str, float], offsets: Placement, start: int
) -> Split:
    """Offsets whose fast block starts at `start`, moved so that the blocks touch."""
    slow = _only(buffers, {name for name, offset in offsets.items() if offset < start})
    end = align(extent(slow, offsets))
    moved = {
        name: offset if offset < start else offset - start + end for name, offset in offsets.items()
    }
    share = sum(accesses[name] for name, offset in offsets.items() if offset >= start)
    return Split(
        offsets=moved,
        slow_bytes=end,
        fast_bytes=align(extent(buffers, moved)) - end,
        fast_share=share / (sum(accesses.values()) or 1.0),
        optimal=False,
    )


def count_accesses(
    graph: Graph, kernels: Mapping[str, Kernel], chains: Sequence[Chain], buffers: Buffers
) -> dict[str, float]:
    """About how many bytes of each buffer are read and written in one inference."""
    counts = dict.fromkeys((b.name for b in buffers.all), 0.0)
    inner = {name: chain for chain in chains for name in chain.nodes}
    homes = buffers.home
    for name in (*graph.inputs, *graph.outputs):  # by the application
        if name in homes:
            counts[homes[name]] += graph.by_name[name].size_bytes
    for chain in chains:  # its rows are copied from the operand
        size = graph.by_name[chain.operand].size_bytes
        if chain.operand in homes:
            counts[homes[chain.operand]] += size
        counts[chain.name + ROWS] += size
    for node in graph.layers:
        within = inner.get(node.name)
        for name, count in _accesses(graph, node, kernels[node.name]):
            own = homes.get(name, name)
            if within is not None and name == within.operand:
                own = within.name + ROWS
            if own in counts:
                counts[own] += count
    return counts


def _accesses(graph: Graph, node: Node, kernel: Kernel) -> Iterator[tuple[str, float]]:
    """Tensors and scratch of one layer, and the bytes that it reads or writes of each."""
    assert isinstance(node.op, IntOp)
    shapes = graph.input_shapes(node)
    values = node.op.reads(shapes, node.shape)
    widths = (graph.by_name[name].element_bytes for name in node.inputs)
    reads = [float(count * width) for count, width in zip(values, widths, strict=True)]
    yield from zip(node.inputs, reads, strict=True)
    yield node.name, float(node.size_bytes)
    if kernel.scratch_bytes:
        macs = node.op.macs(shapes, node.shape)
        yield node.name + SCRATCH, sum(reads) + macs / MACS_PER_BYTE
