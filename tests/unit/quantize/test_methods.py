# SPDX-License-Identifier: Apache-2.0
"""Each method against its formula, and against the one that it is better than."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from mcugen.ir.graph import QParams
from mcugen.ir.interp import run
from mcugen.ir.quantization import Quantization
from mcugen.lower.integer import to_integer
from mcugen.ops.base import Op, Target
from mcugen.ops.linear import LinearS8
from mcugen.quantize.affine import fake_quantize
from mcugen.quantize.correct import correct_biases
from mcugen.quantize.options import QuantOptions
from mcugen.quantize.quantize import quantize
from mcugen.quantize.walk import few, with_quantized_weights
from mcugen.quantize.weights import (
    floor_weights,
    floored_bias,
    mse_scales,
    round_weights,
    weight_scales,
)
from tests.unit.quantize.networks import folded, graph_and_samples, output_sqnr

NONE = np.zeros(4)
PLAIN = QuantOptions()


def weights() -> NDArray[np.float32]:
    return np.random.default_rng(0).normal(size=(4, 3, 3, 2)).astype(np.float32)


def test_integerize_floors_weights_by_the_formula() -> None:
    """Exact rational numbers decide what the floor is."""
    w = weights()
    scales = weight_scales(w, NONE, PLAIN)
    made = floor_weights(w, floored_bias(np.zeros(4, np.float32), 0.5), scales)
    for channel, ints, scale in zip(w, made.ints, scales, strict=True):
        high = Fraction(float(127.0 * scale))
        for real, got in zip(channel.ravel(), ints.ravel(), strict=True):
            share = (Fraction(float(real)) + high) / (2 * high)
            exact = share * 254 - 127
            # at a whole number, float64 may land on either side
            if abs(exact - round(exact)) > Fraction(1, 10**9):
                assert got == min(max(exact.__floor__(), -127), 127)
    assert np.all(made.bias == -0.25)


@pytest.mark.parametrize("method", ["integerize", "estimate", "mean_rounding"])
def test_channels_of_almost_no_weight_overflow_nothing(method: str) -> None:
    """The bias's scale rules there, whatever the method makes of the bias."""
    torch.manual_seed(0)
    module = torch.nn.Linear(6, 4)
    with torch.no_grad():
        module.weight[1] *= 1e-12
        module.weight[2] = 0.0
    module.bias.data[1:3] = torch.tensor([1e-9, 0.0])
    graph = folded(module, (1, 6))
    samples = [np.random.default_rng(0).normal(size=(30, 6)).astype(np.float32)]
    made = quantize(graph, samples, QuantOptions(method=method))
    assert output_sqnr(graph, made, samples) > 10.0


def test_outputs_without_weights_keep_short_biases() -> None:
    """Pruning leaves such channels. With longer biases the layer would lose its fast kernels."""
    torch.manual_seed(0)
    module = torch.nn.Linear(6, 4)
    module.weight.data[1] = 0.0
    graph = folded(module, (1, 6))
    samples = [np.random.default_rng(0).normal(size=(30, 6)).astype(np.float32)]
    op = to_integer(graph, quantize(graph, samples, PLAIN), "single").nodes[-1].op
    assert isinstance(op, LinearS8)
    assert not np.any(op.weight[1])
    assert 2**17 <= abs(op.bias[1]) <= 2**18
    target = Target(core="cortex-m4", features=frozenset({"dsp"}))
    assert len(op.implementations(((6,),), (4,), target)) > 1


def test_integerize_floors_outputs_by_the_formula() -> None:
    """q = floor((y - min) / (max - min) * 255 - 128) on what the layer computes."""
    module = torch.nn.Linear(6, 4)
    graph = folded(module, (1, 6))
    samples = [np.random.default_rng(0).normal(size=(300, 6)).astype(np.float32)]
    made = quantize(graph, samples, QuantOptions(method="integerize"))
    integer = to_integer(graph, made, "single")
    source, target = (made.tensors[name] for name in (graph.inputs[0], graph.outputs[0]))
    layer = made.weights[graph.outputs[0]]
    x = np.random.default_rng(1).integers(-128, 128, (300, 6)).astype(np.int8)
    [got] = run(integer, [x])
    real = (x.astype(np.float64) - source.zero_point) * source.scale
    y = real @ (layer.ints * layer.scales[:, None]).T + layer.bias + 0.5 * target.scale
    low = target.scale * (-128 - target.zero_point)
    high = target.scale * (127 - target.zero_point)
    steps = (y - low) / (high - low) * 255 - 128
    clear = np.abs(steps - np.round(steps)) > 0.01  # the bias is rounded to accumulator steps
    assert clear.mean() > 0.95
    np.testing.assert_array_equal(got[clear], np.clip(np.floor(steps), -128, 127)[clear])


