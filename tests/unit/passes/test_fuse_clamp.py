# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from typing import cast

import pytest
import torch
from torch import nn

from mcugen.ir.check import check
from mcugen.ir.graph import Graph
from mcugen.passes import fuse_clamp
from mcugen.train.forward import forward
from tests.ops.harness import export


def fuse(module: nn.Module, *shapes: tuple[int, ...]) -> tuple[Graph, Graph]:
    """Before and after, with the same float function to the bit."""
    before = export(module, *shapes)
    after = check(fuse_clamp.run(before), "float", "fuse_clamp")
    torch.manual_seed(0)
    inputs = [torch.randn(9, *before.by_name[name].shape) for name in before.inputs]
    for wanted, got in zip(forward(before, inputs), forward(after, inputs), strict=True):
        assert torch.equal(wanted, got)
    return before, after


def kinds(graph: Graph) -> list[str]:
    return [node.op.kind for node in graph.layers]


@pytest.mark.parametrize(
    "clamp", [nn.ReLU(), nn.ReLU6(), nn.Hardtanh(-0.3, 0.4), nn.ReLU(inplace=True)], ids=str
)
def test_clamps_fuse(clamp: nn.Module) -> None:
    before, after = fuse(nn.Sequential(nn.Conv2d(3, 4, 3), clamp), (1, 3, 6, 6))
    assert kinds(after) == ["conv"]
    assert after.outputs == (before.layers[0].name,)


def test_clamps_in_a_row_become_one() -> None:
    module = nn.Sequential(nn.Linear(4, 5), nn.ReLU(), nn.Hardtanh(-1, 0.5), nn.Hardtanh(0.1, 9))
    _, after = fuse(module, (1, 4))
    assert kinds(after) == ["linear"]


def test_clamps_on_the_input_become_one() -> None:
    _, after = fuse(nn.Sequential(nn.ReLU(), nn.Hardtanh(-1.0, 0.5)), (1, 4))
    assert kinds(after) == ["clip"]


class Forked(nn.Module):
    """The value before the clamp is read again, or is an output."""

    def __init__(self, output: bool) -> None:
        super().__init__()
        self.output = output
        self.conv = nn.Conv2d(3, 4, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor | tuple[torch.Tensor, torch.Tensor]:
        y = self.conv(x)
        clamped = torch.relu(y)
        return (clamped, y) if self.output else clamped * y


@pytest.mark.parametrize("output", [False, True])
def test_other_readers_keep_the_unclamped_value(output: bool) -> None:
    _, after = fuse(Forked(output), (1, 3, 5, 5))
    assert "clip" in kinds(after)


def test_sums_and_products_take_a_clamp() -> None:
    class Both(nn.Module):
        def forward(self, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
            return torch.relu(torch.relu(x + y) * x)

    _, after = fuse(Both(), (1, 3, 5, 5), (1, 3, 5, 5))
    assert kinds(after) == ["add", "mul"]


def test_what_cannot_clamp_stays() -> None:
    _, after = fuse(nn.Sequential(nn.Sigmoid(), nn.Hardtanh(0.2, 0.8)), (1, 3, 5, 5))
    assert kinds(after) == ["sigmoid", "clip"]


def test_shared_layer_fuses_at_one_use_alone() -> None:
    class Shared(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv = nn.Conv2d(3, 3, 1)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return cast("torch.Tensor", self.conv(torch.relu(self.conv(x))))

    _, after = fuse(Shared(), (1, 3, 5, 5))
    assert kinds(after) == ["conv", "conv"]
