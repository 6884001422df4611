# SPDX-License-Identifier: Apache-2.0
"""Every operator with int16 operands, results or both, as the tests of all targets use them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import cache

import numpy as np

from mcugen import ops
from mcugen.emit.view import NetworkView
from mcugen.ir.graph import Graph, QParams, Shape
from mcugen.ir.quantization import WeightQuant
from mcugen.ops.base import Clamp, Lowering, Op, Operand
from mcugen.ops.rescale import rescale
from tests.ops.on_core import Case, network_of, view_of

Widths = tuple[int, int]  # bits of operands and of the result
BOTH, NARROWING, WIDENING = (16, 16), (16, 8), (8, 16)
MIXES = (BOTH, NARROWING, WIDENING)
PARTS = 5
REACH = 6.4  # real range of operands and results


def qparams(bits: int, reach: float = REACH) -> QParams:
    """Over [-reach, reach]."""
    return QParams.int16(reach / 32768) if bits == 16 else QParams(scale=reach / 128, zero_point=-3)


def lowered(op: Op, *shapes: Shape, widths: Widths = BOTH, reach: float = REACH) -> Case:
    """The integer form of a float operator; `reach` is that of the result."""
    operand, result = qparams(widths[0]), qparams(widths[1], reach)
    result = op.fixed_qparams(widths[1]) or (operand if op.keeps_scale else result)
    output = op.infer(shapes)
    ctx = Lowering(
        inputs=tuple(Operand(shape=shape, qparams=operand) for shape in shapes),
        output=Operand(shape=output, qparams=result),
        requant="single",
        where="the test",
        weights=_weights(op),
    )
    made = replace(op.lower(ctx), operand_bits=widths[0], result_bits=widths[1])
    return made, tuple(shapes), output


def _weights(op: Op) -> WeightQuant | None:
    arrays = op.weight_arrays
    if arrays is None:
        return None
    weight, bias = arrays
    bits = 4 if float(np.abs(weight).max()) <= 7.0 else 8
    scales = np.full(len(weight), 0.02)
    return WeightQuant(ints=weight.astype(np.int8), scales=scales, bias=bias, bits=bits)


def conv(
    rng: np.random.Generator,
    shape: tuple[int, ...],
    window: ops.Window,
    groups: int = 1,
    most: int = 127,
) -> ops.Conv:
    """Random integer weights [out_ch, kernel_h, kernel_w, in_ch / groups]."""
    weight = rng.integers(-most, most + 1, shape).astype(np.float32)
    weight.flat[0] = most
    bias = rng.normal(size=shape[0]).astype(np.float32)
    return ops.Conv(weight=weight, bias=bias, window=window, groups=groups)


def layers(seed: int) -> Iterator[Case]:
    """Convolutions and fully connected layers, dense, grouped, depthwise, packed, of long sums."""
    rng = np.random.default_rng(seed)
    same = ops.Window(kernel=(3, 3), pads=(1, 1, 1, 1))
    far = ops.Window(kernel=(2, 3), stride=(2, 1), dilation=(2, 2), pads=(1, 0, 0, 2))
    for widths in MIXES:
        yield lowered(conv(rng, (5, 3, 3, 3), same), (5, 6, 3), widths=widths, reach=90.0)
        yield lowered(conv(rng, (4, 2, 3, 2), far, 2), (7, 7, 4), widths=widths, reach=60.0)
        yield lowered(conv(rng, (5, 3, 3, 1), same, 5), (4, 5, 5), widths=widths, reach=40.0)
        yield lowered(conv(rng, (3, 2, 3, 4), far, 1, 7), (6, 6, 4), widths=widths, reach=5.0)
        for most, in_ch in ((127, 33), (7, 13)):
            weight = rng.integers(-most, most + 1, (6, in_ch)).astype(np.float32)
            weight[0, 0] = most
            bias = rng.normal(size=6).astype(np.float32)
            linear = ops.Linear(weight=weight, bias=bias, clamp=Clamp(low=0.0))
            yield lowered(linear, (2, in_ch), widths=widths, reach=90.0)
    for widths in (BOTH, NARROWING):  # sums that int32 does not hold, if all weights agree
        weight = np.full((3, 1, 1, 700), 127.0, np.float32)
        weight[1] = rng.choice([-127.0, 127.0], (1, 1, 700))
        wide = ops.Conv(
            weight=weight, bias=np.ones(3, np.float32), window=ops.Window(kernel=(1, 1))
        )
        yield lowered(wide, (2, 1, 700), widths=widths, reach=9000.0)
        linear = ops.Linear(weight=weight[:, 0, 0], bias=np.ones(3, np.float32))
        yield lowered(linear, (700,), widths=widths, reach=900.0)
        deep = conv(rng, (2, 24, 23, 1), ops.Window(kernel=(24, 23)), 2)
        deep.weight[:] = 127.0
        yield lowered(deep, (24, 24, 2), widths=widths, reach=9000.0)
        packed = conv(rng, (1, 1, 1, 9500), ops.Window(kernel=(1, 1)), 1, 7)
        packed.weight[:] = 7.0
        yield lowered(packed, (1, 1, 9500), widths=widths, reach=9000.0)
        narrow = ops.Linear(weight=packed.weight[:, 0, 0], bias=packed.bias)
        yield lowered(narrow, (9500,), widths=widths, reach=9000.0)


def by_value(seed: int) -> Iterator[Case]:
    """Sums, products, functions of one value and changes of scale."""
    rng = np.random.default_rng(seed)
    slopes = rng.normal(size=3).astype(np.float32)
    for widths in MIXES:
        yield lowered(ops.Add(factors=(1.0, -2.5)), (3, 4, 3), (1, 3), widths=widths)
        yield lowered(ops.Add(clamp=Clamp(low=0.0)), (4, 3), (4, 3), widths=widths, reach=9.0)
        yield lowered(ops.Mul(), (3, 1, 3), (2, 3), widths=widths, reach=30.0)
        yield lowered(ops.ScaleShift(scale=slopes, shift=slopes), (4, 3), widths=widths)
        yield lowered(ops.ScaleShift(scale=slopes[:1], shift=slopes[:1]), (5,), widths=widths)
        yield lowered(ops.PReLU(slope=slopes), (4, 3), widths=widths)
        functions: Sequence[Op] = (
            *(ops.LeakyReLU(slope=0.1), ops.Abs(), ops.HardSigmoid(), ops.HardSwish()),
            *(ops.Sigmoid(), ops.Tanh(), ops.GELU(), ops.Exp(), ops.Clip(low=-1.0, high=2.0)),
        )
        for function in functions:
            yield lowered(function, (37,), widths=widths)
        yield rescale(qparams(widths[0]), qparams(widths[1], 5.0), (9,)), ((9,),), (9,)


def windows_and_rows(seed: int) -> Iterator[Case]:
    """Pools, means, softmax, and all that moves values."""
    padded = ops.Window(kernel=(3, 2), stride=(2, 1), pads=(1, 1, 1, 0))
    for widths in MIXES:
        yield lowered(ops.AvgPool(window=padded, count_include_pad=False), (5, 5, 3), widths=widths)
        yield lowered(ops.AdaptiveAvgPool(size=(2, 3)), (5, 7, 2), widths=widths)
        yield lowered(ops.Mean(first=0, last=2), (4, 5, 3), widths=widths)
        yield lowered(ops.Sum(first=1, last=2), (3, 20), widths=widths, reach=90.0)
    for shape in ((3, 7), (1, 40), (2, 1)):
        yield lowered(ops.Softmax(), shape)
        yield lowered(ops.LogSoftmax(), shape, reach=14.0)
    yield lowered(ops.MaxPool(window=padded), (5, 6, 5))
    yield lowered(ops.AdaptiveMaxPool(size=(2, 2)), (5, 7, 3))
    yield lowered(ops.Pad(margins=((1, 0), (2, 1), (0, 1)), value=-1.5), (3, 2, 3))
    yield lowered(ops.Concat(axis=1), (2, 3, 2), (2, 1, 2))
    yield lowered(ops.Slice(axis=1, start=1, count=2, step=2), (3, 5, 2))
    yield lowered(ops.Slice(axis=2, start=1, count=2), (3, 5, 4))
    yield lowered(ops.Transpose(order=(1, 0)), (3, 5))
    yield lowered(ops.Transpose(order=(2, 0, 1)), (3, 5, 2))
    yield lowered(ops.Transpose(order=(2, 1, 0)), (3, 5, 2))
    yield lowered(ops.Gather(indices=((2, 1, 0, 0), None, (1, 0))), (3, 2, 2))
    taps = ops.Taps(first=(0, 0, 1, 2), weight=(0.0, 0.7, 0.3, 0.5))
    yield lowered(ops.LinearResize(rows=taps, cols=taps), (3, 3, 2))


@cache
def all_cases() -> tuple[Case, ...]:
    """Of every operator."""
    return (*layers(1), *by_value(2), *windows_and_rows(3))


@cache
def networks() -> tuple[tuple[Graph, NetworkView], ...]:
    """All cases in a few networks, which is quicker than one to plan, and their C for any core."""
    graphs = [network_of(all_cases()[part::PARTS]) for part in range(PARTS)]
    return tuple((graph, view_of(graph)) for graph in graphs)
