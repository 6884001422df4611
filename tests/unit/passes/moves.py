# SPDX-License-Identifier: Apache-2.0
"""Small float graphs written by hand, and the comparison of a pass's two sides."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch

from mcugen.ir.check import check
from mcugen.ir.graph import Graph, Node, Shape
from mcugen.ops import Input, Op
from mcugen.train.forward import forward

Line = tuple[str, Op, tuple[str, ...]]


def graph_of(shape: Shape, lines: Sequence[Line], outputs: Sequence[str]) -> Graph:
    """A graph with one input `x`; each line is a node's name, operator and operands."""
    nodes = [Node(name="x", op=Input(shape=shape), inputs=(), shape=shape)]
    shapes = {"x": shape}
    for name, op, inputs in lines:
        shapes[name] = op.infer([shapes[i] for i in inputs])
        nodes.append(Node(name=name, op=op, inputs=inputs, shape=shapes[name]))
    graph = Graph(
        name="net",
        inputs=("x",),
        outputs=tuple(outputs),
        nodes=tuple(nodes),
        input_layouts=(tuple(range(len(shape))),),
        output_layouts=tuple(tuple(range(len(shapes[name]))) for name in outputs),
    )
    return check(graph, "float", "the test")


def chain(shape: Shape, *ops: Op) -> Graph:
    """Operators one after the other, called n0, n1, ...; the last is the output."""
    lines = [(f"n{i}", op, (f"n{i - 1}" if i else "x",)) for i, op in enumerate(ops)]
    return graph_of(shape, lines, [lines[-1][0]])


def ran(run_pass: Callable[[Graph], Graph], graph: Graph, exactly: bool = True) -> Graph:
    """The graph after the pass, asserted to be legal and to compute the same."""
    after = check(run_pass(graph), "float", "the pass")
    assert after.inputs == graph.inputs
    rng = np.random.default_rng(0)
    [name] = graph.inputs
    x = torch.from_numpy(rng.normal(size=(4, *graph.by_name[name].shape)).astype(np.float32))
    tolerance = 0.0 if exactly else 1e-5
    with torch.no_grad():
        for got, want in zip(forward(after, [x]), forward(graph, [x]), strict=True):
            torch.testing.assert_close(got, want, rtol=tolerance, atol=tolerance)
    return after


def kinds(graph: Graph) -> list[str]:
    """The kinds of all nodes but the input, in execution order."""
    return [node.op.kind for node in graph.nodes if node.inputs]


def check_untouched(run_pass: Callable[[Graph], Graph], graph: Graph) -> None:
    """Assert that the pass leaves every node as it is."""
    before, after = ([(n.name, n.op, n.inputs) for n in g.nodes] for g in (graph, run_pass(graph)))
    assert after == before
