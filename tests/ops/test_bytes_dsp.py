# SPDX-License-Identifier: Apache-2.0
"""Kernels for the DSP extension that take four values in a word: sums, means, pooling."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest

from mcugen.fixed_point import Affine, requantize_for
from mcugen.ir.graph import Shape
from mcugen.ops.add import AddS8
from mcugen.ops.avg_pool import AvgPoolS8
from mcugen.ops.base import IntOp, Target
from mcugen.ops.max_pool import MaxPoolS8
from mcugen.ops.mean import MeanS8
from mcugen.ops.window import AxisWindows, Pair
from tests.ops.harness import check_op
from tests.ops.on_core import Case, check_on_core, network_of

DSP = Target(core="cortex-m4", features=frozenset({"dsp"}))


def served(op: IntOp, shapes: Sequence[Shape], output: Shape) -> bool:
    """The last implementation is the one for the DSP extension."""
    return op.implementations(shapes, output, DSP)[-1].variant == "dsp"


def check_dsp(op: IntOp, shapes: Sequence[Shape], output: Shape) -> None:
    assert served(op, shapes, output)
    check_op(op, shapes, output, target=DSP, minimum=20)


def weighted_sum(clamp: Pair = (-128, 127)) -> AddS8:
    factors, bias = np.array([[7_000_000], [-5_000_000]]), np.array([123456789])
    low, high = clamp
    affine = Affine(factors=factors, bias=bias, shift=np.array([23]), low=low, high=high)
    return AddS8(affine=affine)


def mean(count: int, last: int = 2, mode_scale: float = 1.0) -> MeanS8:
    scale = np.array([mode_scale / count])
    return MeanS8(
        first=0, last=last, bias=3 * count, requantize=requantize_for(scale, 5, -128, 127, "single")
    )


def windows(length: int, span: int, step: int, pad: int = 0) -> AxisWindows:
    out_len = (length + 2 * pad - span) // step + 1
    return AxisWindows(in_len=length, out_len=out_len, step=step, span=span, pad=pad)


def average(rows: AxisWindows, cols: AxisWindows) -> AvgPoolS8:
    """The divisor depends on how much of the window is within the image."""
    classes = [np.unique(axis.counts(), return_inverse=True) for axis in (rows, cols)]
    sizes = np.outer(classes[0][0], classes[1][0]).ravel()
    return AvgPoolS8(
        rows=rows,
        cols=cols,
        zero_point=-11,
        row_class=classes[0][1],
        col_class=classes[1][1],
        requantize=requantize_for(1.3 / sizes, -3, -100, 127, "single"),
    )


@pytest.mark.parametrize("shape", [(5, 7, 3), (16,), (1,), (2, 3)])
@pytest.mark.parametrize("clamp", [(-128, 127), (-90, 127), (-128, 4)])
def test_sum(shape: Shape, clamp: Pair) -> None:
    check_dsp(weighted_sum(clamp), (shape, shape), shape)


def test_sums_of_unlike_shapes_are_not_served() -> None:
    assert not served(weighted_sum(), ((5, 7, 3), (3,)), (5, 7, 3))


@pytest.mark.parametrize("ch", [4, 5, 7, 8, 19])
@pytest.mark.parametrize("size", [(1, 1), (3, 5), (16, 16), (19, 27), (4, 128)])
def test_mean(size: Pair, ch: int) -> None:
    check_dsp(mean(size[0] * size[1]), ((*size, ch),), (ch,))


def test_mean_of_parts() -> None:
    op = replace(mean(7), first=1, last=2)
    check_dsp(op, ((3, 7, 6),), (3, 6))


def test_means_that_are_not_served() -> None:
    assert not served(mean(9), ((3, 3, 3),), (3,))
    double = replace(mean(9), requantize=requantize_for(np.array([0.1]), 0, -128, 127, "double"))
    assert not served(double, ((3, 3, 8),), (8,))


POOLS = [
    (windows(8, 2, 2), windows(6, 2, 2)),
    (windows(9, 3, 2, pad=1), windows(7, 3, 1, pad=1)),
    (windows(5, 5, 1), windows(11, 4, 3)),
    (windows(1, 1, 1), windows(12, 6, 5, pad=2)),
]


@pytest.mark.parametrize("pool", POOLS)
@pytest.mark.parametrize("ch", [1, 3, 4, 9, 16])
def test_max_pool(pool: tuple[AxisWindows, AxisWindows], ch: int) -> None:
    rows, cols = pool
    output = (rows.out_len, cols.out_len, ch)
    op = MaxPoolS8(rows=rows, cols=cols)
    check_op(op, ((rows.in_len, cols.in_len, ch),), output, target=DSP, minimum=20)


def test_dilated_max_pool() -> None:
    rows = AxisWindows(in_len=9, out_len=5, step=1, span=5, dilation=2)
    check_op(MaxPoolS8(rows=rows, cols=rows), ((9, 9, 6),), (5, 5, 6), target=DSP)


@pytest.mark.parametrize("pool", POOLS)
@pytest.mark.parametrize("ch", [4, 6, 16])
def test_avg_pool(pool: tuple[AxisWindows, AxisWindows], ch: int) -> None:
    rows, cols = pool
    output = (rows.out_len, cols.out_len, ch)
    check_dsp(average(rows, cols), ((rows.in_len, cols.in_len, ch),), output)


def test_pooled_pixels_go_over_what_was_read() -> None:
    """2x2 windows: only the first one is written where it still reads itself."""
    rows, cols = POOLS[0]
    pool = MaxPoolS8(rows=rows, cols=cols)
    for kernel in pool.implementations(((8, 6, 16),), (4, 3, 16), DSP):
        assert [overlap.distance for overlap in kernel.overlaps] == [16]


def target_cases() -> list[Case]:
    cases: list[Case] = [(weighted_sum(), ((5, 7), (5, 7)), (5, 7))]
    for ch in (4, 6, 11):
        cases.append((mean(15), ((3, 5, ch),), (ch,)))
        cases.append((mean(513), ((19, 27, ch),), (ch,)))
        for rows, cols in POOLS:
            source, output = (rows.in_len, cols.in_len, ch), (rows.out_len, cols.out_len, ch)
            cases.append((MaxPoolS8(rows=rows, cols=cols), (source,), output))
            cases.append((average(rows, cols), (source,), output))
    return cases


@pytest.mark.slow
@pytest.mark.parametrize("core", ["cortex-m4", "cortex-m33"])
def test_the_instructions_do_what_the_c_does(core: str) -> None:
    check_on_core(network_of(target_cases()), core, minimum=12)
