# SPDX-License-Identifier: Apache-2.0
"""Moving a model's own rounding to before what only moves or clamps values, and merging it there.

So activations, paddings and reorderings find the layers that can take them in, as in a network
that nobody has quantized. Rounding is monotone and works element by element, so it commutes with
choosing elements and, on one grid, with limits. Knows no operator by name.
"""

from __future__ import annotations

from dataclasses import replace

from mcugen.ir.graph import Graph, Node
from mcugen.ops.base import Op


def run(graph: Graph) -> Graph:
    """The graph with each rounding as early as it can be, none of them twice."""
    for node in reversed(graph.nodes):
        graph = _hoisted(graph, node.name)
    return graph


def _op(node: Node) -> Op:
    assert isinstance(node.op, Op)
    return node.op


def _hoisted(graph: Graph, name: str) -> Graph:
    """The rounding `name` on the operands of what it reads, as far up as that goes."""
    graph = _merged(graph, name)
    rounding = graph.by_name.get(name)
    if rounding is None or _op(rounding).rounds_to is None:
        return graph
    mover = graph.by_name[rounding.inputs[0]]
    if not (_op(mover).keeps_scale and mover.inputs and graph.uses[mover.name] == 1):
        return graph
    taken = set(graph.by_name)
    before = [_rounded(rounding, graph.by_name[operand], taken) for operand in mover.inputs]
    moved = replace(mover, inputs=tuple(node.name for node in before))
    nodes: list[Node] = []
    for node in graph.nodes:
        nodes += [*before, moved] if node is mover else [node]
    graph = graph.with_nodes(nodes).substitute({name: None}, {name: mover.name})
    for node in before:
        graph = _hoisted(graph, node.name)
    return graph


def _rounded(rounding: Node, operand: Node, taken: set[str]) -> Node:
    """The rounding on another tensor, under a name of its own."""
    name = f"{operand.name}_rounded"
    while name in taken:
        name += "_2"
    taken.add(name)
    return replace(rounding, name=name, inputs=(operand.name,), shape=operand.shape)


def _merged(graph: Graph, name: str) -> Graph:
    """Without one of two roundings to the same grid, where only limits lie between them."""
    last = graph.by_name.get(name)
    if last is None or _op(last).rounds_to is None:
        return graph
    producer = graph.by_name[last.inputs[0]]
    if _op(producer).rounds_to == _op(last).rounds_to:
        return graph.substitute({name: None}, {name: producer.name})
    if _op(producer).clamp_only is None or graph.uses[producer.name] != 1:
        return graph
    first = graph.by_name[producer.inputs[0]]
    if _op(first).rounds_to != _op(last).rounds_to or graph.uses[first.name] != 1:
        return graph
    return graph.substitute({first.name: None}, {first.name: first.inputs[0]})
