# SPDX-License-Identifier: Apache-2.0
"""Merging a node into the one that feeds it, for passes that fold. Knows no operator by name."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from mcugen.ir.graph import Graph, Node
from mcugen.ops.base import Op

Merge = Callable[[Op, Op], "Op | None"]  # producer, reader -> both in one, None where impossible


def into_producers(graph: Graph, merge: Merge) -> Graph:
    """Merge each node into its producer, where that has no other reader and `merge` can.

    The merged node keeps the producer's name and origin; both have the same shape.
    """
    changes: dict[str, Node | None] = {}
    renamed: dict[str, str] = {}
    for node in graph.nodes:
        if len(node.inputs) != 1 or graph.uses[node.inputs[0]] != 1:
            continue
        source = renamed.get(node.inputs[0], node.inputs[0])
        producer = changes.get(source) or graph.by_name[source]
        assert isinstance(producer.op, Op) and isinstance(node.op, Op)
        merged = merge(producer.op, node.op)
        if merged is not None:
            changes[source] = replace(producer, op=merged)
            changes[node.name] = None
            renamed[node.name] = source
    return graph.substitute(changes, renamed)
