# SPDX-License-Identifier: Apache-2.0
"""Kernels for the M-profile Vector Extension: fully connected and element by element.

What has no packed tables falls back to the portable kernel here; the simulated core tests the rest.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from mcugen.fixed_point import Affine, requantize_for
from mcugen.ir.graph import Shape
from mcugen.ops.add import AddS8
from mcugen.ops.base import IntOp
from mcugen.ops.linear import LinearS8
from mcugen.ops.max_pool import MaxPoolS8
from mcugen.ops.mean import MeanS8
from mcugen.ops.tabulate import TableS8
from mcugen.ops.window import AxisWindows
from tests.ops.harness import check_op
from tests.ops.mve_ops import MVE


def variants(op: IntOp, shapes: Sequence[Shape], output: Shape) -> list[str]:
    return [kernel.variant for kernel in op.implementations(shapes, output, MVE)][1:]


def linear(in_ch: int, out_ch: int, clamp: tuple[int, int] = (-128, 127)) -> LinearS8:
    rng = np.random.default_rng(in_ch + out_ch)
    scales = rng.uniform(0.5, 2.0, out_ch) / (80.0 * np.sqrt(in_ch))
    return LinearS8(
        weight=rng.choice([-127, -1, 0, 1, 127], size=(out_ch, in_ch)).astype(np.int8),
        bias=rng.integers(-3000, 3000, out_ch),
        requantize=requantize_for(scales, 7, *clamp, "single"),
    )


@pytest.mark.parametrize(("in_ch", "out_ch"), [(64, 12), (33, 21), (16, 40), (47, 9), (128, 17)])
def test_one_row(in_ch: int, out_ch: int) -> None:
    op = linear(in_ch, out_ch)
    assert variants(op, ((in_ch,),), (out_ch,)) == ["mve_4x1"]
    check_op(op, ((in_ch,),), (out_ch,), target=MVE)


@pytest.mark.parametrize("rows", [2, 3, 7])
def test_rows_are_pixels(rows: int) -> None:
    op = linear(37, 18, (-20, 100))
    assert variants(op, ((rows, 37),), (rows, 18)) == ["mve_2x3"]
    check_op(op, ((rows, 37),), (rows, 18), target=MVE)


def test_sum() -> None:
    factors = np.array([[70000], [-50000]])
    affine = Affine(
        factors=factors, bias=np.array([1234567]), shift=np.array([17]), low=-100, high=127
    )
    op = AddS8(affine=affine)
    assert variants(op, ((5, 7, 3), (5, 7, 3)), (5, 7, 3)) == ["mve"]
    assert variants(op, ((5, 7, 3), (3,)), (5, 7, 3)) == []
    check_op(op, ((5, 7, 3), (5, 7, 3)), (5, 7, 3), target=MVE)


def test_others() -> None:
    rng = np.random.default_rng(0)
    table = TableS8(table=rng.integers(-128, 128, 256).astype(np.int8))
    assert variants(table, ((7, 9),), (7, 9)) == ["mve"]
    check_op(table, ((7, 9),), (7, 9), target=MVE)
    rows = AxisWindows(in_len=7, out_len=3, step=2, span=3)
    pool = MaxPoolS8(rows=rows, cols=rows)
    assert variants(pool, ((7, 7, 5),), (3, 3, 5)) == ["mve"]
    check_op(pool, ((7, 7, 5),), (3, 3, 5), target=MVE)
    for scale in (0.9, 1 / 49):
        requantize = requantize_for(np.array([scale]), 3, -128, 127, "single")
        mean = MeanS8(first=0, last=2, bias=49, requantize=requantize)
        assert variants(mean, ((7, 7, 5),), (5,)) == ["mve"]
        check_op(mean, ((7, 7, 5),), (5,), target=MVE)
