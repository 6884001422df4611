# SPDX-License-Identifier: Apache-2.0
"""The kernels for the M-profile Vector Extension on a simulated Cortex-M55."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import pytest

from mcugen.fixed_point import Affine, requantize_for
from mcugen.ir.graph import Graph, Node, Shape
from mcugen.ops.add import AddS8
from mcugen.ops.avg_pool import AvgPoolS8
from mcugen.ops.base import InputS8, IntOp
from mcugen.ops.linear import LinearS8
from mcugen.ops.max_pool import MaxPoolS8
from mcugen.ops.mean import MeanS8
from mcugen.ops.tabulate import TableS8
from mcugen.ops.window import AxisWindows, Window
from tests.ops.harness import DEFAULT_QPARAMS
from tests.ops.mve_ops import dense, depthwise
from tests.ops.on_core import check_on_core

Case = tuple[IntOp, tuple[Shape, ...], Shape]


def graph_of_all(cases: Sequence[Case]) -> Graph:
    """One network of operators that have nothing to do with each other."""
    inputs, nodes = [], []
    for i, (op, shapes, output) in enumerate(cases):
        names = tuple(f"x{i}_{k}" for k in range(len(shapes)))
        inputs += [
            Node(name=name, op=InputS8(), inputs=(), shape=shape, qparams=DEFAULT_QPARAMS)
            for name, shape in zip(names, shapes, strict=True)
        ]
        nodes.append(Node(name=f"y{i}", op=op, inputs=names, shape=output, qparams=DEFAULT_QPARAMS))
    return Graph(
        name="net",
        inputs=tuple(node.name for node in inputs),
        outputs=tuple(node.name for node in nodes),
        nodes=(*inputs, *nodes),
        input_layouts=tuple(tuple(range(len(node.shape))) for node in inputs),
        output_layouts=tuple(tuple(range(len(node.shape))) for node in nodes),
    )


def _window(rng: np.random.Generator, largest: int) -> Window:
    kernel = (int(rng.integers(1, largest + 1)), int(rng.integers(1, largest + 1)))
    pads = tuple(int(rng.integers(0, k + 1)) for k in (*kernel, *kernel))
    stride = (int(rng.integers(1, 3)), int(rng.integers(1, 3)))
    return Window(kernel=kernel, stride=stride, pads=pads)  # type: ignore[arg-type]


def convolutions(seed: int) -> Iterator[Case]:
    rng = np.random.default_rng(seed)
    fixed = (Window(kernel=(1, 1)), Window(kernel=(3, 3), pads=(1, 1, 1, 1)))
    for k in range(12):
        window = fixed[k] if k < len(fixed) else _window(rng, 5)
        h, w = window.kernel[0] + int(rng.integers(0, 4)), window.kernel[1] + int(rng.integers(9))
        in_ch, out_ch = int(rng.integers(1, 40)), int(rng.integers(1, 20))
        clamp = (-128, 127) if k % 2 else (-5, 90)
        op = dense(rng, (in_ch, out_ch), window, clamp)
        yield op, ((h, w, in_ch),), (*window.output_size((h, w)), out_ch)


def depthwise_convolutions(seed: int) -> Iterator[Case]:
    rng = np.random.default_rng(seed)
    square = Window(kernel=(3, 3), pads=(1, 1, 1, 1))
    for k in range(12):
        window = square if k % 2 else _window(rng, 4)
        h, w = window.kernel[0] + int(rng.integers(0, 4)), window.kernel[1] + int(rng.integers(33))
        ch = int(rng.choice([2, 8, 15, 16, 17, 33]))
        op = depthwise(rng, ch, window)
        yield op, ((h, w, ch),), (*window.output_size((h, w)), ch)


def rows_and_values(seed: int) -> Iterator[Case]:
    rng = np.random.default_rng(seed)
    for in_ch, out_ch in ((64, 12), (33, 21), (16, 40), (47, 9), (7, 3)):
        op = LinearS8(
            weight=rng.choice([-127, -1, 0, 1, 127], size=(out_ch, in_ch)).astype(np.int8),
            bias=rng.integers(-3000, 3000, out_ch),
            requantize=requantize_for(rng.uniform(0.001, 0.003, out_ch), 7, -100, 127, "single"),
        )
        yield op, ((in_ch,),), (out_ch,)
        yield op, ((4, in_ch),), (4, out_ch)
    affine = Affine(
        factors=np.array([[70000], [-50000]]),
        bias=np.array([1234567]),
        shift=np.array([17]),
        low=-100,
        high=127,
    )
    for size in (3, 35, 64):
        yield AddS8(affine=affine), ((size,), (size,)), (size,)
        yield TableS8(table=rng.integers(-128, 128, 256).astype(np.int8)), ((size,),), (size,)


def windows(seed: int) -> Iterator[Case]:
    rows = AxisWindows(in_len=7, out_len=4, step=2, span=3, pad=1)
    cols = AxisWindows(in_len=7, out_len=3, step=2, span=3)
    for ch in (5, 16, 21):
        yield MaxPoolS8(rows=rows, cols=cols), ((7, 7, ch),), (4, 3, ch)
        scales = np.array([0.9, 1 / 6, 1 / 9, 2.0**-5])
        pool = AvgPoolS8(
            rows=rows,
            cols=cols,
            zero_point=-3,
            row_class=np.array([0, 1, 1, 0]),
            col_class=np.array([0, 1, 1]),
            requantize=requantize_for(scales, 3, -128, 127, "single"),
        )
        yield pool, ((7, 7, ch),), (4, 3, ch)
        for scale in (0.9, 1 / 49):
            requantize = requantize_for(np.array([scale]), 3, -128, 120, "single")
            mean = MeanS8(first=0, last=2, bias=49, requantize=requantize)
            yield mean, ((7, 7, ch),), (ch,)


@pytest.mark.slow
@pytest.mark.parametrize("seed", [0, 1])
def test_convolutions(seed: int) -> None:
    check_on_core(graph_of_all([*convolutions(seed)]), "cortex-m55")


@pytest.mark.slow
@pytest.mark.parametrize("seed", [0, 1])
def test_depthwise_convolutions(seed: int) -> None:
    check_on_core(graph_of_all([*depthwise_convolutions(seed)]), "cortex-m55")


@pytest.mark.slow
def test_others() -> None:
    check_on_core(graph_of_all([*rows_and_values(0), *windows(0)]), "cortex-m55")
