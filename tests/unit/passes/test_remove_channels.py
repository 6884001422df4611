# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from typing import cast

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from mcugen.ir.graph import Graph
from mcugen.ir.interp import run
from mcugen.ops.conv import ConvS8
from mcugen.passes import remove_channels
from mcugen.pipeline import Compilation, CompileOptions, compile_graph, cost_of
from mcugen.verify.inputs import verification_inputs
from tests.ops.harness import check_c, export


class Separable(nn.Module):
    """Padded convolutions between which some channels die or become constant."""

    def __init__(self, seed: int, channels: int, stride: int) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(seed)
        self.first = nn.Conv2d(3, channels, 3, padding=1)
        self.depthwise = nn.Conv2d(channels, channels, 3, stride, 1, groups=channels)
        self.pointwise = nn.Conv2d(channels, 5, 1)
        for layer in (self.first, self.depthwise, self.pointwise):
            assert layer.bias is not None
            layer.weight.data.normal_(0, 0.5, generator=generator)
            layer.bias.data.normal_(0, 0.5, generator=generator)
            kind = torch.randint(0, 4, (layer.out_channels,), generator=generator)
            layer.weight.data[kind == 0] = 0  # constant, of either sign: alive or cut by the ReLU
            layer.bias.data[kind == 1] -= 50  # dead behind the ReLU, whatever the input
        self.pointwise.weight.data[:, ::3] = 0  # nobody reads every third channel

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = torch.relu(self.first(x))
        x = torch.relu(self.depthwise(x))
        return cast("torch.Tensor", self.pointwise(x))


def compile_both(
    module: nn.Module, size: int, skip: frozenset[str] = frozenset()
) -> tuple[Compilation, Compilation]:
    """With and without the pass; `skip` are left out in both."""
    channels = next(module.parameters()).shape[1]
    graph = export(module, (1, channels, size, size))
    x = np.random.default_rng(0).normal(size=(8, size, size, channels)).astype(np.float32)
    with_pass = CompileOptions(skip_passes=skip)
    without = CompileOptions(skip_passes=skip | {"remove_channels"})
    return compile_graph(graph, [x], with_pass), compile_graph(graph, [x], without)


def check_same_outputs(cut: Compilation, whole: Compilation) -> None:
    """Every bit, for random and extreme inputs."""
    inputs = verification_inputs(whole.graph, minimum=30)
    for got, want in zip(run(cut.graph, inputs), run(whole.graph, inputs), strict=True):
        np.testing.assert_array_equal(got, want)


@pytest.mark.slow
@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10**6), st.integers(2, 9), st.integers(1, 2), st.integers(3, 7))
def test_no_output_bit_changes(seed: int, channels: int, stride: int, size: int) -> None:
    cut, whole = compile_both(Separable(seed, channels, stride), size)
    check_same_outputs(cut, whole)


def test_the_c_of_a_cut_network_equals_its_reference_at_the_borders() -> None:
    cut, whole = compile_both(Separable(seed=5, channels=12, stride=1), size=6)
    assert cost_of(cut.graph).macs < cost_of(whole.graph).macs
    fields = [n.op for n in cut.graph.nodes if getattr(n.op, "bias", np.zeros(1)).ndim == 3]
    assert fields, "a constant channel under padding must give a bias that depends on the place"
    check_c(cut, verification_inputs(cut.graph))


def test_constant_channels_go_and_live_ones_stay() -> None:
    torch.manual_seed(0)
    first, second = nn.Conv2d(2, 6, 3, padding=1), nn.Conv2d(6, 4, 3, padding=1)
    first.weight.data[1:3] = 0
    first.bias.data[1:3] = torch.tensor([0.7, -0.7])  # type: ignore[union-attr]
    cut, whole = compile_both(nn.Sequential(first, nn.ReLU(), second), size=5)
    assert _channels(whole.graph) == [6, 4]
    assert _channels(cut.graph) == [4, 4]


@pytest.mark.parametrize(("padding", "kept"), [(1, 5), (0, 4)])
def test_mostly_zero_layers_keep_one_bias_for_all_places(padding: int, kept: int) -> None:
    """Kernels that skip zeros have no other: what is constant, but not as the padding, stays."""
    torch.manual_seed(0)
    first, second = nn.Conv2d(2, 6, 3, padding=1), nn.Conv2d(6, 4, 3, padding=padding)
    first.weight.data[1:3] = 0
    first.bias.data[1:3] = torch.tensor([0.7, -0.7])  # type: ignore[union-attr]
    second.weight.data *= torch.arange(216).reshape(4, 6, 3, 3) % 7 < 3
    cut, whole = compile_both(nn.Sequential(first, nn.ReLU(), second), size=5)
    assert _channels(cut.graph) == [kept, 4]
    last = cut.graph.layers[-1].op
    assert isinstance(last, ConvS8)
    assert last.bias.ndim == 1
    check_same_outputs(cut, whole)


