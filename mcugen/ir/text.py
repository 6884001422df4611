# SPDX-License-Identifier: Apache-2.0
"""A graph as text, one line a node, for people and for dumps. Knows no operator by name."""

from __future__ import annotations

from mcugen.ir.graph import Graph, Node


def to_text(graph: Graph) -> str:
    """The whole graph, in execution order."""
    head = f"graph {graph.name}({', '.join(graph.inputs)}) -> ({', '.join(graph.outputs)})"
    return "\n".join([head, *(f"  {_line(node)}" for node in graph.nodes)]) + "\n"


def _line(node: Node) -> str:
    shape = "x".join(map(str, node.shape)) or "scalar"
    quant = ""
    if node.qparams is not None:
        quant = f" scale={node.qparams.scale:.9g} zero_point={node.qparams.zero_point}"
    origin = f"  # {node.origin}" if str(node.origin) else ""
    return f"{node.name}: {shape} = {node.op.kind}({', '.join(node.inputs)}){quant}{origin}"
