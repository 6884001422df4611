# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import nn

from mcugen.evaluate import float_outputs
from mcugen.ir.check import check
from mcugen.ir.graph import Graph
from mcugen.ops.base import Op
from mcugen.quantize import equalize
from mcugen.quantize.options import QuantOptions
from mcugen.quantize.quantize import quantize
from tests.unit.quantize.networks import Samples, folded, graph_and_samples, network, output_sqnr


def weight_of(graph: Graph, name: str) -> NDArray[np.float32]:
    op = graph.by_name[name].op
    assert isinstance(op, Op) and op.weight_arrays is not None
    return np.abs(op.weight_arrays[0])


def test_the_function_stays_and_channels_are_alike() -> None:
    graph, samples = graph_and_samples()
    equal = check(equalize.run(graph), "float", "equalize")
    [wanted], [got] = float_outputs(graph, samples), float_outputs(equal, samples)
    np.testing.assert_allclose(got, wanted, rtol=1e-4, atol=1e-5)
    first, depthwise = graph.layers[0].name, graph.layers[1].name
    outputs = weight_of(equal, first).max(axis=(1, 2, 3))
    inputs = weight_of(equal, depthwise).max(axis=(1, 2, 3))
    np.testing.assert_allclose(outputs, inputs, rtol=0.01)
    assert np.ptp(np.log(weight_of(graph, first).max(axis=(1, 2, 3)))) > 3.0


@pytest.mark.parametrize("activation", [nn.ReLU6(), nn.Sigmoid()])
def test_what_is_not_homogeneous_stays_as_it_is(activation: nn.Module) -> None:
    graph = folded(nn.Sequential(nn.Linear(4, 4), activation, nn.Linear(4, 2)), (1, 4))
    assert equalize.run(graph).nodes == graph.nodes


def test_channels_without_weights_are_left_alone() -> None:
    module = nn.Sequential(nn.Linear(4, 3), nn.ReLU(), nn.Linear(3, 2))
    for layer, index in ((module[0], 0), (module[2], (slice(None), 1))):
        assert isinstance(layer, nn.Linear)
        with torch.no_grad():
            layer.weight[index] = 0.0
    equal = equalize.run(folded(module, (1, 4)))
    assert all(np.isfinite(weight_of(equal, node.name)).all() for node in equal.layers)


def ruined() -> tuple[Graph, Samples]:
    """The network with channels scaled apart by up to 1000, its function the same."""
    module = network()
    rng = np.random.default_rng(3)
    assert isinstance(module, nn.Sequential)
    layers = [layer for layer in module if isinstance(layer, nn.Conv2d)]
    with torch.no_grad():
        for first, second in pairwise(layers):
            factors = torch.from_numpy(10.0 ** rng.uniform(-1.5, 1.5, len(first.weight))).float()
            first.weight *= factors.view(-1, 1, 1, 1)
            assert first.bias is not None
            first.bias *= factors
            second.weight /= factors.view((1, -1, 1, 1) if second.groups == 1 else (-1, 1, 1, 1))
    return folded(module, (1, 3, 8, 8)), graph_and_samples()[1]


def test_a_network_that_min_max_ruins_comes_back() -> None:
    graph, samples = ruined()
    plain = QuantOptions(ranges="minmax", bias_correction=False, per_tensor=True)
    bad = output_sqnr(graph, quantize(graph, samples, plain), samples)
    equal = equalize.run(graph)
    repaired = output_sqnr(equal, quantize(equal, samples, plain), samples)
    healthy, _ = graph_and_samples()
    assert bad < 15.0
    assert repaired > output_sqnr(healthy, quantize(healthy, samples, plain), samples) - 3.0
