# SPDX-License-Identifier: Apache-2.0
"""Moving the weights of a layer at compile time instead of its features at run time.

Between an image and a flat layer, channels-last storage needs the features in another order than
the model's weights do. Knows no layer by name.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from mcugen.fixed_point import IntArray
from mcugen.ir.graph import Graph, Node
from mcugen.ops import Reshape
from mcugen.ops.base import Op


def run(graph: Graph) -> Graph:
    """The graph with transposes before and behind flat layers gone into their weights."""
    for fold in (_fold_inputs, _fold_outputs):
        changes: dict[str, Node | None] = {}
        for node in graph.nodes:
            changes |= {changed.name: changed for changed in fold(graph, node)}
        graph = graph.substitute(changes, {}).without_unread()
    return graph


def _fold_inputs(graph: Graph, node: Node) -> list[Node]:
    """The layer with permuted columns and its flat operand, read from before the moves."""
    chain = list(_moves_before(graph, node))
    if not chain or len(chain[0].shape) != 1 or not any(move.op.computes for move in chain):
        return []
    assert isinstance(node.op, Op)
    op = node.op.permute_inputs(_order(graph, chain))
    if op is None:
        return []
    flat = replace(chain[0], op=Reshape(shape=chain[0].shape), inputs=chain[-1].inputs)
    return [flat, replace(node, op=op)]


def _fold_outputs(graph: Graph, node: Node) -> list[Node]:
    """The layer with permuted rows and what the moves made of it, now a view."""
    chain = list(_moves_behind(graph, node))
    while chain and not chain[0].op.computes:
        chain.pop(0)
    if not chain or len(node.shape) != 1:
        return []
    assert isinstance(node.op, Op)
    last = chain[0]
    op = node.op.permute_outputs(_order(graph, [last, *_moves_before(graph, last, node)]))
    if op is None:
        return []
    return [replace(node, op=op), replace(last, op=Reshape(shape=last.shape), inputs=(node.name,))]


def _moves_before(graph: Graph, node: Node, end: Node | None = None) -> Iterator[Node]:
    """What only moves elements on the way to a node that alone reads it, nearest first."""
    while len(node.inputs) == 1 and graph.uses[node.inputs[0]] == 1:
        node = graph.by_name[node.inputs[0]]
        if node is end or _own_order(graph, node) is None:
            return
        yield node


def _moves_behind(graph: Graph, node: Node) -> list[Node]:
    """What only moves the elements that a node makes, farthest first."""
    found: list[Node] = []
    while graph.uses[node.name] == 1 and graph.consumers[node.name]:
        [node] = graph.consumers[node.name]
        if _own_order(graph, node) is None:
            break
        found.insert(0, node)
    return found


def _own_order(graph: Graph, node: Node) -> IntArray | None:
    assert isinstance(node.op, Op)
    return node.op.element_order(graph.by_name[node.inputs[0]].shape) if node.inputs else None


def _order(graph: Graph, chain: list[Node]) -> IntArray:
    """Which element of the chain's operand each element of its end is; `chain` is nearest first."""
    order = np.arange(int(np.prod(chain[0].shape)))
    for move in chain:
        own = _own_order(graph, move)
        assert own is not None
        order = own[order]
    return order
