# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import numpy as np
import torch

from mcugen.ir.graph import QParams
from mcugen.ops import (
    Clip,
    Concat,
    Conv,
    FakeQuantize,
    MaxPool,
    Pad,
    Reshape,
    Sigmoid,
    Transpose,
    Window,
)
from mcugen.passes import fuse_clamp, hoist_rounding, merge_padding
from tests.unit.passes.moves import chain, check_untouched, graph_of, kinds, ran

SHAPE = (4, 4, 2)
COARSE = FakeQuantize(qparams=QParams(scale=0.25, zero_point=3))
FINE = FakeQuantize(qparams=QParams(scale=0.03125, zero_point=-20))
POSITIVE = FakeQuantize(qparams=QParams(scale=0.03125, zero_point=-128))
POOL = MaxPool(window=Window(kernel=(2, 2), stride=(2, 2)))


def conv() -> Conv:
    weight = torch.randn(3, 3, 3, 2, generator=torch.Generator().manual_seed(0)).numpy()
    return Conv(weight=weight, bias=np.zeros(3, np.float32), window=Window(kernel=(3, 3)))


def test_a_rounding_goes_before_what_moves_and_selects() -> None:
    moves = (POOL, Transpose(order=(2, 0, 1)), Reshape(shape=(8,)))
    after = ran(hoist_rounding.run, chain(SHAPE, *moves, COARSE))
    assert kinds(after) == ["fake_quantize", "max_pool", "transpose", "reshape"]


def test_roundings_on_one_grid_are_one() -> None:
    graph = chain(SHAPE, COARSE, POOL, COARSE, Reshape(shape=(8,)), COARSE)
    assert kinds(ran(hoist_rounding.run, graph)) == ["fake_quantize", "max_pool", "reshape"]


def test_roundings_on_two_grids_stay_two() -> None:
    after = ran(hoist_rounding.run, chain(SHAPE, FINE, POOL, COARSE))
    assert kinds(after) == ["fake_quantize", "fake_quantize", "max_pool"]


def test_every_operand_of_a_concatenation_is_rounded() -> None:
    lines = [
        ("left", Clip(high=0.5), ("x",)),
        ("right", Sigmoid(), ("x",)),
        ("both", Concat(axis=2), ("left", "right")),
        ("rounded", COARSE, ("both",)),
    ]
    after = ran(hoist_rounding.run, graph_of(SHAPE, lines, ["rounded"]))
    assert kinds(after) == ["clip", "sigmoid", "fake_quantize", "fake_quantize", "concat"]


def test_a_move_with_another_reader_keeps_its_place() -> None:
    lines = [("pool", POOL, ("x",)), ("rounded", COARSE, ("pool",)), ("s", Sigmoid(), ("pool",))]
    check_untouched(hoist_rounding.run, graph_of(SHAPE, lines, ["rounded", "s"]))


def test_an_activation_between_equal_roundings_reaches_its_layer() -> None:
    after = ran(hoist_rounding.run, chain(SHAPE, conv(), POSITIVE, Clip(low=0.0), POSITIVE))
    assert kinds(after) == ["conv", "clip", "fake_quantize"]
    assert kinds(ran(fuse_clamp.run, after)) == ["conv", "fake_quantize"]


def test_limits_off_the_grid_round_to_it_either_way() -> None:
    clip = Clip(low=-0.4, high=0.6)
    after = ran(hoist_rounding.run, chain(SHAPE, COARSE, clip, COARSE))
    assert kinds(after) == ["clip", "fake_quantize"]


def test_an_activation_between_two_scales_stays_a_layer() -> None:
    check_untouched(hoist_rounding.run, chain(SHAPE, conv(), FINE, Clip(low=0.0), COARSE))


def test_padding_still_reaches_its_convolution() -> None:
    padding = Pad(margins=((1, 1), (1, 1), (0, 0)))
    after = ran(hoist_rounding.run, chain(SHAPE, padding, COARSE, conv()))
    assert kinds(ran(merge_padding.run, after, exactly=False)) == ["fake_quantize", "conv"]
