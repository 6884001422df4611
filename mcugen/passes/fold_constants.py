# SPDX-License-Identifier: Apache-2.0
"""Computing at compile time what depends on no input, and dropping what no output reads."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch

from mcugen.ir.graph import Graph, Node
from mcugen.ops import Constant
from mcugen.ops.base import Op


def run(graph: Graph) -> Graph:
    """The graph with constant operands folded and unread nodes gone."""
    known: dict[str, Node] = {}
    nodes = []
    for node in graph.nodes:
        made = _fold(node, known)
        if isinstance(made.op, Constant):
            known[made.name] = made
        nodes.append(made)
    return graph.with_nodes(nodes).without_unread()


def _fold(node: Node, known: dict[str, Node]) -> Node:
    op = node.op
    if not node.inputs or not isinstance(op, Op) or any(name not in known for name in node.inputs):
        return node
    operands = []
    for name in node.inputs:
        constant = known[name].op
        assert isinstance(constant, Op)
        operands.append(constant.forward(()))
    with torch.no_grad():
        values = op.forward(operands)[0].numpy()
    return replace(node, op=Constant(values=np.ascontiguousarray(values)), inputs=())
