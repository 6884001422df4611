# SPDX-License-Identifier: Apache-2.0
"""Folding scales and shifts into the weights before or behind them. Knows no operator by name."""

from __future__ import annotations

from dataclasses import replace

from mcugen.ir.graph import Graph, Node
from mcugen.ops.base import Op
from mcugen.passes.absorb import into_producers


def run(graph: Graph) -> Graph:
    """The graph without batch norms and constant factors that weights can take in."""
    graph = into_producers(graph, _scaled)
    for name in [node.name for node in graph.nodes]:
        graph = _into_readers(graph, graph.by_name[name]) if name in graph.by_name else graph
    return graph


def _scaled(producer: Op, reader: Op) -> Op | None:
    arrays = reader.scale_shift_only
    return None if arrays is None else producer.absorb_scale_shift(*arrays)


def _into_readers(graph: Graph, node: Node) -> Graph:
    """Fold a scale and shift into all that read it, or leave it where one of them cannot."""
    assert isinstance(node.op, Op)
    arrays = node.op.scale_shift_only
    readers = graph.consumers[node.name]
    if arrays is None or not readers or node.name in graph.outputs:
        return graph
    changes: dict[str, Node | None] = {node.name: None}
    for reader in readers:
        assert isinstance(reader.op, Op)
        merged = reader.op.absorb_input_scale_shift(*arrays)
        if merged is None:
            return graph
        changes[reader.name] = replace(reader, op=merged)
    return graph.substitute(changes, {node.name: node.inputs[0]})
