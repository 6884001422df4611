# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from typing import cast

import numpy as np
import pytest
import torch
from torch import nn

from mcugen.ir.check import check
from mcugen.ir.graph import Graph
from mcugen.ops.base import NO_CLAMP
from mcugen.passes import fold_batchnorm
from mcugen.train.forward import forward
from tests.ops.harness import export


def with_statistics(module: nn.Module, seed: int = 0) -> nn.Module:
    """Batch norms as after training."""
    torch.manual_seed(seed)
    for layer in module.modules():
        if isinstance(layer, nn.modules.batchnorm._BatchNorm):
            assert layer.running_mean is not None and layer.running_var is not None
            layer.running_mean.normal_()
            layer.running_var.uniform_(0.3, 3.0)
            nn.init.normal_(layer.weight)
            nn.init.normal_(layer.bias)
    return module


def fold(module: nn.Module, *shapes: tuple[int, ...]) -> tuple[Graph, Graph]:
    """Before and after, with the same float function."""
    before = export(with_statistics(module), *shapes)
    after = check(fold_batchnorm.run(before), "float", "fold_batchnorm")
    inputs = [torch.randn(9, *before.by_name[name].shape) for name in before.inputs]
    for wanted, got in zip(forward(before, inputs), forward(after, inputs), strict=True):
        spread = float(np.ptp(wanted.detach().numpy()))
        assert float((wanted - got).abs().max()) <= 1e-5 * spread
    return before, after


def kinds(graph: Graph) -> list[str]:
    return [node.op.kind for node in graph.layers]


class Chain(nn.Module):
    """Several scales and shifts behind one another, before and behind weights."""

    def __init__(self) -> None:
        super().__init__()
        self.before = nn.BatchNorm2d(4)
        self.conv = nn.Conv2d(4, 6, 3, groups=2)
        self.norm = nn.BatchNorm2d(6)
        self.gain = nn.Parameter(torch.rand(6, 1, 1))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = self.norm(self.conv(self.before(x * 0.7 - 0.1))) * self.gain
        return cast("torch.Tensor", self.norm(3.0 - y / 2.0))


def test_chains_fold_to_nothing() -> None:
    before, after = fold(Chain(), (1, 4, 6, 6))
    assert kinds(before).count("scale_shift") == 8
    assert kinds(after) == ["conv"]


def test_producer_keeps_its_name_and_outputs_follow() -> None:
    before, after = fold(nn.Sequential(nn.Linear(4, 6), nn.BatchNorm1d(6)), (1, 4))
    assert after.outputs == (before.layers[0].name,)
    assert after.by_name[after.outputs[0]].origin == before.layers[0].origin


class ReadTwice(nn.Module):
    def __init__(self, padding: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(3, 4, 1)
        self.norm = nn.BatchNorm2d(4)
        self.second = nn.Conv2d(4, 5, 3, padding=padding)
        self.third = nn.Conv2d(4, 5, 3, padding=padding)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = self.first(x).relu()
        z = self.norm(y)
        return self.second(z) - self.third(z) + self.second(y)  # type: ignore[no-any-return]


def test_every_reader_takes_the_scale_and_shift() -> None:
    _, after = fold(ReadTwice(0), (1, 3, 6, 6))
    assert "scale_shift" not in kinds(after)


def test_padding_pins_a_shift() -> None:
    _, after = fold(ReadTwice(1), (1, 3, 6, 6))
    assert kinds(after).count("scale_shift") == 1


def test_padding_lets_a_scale_pass() -> None:
    class Scaled(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.gain = nn.Parameter(torch.rand(3, 1, 1))
            self.conv = nn.Conv2d(3, 4, 3, padding=1)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return cast("torch.Tensor", self.conv(x * self.gain))

    _, after = fold(Scaled(), (1, 3, 6, 6))
    assert kinds(after) == ["conv"]


class Tapped(nn.Module):
    """The convolution's own result, or the norm's, is needed elsewhere too."""

    def __init__(self, tap: str) -> None:
        super().__init__()
        self.tap = tap
        self.conv = nn.Conv2d(3, 4, 1)
        self.norm = nn.BatchNorm2d(4)
        self.last = nn.Conv2d(4, 2, 1)

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        y = self.conv(x)
        z = self.norm(y.relu() if self.tap == "norm" else y)
        return self.last(z), z if self.tap == "norm" else y


@pytest.mark.parametrize("tap", ["conv", "norm"])
def test_graph_outputs_keep_their_values(tap: str) -> None:
    _, after = fold(Tapped(tap), (1, 3, 5, 5))
    assert len(after.outputs) == 2
    assert kinds(after).count("scale_shift") == (tap == "norm")


def test_shared_weights_fold_into_each_use() -> None:
    shared = nn.Conv2d(3, 3, 1)
    module = nn.Sequential(shared, nn.BatchNorm2d(3), nn.ReLU(), shared, nn.BatchNorm2d(3))
    before, after = fold(module, (1, 3, 5, 5))
    assert kinds(after) == ["conv", "clip", "conv"]
    first, _, second = after.layers
    assert not np.array_equal(first.op.weight, second.op.weight)  # type: ignore[union-attr]
    assert all(
        np.array_equal(node.op.weight, shared.weight.detach().numpy().transpose(0, 2, 3, 1))  # type: ignore[union-attr]
        for node in before.layers
        if node.op.kind == "conv"
    )


def test_a_clamp_in_between_stays_where_it_is() -> None:
    class Clamped(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv = nn.Conv2d(3, 4, 1)
            self.norm = nn.BatchNorm2d(4)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return cast("torch.Tensor", self.norm(self.conv(x).relu()))

    _, after = fold(Clamped(), (1, 3, 5, 5))
    assert kinds(after) == ["conv", "clip", "scale_shift"]


def test_clamped_weights_do_not_absorb() -> None:
    graph = export(nn.Conv2d(3, 4, 1), (1, 3, 5, 5))
    [conv] = [node.op for node in graph.layers]
    one = np.ones(1, np.float32)
    assert conv.absorb_scale_shift(one, one) is not None  # type: ignore[union-attr]
    clamped = conv.with_clamp(type(NO_CLAMP)(low=0.0))  # type: ignore[union-attr]
    assert clamped is not None
    assert clamped.absorb_scale_shift(one, one) is None
