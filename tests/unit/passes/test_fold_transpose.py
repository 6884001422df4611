# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from mcugen.frontend.export import InputLayout
from mcugen.ir.graph import Shape
from mcugen.ops import Clip, Linear, Op, Reshape, Transpose
from mcugen.passes.fold_transpose import run
from tests.ops.harness import check_module
from tests.unit.passes.moves import chain, check_untouched, graph_of, kinds, ran

SHAPE = (2, 3, 4)
FLAT = Reshape(shape=(24,))
TURN = Transpose(order=(2, 0, 1))
CLIP = Clip(low=0.0)


def linear(in_ch: int, out_ch: int) -> Linear:
    rng = np.random.default_rng(in_ch)
    weight = rng.normal(size=(out_ch, in_ch)).astype(np.float32)
    return Linear(weight=weight, bias=rng.normal(size=out_ch).astype(np.float32))


FOLDED: list[tuple[Shape, list[Op], list[str]]] = [
    (SHAPE, [TURN, FLAT, linear(24, 5)], ["reshape", "linear"]),
    (SHAPE, [CLIP, TURN, FLAT, linear(24, 5)], ["clip", "reshape", "linear"]),
    (
        SHAPE,
        [Reshape(shape=(6, 4)), Transpose(order=(1, 0)), FLAT, linear(24, 5)],
        ["reshape", "linear"],
    ),
    (
        SHAPE,
        [TURN, Reshape(shape=(8, 3)), Transpose(order=(1, 0)), FLAT, linear(24, 5)],
        ["reshape", "linear"],
    ),
    ((5,), [linear(5, 24), Reshape(shape=SHAPE), TURN], ["linear", "reshape"]),
    ((5,), [linear(5, 24), Reshape(shape=SHAPE), TURN, FLAT], ["linear", "reshape", "reshape"]),
    ((5,), [linear(5, 24), Reshape(shape=SHAPE), TURN, CLIP], ["linear", "reshape", "clip"]),
    (
        (5,),
        [linear(5, 24), Reshape(shape=(6, 4)), Transpose(order=(1, 0)), FLAT, linear(24, 3)],
        ["linear", "reshape", "linear"],
    ),
    (
        SHAPE,
        [TURN, FLAT, linear(24, 24), Reshape(shape=SHAPE), TURN],
        ["reshape", "linear", "reshape"],
    ),
]

KEPT: list[tuple[Shape, list[Op]]] = [
    (SHAPE, [FLAT, linear(24, 5)]),
    (SHAPE, [TURN, FLAT, CLIP]),
    (SHAPE, [TURN, FLAT, CLIP, linear(24, 5)]),
    # rows of the operand share the weights
    (SHAPE, [TURN, linear(3, 5)]),
    (SHAPE, [linear(4, 5), TURN]),
    ((5,), [linear(5, 24), Reshape(shape=SHAPE)]),
]


@pytest.mark.parametrize(("shape", "ops", "left"), FOLDED)
def test_weights_move_instead_of_features(shape: Shape, ops: list[Op], left: list[str]) -> None:
    assert kinds(ran(run, chain(shape, *ops), exactly=False)) == left


@pytest.mark.parametrize(("shape", "ops"), KEPT)
def test_other_graphs_stay_as_they_are(shape: Shape, ops: list[Op]) -> None:
    graph = chain(shape, *ops)
    check_untouched(run, graph)


def test_moves_that_are_read_elsewhere_stay() -> None:
    lines = [
        ("t", TURN, ("x",)),
        ("f", FLAT, ("t",)),
        ("y", linear(24, 5), ("f",)),
        ("z", CLIP, ("t",)),
    ]
    graph = graph_of(SHAPE, lines, ["y", "z"])
    check_untouched(run, graph)


def test_an_output_in_between_stays() -> None:
    lines = [("t", TURN, ("x",)), ("f", FLAT, ("t",)), ("y", linear(24, 5), ("f",))]
    graph = graph_of(SHAPE, lines, ["y", "f"])
    check_untouched(run, graph)


class Autoencoder(nn.Module):
    """An image through a flat layer and back."""

    def __init__(self) -> None:
        super().__init__()
        self.inner, self.outer = nn.Conv2d(2, 3, 3), nn.Conv2d(4, 1, 1)
        self.encode, self.decode = nn.Linear(3 * 4 * 5, 6), nn.Linear(6, 4 * 3 * 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        code = self.encode(self.inner(x).relu().flatten(1))
        y: torch.Tensor = self.outer(self.decode(code).relu().view(1, 4, 3, 3))
        return y


@pytest.mark.parametrize("layout", ["nhwc", "nchw"])
def test_no_byte_moves_between_images_and_flat_layers(layout: InputLayout) -> None:
    compiled = check_module(Autoencoder(), (1, 2, 6, 7), layout=layout)
    kept = [node.op.kind for node in compiled.graph.layers if node.op.kind != "transpose"]
    assert kept == ["conv", "linear", "linear", "conv"]
    assert len(compiled.graph.layers) - len(kept) == (1 if layout == "nchw" else 0)
