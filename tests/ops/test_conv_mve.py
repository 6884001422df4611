# SPDX-License-Identifier: Apache-2.0
"""The convolution for the M-profile Vector Extension: bits, tails, overlap; its C fallback here."""

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


class VectorConv(ConvS8):
    """A convolution that must be computed by the vector kernel, however small it is."""

    __slots__ = ()

    def implementations(
        self, inputs: Sequence[Shape], output: Shape, target: Target
    ) -> tuple[Kernel, ...]:
        """None but the vector kernels."""
        found = super().implementations(inputs, output, target)
        return tuple(kernel for kernel in found if kernel.variant.startswith("mve"))


def conv(
    rng: np.random.Generator,
    channels: tuple[int, int],
    window: Window,
    clamp: tuple[int, int] = (-128, 127),
) -> ConvS8:
    """A convolution with extreme weights, whose outputs spread over int8."""
    in_ch, out_ch = channels
    kernel_h, kernel_w = window.kernel
    shape = (out_ch, kernel_h, kernel_w, in_ch)
    weight = rng.choice([-127, -1, 0, 1, 127, 64], size=shape).astype(np.int8)
    terms = kernel_h * kernel_w * in_ch
    scales = rng.uniform(0.5, 2.0, out_ch) / (80.0 * np.sqrt(terms))
    return VectorConv(
        weight=weight,
        bias=rng.integers(-3000, 3000, out_ch),
        requantize=requantize_for(scales, -5, *clamp, "single"),
        window=window,
        groups=1,
        pad_value=-7,
    )


@st.composite
def cases(draw: st.DrawFn) -> tuple[ConvS8, tuple[int, int, int], tuple[int, int, int]]:
    """Small images with tails everywhere."""
    size = st.integers(1, 5)
    kernel = (draw(size), draw(size))
    dilation = (draw(st.integers(1, 2)), 1)
    window = Window(
        kernel=kernel,
        stride=(draw(st.integers(1, 3)), draw(st.integers(1, 3))),
        dilation=dilation,
        pads=tuple(draw(st.integers(0, k)) for k in (*kernel, *kernel)),  # type: ignore[arg-type]
    )
    in_ch, out_ch = draw(st.integers(1, 35)), draw(st.integers(1, 19))
    span_h = (kernel[0] - 1) * dilation[0] + 1
    h, w = draw(st.integers(span_h, span_h + 6)), draw(st.integers(kernel[1], 13))
    clamp = draw(st.sampled_from([(-128, 127), (-5, 90)]))
    op = conv(np.random.default_rng(draw(st.integers(0, 99))), (in_ch, out_ch), window, clamp)
    return op, (h, w, in_ch), (*window.output_size((h, w)), out_ch)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(cases())
def test_any_convolution(
    case: tuple[ConvS8, tuple[int, int, int], tuple[int, int, int]],
) -> None:
    op, source, output = case
    check_op(op, (source,), output, target=MVE, minimum=20)


@pytest.mark.parametrize("bias", ["rows", "columns", "everywhere"])
def test_biases_that_depend_on_the_place(bias: str) -> None:
    rng = np.random.default_rng(0)
    op = conv(rng, (5, 6), Window(kernel=(1, 1)))
    shape = {"rows": (4, 1, 6), "columns": (1, 7, 6), "everywhere": (4, 7, 6)}[bias]
    field = np.broadcast_to(rng.integers(-3000, 3000, shape), (4, 7, 6))
    placed = replace(op, bias=field)
    check_op(placed, ((4, 7, 5),), (4, 7, 6), target=MVE, minimum=20)


@pytest.mark.parametrize(
    "change",
    [
        {"groups": 2},
        {"window": Window(kernel=(1, 2), dilation=(1, 2))},
        {"requantize": requantize_for(np.full(4, 0.01), 0, -128, 127, "double")},
        {"requantize": requantize_for(np.full(4, 0.6), 0, -128, 127, "single")},
    ],
)
def test_what_is_left_to_other_kernels(change: dict[str, Any]) -> None:
    op = conv(np.random.default_rng(0), (4, 4), Window(kernel=(1, 2)))
    assert replace(op, **change).implementations(((3, 5, 4),), (3, 4, 4), MVE) == ()
