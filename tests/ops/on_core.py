# SPDX-License-Identifier: Apache-2.0
"""Runs an integer graph on a simulated core, with the kernels that are chosen for it."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path

import pytest

from mcugen.boards import core_named
from mcugen.emit.render import render
from mcugen.emit.view import NetworkView, network_view
from mcugen.emit.write import write_files
from mcugen.errors import MissingToolError
from mcugen.ir.graph import Graph, Node, QParams, Shape
from mcugen.ops.base import PORTABLE, InputS8, IntOp, Target
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
            _node(name, InputS8(), (), shape, op.operand_bits)
            for name, shape in zip(names, shapes, strict=True)
        ]
        layers.append(_node(f"y{k}", op, names, output, op.result_bits))
    return Graph(
        name="net",
        inputs=tuple(node.name for node in inputs),
        outputs=tuple(node.name for node in layers),
        nodes=(*inputs, *layers),
        input_layouts=tuple(tuple(range(len(node.shape))) for node in inputs),
        output_layouts=tuple(tuple(range(len(node.shape))) for node in layers),
    )


def _node(name: str, op: IntOp, inputs: tuple[str, ...], shape: Shape, bits: int) -> Node:
    qparams = DEFAULT_QPARAMS if bits == 8 else QParams.int16(DEFAULT_QPARAMS.scale / 256)
    return Node(name=name, op=op, inputs=inputs, shape=shape, qparams=qparams)


def view_of(graph: Graph, target: Target = PORTABLE) -> NetworkView:
    """The C of a graph, with the kernels that are chosen for a target."""
    layers = choose_kernels(graph, target)
    plan = plan_arena(graph, {layer.node.name: layer.kernel for layer in layers})
    return network_view(graph, layers, plan, 0, "")


def check_on_core(
    graph: Graph, name: str, minimum: int = 24, view: NetworkView | None = None
) -> None:
    """Assert that every tensor equals the reference on the core; skip where a tool is missing.

    `view` is the C to run, by default with the kernels that are chosen for the core.
    """
    core = core_named(name).core
    target = Target(core=core.name, features=core.features)
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        write_files(folder, render(view or view_of(graph, target)))
        try:
            with TargetNetwork(program_of(folder, graph), core) as network:
                compare(graph, network, verification_inputs(graph, minimum=minimum))
        except MissingToolError as error:
            pytest.skip(str(error))
