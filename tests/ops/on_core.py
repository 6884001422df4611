# SPDX-License-Identifier: Apache-2.0
"""Runs an integer graph on a simulated core, with the kernels that are chosen for it."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path

import pytest

from mcugen.boards import core_named
from mcugen.emit.render import render
from mcugen.emit.view import network_view
from mcugen.emit.write import write_files
from mcugen.errors import MissingToolError
from mcugen.ir.graph import Graph, Node, Shape
from mcugen.ops.base import InputS8, IntOp, Target
from mcugen.plan.arena import plan_arena
from mcugen.plan.choose import choose_kernels
from mcugen.simulate.program import program_of
from mcugen.verify.compare import compare
from mcugen.verify.inputs import verification_inputs
from mcugen.verify.target import TargetNetwork
from tests.ops.harness import DEFAULT_QPARAMS

Case = tuple[IntOp, tuple[Shape, ...], Shape]  # an operator, its operands' shapes, its output's


def network_of(cases: Sequence[Case]) -> Graph:
    """Independent operators, each with inputs and an output of its own, to be run at once."""
    inputs, layers = [], []
    for k, (op, shapes, output) in enumerate(cases):
        names = tuple(f"x{k}_{i}" for i in range(len(shapes)))
        inputs += [
            _node(name, InputS8(), (), shape) for name, shape in zip(names, shapes, strict=True)
        ]
        layers.append(_node(f"y{k}", op, names, output))
    return Graph(
        name="net",
        inputs=tuple(node.name for node in inputs),
        outputs=tuple(node.name for node in layers),
        nodes=(*inputs, *layers),
        input_layouts=tuple(tuple(range(len(node.shape))) for node in inputs),
        output_layouts=tuple(tuple(range(len(node.shape))) for node in layers),
    )


def _node(name: str, op: IntOp, inputs: tuple[str, ...], shape: Shape) -> Node:
    return Node(name=name, op=op, inputs=inputs, shape=shape, qparams=DEFAULT_QPARAMS)


def check_on_core(graph: Graph, name: str, minimum: int = 24) -> None:
    """Assert that every tensor equals the reference on the core; skip where a tool is missing."""
    core = core_named(name).core
    layers = choose_kernels(graph, Target(core=core.name, features=core.features))
    plan = plan_arena(graph, {layer.node.name: layer.kernel for layer in layers})
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        write_files(folder, render(network_view(graph, layers, plan, 0, "")))
        try:
            with TargetNetwork(program_of(folder, graph), core) as network:
                compare(graph, network, verification_inputs(graph, minimum=minimum))
        except MissingToolError as error:
            pytest.skip(str(error))
