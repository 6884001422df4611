# SPDX-License-Identifier: Apache-2.0
"""The depthwise kernel for the M-profile Vector Extension; its C fallback runs here."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mcugen.fixed_point import requantize_for
from mcugen.ops.window import Window
from tests.ops.harness import check_op
from tests.ops.mve_ops import MVE, Image, VectorConv, depthwise


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


@pytest.mark.slow
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


def test_the_output_lies_upon_the_input() -> None:
    op = depthwise(np.random.default_rng(0), 33, Window(kernel=(3, 3), pads=(1, 1, 1, 1)))
    (kernel,) = op.implementations(((9, 5, 33),), (9, 5, 33), MVE)
    assert kernel.overlaps[0].distance == 0
