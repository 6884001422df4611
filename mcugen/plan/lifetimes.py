# SPDX-License-Identifier: Apache-2.0
"""Buffers and lifetimes: which tensors share bytes, when each must be kept, which may overlap."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from mcugen.ir.graph import Graph, Node
from mcugen.ops.base import IntOp, Kernel

if TYPE_CHECKING:
    from mcugen.plan.chains import Chain

ALIGNMENT = 4  # bytes; kernels read int32 words where a tensor starts
SCRATCH = ".scratch"  # behind a node's name: what its kernel needs while it runs
ROWS = ".rows"  # behind a chain's name: rows of its operand


def align(size: int) -> int:
    """The next multiple of ALIGNMENT."""
    return -(-size // ALIGNMENT) * ALIGNMENT


@dataclass(frozen=True, slots=True, kw_only=True)
class Buffer:
    """Bytes that live from step `first` to step `last`, both included.

    A step is a node's position in execution order; inputs live from step -1. Views share their
    operand's buffer, so a buffer may bear several tensors' names. A chain's output is written over
    several steps and complete in the last of them.
    """

    name: str
    size_bytes: int
    first: int
    last: int
    complete: int | None = None  # None where written in one step, `first`

    @property
    def written(self) -> int:
        """The step that writes the last of it."""
        return self.first if self.complete is None else self.complete

    def meets(self, other: Buffer) -> bool:
        """Both are live at some step."""
        return self.first <= other.last and other.first <= self.last


@dataclass(frozen=True, slots=True, kw_only=True)
class Buffers:
    """What is to be placed, and what may share bytes although it is live together.

    `home` names the buffer of each tensor. `distances[output, operand]` allows these two buffers to
    overlap where output + distance <= operand.
    """

    home: Mapping[str, str]
    all: tuple[Buffer, ...]
    distances: Mapping[tuple[str, str], int]


def in_flash(node: Node) -> bool:
    """The tensor is a constant that is read where it lies."""
    return getattr(node.op, "flash_values", None) is not None


def find_buffers(
    graph: Graph,
    kernels: Mapping[str, Kernel],
    chains: Sequence[Chain] = (),
    outside: Collection[str] = (),
) -> Buffers:
    """All buffers of an integer graph under the chosen kernels, scratch and rows included.

    `outside` are inputs that never lie in the arena: the caller gives their rows one by one.
    """
    home = {name: buffer for name, buffer in find_homes(graph).items() if buffer not in outside}
    steps = {node.name: step for step, node in enumerate(graph.nodes)}
    last = _last_uses(graph, home)
    tensors = _tensors(graph, home, steps, last)
    for chain in chains:
        tensors |= _chain_buffers(graph, chain, home, steps, tensors)
    scratch = [
        Buffer(
            name=name + SCRATCH,
            size_bytes=kernel.scratch_bytes,
            first=steps[name],
            last=steps[name],
        )
        for name, kernel in kernels.items()
        if kernel.scratch_bytes
    ]
    return Buffers(
        home=home,
        all=(*tensors.values(), *scratch),
        distances=_distances(graph, kernels, chains, home, last, steps),
    )


def _tensors(
    graph: Graph, home: Mapping[str, str], steps: Mapping[str, int], last: Mapping[str, int]
) -> dict[str, Buffer]:
    sizes: dict[str, int] = {}
    for name, buffer in home.items():
        sizes[buffer] = max(sizes.get(buffer, 0), graph.by_name[name].size_bytes)
    return {
        name: Buffer(
            name=name,
            size_bytes=size,
            first=-1 if name in graph.inputs else steps[name],
            last=last[name],
        )
        for name, size in sizes.items()
    }


def _chain_buffers(
    graph: Graph,
    chain: Chain,
    home: Mapping[str, str],
    steps: Mapping[str, int],
    tensors: Mapping[str, Buffer],
) -> dict[str, Buffer]:
    """The buffers that a chain adds or changes.

    Its layers run over and over, so what one of its steps keeps for the next lives from the first
    layer to the last, as do the operand and the output.
    """
    begin, end = steps[chain.layers[0].node.name], steps[chain.name]
    output = tensors[chain.name]
    found = {output.name: replace(output, first=begin, complete=end)}
    if chain.operand in home:
        operand = tensors[home[chain.operand]]
        found[operand.name] = replace(operand, last=max(operand.last, end))
    for name, rows in chain.buffers.items():
        of_operand = name == chain.operand
        own = chain.name + ROWS if of_operand else name
        readers = [steps[node.name] for node in graph.consumers[name] if node.name in chain.nodes]
        kept = rows.kept_bytes > 0
        found[own] = Buffer(
            name=own,
            size_bytes=rows.size_bytes,
            first=begin if kept or of_operand else steps[name],
            last=end if kept else max(readers),
        )
    return found


def find_homes(graph: Graph) -> dict[str, str]:
    """The buffer of every tensor in the arena, named after the first tensor in it."""
    home: dict[str, str] = {}
    for node in graph.nodes:
        op = node.op
        assert isinstance(op, IntOp)
        if in_flash(node):
            continue
        viewed = home.get(node.inputs[0]) if op.is_view else None
        home[node.name] = viewed or node.name
    return home


def _last_uses(graph: Graph, home: Mapping[str, str]) -> dict[str, int]:
    """The last step at which each buffer is written or read; outputs are kept beyond the end."""
    last: dict[str, int] = {}
    for step, node in enumerate(graph.nodes):
        for name in (*node.inputs, node.name):
            if name in home:
                last[home[name]] = step
    for name in graph.outputs:
        if name in home:
            last[home[name]] = len(graph.nodes)
    return last


def _distances(
    graph: Graph,
    kernels: Mapping[str, Kernel],
    chains: Sequence[Chain],
    home: Mapping[str, str],
    last: Mapping[str, int],
    steps: Mapping[str, int],
) -> dict[tuple[str, str], int]:
    """Pairs of buffers that may overlap: the operand dies where the output is born."""
    found: dict[tuple[str, str], int] = {}
    for chain in chains:
        operand = home.get(chain.operand)
        if operand is not None and last[operand] <= steps[chain.name]:
            found[home[chain.name], operand] = chain.distance()
    inside = {name for chain in chains for name in chain.nodes}
    for name, kernel in kernels.items():
        if name in inside:
            continue
        inputs = graph.by_name[name].inputs
        allowed = {overlap.operand: overlap.distance for overlap in kernel.overlaps}
        for buffer in {home[operand] for operand in inputs if operand in home}:
            places = [k for k, operand in enumerate(inputs) if home.get(operand) == buffer]
            if last[buffer] == steps[name] and all(place in allowed for place in places):
                found[home[name], buffer] = max(allowed[place] for place in places)
    return found


def lower_bound(buffers: Buffers) -> int:
    """No arena for this execution order can be smaller, in bytes."""
    return max((live_bytes(buffers, step) for step in _steps(buffers)), default=0)


def _steps(buffers: Buffers) -> set[int]:
    return {buffer.first for buffer in buffers.all}


def live_bytes(buffers: Buffers, step: int) -> int:
    """Least bytes that the buffers live at a step take, those that may overlap doing so."""
    live = {b.name: b for b in buffers.all if b.first <= step <= b.last}
    total = sum(b.size_bytes for b in live.values())
    for output in live.values():
        shared = [
            shared_bytes(output.size_bytes, operand.size_bytes, distance)
            for operand in live.values()
            if (distance := buffers.distances.get((output.name, operand.name))) is not None
        ]
        total -= min(output.size_bytes, sum(shared))
    return total


def shared_bytes(output_bytes: int, operand_bytes: int, distance: int) -> int:
    """Most bytes that an output can have in common with an operand."""
    span = max(output_bytes, max(distance, 0) + operand_bytes)
    return max(0, output_bytes + operand_bytes - span)
