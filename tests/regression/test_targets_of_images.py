# SPDX-License-Identifier: Apache-2.0
"""Real targets of a network that gives images were taken as channels last, unlike its outputs."""

from __future__ import annotations

import numpy as np
import torch
from torch import nn

from mcugen.evaluate import accuracy, stored_inputs
from mcugen.ir.interp import run
from mcugen.pipeline import CompileOptions, compile_graph
from tests.ops.harness import export, random_inputs


def test_targets_are_in_the_models_axis_order() -> None:
    torch.manual_seed(0)
    model = nn.Conv2d(2, 3, 3, padding=1).eval()
    graph = export(model, (1, 2, 3, 3))  # three of each, so that a wrong order fits as well
    samples = random_inputs(graph)
    stored = stored_inputs(graph, samples)
    with torch.no_grad():
        targets = model(torch.from_numpy(samples[0])).numpy()
    compiled = compile_graph(graph, stored, CompileOptions())
    found = accuracy(
        compiled.float_graph,
        compiled.graph,
        lambda x: [y.astype(np.int8) for y in run(compiled.graph, x)],
        stored,
        targets,
    )
    assert found.metric == "mean absolute error"
    assert found.float_value < 1e-6
    assert found.int8_value < 0.05
