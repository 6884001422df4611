# SPDX-License-Identifier: Apache-2.0
"""Runs an integer graph on a simulated core, with the kernels that are chosen for it."""

from __future__ import annotations

import tempfile
from pathlib import Path

import pytest

from mcugen.boards import core_named
from mcugen.emit.render import render
from mcugen.emit.view import network_view
from mcugen.emit.write import write_files
from mcugen.errors import MissingToolError
from mcugen.ir.graph import Graph
from mcugen.ops.base import Target
from mcugen.plan.arena import plan_arena
from mcugen.plan.choose import choose_kernels
from mcugen.simulate.program import program_of
from mcugen.verify.compare import compare
from mcugen.verify.inputs import verification_inputs
from mcugen.verify.target import TargetNetwork


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
