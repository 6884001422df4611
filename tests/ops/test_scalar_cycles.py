# SPDX-License-Identifier: Apache-2.0
"""The cycles that kernels without the DSP extension are chosen by are those that are simulated."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from mcugen.boards import core_named
from mcugen.emit.render import render
from mcugen.emit.view import network_view
from mcugen.emit.write import write_files
from mcugen.errors import MissingToolError
from mcugen.ir.check import check
from mcugen.ir.graph import Graph, Node, Shape
from mcugen.ops.base import InputS8, IntOp, Target
from mcugen.ops.reshape import ReshapeS8
from mcugen.ops.window import Window
from mcugen.plan.arena import plan_arena
from mcugen.plan.choose import choose_kernels
from mcugen.simulate.profile import profile_target
from mcugen.simulate.program import program_of
from tests.ops.harness import DEFAULT_QPARAMS
from tests.ops.test_linear_scalar import CORES, linear
from tests.ops.test_pair import conv

SAME = Window(kernel=(3, 3), pads=(1, 1, 1, 1))


def chain() -> Graph:
    """Convolutions and a fully connected layer, one after the other."""
    rng = np.random.default_rng(0)
    steps: list[tuple[IntOp, Shape]] = [
        (conv(rng, (12, 3, 3, 6), SAME), (12, 14, 12)),
        (conv(rng, (12, 3, 3, 1), SAME), (12, 14, 12)),
        (conv(rng, (20, 1, 1, 12), Window(kernel=(1, 1))), (12, 14, 20)),
        (conv(rng, (20, 3, 3, 1), Window(kernel=(3, 3), stride=(2, 2))), (5, 6, 20)),
        (ReshapeS8(shape=(600,)), (600,)),
        (linear(rng, 600, 30), (30,)),
    ]
    q = DEFAULT_QPARAMS
    nodes = [Node(name="x0", op=InputS8(), inputs=(), shape=(12, 14, 6), qparams=q)]
    for k, (op, shape) in enumerate(steps):
        nodes.append(Node(name=f"x{k + 1}", op=op, inputs=(f"x{k}",), shape=shape, qparams=q))
    graph = Graph(
        name="net",
        inputs=("x0",),
        outputs=(nodes[-1].name,),
        nodes=tuple(nodes),
        input_layouts=((0, 1, 2),),
        output_layouts=((0,),),
    )
    return check(graph, "integer", "the test")


@pytest.mark.slow
@pytest.mark.parametrize("name", CORES)
def test_the_model_is_near_the_count(name: str, tmp_path: Path) -> None:
    core, graph = core_named(name).core, chain()
    layers = choose_kernels(graph, Target(core=core.name, features=core.features))
    assert {layer.kernel.variant for layer in layers} == {"pair", "quad"}
    plan = plan_arena(graph, {layer.node.name: layer.kernel for layer in layers})
    write_files(tmp_path, render(network_view(graph, layers, plan, 0, "")))
    try:
        profile = profile_target(program_of(tmp_path, graph), core)
    except MissingToolError as error:
        pytest.skip(str(error))
    model = [layer.kernel.cycles for layer in layers]
    np.testing.assert_allclose(model, [cost.cycles for cost in profile.layers], rtol=0.1)
