# SPDX-License-Identifier: Apache-2.0
"""Mean, sum and maximum over whole axes, wherever the layout puts them."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import nn

from mcugen.errors import ModelError, UnsupportedOpError
from mcugen.fixed_point import RequantMode
from mcugen.frontend.export import InputLayout
from mcugen.ir.graph import QParams
from mcugen.ops import Mean, Sum
from mcugen.ops.base import Clamp, Lowering, Operand
from mcugen.ops.mean import MeanS8
from tests.ops.harness import check_forward, check_module, check_op, export

IMAGE = (1, 3, 6, 5)
DIMS = [(1,), (2,), (3,), (2, 3), (-1, -2), (1, 2), (1, 3), (1, 2, 3)]
Reduction = Callable[..., torch.Tensor]
REDUCTIONS: list[Reduction] = [torch.mean, torch.sum, torch.amax]


class Reduce(nn.Module):
    """The reduction over every set of dimensions, with and without keeping them."""

    def __init__(self, reduction: Reduction, dims: list[tuple[int, ...]]) -> None:
        super().__init__()
        self.reduction, self.dims = reduction, dims

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, ...]:
        flags = (False, True)
        return tuple(self.reduction(x, dims, keep) for dims in self.dims for keep in flags)


class Lambda(nn.Module):
    """A function as a module."""

    def __init__(self, function: Callable[[torch.Tensor], torch.Tensor]) -> None:
        super().__init__()
        self.function = function

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.function(x)


@pytest.mark.parametrize("layout", ["nhwc", "nchw"])
@pytest.mark.parametrize("reduction", REDUCTIONS, ids=lambda f: f.__name__)
def test_every_set_of_axes_means_what_torch_means(
    reduction: Reduction, layout: InputLayout
) -> None:
    check_forward(Reduce(reduction, DIMS), IMAGE, layout=layout)


@pytest.mark.slow
@pytest.mark.parametrize("requant", ["single", "double"])
@pytest.mark.parametrize("reduction", REDUCTIONS, ids=lambda f: f.__name__)
def test_images(reduction: Reduction, requant: RequantMode) -> None:
    check_module(Reduce(reduction, [(1,), (2,), (3,), (2, 3), (1, 2, 3)]), IMAGE, requant=requant)


@pytest.mark.parametrize("dims", [(1,), (2,), (1, 2)])
def test_sequences(dims: tuple[int, ...]) -> None:
    check_module(Reduce(torch.mean, [dims]), (1, 7, 12))


@pytest.mark.parametrize(
    "function",
    [
        lambda x: x.mean().reshape(1, 1),
        lambda x: x.sum().reshape(1, 1),
        lambda x: x.max().reshape(1, 1),
        lambda x: x.max(2)[0],
        lambda x: x.max(1, keepdim=True).values,
        lambda x: x.mean((2, 3), dtype=torch.float32),
    ],
)
def test_other_ways_to_write_it(function: Callable[[torch.Tensor], torch.Tensor]) -> None:
    check_module(Lambda(function), IMAGE)


def test_global_average_pooling_is_one_mean_without_a_copy() -> None:
    graph = check_module(nn.AdaptiveAvgPool2d(1), IMAGE).graph
    assert [node.op.kind for node in graph.nodes if node.op.computes] == ["mean"]
    graph = check_module(Reduce(torch.mean, [(2, 3)]), IMAGE, layout="nchw").graph
    assert "transpose" not in {node.op.kind for node in graph.nodes}


def test_the_batch_axis_is_refused() -> None:
    with pytest.raises(UnsupportedOpError, match="the batch axis can only be passed through"):
        export(Lambda(lambda x: x.mean((0, 1))), IMAGE)


def test_integers_are_refused() -> None:
    with pytest.raises(UnsupportedOpError, match=r"dtype torch\.int32 is not supported"):
        export(Lambda(lambda x: x.sum(1, dtype=torch.int32).float()), IMAGE)


def lowered(op: Mean, shape: tuple[int, ...], source: QParams, target: QParams) -> MeanS8:
    output = Operand(shape=op.infer([shape]), qparams=target)
    operand = Operand(shape=shape, qparams=source)
    ctx = Lowering(inputs=(operand,), output=output, requant="single", where="here")
    return op.lower(ctx)


CASES = [
    Mean(first=0, last=1),
    Mean(first=0, last=2),
    Mean(first=1, last=2),
    Mean(first=0, last=3),
    Mean(first=2, last=3, clamp=Clamp(low=0.0, high=1.5)),
    Sum(first=1, last=3),
]


@pytest.mark.parametrize("op", CASES, ids=str)
@pytest.mark.parametrize("zero_point", [-128, 5, 127])
def test_the_integer_mean_is_the_true_one_rounded(op: Mean, zero_point: int) -> None:
    shape = (4, 5, 3)
    source, target = QParams(scale=0.05, zero_point=zero_point), QParams(scale=0.03, zero_point=-9)
    integer = lowered(op, shape, source, target)
    check_op(integer, [shape], op.infer([shape]), source, target)
    x = np.random.default_rng(3).integers(-128, 128, (50, *shape))
    real = op.forward([torch.from_numpy((x - zero_point) * source.scale)]).numpy()
    exact = np.clip(real / target.scale + target.zero_point, -128, 127)
    # a clamp's end is rounded to a step as well, so it may add another half
    slack = 1.0 if op.clamp.high < 10 else 0.5
    assert np.abs(integer.reference([x]) - exact).max() < slack + 1e-4


def test_an_overflow_is_an_error() -> None:
    shape = (2900, 2905, 1)
    q = QParams(scale=1.0, zero_point=0)
    with pytest.raises(ModelError, match="the int32 accumulator could reach 2148247500"):
        lowered(Mean(first=0, last=2), shape, q, q)
