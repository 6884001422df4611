# SPDX-License-Identifier: Apache-2.0
"""Concatenation and stacking along every axis."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from mcugen.errors import ModelError
from mcugen.frontend.export import InputLayout
from mcugen.ir.graph import Shape
from mcugen.ops import Concat
from tests.ops.harness import check_forward, check_module, export
from tests.ops.movers import Apply, Function, check_mover, check_removal, conv, kinds

TABLE: list[tuple[int, tuple[Shape, ...]]] = [
    (0, ((3,), (1,), (5,))),
    (0, ((2, 3), (1, 3))),
    (1, ((2, 3), (2, 4))),
    (0, ((1, 4, 5), (2, 4, 5), (3, 4, 5), (1, 4, 5))),
    (1, ((3, 1, 5), (3, 2, 5))),
    (2, ((3, 4, 1), (3, 4, 2), (3, 4, 7))),
    (1, ((2, 1, 3, 4), (2, 5, 3, 4))),
    (0, ((4, 4, 2),)),
]

FUNCTIONS: dict[str, Function] = {
    "channels": lambda x: torch.cat([x, x.relu()], 1),
    "rows": lambda x: torch.cat([x.relu(), x, x.sigmoid()], 2),
    "columns": lambda x: torch.cat([x, x.relu()], -1),
    "the same twice": lambda x: torch.cat([x, x], 1),
    "one alone": lambda x: torch.cat([x], 1).relu(),
    "stacked in front": lambda x: torch.stack([x, x.relu()], 1),
    "stacked behind": lambda x: torch.stack([x, x.relu(), x], -1),
    "layouts that differ": lambda x: torch.cat([x, x.transpose(1, 3).relu().transpose(1, 3)], 1),
    "a constant": lambda x: torch.cat([x, torch.full((1, 1, 4, 5), 0.5), x], 1),
    "vectors": lambda x: torch.cat([x.flatten(1), x.relu().flatten(1)], 1),
}


@pytest.mark.parametrize(("axis", "shapes"), TABLE)
def test_every_value_goes_where_torch_puts_it(axis: int, shapes: tuple[Shape, ...]) -> None:
    check_mover(Concat(axis=axis), *shapes)


@pytest.mark.parametrize("layout", ["nhwc", "nchw"])
@pytest.mark.parametrize("name", FUNCTIONS)
def test_it_means_what_torch_means(name: str, layout: InputLayout) -> None:
    check_forward(Apply(FUNCTIONS[name]), (1, 3, 4, 5), layout=layout)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_c_equals_the_reference(name: str) -> None:
    check_module(Apply(FUNCTIONS[name]), (1, 3, 4, 5), tolerance=0.005)


def test_two_inputs() -> None:
    check_module(Apply(lambda x, y: torch.cat([x, y], 1)), (1, 3, 4, 5), (1, 2, 4, 5))


def test_operands_of_one_range_are_not_rescaled() -> None:
    module = Branches([], [])
    assert kinds(check_module(module, (1, 2, 6, 6))) == ["conv", "conv", "concat", "conv"]


def test_an_operand_of_a_narrow_range_keeps_its_own_steps() -> None:
    module = Apply(lambda x: torch.cat([torch.sigmoid(x), 40 * x], 1))
    compiled = check_module(module, (1, 3, 4, 5), tolerance=0.005)
    assert len({node.qparams for node in compiled.graph.nodes}) > 2


def test_the_batch_axis_is_an_error() -> None:
    with pytest.raises(ModelError, match="the batch axis can only be passed through"):
        export(Apply(lambda x: torch.cat([x, x], 0)), (1, 3, 4, 5))


def test_operands_that_differ_elsewhere_are_an_error() -> None:
    with pytest.raises(ValueError, match="differ in other axes than 1"):
        Concat(axis=1).infer([(2, 3), (3, 3)])


class Branches(nn.Module):
    """Two convolutions side by side, `dead` channels in each, and one that reads both."""

    def __init__(self, dead_left: list[int], dead_right: list[int], dim: int = 1) -> None:
        super().__init__()
        self.left, self.right = conv(2, 4, 3, dead_left), conv(2, 4, 3, dead_right)
        self.tail = conv(8 if dim == 1 else 4, 3, 3, padding=1)
        self.dim = dim

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        both = torch.cat([self.left(x), self.right(x)], self.dim)
        y: torch.Tensor = self.tail(both)
        return y


def test_dead_channels_go_from_each_operand() -> None:
    cut = check_removal(Branches([0, 2], [3]), (1, 2, 6, 6))
    [joined] = [node for node in cut.graph.layers if node.op.kind == "concat"]
    assert joined.shape == (4, 4, 5)


def test_along_rows_only_channels_that_are_dead_in_both_go() -> None:
    cut = check_removal(Branches([0, 1], [1, 2], dim=2), (1, 2, 6, 6))
    [joined] = [node for node in cut.graph.layers if node.op.kind == "concat"]
    assert joined.shape == (8, 4, 3)


def test_the_same_operand_twice_loses_its_dead_channels_in_both_places() -> None:
    class Twice(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.head, self.tail = conv(2, 4, 3, dead=[1]), conv(8, 2, 1)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            y = self.head(x)
            z: torch.Tensor = self.tail(torch.cat([y, y], 1))
            return z

    cut = check_removal(Twice(), (1, 2, 5, 5))
    [joined] = [node for node in cut.graph.layers if node.op.kind == "concat"]
    assert joined.shape == (3, 3, 6)
