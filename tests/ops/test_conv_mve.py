# SPDX-License-Identifier: Apache-2.0
"""The convolution for the M-profile Vector Extension: bits, tails, overlap; its C fallback here."""

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
from tests.ops.mve_ops import MVE, Image, VectorConv, dense


@st.composite
def cases(draw: st.DrawFn) -> tuple[VectorConv, Image, Image]:
    """Small images with tails everywhere, whole windows in the padding included."""
    size = st.integers(1, 5)
    kernel, dilation = (draw(size), draw(size)), (draw(st.integers(1, 2)), 1)
    window = Window(
        kernel=kernel,
        stride=(draw(st.integers(1, 3)), draw(st.integers(1, 3))),
        dilation=dilation,
        pads=tuple(draw(st.integers(0, k + 1)) for k in (*kernel, *kernel)),  # type: ignore[arg-type]
    )
    in_ch, out_ch = draw(st.integers(1, 35)), draw(st.integers(1, 19))
    span_h = (kernel[0] - 1) * dilation[0] + 1
    h, w = draw(st.integers(span_h, span_h + 6)), draw(st.integers(kernel[1], 13))
    clamp = draw(st.sampled_from([(-128, 127), (-5, 90)]))
    op = dense(np.random.default_rng(draw(st.integers(0, 99))), (in_ch, out_ch), window, clamp)
    return op, (h, w, in_ch), (*window.output_size((h, w)), out_ch)


@pytest.mark.slow
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(cases())
def test_any_convolution(case: tuple[VectorConv, Image, Image]) -> None:
    op, source, output = case
    check_op(op, (source,), output, target=MVE, minimum=20)


@pytest.mark.parametrize("bias", ["rows", "columns", "everywhere"])
def test_biases_that_depend_on_the_place(bias: str) -> None:
    rng = np.random.default_rng(0)
    op = dense(rng, (5, 6), Window(kernel=(1, 1)))
    shape = {"rows": (4, 1, 6), "columns": (1, 7, 6), "everywhere": (4, 7, 6)}[bias]
    field = np.broadcast_to(rng.integers(-3000, 3000, shape), (4, 7, 6))
    check_op(replace(op, bias=field), ((4, 7, 5),), (4, 7, 6), target=MVE, minimum=20)


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
    op = dense(np.random.default_rng(0), (4, 4), Window(kernel=(1, 2)))
    assert replace(op, **change).implementations(((3, 5, 4),), (3, 4, 4), MVE) == ()


def test_a_1x1_layer_of_as_many_channels_stays_in_place() -> None:
    op = dense(np.random.default_rng(0), (16, 16), Window(kernel=(1, 1)))
    (kernel,) = op.implementations(((5, 7, 16),), (5, 7, 16), MVE)
    assert kernel.overlaps[0].distance == 0


def test_a_3x3_layer_keeps_a_row_and_what_its_windows_reach_back() -> None:
    op = dense(np.random.default_rng(0), (16, 16), Window(kernel=(3, 3), pads=(1, 1, 1, 1)))
    (kernel,) = op.implementations(((9, 7, 16),), (9, 7, 16), MVE)
    # rows 0 to y are written when row y is needed again for the next one
    assert kernel.overlaps[0].distance == 7 * 16
