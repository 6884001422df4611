# SPDX-License-Identifier: Apache-2.0
"""Buffers and lifetimes: which tensors share bytes, and when each must be kept."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from mcugen.ir.graph import Graph, Node
from mcugen.ops.base import IntOp

ALIGNMENT = 4  # bytes; kernels read int32 words where a tensor starts


@dataclass(frozen=True, slots=True, kw_only=True)
class Buffer:
    """Bytes that live from step `first` to step `last`, both included.

    A step is a node's position in execution order; inputs live from step -1. Views and in-place
    results share their operand's buffer, so a buffer may bear several tensors' names.
    """

    name: str
    size_bytes: int
    first: int
    last: int

    def overlaps(self, other: Buffer) -> bool:
        """Both are live at some step."""
        return self.first <= other.last and other.first <= self.last


def tensor_bytes(node: Node) -> int:
    """Size of a node's int8 tensor."""
    return int(np.prod(node.shape))


def in_flash(node: Node) -> bool:
    """The tensor is a constant that is read where it lies."""
    return getattr(node.op, "flash_values", None) is not None


def shared_buffers(graph: Graph) -> Mapping[str, str]:
    """The buffer of every tensor in the arena, named after the first tensor in it."""
    home: dict[str, str] = {}
    last_use = _last_uses(graph, home={})
    for step, node in enumerate(graph.nodes):
        if in_flash(node):
            continue
        home[node.name] = _home_of(graph, node, step, home, last_use)
    return home


def _home_of(
    graph: Graph, node: Node, step: int, home: Mapping[str, str], last_use: Mapping[str, int]
) -> str:
    op = node.op
    assert isinstance(op, IntOp)
    if op.is_view and node.inputs[0] in home:
        return home[node.inputs[0]]
    size = tensor_bytes(node)
    for position in op.in_place_operands(graph.input_shapes(node), node.shape):
        name = node.inputs[position]
        mates = [n for n, h in home.items() if name in home and h == home[name]]
        if mates and size == tensor_bytes(graph.by_name[name]):
            others = [n for i, n in enumerate(node.inputs) if i != position and n in mates]
            dies = all(last_use[mate] <= step for mate in mates)
            if dies and (not others or others == [name] * len(others)):
                return home[name]
    return node.name


def _last_uses(graph: Graph, home: Mapping[str, str]) -> dict[str, int]:
    """The step after which each tensor (or buffer, through `home`) is not read any more."""
    last: dict[str, int] = {}
    for step, node in enumerate(graph.nodes):
        for name in (*node.inputs, node.name):
            key = home.get(name, name)
            last[key] = step
    for name in graph.outputs:
        last[home.get(name, name)] = len(graph.nodes)
    return last


def find_buffers(
    graph: Graph, scratch: Mapping[str, int]
) -> tuple[Mapping[str, str], list[Buffer]]:
    """The buffer of every tensor, and all buffers, scratch included.

    `scratch` gives the bytes a node's kernels need while it runs; that buffer is called
    `<node>.scratch`.
    """
    home = shared_buffers(graph)
    last = _last_uses(graph, home)
    steps = {node.name: step for step, node in enumerate(graph.nodes)}
    buffers = []
    for name in dict.fromkeys(home.values()):
        first = -1 if name in graph.inputs else steps[name]
        size = max(tensor_bytes(graph.by_name[n]) for n, h in home.items() if h == name)
        buffers.append(Buffer(name=name, size_bytes=size, first=first, last=last[name]))
    buffers.extend(
        Buffer(name=f"{name}.scratch", size_bytes=size, first=steps[name], last=steps[name])
        for name, size in scratch.items()
        if size
    )
    return home, buffers


def lower_bound(buffers: Sequence[Buffer]) -> int:
    """No arena can be smaller: the largest sum of buffers live at one step, in bytes."""
    steps = {b.first for b in buffers}
    sums = (sum(b.size_bytes for b in buffers if b.first <= s <= b.last) for s in steps)
    return max(sums, default=0)