def test_estimated_scales_have_the_least_error_of_all_shares() -> None:
    w = np.random.default_rng(2).standard_t(2, (4, 200)).astype(np.float32)
    largest = weight_scales(w, NONE, PLAIN, bits=4)
    found = mse_scales(w, largest, NONE, PLAIN, bits=4)

    def errors(scales: NDArray[np.float64]) -> NDArray[np.float64]:
        made = round_weights(w, np.zeros(4, np.float32), scales, bits=4)
        squares: NDArray[np.float64] = (made.ints * scales[:, None] - w) ** 2
        sums: NDArray[np.float64] = squares.sum(axis=1)
        return sums

    for share in (1.0, 0.9, 0.75, 0.6):
        assert np.all(errors(found) <= errors(share * largest) + 1e-9)
    assert errors(found).sum() < 0.8 * errors(largest).sum()


@pytest.mark.parametrize("method", ["integerize", "estimate", "mean_rounding"])
def test_per_tensor_scales_are_one(method: str) -> None:
    graph, samples = graph_and_samples()
    made = quantize(graph, samples, QuantOptions(method=method, per_tensor=True))
    for layer in made.weights.values():
        assert len(np.unique(layer.scales)) == 1
    apart = quantize(graph, samples, QuantOptions(method=method))
    assert all(len(np.unique(layer.scales)) > 1 for layer in apart.weights.values())


def test_power_of_two_scales_are_powers_of_two_everywhere() -> None:
    graph, samples = graph_and_samples()
    made = quantize(graph, samples, QuantOptions(power_of_two=True, symmetric=True))
    scales = [q.scale for q in made.tensors.values()]
    scales += [float(s) for layer in made.weights.values() for s in layer.scales]
    assert {np.frexp(scale)[0] for scale in scales} == {0.5}
    assert {q.zero_point for q in made.tensors.values()} == {0}
    assert output_sqnr(graph, made, samples) > 15.0


def test_no_mean_error_is_left_after_correction() -> None:
    """On the data itself, and as far as the means are sure."""
    graph, samples = graph_and_samples(200)
    samples = [np.abs(x) for x in samples]
    plain = quantize(graph, samples, QuantOptions(bias_correction=False, per_tensor=True))
    fixed = correct_biases(graph, samples, plain)
    name = graph.layers[0].name

    def mean_errors(made: Quantization) -> NDArray[np.float64]:
        op = graph.by_name[name].op
        assert isinstance(op, Op)
        x = torch.from_numpy(few(samples, 256)[0])
        rounded = fake_quantize(x, made.tensors[graph.inputs[0]])
        off = op.without_clamp().forward([x]) - with_quantized_weights(
            op.without_clamp(), made.weights[name]
        ).forward([rounded])
        means: NDArray[np.float64] = np.abs(off.double().mean(dim=(0, 1, 2)).numpy())
        return means

    assert mean_errors(fixed).max() < 0.3 * mean_errors(plain).max()


def test_a_mean_that_is_all_chance_is_hardly_corrected() -> None:
    """The same data once as it is and once with every sample's negative, which has no mean."""
    graph, samples = graph_and_samples(40)
    plain = quantize(graph, samples, QuantOptions(bias_correction=False))
    name = graph.layers[0].name

    def change(x: NDArray[np.float32]) -> float:
        fixed = correct_biases(graph, [x], plain)
        return float(np.abs(fixed.weights[name].bias - plain.weights[name].bias).mean())

    steady = np.repeat(samples[0][:1], 40, axis=0)
    assert change(np.concatenate([steady, -steady])) < 0.1 * change(steady)


def test_methods_rank_as_they_should() -> None:
    graph, samples = graph_and_samples()
    results = {
        method: output_sqnr(graph, quantize(graph, samples, QuantOptions(method=method)), samples)
        for method in ("integerize", "estimate", "mean_rounding")
    }
    assert results["mean_rounding"] > results["integerize"] + 3.0
    assert results["estimate"] > results["integerize"] + 3.0


def test_quantization_is_deterministic_and_complete() -> None:
    graph, samples = graph_and_samples()
    one, other = (quantize(graph, samples, QuantOptions()) for _ in range(2))
    assert one.tensors == other.tensors
    assert set(one.tensors) == {node.name for node in graph.nodes}
    for name, layer in one.weights.items():
        np.testing.assert_array_equal(layer.ints, other.weights[name].ints)
        np.testing.assert_array_equal(layer.bias, other.weights[name].bias)


def test_softmax_keeps_its_own_quantization() -> None:
    module = torch.nn.Sequential(torch.nn.Linear(6, 4), torch.nn.Softmax(1))
    graph = folded(module, (1, 6))
    samples = [np.random.default_rng(0).normal(size=(30, 6)).astype(np.float32)]
    for options in (QuantOptions(symmetric=True), QuantOptions(ranges="output")):
        made = quantize(graph, samples, options)
        assert made.tensors[graph.outputs[0]] == QParams(scale=1 / 256, zero_point=-128)
