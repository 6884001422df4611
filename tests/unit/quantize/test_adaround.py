# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import nn

from mcugen.ops.base import Op
from mcugen.quantize import adaround
from mcugen.quantize.adaround import AdaRoundOptions, learn_rounding
from mcugen.quantize.blocks import blocks
from mcugen.quantize.options import QuantOptions
from mcugen.quantize.quantize import quantize
from tests.unit.quantize.networks import folded, graph_and_samples, output_sqnr

QUICK = AdaRoundOptions(layer_steps=100, block_steps=20)


class Residual(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Conv2d(3, 6, 3, padding=1), nn.Conv2d(6, 6, 3, padding=1)
        self.third, self.last = nn.Conv2d(6, 6, 1), nn.Linear(6, 4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = torch.relu(self.first(x))
        x = torch.relu(x + self.third(torch.relu(self.second(x))))
        scores: torch.Tensor = self.last(x.mean((2, 3)))
        return scores


def test_blocks_are_cut_where_one_tensor_is_live() -> None:
    graph = folded(Residual(), (1, 3, 8, 8))
    found = blocks(graph)
    assert [node.name for block in found for node in block] == [n.name for n in graph.layers]
    layers = [[n.name for n in block if n.op.kind in ("conv", "linear")] for block in found]
    # the branch holds the first tensor live, so it cannot be cut before the addition
    assert [len(names) for names in layers] == [3, 1]


def waves(count: int, seed: int) -> list[NDArray[np.float32]]:
    """Smooth samples, whose neighbours hang together: for noise the nearest is the best."""
    rng = np.random.default_rng(seed)
    steps = np.arange(8) / 8
    lines = np.cos(
        2 * np.pi * (rng.random((count, 3, 2, 1)) + steps * rng.random((count, 3, 2, 1)))
    )
    x = np.einsum("nch,ncw->nhwc", lines[:, :, 0], lines[:, :, 1])
    return [x.astype(np.float32)]


def test_learned_rounding_beats_the_nearest_at_four_bits() -> None:
    """A layer on data that it has not seen, where neighbours hang together."""
    torch.manual_seed(0)
    graph = folded(nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), nn.ReLU()), (1, 3, 8, 8))
    samples, held_out = waves(128, 0), waves(128, 1)
    bits = {node.name: 4 for node in graph.layers}
    nearest = quantize(graph, samples, QuantOptions(bias_correction=False), bits)
    learned = learn_rounding(graph, samples, nearest, replace(QUICK, correct_bias=False))
    gain = [output_sqnr(graph, made, held_out) for made in (nearest, learned)]
    assert gain[1] > gain[0] + 1.5
    for name, layer in learned.weights.items():
        op = graph.by_name[name].op
        assert isinstance(op, Op) and op.weight_arrays is not None
        column = layer.scales.reshape(-1, *(1,) * (layer.ints.ndim - 1))
        steps = np.clip(op.weight_arrays[0] / column, -7, 7)
        assert np.all(np.abs(layer.ints - steps) < 1.0 + 1e-6), "a neighbour of the real weight"
        assert np.abs(layer.ints).max() <= 7


@pytest.mark.slow
def test_the_command_line_name_is_the_method() -> None:
    graph, samples = graph_and_samples(8)
    made = quantize(graph, samples, QuantOptions(method="adaround"))
    plain = quantize(graph, samples, QuantOptions())
    assert made.tensors == plain.tensors
    assert any(np.any(made.weights[n].ints != plain.weights[n].ints) for n in made.weights)
    assert output_sqnr(graph, made, samples) > output_sqnr(graph, plain, samples) - 1.0


def test_the_same_seed_gives_the_same_integers_and_every_step_is_told() -> None:
    graph, samples = graph_and_samples(16)
    made = quantize(graph, samples, QuantOptions())
    quick = AdaRoundOptions(layer_steps=4, block_steps=3)
    told: list[tuple[int, int, str]] = []
    one = learn_rounding(graph, samples, made, quick, lambda *step: told.append(step))
    other = learn_rounding(graph, samples, made, quick)
    for name in one.weights:
        np.testing.assert_array_equal(one.weights[name].ints, other.weights[name].ints)
        np.testing.assert_array_equal(one.weights[name].bias, other.weights[name].bias)
    layers, joint = len(one.weights), sum(len(block) > 1 for block in blocks(graph))
    assert told[-1][:2] == (4 * layers + 3 * joint, 4 * layers + 3 * joint)
    assert [step[0] for step in told] == list(range(1, len(told) + 1))


def test_what_few_samples_teach_wrong_is_not_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(0)
    graph = folded(nn.Sequential(nn.Linear(64, 32), nn.ReLU(), nn.Linear(32, 4)), (1, 64))
    noise = np.random.default_rng(0).normal(size=(508, 64)).astype(np.float32)
    few, others = [noise[:8]], [noise[8:]]
    bits = {node.name: 4 for node in graph.layers}
    nearest = quantize(graph, few, QuantOptions(bias_correction=False), bits)
    options = replace(QUICK, correct_bias=False)
    tested = learn_rounding(graph, few, nearest, options)
    monkeypatch.setattr(adaround, "HELD", 100)
    untested = learn_rounding(graph, few, nearest, options)
    gain = [output_sqnr(graph, made, others) for made in (nearest, tested, untested)]
    assert gain[1] > gain[0] - 0.2
    assert gain[1] > gain[2] + 0.5
