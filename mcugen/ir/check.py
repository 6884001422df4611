# SPDX-License-Identifier: Apache-2.0
"""What is legal in a graph at each stage; run after every stage. Knows no operator by name."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

from mcugen.errors import InternalError
from mcugen.ir.graph import Graph
from mcugen.ops.base import IntOp, Op

Stage = Literal["float", "integer"]


def check(graph: Graph, stage: Stage, after: str) -> Graph:
    """Return the graph, or raise InternalError listing everything that is wrong with it."""
    problems = list(_problems(graph, stage))
    if problems:
        msg = f"illegal graph after {after}:\n" + "\n".join(f"  {p}" for p in problems)
        raise InternalError(msg)
    return graph


def _problems(graph: Graph, stage: Stage) -> Iterator[str]:
    wanted = Op if stage == "float" else IntOp
    seen: set[str] = set()
    for node in graph.nodes:
        if node.name in seen:
            yield f"{node.name}: defined twice"
        missing = [name for name in node.inputs if name not in seen]
        seen.add(node.name)
        if missing:
            yield f"{node.name}: reads {', '.join(missing)} before definition"
            continue
        if not isinstance(node.op, wanted):
            yield f"{node.name}: {type(node.op).__name__} is not legal in a {stage} graph"
        elif isinstance(node.op, Op):
            inferred = node.op.infer(graph.input_shapes(node))
            if inferred != node.shape:
                yield f"{node.name}: shape {node.shape}, but its operator infers {inferred}"
        elif node.qparams is None:
            yield f"{node.name}: has no quantization"
    for name in (*graph.inputs, *graph.outputs):
        if name not in seen:
            yield f"{name}: input or output without a node"
