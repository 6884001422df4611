# SPDX-License-Identifier: Apache-2.0
"""PReLU: one slope, a slope for each channel, slopes of any sign."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from mcugen.ir.graph import QParams, Shape
from mcugen.ops import PReLU
from mcugen.ops.base import NO_CLAMP, Clamp, IntOp, Lowering, Operand
from tests.ops.harness import check_module, check_op

SLOPES = [0.25, -0.5, 1.75, 0.0, 1.0]


def lowered(shape: Shape, clamp: Clamp = NO_CLAMP, zero_point: int = -9) -> IntOp:
    op = PReLU(slope=np.array(SLOPES, np.float32), clamp=clamp)
    ctx = Lowering(
        inputs=(Operand(shape=shape, qparams=QParams(scale=0.04, zero_point=zero_point)),),
        output=Operand(shape=shape, qparams=QParams(scale=0.03, zero_point=5)),
        requant="single",
        where="test",
    )
    return op.lower(ctx)


@pytest.mark.parametrize("shape", [(5,), (7, 5), (3, 4, 5)])
@pytest.mark.parametrize("zero_point", [-128, -9, 127])
def test_kernel_equals_reference(shape: Shape, zero_point: int) -> None:
    check_op(lowered(shape, Clamp(low=-2.0), zero_point), [shape], shape)


def test_ties_round_up_in_both_worlds() -> None:
    one = Operand(shape=(2,), qparams=QParams(scale=1.0, zero_point=0))
    op = PReLU(slope=np.array([0.5, -0.5], np.float32))
    made = op.lower(Lowering(inputs=(one,), output=one, requant="single", where="test"))
    x = np.repeat(np.array([-3, -1, 1])[:, None], 2, axis=1)
    assert made.reference((x,)).tolist() == [[-1, 2], [0, 1], [1, 1]]
    check_op(made, [(2,)], (2,))


def test_table_serves_one_slope() -> None:
    compiled = check_module(nn.PReLU(init=0.3), (1, 4, 3, 3))
    assert [node.op.kind for node in compiled.graph.layers] == ["table"]


@pytest.mark.parametrize("shape", [(1, 5, 4, 3), (1, 5, 7), (1, 5)], ids=str)
@pytest.mark.parametrize("layout", ["nhwc", "nchw"])
def test_slope_of_each_channel(shape: Shape, layout: str) -> None:
    module = nn.PReLU(5)
    module.weight = nn.Parameter(torch.tensor(SLOPES))
    check_module(module, shape, layout=layout)  # type: ignore[arg-type]


def test_clamp_fuses() -> None:
    module = nn.Sequential(nn.Conv2d(3, 5, 3), nn.PReLU(5), nn.Hardtanh(-0.5, 0.5))
    compiled = check_module(module, (1, 3, 6, 6))
    assert [node.op.kind for node in compiled.graph.layers] == ["conv", "prelu"]


@pytest.mark.parametrize("ends", [(-128, 127), (-40, -10), (-20, -9), (-9, 30), (12, 90), (-9, -9)])
def test_bounds_are_reached(ends: tuple[int, int]) -> None:
    op = lowered((5,))
    values = op.reference((np.repeat(np.arange(ends[0], ends[1] + 1)[:, None], 5, axis=1),))
    low, high = op.bounds([(np.full(5, ends[0]), np.full(5, ends[1]))], (5,))
    assert np.array_equal(low, values.min(axis=0))
    assert np.array_equal(high, values.max(axis=0))
