# SPDX-License-Identifier: Apache-2.0
"""The depthwise kernel for the M-profile Vector Extension; its C fallback runs here."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mcugen.fixed_point import requantize_for
from mcugen.ir.graph import Shape
from mcugen.ops.base import Kernel, Target
from mcugen.ops.conv import ConvS8
from mcugen.ops.window import Window
from tests.ops.harness import check_op

MVE = Target(core="cortex-m55", features=frozenset({"mve"}))
Image = tuple[int, int, int]


class VectorConv(ConvS8):
    """A convolution that must be computed by the vector kernel, however small it is."""

    __slots__ = ()

    def implementations(
        self, inputs: Sequence[Shape], output: Shape, target: Target
    ) -> tuple[Kernel, ...]:
        """None but the vector kernels."""
        found = super().implementations(inputs, output, target)
        return tuple(kernel for kernel in found if kernel.variant.startswith("mve"))


def depthwise(rng: np.random.Generator, ch: int, window: Window) -> VectorConv:
    """A depthwise convolution with extreme weights, whose outputs spread over int8."""
    scales = rng.uniform(0.5, 2.0, ch) / (80.0 * np.sqrt(np.prod(window.kernel)))
    return VectorConv(
        weight=rng.choice([-127, -1, 0, 1, 127], size=(ch, *window.kernel, 1)).astype(np.int8),
        bias=rng.integers(-3000, 3000, ch),
        requantize=requantize_for(scales, -5, -128, 127, "single"),
        window=window,
        groups=ch,
        pad_value=-7,
    )


@st.composite
def cases(draw: st.DrawFn) -> tuple[VectorConv, Image, Image]:
    """Small images with tails everywhere, some of them wider than a strip."""
    kernel = (draw(st.integers(1, 4)), draw(st.integers(1, 4)))
    stride = draw(st.sampled_from([(1, 1), (1, 1), (2, 2), (1, 3), (3, 1)]))
    pads = tuple(draw(st.integers(0, k)) for k in (*kernel, *kernel))
    window = Window(kernel=kernel, stride=stride, pads=pads)  # type: ignore[arg-type]
    h, w = draw(st.integers(kernel[0], 9)), draw(st.integers(kernel[1], 40))
    ch = draw(st.sampled_from([2, 3, 8, 15, 16, 17, 33]))
    op = depthwise(np.random.default_rng(draw(st.integers(0, 99))), ch, window)
    return op, (h, w, ch), (*window.output_size((h, w)), ch)


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(cases())
def test_any_depthwise_convolution(case: tuple[VectorConv, Image, Image]) -> None:
    op, source, output = case
    check_op(op, (source,), output, target=MVE, minimum=20)


def test_sequences() -> None:
    op = depthwise(np.random.default_rng(1), 20, Window(kernel=(1, 3), pads=(0, 1, 0, 1)))
    check_op(op, ((50, 20),), (50, 20), target=MVE, minimum=20)


WIDE = np.full(4, 0.6)
TINY = np.full(4, 2.0**-26)


@pytest.mark.parametrize(
    "change",
    [
        {"window": Window(kernel=(1, 2), dilation=(1, 2))},
        {"requantize": requantize_for(np.full(4, 0.01), 0, -128, 127, "double")},
        {"requantize": requantize_for(np.full(4, 0.01), 0, -128, 100, "single")},
        {"requantize": requantize_for(WIDE, 0, -128, 127, "single")},
        {"requantize": requantize_for(TINY, 0, -128, 127, "single")},
        {"bias": np.zeros((3, 4, 4), np.int64)},
    ],
)
def test_what_is_left_to_other_kernels(change: dict[str, Any]) -> None:
    op = depthwise(np.random.default_rng(0), 4, Window(kernel=(1, 2)))
    assert replace(op, **change).implementations(((3, 5, 4),), (3, 4, 4), MVE) == ()
