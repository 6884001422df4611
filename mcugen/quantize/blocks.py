# SPDX-License-Identifier: Apache-2.0
"""Parts of a network that one tensor enters and one leaves. Knows no operator by name."""

from __future__ import annotations

from mcugen.ir.graph import Graph, Node
from mcugen.ops.base import Op

MIN_LAYERS = 2  # with weights, in a block


def blocks(graph: Graph) -> list[list[Node]]:
    """The nodes behind the inputs in execution order, cut where a single tensor is live.

    Each block has two layers with weights or more; a residual connection keeps its whole branch in
    one block. What is left at the end is a block of its own.
    """
    found: list[list[Node]] = []
    current: list[Node] = []
    layers = 0
    readers = dict(graph.uses)
    live: set[str] = set()
    for node in graph.nodes:
        assert isinstance(node.op, Op)
        if node.name not in graph.inputs:
            current.append(node)
        layers += node.op.weight_arrays is not None
        for name in node.inputs:
            readers[name] -= 1
            if not readers[name]:
                live.discard(name)
        live.add(node.name)
        if len(live) == 1 and layers >= MIN_LAYERS:
            found.append(current)
            current, layers = [], 0
    return [*found, current] if current else found