@pytest.mark.parametrize(("ins", "outs"), [(4, 1), (2, 2), (1, 1)])
def test_blocks_of_weights_stay_blocks(ins: int, outs: int) -> None:
    """What goes are whole blocks, so that the others are where the kernels look for them."""
    torch.manual_seed(0)
    first, second = nn.Conv2d(2, 16, 1), nn.Conv2d(16, 16, 1)
    assert first.bias is not None
    dead = [1, 4, 5, 6, 7, 14, 15]
    first.weight.data[dead] = 0
    first.bias.data[dead] = -1.0
    kept = (torch.arange(16 // outs)[:, None] + torch.arange(16 // ins)) % 3 == 0
    mask = kept.repeat_interleave(outs, 0).repeat_interleave(ins, 1)
    second.weight.data *= mask[:, :, None, None]
    cut, whole = compile_both(nn.Sequential(first, nn.ReLU(), second), size=4)
    check_same_outputs(cut, whole)
    gone = {4: 4, 2: 6, 1: 7}[ins]
    assert _channels(cut.graph) == [16 - gone, 16]


def _channels(graph: Graph) -> list[int]:
    return [node.shape[-1] for node in graph.layers if node.op.kind == "conv"]


def test_outputs_and_inputs_keep_every_channel() -> None:
    layer = nn.Conv2d(3, 4, 1)
    layer.weight.data.zero_()
    cut, _ = compile_both(layer, size=4)
    assert [cut.graph.by_name[n].shape for n in cut.graph.outputs] == [(4, 4, 4)]
    assert [cut.graph.by_name[n].shape for n in cut.graph.inputs] == [(4, 4, 3)]


def test_a_network_without_anything_to_remove_stays_as_it_is() -> None:
    torch.manual_seed(0)
    cut, whole = compile_both(nn.Sequential(nn.Conv2d(3, 4, 3), nn.Conv2d(4, 2, 3)), size=6)
    assert cost_of(cut.graph) == cost_of(whole.graph)
    assert remove_channels.run(cut.graph).nodes == cut.graph.nodes


def test_an_operator_that_cannot_be_cut_keeps_its_operands_channels() -> None:
    torch.manual_seed(0)
    conv = nn.Conv2d(3, 4, 1)
    conv.weight.data[1] = 0
    module = nn.Sequential(conv, nn.Flatten(), nn.Linear(64, 2))
    cut, whole = compile_both(module, 4, skip=frozenset({"fold_transpose"}))
    assert "transpose" in {node.op.kind for node in cut.graph.nodes}
    check_same_outputs(cut, whole)


def test_more_than_256_classes_of_biases_are_kept_apart_in_c() -> None:
    torch.manual_seed(0)
    first, second = nn.Conv2d(2, 3, 1), nn.Conv2d(3, 2, (301, 1), padding=(150, 0))
    first.weight.data[0] = 0
    module = nn.Sequential(first, second)
    graph = export(module, (1, 2, 320, 2))
    x = np.random.default_rng(0).normal(size=(4, 320, 2, 2)).astype(np.float32)
    compiled = compile_graph(graph, [x], CompileOptions())
    bias = compiled.graph.layers[-1].op.bias  # type: ignore[union-attr]
    assert len(np.unique(bias, axis=0)) > 256
    check_c(compiled, verification_inputs(compiled.graph, minimum=20))


class WithPicture(nn.Module):
    """A constant picture as further channels of a layer's input."""

    picture: torch.Tensor

    def __init__(self, size: int) -> None:
        super().__init__()
        self.first, self.second = nn.Conv2d(3, 3, 1), nn.Conv2d(5, 4, 3, padding=1)
        self.register_buffer("picture", torch.randn(1, 2, size, size))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return cast("torch.Tensor", self.second(torch.cat([self.first(x), self.picture], 1)))


def test_a_constant_picture_does_not_become_a_bias_for_each_pixel() -> None:
    torch.manual_seed(0)
    cut, whole = compile_both(WithPicture(size=32), size=32)
    assert cost_of(cut.graph) == cost_of(whole.graph)
