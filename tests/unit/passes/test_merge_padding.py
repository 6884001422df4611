# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import numpy as np
import pytest

from mcugen.ir.graph import Shape
from mcugen.ops import AvgPool, Clip, Conv, MaxPool, Op, Pad, Window
from mcugen.ops.pad import Margins
from mcugen.passes.merge_padding import run
from tests.unit.passes.moves import chain, check_untouched, graph_of, kinds, ran

IMAGE = (6, 5, 2)
MARGINS: Margins = ((1, 2), (0, 3), (0, 0))
ZEROS = Pad(margins=MARGINS)
LOWEST = Pad(margins=MARGINS, value=-np.inf)


def window(kernel: tuple[int, int] = (3, 2), **kwargs: tuple[int, ...]) -> Window:
    return Window(kernel=kernel, **kwargs)  # type: ignore[arg-type]


def convolution(of: Window, groups: int = 1) -> Conv:
    rng = np.random.default_rng(1)
    weight = rng.normal(size=(4, *of.kernel, 2 // groups)).astype(np.float32)
    return Conv(weight=weight, bias=np.ones(4, np.float32), window=of, groups=groups)


ABSORBED: list[tuple[Shape, list[Op], tuple[int, ...]]] = [
    (IMAGE, [ZEROS, convolution(window())], (1, 0, 2, 3)),
    (IMAGE, [ZEROS, convolution(window(pads=(1, 1, 0, 1)))], (2, 1, 2, 4)),
    (IMAGE, [ZEROS, convolution(window(stride=(2, 3), dilation=(2, 1)))], (1, 0, 2, 3)),
    (IMAGE, [ZEROS, convolution(window(), groups=2)], (1, 0, 2, 3)),
    (IMAGE, [ZEROS, ZEROS, convolution(window())], (2, 0, 4, 6)),
    (IMAGE, [ZEROS, AvgPool(window=window((4, 4)))], (1, 0, 2, 3)),
    (
        IMAGE,
        [ZEROS, AvgPool(window=window((4, 4)), count_include_pad=False, divisor=3)],
        (1, 0, 2, 3),
    ),
    (IMAGE, [LOWEST, MaxPool(window=window((4, 4), stride=(2, 1)))], (1, 0, 2, 3)),
    ((9, 2), [Pad(margins=((2, 1), (0, 0))), convolution(window((1, 3)))], (0, 2, 0, 1)),
]

KEPT: list[list[Op]] = [
    [Pad(margins=MARGINS, value=1.0), convolution(window())],
    [Pad(margins=((1, 1), (0, 0), (0, 1))), MaxPool(window=window())],
    [ZEROS, MaxPool(window=window())],
    [LOWEST, convolution(window())],
    [ZEROS, AvgPool(window=window(), count_include_pad=False)],
    [LOWEST, AvgPool(window=window())],
    [ZEROS, Clip(low=0.0)],
    # the last column of windows would lie in the padding altogether
    [LOWEST, MaxPool(window=window((2, 2)))],
    [ZEROS],
]


@pytest.mark.parametrize(("shape", "ops", "pads"), ABSORBED)
def test_windows_take_in_the_padding_before_them(
    shape: Shape, ops: list[Op], pads: tuple[int, ...]
) -> None:
    after = ran(run, chain(shape, *ops), exactly=False)
    [node] = [node for node in after.nodes if node.inputs]
    assert node.op.window.pads == pads  # type: ignore[union-attr]
    assert node.inputs == ("x",)


@pytest.mark.parametrize("ops", KEPT)
def test_other_padding_stays(ops: list[Op]) -> None:
    graph = chain(IMAGE, *ops)
    check_untouched(run, graph)


def test_two_readers_take_it_in_together() -> None:
    lines = [
        ("p", ZEROS, ("x",)),
        ("a", convolution(window()), ("p",)),
        ("b", convolution(window((2, 2))), ("p",)),
    ]
    assert kinds(ran(run, graph_of(IMAGE, lines, ["a", "b"]), exactly=False)) == ["conv", "conv"]


def test_padding_that_one_reader_needs_stays_for_both() -> None:
    lines = [("p", ZEROS, ("x",)), ("a", convolution(window()), ("p",)), ("b", Clip(low=0), ("p",))]
    graph = graph_of(IMAGE, lines, ["a", "b"])
    check_untouched(run, graph)


def test_padding_that_is_an_output_stays() -> None:
    lines = [("p", ZEROS, ("x",)), ("a", convolution(window()), ("p",))]
    graph = graph_of(IMAGE, lines, ["a", "p"])
    check_untouched(run, graph)
