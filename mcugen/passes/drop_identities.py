# SPDX-License-Identifier: Apache-2.0
"""Dropping what does nothing, and making one node of moves that follow each other.

Knows no operator by name.
"""

from __future__ import annotations

from dataclasses import replace

from mcugen.ir.graph import Graph, Node
from mcugen.ops.base import Op


def run(graph: Graph) -> Graph:
    """The graph without identities; every node is the cheapest that means the same."""
    made: dict[str, Node] = {}
    renamed: dict[str, str] = {}
    for node in graph.nodes:
        inputs = tuple(renamed.get(name, name) for name in node.inputs)
        cheapest = _cheapest(replace(node, inputs=inputs), made)
        if _is_identity(cheapest, made):
            renamed[node.name] = cheapest.inputs[0]
        else:
            made[node.name] = cheapest
    outputs = [renamed.get(name, name) for name in graph.outputs]
    return graph.with_nodes(made.values(), outputs).without_unread()


def _cheapest(node: Node, made: dict[str, Node]) -> Node:
    """The node in its simplest form, reading past producers whose work it can do as well."""
    assert isinstance(node.op, Op)
    if not node.inputs:
        return node
    op = node.op.simplified([made[name].shape for name in node.inputs])
    producer = made[node.inputs[0]]
    if len(node.inputs) == 1 and producer.inputs:
        assert isinstance(producer.op, Op)
        both = op.after(producer.op)
        if both is not None:
            return _cheapest(replace(node, op=both, inputs=producer.inputs), made)
    return replace(node, op=op)


def _is_identity(node: Node, made: dict[str, Node]) -> bool:
    assert isinstance(node.op, Op)
    shapes = [made[name].shape for name in node.inputs]
    return bool(shapes) and node.op.is_identity(shapes)
