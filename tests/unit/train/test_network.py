# SPDX-License-Identifier: Apache-2.0
"""The fake-quantized network is the integer reference, to within the last bit of each layer."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from mcugen.data import load_calibration
from mcugen.evaluate import stored_inputs
from mcugen.fixed_point import IntArray, RequantMode
from mcugen.frontend.export import input_shapes, to_graph
from mcugen.frontend.load import LoadOptions, load
from mcugen.ir.graph import Graph, QParams
from mcugen.ir.interp import run
from mcugen.ir.quantization import Quantization
from mcugen.lower.integer import to_integer
from mcugen.ops.base import Op
from mcugen.pipeline import simplified
from mcugen.train.forward import forward
from mcugen.train.network import TrainableNetwork
from mcugen.verify.inputs import verification_inputs
from tests.ops.harness import export, random_inputs
from tests.property.networks import Network, Recipe, recipes
from tests.unit.train.networks import patterns, patterns_graph, quantized

SETTINGS = {"deadline": None, "suppress_health_check": list(HealthCheck), "derandomize": True}


class Disagreement:
    """How far layers of the fake-quantized network are from the reference, operands being equal."""

    def __init__(self) -> None:
        self.values = self.different = self.largest = 0

    def count(self, graph: Graph, quantization: Quantization, requant: RequantMode) -> None:
        integer = to_integer(graph, quantization, requant)
        steps: dict[str, IntArray] = {}
        inputs = verification_inputs(integer, minimum=24)
        run(integer, inputs, lambda node, values: steps.__setitem__(node.name, values))
        for node in graph.nodes:
            if not node.inputs:
                continue
            layer = alone(graph, node.name)
            network = TrainableNetwork(layer, narrowed_to(layer, quantization))
            operands = [real(steps[name], quantization.tensors[name]) for name in layer.inputs]
            with torch.no_grad():
                [got] = network(operands)
            q = quantization.tensors[node.name]
            off = np.abs(np.rint(got.numpy() / q.scale) + q.zero_point - steps[node.name])
            self.values += off.size
            self.different += int(np.count_nonzero(off))
            self.largest = max(self.largest, int(off.max(initial=0)))


def real(steps: NDArray[np.int64], q: QParams) -> torch.Tensor:
    return torch.from_numpy(((steps - q.zero_point) * q.scale).astype(np.float32))


def alone(graph: Graph, name: str) -> Graph:
    """One layer of the graph, its operands as inputs; constants stay."""
    node = graph.by_name[name]
    sources = [graph.by_name[n] for n in dict.fromkeys(node.inputs)]
    inputs = tuple(n.name for n in sources)
    return replace(
        graph,
        nodes=(*(replace(n, inputs=()) for n in sources), node),
        inputs=inputs,
        outputs=(name,),
        input_layouts=tuple(tuple(range(len(n.shape))) for n in sources),
    )


def narrowed_to(layer: Graph, quantization: Quantization) -> Quantization:
    last = layer.nodes[-1]
    assert isinstance(last.op, Op)
    # what feeds the layer is an input here, whatever weights it had
    names = [n.name for n in layer.nodes if n.op.weight_arrays is not None]  # type: ignore[union-attr]
    return Quantization(
        tensors={n.name: quantization.tensors[n.name] for n in layer.nodes},
        weights={name: quantization.weights[name] for name in names},
    )


@pytest.mark.slow
def test_random_networks_agree_in_every_layer() -> None:
    found = Disagreement()

    @settings(max_examples=25, **SETTINGS)  # type: ignore[arg-type]
    @given(recipes(7), st.sampled_from(["single", "double"]), st.sampled_from([8, 4, 2]))
    def check(recipe: Recipe, requant: RequantMode, bits: int) -> None:
        network = Network(recipe)
        graph = simplified(export(network, network.input_shape))
        stored = stored_inputs(graph, random_inputs(graph))
        found.count(graph, quantized(graph, stored, bits), requant)
        assert found.largest <= 1

    check()
    # float32 sums next to a tie; about one value in a thousand
    assert found.values > 100_000
    assert found.different < 0.005 * found.values


@pytest.mark.parametrize("bits", [8, 4])
def test_the_example_network_agrees_in_every_layer(mnist: Path, bits: int) -> None:
    graph = simplified(to_graph(load(mnist / "model.pt", LoadOptions()).program, "mnist"))
    samples = load_calibration(mnist / "calibration.npz", input_shapes(graph))
    stored = [x[:40] for x in stored_inputs(graph, samples)]
    found = Disagreement()
    found.count(graph, quantized(graph, stored, bits), "single")
    assert found.largest <= 1
    assert found.different < 0.001 * found.values


def patterns_network(bits: int = 8) -> TrainableNetwork:
    graph = patterns_graph()
    return TrainableNetwork(graph, quantized(graph, [patterns()[0].numpy()], bits))


@pytest.mark.parametrize("bits", [8, 4, 2])
def test_training_starts_where_quantization_ended(bits: int) -> None:
    """Even where a weight was not rounded to the nearest step."""
    graph = patterns_graph()
    start = quantized(graph, [patterns()[0].numpy()], bits)
    limit = 2 ** (bits - 1) - 1
    weights = {
        name: replace(w, ints=np.where(w.ints < limit, w.ints + 1, w.ints).astype(np.int8))
        for name, w in start.weights.items()
    }
    moved = replace(start, weights=weights)
    got = TrainableNetwork(graph, moved).quantization()
    assert got.tensors == moved.tensors
    for name, chosen in moved.weights.items():
        np.testing.assert_array_equal(got.weights[name].ints, chosen.ints)
        np.testing.assert_allclose(got.weights[name].scales, chosen.scales, rtol=1e-7)
        np.testing.assert_array_equal(got.weights[name].bias, chosen.bias)
        assert got.weights[name].bits == bits


def test_without_rounding_it_is_the_float_graph() -> None:
    network, x = patterns_network(), patterns()[0]
    network.blend = 0.0
    with torch.no_grad():
        [got], [exact] = network([x]), forward(network.float_graph(), [x])
    torch.testing.assert_close(got, exact, rtol=0, atol=0)


def test_half_the_rounding_lies_between() -> None:
    network, x = patterns_network(2), patterns()[0]
    errors = []
    for network.blend in (0.0, 0.5, 1.0):
        with torch.no_grad():
            [y] = network([x])
            [exact] = forward(network.float_graph(), [x])
        errors.append(float((y - exact).abs().mean()))
    assert errors[0] < errors[1] < errors[2]


def test_weights_biases_and_scales_learn_but_the_input_keeps_its_scale() -> None:
    network, x = patterns_network(), patterns()[0]
    names = set(network.parameters())
    assert {name.partition(" ")[0] for name in names} == {"weight", "bias", "tensor"}
    assert f"tensor scale {network.graph.inputs[0]}" not in names
    [y] = network([x])
    torch.autograd.backward(y.square().sum())
    for name, x in network.parameters().items():
        assert x.grad is not None, name
        assert bool(torch.isfinite(x.grad).all())
        assert float(x.grad.abs().sum()) > 0, name


def test_scales_stand_still_where_that_is_wanted() -> None:
    graph = patterns_graph()
    start = quantized(graph, [patterns()[0].numpy()])
    network = TrainableNetwork(graph, start, train_scales=False)
    assert not [name for name in network.parameters() if "scale" in name]


def test_tensors_that_share_a_scale_go_on_sharing_it() -> None:
    network = patterns_network()
    with torch.no_grad():
        for name, x in network.parameters().items():
            if name.startswith("tensor scale"):
                x.add_(torch.rand(()))
    graph, tensors = network.graph, network.quantization().tensors
    moved = [n for n in graph.nodes if isinstance(n.op, Op) and n.op.keeps_scale]
    assert moved
    for node in moved:
        assert tensors[node.name] == tensors[node.inputs[0]]
    to_integer(graph, network.quantization(), "single")


def test_a_bias_never_outgrows_the_accumulator() -> None:
    """Lowering would refuse what trains to a scale far too small for its bias."""
    network = patterns_network()
    with torch.no_grad():
        for name, x in network.parameters().items():
            if name.startswith("weight scale"):
                x.fill_(-30.0)
    to_integer(network.graph, network.quantization(), "single")


def test_a_shared_scale_of_weights_stays_shared() -> None:
    graph = patterns_graph()
    start = quantized(graph, [patterns()[0].numpy()])
    weights = {n: replace(w, scales=np.full_like(w.scales, 0.01)) for n, w in start.weights.items()}
    network = TrainableNetwork(graph, replace(start, weights=weights))
    with torch.no_grad():
        for name, x in network.parameters().items():
            if name.startswith("weight scale"):
                assert x.shape == (1,)
                x.fill_(0.5)
    for chosen in network.quantization().weights.values():
        assert len(set(chosen.scales.tolist())) == 1


def test_masked_weights_are_zero_everywhere() -> None:
    network = patterns_network()
    [name, *_] = network.quantization().weights
    mask = torch.zeros_like(network.state()[f"weight {name}"])
    network.masks[name] = mask
    assert not network.quantization().weights[name].ints.any()
    op = network.float_graph().by_name[name].op
    assert isinstance(op, Op) and op.weight_arrays is not None
    assert not op.weight_arrays[0].any()


def test_a_state_brings_everything_back() -> None:
    network, x = patterns_network(), patterns()[0]
    network.masks["fc_linear"] = torch.ones_like(network.state()["weight fc_linear"])
    before = network.state()
    [y] = network([x])
    with torch.no_grad():
        for parameter in network.parameters().values():
            parameter.add_(0.1)
    network.masks.clear()
    network.load_state(before)
    assert set(network.masks) == {"fc_linear"}
    torch.testing.assert_close(network([x])[0], y, rtol=0, atol=0)
