# SPDX-License-Identifier: Apache-2.0
"""Buffers and lifetimes: which tensors share bytes, when each must be kept, which may overlap."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from mcugen.ir.graph import Graph, Node
from mcugen.ops.base import IntOp, Kernel

ALIGNMENT = 4  # bytes; kernels read int32 words where a tensor starts
SCRATCH = ".scratch"  # behind a node's name: what its kernel needs while it runs


@dataclass(frozen=True, slots=True, kw_only=True)
class Buffer:
    """Bytes that live from step `first` to step `last`, both included.

    A step is a node's position in execution order; inputs live from step -1. Views share their
    operand's buffer, so a buffer may bear several tensors' names.
    """

    name: str
    size_bytes: int
    first: int
    last: int

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


def tensor_bytes(node: Node) -> int:
    """Size of a node's int8 tensor."""
    return int(np.prod(node.shape))


def in_flash(node: Node) -> bool:
    """The tensor is a constant that is read where it lies."""
    return getattr(node.op, "flash_values", None) is not None


def find_buffers(graph: Graph, kernels: Mapping[str, Kernel]) -> Buffers:
    """All buffers of an integer graph under the chosen kernels, scratch included."""
    home = _homes(graph)
    steps = {node.name: step for step, node in enumerate(graph.nodes)}
    last = _last_uses(graph, home)
    sizes: dict[str, int] = {}
    for name, buffer in home.items():
        sizes[buffer] = max(sizes.get(buffer, 0), tensor_bytes(graph.by_name[name]))
    tensors = [
        Buffer(
            name=name,
            size_bytes=size,
            first=-1 if name in graph.inputs else steps[name],
            last=last[name],
        )
        for name, size in sizes.items()
    ]
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
        all=(*tensors, *scratch),
        distances=_distances(graph, kernels, home, last, steps),
    )


def _homes(graph: Graph) -> dict[str, str]:
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
    home: Mapping[str, str],
    last: Mapping[str, int],
    steps: Mapping[str, int],
) -> dict[tuple[str, str], int]:
    """Pairs of buffers that may overlap: the operand dies where the output is born."""
    found: dict[tuple[str, str], int] = {}
    for name, kernel in kernels.items():
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
    live = [b for b in buffers.all if b.first <= step <= b.last]
    born = {b.name: b for b in live if b.first == step}
    total = sum(b.size_bytes for b in live)
    for name, output in born.items():
        shared = [
            _shared_bytes(output, operand, distance)
            for operand in live
            if (distance := buffers.distances.get((name, operand.name))) is not None
        ]
        total -= min(output.size_bytes, sum(shared))
    return total


def _shared_bytes(output: Buffer, operand: Buffer, distance: int) -> int:
    """Most bytes that both can have in common."""
    span = max(output.size_bytes, max(distance, 0) + operand.size_bytes)
    return max(0, output.size_bytes + operand.size_bytes - span)
