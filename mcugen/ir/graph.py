# SPDX-License-Identifier: Apache-2.0
"""The graph: frozen nodes in execution order, each making one tensor. Knows no operator by name."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from mcugen.ops.base import AnyOp

Shape = tuple[int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """Where a node comes from in the user's program; empty strings where it is not known."""

    module: str = ""  # "features.3.conv"
    source: str = ""  # "model.py:41"

    def __str__(self) -> str:
        """`features.3.conv (model.py:41)`, or what is known of it."""
        if self.module and self.source:
            return f"{self.module} ({self.source})"
        return self.module or self.source

    def __bool__(self) -> bool:
        """Whether anything is known."""
        return bool(self.module or self.source)


@dataclass(frozen=True, slots=True, kw_only=True)
class QParams:
    """Affine quantization of one tensor: real = scale * (q - zero_point), q in [low, high]."""

    scale: float
    zero_point: int
    low: int = -128
    high: int = 127

    @classmethod
    def int16(cls, scale: float) -> QParams:
        """All of int16, symmetric about zero."""
        return cls(scale=scale, zero_point=0, low=-(1 << 15), high=(1 << 15) - 1)

    @property
    def bits(self) -> int:
        """8 or 16, whichever holds every q."""
        return 8 if self.low >= -128 and self.high <= 127 else 16

    @property
    def dtype(self) -> np.dtype[Any]:
        """The integers as numpy holds them, int8 or int16."""
        return np.dtype(f"int{self.bits}")

    @property
    def limits(self) -> tuple[int, int]:
        """The lowest and the highest integer of that type."""
        return -(1 << (self.bits - 1)), (1 << (self.bits - 1)) - 1


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Node:
    """One operation and the tensor it makes, which bears the node's name.

    `shape` is per sample (no batch axis) with channels last. `qparams` is set once the graph is
    integer.
    """

    name: str
    op: AnyOp
    inputs: tuple[str, ...]
    shape: Shape
    origin: Origin = field(default_factory=Origin)
    qparams: QParams | None = None

    @property
    def quantized(self) -> QParams:
        """`qparams` of a node of an integer graph."""
        assert self.qparams is not None
        return self.qparams

    @property
    def element_bytes(self) -> int:
        """Bytes of one integer of the tensor, 1 or 2."""
        return self.quantized.bits // 8

    @property
    def size_bytes(self) -> int:
        """Bytes of the whole tensor, in an integer graph."""
        return math.prod(self.shape) * self.element_bytes


@dataclass(frozen=True, kw_only=True, eq=False)
class Graph:
    """Nodes in execution order; `inputs` and `outputs` are names of nodes.

    Axis i of input or output k is axis `input_layouts[k][i]` of the model's own tensor; both leave
    the batch axis out, and `batched` says whether the model's tensors have one.
    """

    name: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    nodes: tuple[Node, ...]
    input_layouts: tuple[tuple[int, ...], ...]
    output_layouts: tuple[tuple[int, ...], ...]
    batched: bool = True

    @cached_property
    def by_name(self) -> Mapping[str, Node]:
        """Every node under its name."""
        return {node.name: node for node in self.nodes}

    @cached_property
    def uses(self) -> Mapping[str, int]:
        """How often each value is read, a graph output counting as one more reader."""
        counts = Counter(name for node in self.nodes for name in node.inputs)
        counts.update(self.outputs)
        return counts

    @cached_property
    def consumers(self) -> Mapping[str, tuple[Node, ...]]:
        """The nodes that read each value, once each, in execution order."""
        found: dict[str, list[Node]] = {node.name: [] for node in self.nodes}
        for node in self.nodes:
            for name in dict.fromkeys(node.inputs):
                found[name].append(node)
        return {name: tuple(nodes) for name, nodes in found.items()}

    @property
    def layers(self) -> tuple[Node, ...]:
        """The nodes that compute at run time, in execution order."""
        return tuple(node for node in self.nodes if node.op.computes)

    def input_shapes(self, node: Node) -> tuple[Shape, ...]:
        """Shapes of a node's operands, per sample."""
        return tuple(self.by_name[name].shape for name in node.inputs)

    def with_nodes(self, nodes: Iterable[Node], outputs: Sequence[str] | None = None) -> Graph:
        """The same graph over other nodes (and outputs, where given)."""
        chosen = self.outputs if outputs is None else tuple(outputs)
        return replace(self, nodes=tuple(nodes), outputs=chosen)

    def without_unread(self) -> Graph:
        """The nodes that an output depends on; inputs stay, they are the caller's."""
        live = {*self.inputs, *self.outputs}
        kept = []
        for node in reversed(self.nodes):
            if node.name in live:
                live.update(node.inputs)
                kept.append(node)
        return self.with_nodes(reversed(kept))

    def substitute(self, changes: Mapping[str, Node | None], renamed: Mapping[str, str]) -> Graph:
        """Replace or drop (None) nodes by name, and read `renamed[x]` wherever x was read."""

        def resolve(name: str) -> str:
            while name in renamed:
                name = renamed[name]
            return name

        nodes = []
        for node in self.nodes:
            kept = changes.get(node.name, node)
            if kept is not None:
                nodes.append(replace(kept, inputs=tuple(resolve(name) for name in kept.inputs)))
        return self.with_nodes(nodes, tuple(resolve(name) for name in self.outputs))
