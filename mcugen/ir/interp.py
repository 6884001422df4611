# SPDX-License-Identifier: Apache-2.0
"""The specification of the generated C: integer graphs in numpy. Knows no operator by name."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mcugen.errors import InternalError
from mcugen.fixed_point import IntArray
from mcugen.ir.graph import Graph, Node
from mcugen.ops.base import IntOp

IntObserver = Callable[[Node, IntArray], None]


def run(
    graph: Graph, inputs: Sequence[NDArray[np.integer[Any]]], observe: IntObserver | None = None
) -> tuple[IntArray, ...]:
    """Run an integer graph on arrays [N, *shape] of its inputs' integers; returns int64 arrays.

    `observe` sees every tensor. Raises InternalError where an operator leaves its range.
    """
    values: dict[str, IntArray] = {
        name: x.astype(np.int64) for name, x in zip(graph.inputs, inputs, strict=True)
    }
    readers = dict(graph.uses)
    for node in graph.nodes:
        if node.name not in values:
            values[node.name] = _step(node, values)
        if observe is not None:
            observe(node, values[node.name])
        for name in node.inputs:
            readers[name] -= 1
            if not readers[name]:
                del values[name]
    return tuple(values[name] for name in graph.outputs)


def _step(node: Node, values: dict[str, IntArray]) -> IntArray:
    op = node.op
    assert isinstance(op, IntOp)
    result = op.reference([values[name] for name in node.inputs])
    if result.shape[1:] != node.shape:
        msg = f"{node.name}: reference has shape {result.shape[1:]}, expected {node.shape}"
        raise InternalError(msg)
    low, high = node.quantized.limits
    if result.size and (result.min() < low or result.max() > high):
        kind = node.quantized.dtype.name
        msg = f"{node.name}: reference leaves {kind}: [{result.min()}, {result.max()}]"
        raise InternalError(msg)
    return result
