# SPDX-License-Identifier: Apache-2.0
"""Another order of axes, and the shuffles that are made of it."""

from __future__ import annotations

from itertools import permutations

import pytest
import torch
from torch import nn
from torch.nn import functional

from mcugen.frontend.export import InputLayout
from mcugen.ir.graph import Shape
from mcugen.ops import Transpose
from tests.ops.harness import check_forward, check_module
from tests.ops.movers import Apply, Function, check_mover, check_removal, conv, kinds, lowered

ORDERS: list[tuple[Shape, tuple[int, ...]]] = [
    ((5,), (0,)),
    ((1, 1), (1, 0)),
    ((3, 7), (1, 0)),
    *(((2, 3, 4), order) for order in permutations(range(3))),
    ((3, 1, 4), (2, 1, 0)),
    ((2, 3, 4, 5), (0, 2, 1, 3)),
    ((2, 3, 4, 5), (3, 2, 1, 0)),
    ((2, 3, 4, 5), (2, 3, 0, 1)),
    ((2, 3, 2, 3, 2), (4, 2, 0, 3, 1)),
    ((2, 3, 2, 3, 2, 3), (5, 3, 1, 4, 2, 0)),
    ((2, 2, 2, 2, 2, 2, 1, 2), (6, 1, 0, 3, 2, 4, 5, 7)),
]

SHUFFLES: dict[str, tuple[Function, int]] = {
    "pixel_shuffle": (lambda x: functional.pixel_shuffle(x, 2), 1),
    "pixel_unshuffle": (lambda x: functional.pixel_unshuffle(x, 2), 1),
    "channel_shuffle": (lambda x: functional.channel_shuffle(x, 4), 1),
    "channel shuffle by hand": (
        lambda x: x.view(1, 4, 2, 4, 6).transpose(1, 2).reshape(1, 8, 4, 6),
        1,
    ),
    "transpose": (lambda x: x.transpose(1, 3), 0),
    "movedim": (lambda x: x.movedim(1, -1).relu(), 0),
    "windows": (lambda x: x.view(1, 8, 2, 2, 3, 2).permute(0, 2, 4, 3, 5, 1).flatten(1, 2), 1),
    "flatten": (lambda x: functional.max_pool2d(x, 2).flatten(1), 1),
    "flatten the images": (lambda x: x.flatten(2), 0),
}


@pytest.mark.parametrize(("shape", "order"), ORDERS)
def test_every_value_goes_where_torch_moves_it(shape: Shape, order: tuple[int, ...]) -> None:
    check_mover(Transpose(order=order), shape)


def test_more_than_six_axes_that_move_are_an_error() -> None:
    with pytest.raises(ValueError, match="more than 6 axes"):
        Transpose(order=(6, 5, 4, 3, 2, 1, 0)).infer([(2,) * 7])


def test_what_is_no_order_is_an_error() -> None:
    with pytest.raises(ValueError, match="no order of the axes"):
        Transpose(order=(0, 0)).infer([(2, 3)])


@pytest.mark.parametrize(
    ("order", "function"),
    [
        ((2, 0, 1), "mcugen_transpose_2d_s8"),
        ((1, 2, 0), "mcugen_transpose_2d_s8"),
        ((1, 0, 2), "mcugen_transpose_s8"),
    ],
)
def test_a_matrix_has_its_own_kernel(order: tuple[int, ...], function: str) -> None:
    op = Transpose(order=order)
    shape = (2, 3, 4)
    [call] = lowered(op, shape).kernels([shape], op.infer([shape]))
    assert call.function == function


@pytest.mark.parametrize("layout", ["nhwc", "nchw"])
@pytest.mark.parametrize("name", SHUFFLES)
def test_shuffles_mean_what_torch_means(name: str, layout: InputLayout) -> None:
    check_forward(Apply(SHUFFLES[name][0]), (1, 8, 4, 6), layout=layout)


@pytest.mark.slow
@pytest.mark.parametrize("name", SHUFFLES)
def test_shuffles_move_the_bytes_once_at_most(name: str) -> None:
    function, moves = SHUFFLES[name]
    compiled = check_module(nn.Sequential(Apply(function)), (1, 8, 4, 6), tolerance=0.004)
    assert kinds(compiled).count("transpose") == moves


def test_channels_go_where_they_stay_last() -> None:
    """Rows and columns change places; channels 1 and 3 are dead."""

    class Turned(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.before, self.after = conv(2, 4, 3, dead=[1, 3]), conv(4, 2, 1)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            y: torch.Tensor = self.after(self.before(x).transpose(2, 3))
            return y

    compiled = check_removal(Turned(), (1, 2, 6, 5))
    [turn] = [node for node in compiled.graph.layers if node.op.kind == "transpose"]
    assert turn.shape == (3, 4, 2)
