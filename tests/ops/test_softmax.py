# SPDX-License-Identifier: Apache-2.0
"""Softmax and its logarithm: C == reference, and the reference within its stated error."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import nn

from mcugen.errors import ModelError, UnsupportedOpError
from mcugen.fixed_point import IntArray
from mcugen.ir.graph import QParams, Shape
from mcugen.ops import LogSoftmax, Softmax
from mcugen.ops.base import Lowering, Operand
from mcugen.ops.softmax import LogSoftmaxS8, RowFunction, SoftmaxS8, exp_bits, exp_table
from tests.ops.harness import check_forward, check_module, check_op, export

LENGTHS = [1, 2, 3, 10, 33, 100, 1001]
SCALES = [0.003, 0.05, 0.3, 2.0]


def rows(n: int) -> IntArray:
    """Extremes and random rows of several spreads, int64 [N, n]."""
    rng = np.random.default_rng(n)
    ends = np.array([np.full(n, v) for v in (-128, 0, 127)])
    hot = np.full((2, n), -128)
    hot[0, 0] = hot[1, -1] = 127
    wide = rng.integers(-128, 128, (100, n))
    narrow = rng.integers(-20, 21, (100, n))
    return np.concatenate([ends, hot, wide, narrow]).astype(np.int64)


def log_probabilities(x: IntArray, scale: float) -> NDArray[np.float64]:
    return torch.from_numpy(x * scale).log_softmax(-1).numpy()


@pytest.mark.parametrize("scale", SCALES)
@pytest.mark.parametrize("n", LENGTHS)
def test_softmax_stays_within_its_error(n: int, scale: float) -> None:
    op = SoftmaxS8(exp=exp_table(scale, exp_bits(n)))
    exact = 256.0 * np.exp(log_probabilities(rows(n), scale)) - 128.0
    got = op.reference([rows(n)])
    error = np.abs(got - np.minimum(exact, 127.0)).max()
    assert error <= 0.5 + 1.0 / 64.0 + n * n / 2.0**23


def log_softmax(n: int, scale: float, target: QParams) -> LogSoftmaxS8:
    operand = Operand(shape=(n,), qparams=QParams(scale=scale, zero_point=0))
    output = Operand(shape=(n,), qparams=target)
    ctx = Lowering(inputs=(operand,), output=output, requant="single", where="here")
    made = LogSoftmax().lower(ctx)
    assert isinstance(made, LogSoftmaxS8)
    return made


@pytest.mark.parametrize("scale", SCALES)
@pytest.mark.parametrize("n", LENGTHS)
@pytest.mark.parametrize("out_scale", [0.01, 0.1, 1.0])
def test_log_softmax_stays_within_its_error(n: int, scale: float, out_scale: float) -> None:
    target = QParams(scale=out_scale, zero_point=127)
    exact = log_probabilities(rows(n), scale) / out_scale + 127.0
    got = log_softmax(n, scale, target).reference([rows(n)])
    error = np.abs(got - np.clip(exact, -128.0, 127.0)).max()
    # 16-bit mantissas, rounded exponentials, and the rounded factor of a distance up to 255
    assert error <= 0.5 + (2.0**-13 + n * n / 2.0**31) / out_scale + 2.0**-8


@pytest.mark.parametrize("shape", [(1,), (2,), (10,), (3, 5), (2, 4, 7), (700,)])
@pytest.mark.parametrize("scale", [0.01, 0.9])
def test_kernels(shape: Shape, scale: float) -> None:
    n = shape[-1]
    check_op(SoftmaxS8(exp=exp_table(scale, exp_bits(n))), [shape], shape)
    check_op(log_softmax(n, scale, QParams(scale=0.05, zero_point=100)), [shape], shape)


def test_the_longest_row_stays_within_uint32() -> None:
    n = 2**16
    op = SoftmaxS8(exp=exp_table(0.1, exp_bits(n)))
    assert int(op.exp[0]) * n == 2**31
    check_op(op, [(n,)], (n,), minimum=1)
    check_op(log_softmax(n, 0.1, QParams(scale=0.1, zero_point=127)), [(n,)], (n,), minimum=1)


@pytest.mark.parametrize("op", [Softmax(), LogSoftmax()], ids=["softmax", "log_softmax"])
def test_longer_rows_are_refused(op: RowFunction) -> None:
    with pytest.raises(ValueError, match="rows of 1 to 65536 values"):
        op.infer([(2**16 + 1,)])


def test_a_hopeless_output_range_is_refused() -> None:
    with pytest.raises(ModelError, match="output range is too narrow"):
        log_softmax(10, 1.0, QParams(scale=1e-9, zero_point=0))


@pytest.mark.parametrize("dim", [1, 2, 3, -1])
@pytest.mark.parametrize("kind", [nn.Softmax, nn.LogSoftmax])
def test_every_axis_of_an_image(kind: type[nn.Module], dim: int) -> None:
    check_forward(kind(dim), (1, 4, 3, 5))
    check_module(kind(dim), (1, 4, 3, 5))


@pytest.mark.parametrize("kind", [nn.Softmax, nn.LogSoftmax])
def test_behind_a_layer(kind: type[nn.Module]) -> None:
    graph = check_module(nn.Sequential(nn.Linear(20, 10), kind(1)), (1, 20)).graph
    qparams = graph.by_name[graph.outputs[0]].qparams
    assert qparams is not None
    if kind is nn.Softmax:
        assert qparams == QParams(scale=1.0 / 256.0, zero_point=-128)
    else:
        assert qparams.zero_point == 127


def test_the_batch_axis_is_refused() -> None:
    with pytest.raises(UnsupportedOpError, match="the batch axis can only be passed through"):
        export(nn.Softmax(0), (1, 10))
