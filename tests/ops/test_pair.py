# SPDX-License-Identifier: Apache-2.0
"""Convolutions of two pixels a multiplication: bits, tails, overlap, on the host and on cores."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mcugen.fixed_point import requantize_for
from mcugen.ir.check import check
from mcugen.ir.graph import Graph, Node, Shape
from mcugen.ops.base import InputS8, Kernel, Target
from mcugen.ops.conv import ConvS8
from mcugen.ops.depthwise_pair import columns_apart
from mcugen.ops.window import Window
from tests.ops.harness import DEFAULT_QPARAMS, check_op
from tests.ops.on_core import check_on_core

M0PLUS = Target(core="cortex-m0plus", features=frozenset({"mul32"}))
CORES = ("cortex-m0plus", "cortex-m3", "riscv32imc")


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class PairConv(ConvS8):
    """A convolution that must be computed by one kernel, however small it is."""

    variant: str = "pair"

    def implementations(
        self, inputs: Sequence[Shape], output: Shape, target: Target
    ) -> tuple[Kernel, ...]:
        """The one kernel."""
        found = ConvS8.implementations(self, inputs, output, target)
        return tuple(kernel for kernel in found if kernel.variant == self.variant)


Image = tuple[int, int, int]
Case = tuple[PairConv, Image, Image]


def conv(
    rng: np.random.Generator, weight_shape: Shape, window: Window, variant: str = "pair"
) -> PairConv:
    """A convolution with extreme weights, whose outputs spread over int8."""
    out_ch, terms = weight_shape[0], int(np.prod(weight_shape[1:]))
    scales = rng.uniform(0.5, 2.0, out_ch) / (80.0 * np.sqrt(terms) * rng.integers(1, 9))
    low, high = ((-128, 127), (-5, 90), (-128, -3))[rng.integers(0, 3)]
    depthwise = weight_shape[3] == 1 and out_ch > 1
    return PairConv(
        weight=rng.choice([-127, -1, 0, 1, 127, 64], size=weight_shape).astype(np.int8),
        bias=rng.integers(-3000, 3000, out_ch),
        requantize=requantize_for(scales, -5, low, high, "single"),
        window=window,
        groups=out_ch if depthwise else 1,
        pad_value=int(rng.integers(-128, 128)),
        variant=variant,
    )


def case_of(rng: np.random.Generator, image: Image, weight_shape: Shape, window: Window) -> Case:
    """The operator with the shapes of its operand and output."""
    output = (*window.output_size(image[:2]), weight_shape[0])
    return conv(rng, weight_shape, window), image, output


@st.composite
def windows(draw: st.DrawFn, largest: int, dilation: int) -> tuple[Window, tuple[int, int]]:
    """A window with any padding, and the size of an image that it fits."""
    kernel = (draw(st.integers(1, largest)), draw(st.integers(1, largest)))
    stride = (draw(st.integers(1, 3)), draw(st.integers(1, 3)))
    steps = (draw(st.integers(1, dilation)), draw(st.integers(1, dilation)))
    pads = tuple(draw(st.integers(0, k + 2)) for k in (*kernel, *kernel))
    window = Window(kernel=kernel, stride=stride, dilation=steps, pads=pads)  # type: ignore[arg-type]
    spans = [(k - 1) * d + 1 for k, d in zip(kernel, steps, strict=True)]
    return window, (draw(st.integers(spans[0], spans[0] + 6)), draw(st.integers(spans[1], 14)))


@st.composite
def dense_cases(draw: st.DrawFn) -> Case:
    """Small images with tails everywhere."""
    window, size = draw(windows(4, 2))
    in_ch, out_ch = draw(st.integers(2, 11)), draw(st.integers(1, 7))
    rng = np.random.default_rng(draw(st.integers(0, 99)))
    return case_of(rng, (*size, in_ch), (out_ch, *window.kernel, in_ch), window)


@st.composite
def depthwise_cases(draw: st.DrawFn) -> Case:
    """All that the depthwise kernel applies to."""
    window, size = draw(windows(3, 1))
    ch = draw(st.integers(2, 9))
    rng = np.random.default_rng(draw(st.integers(0, 99)))
    return case_of(rng, (*size, ch), (ch, *window.kernel, 1), window)


@pytest.mark.slow
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(dense_cases())
def test_any_convolution(case: Case) -> None:
    op, source, output = case
    check_op(op, (source,), output, target=M0PLUS, minimum=20)


@pytest.mark.slow
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(depthwise_cases())
def test_any_depthwise_convolution(case: Case) -> None:
    op, source, output = case
    for variant in ("pair", "pair_saving"):
        chosen = replace(op, variant=variant)
        if chosen.implementations((source,), output, M0PLUS):
            check_op(chosen, (source,), output, target=M0PLUS, minimum=20)


def test_a_wide_depthwise_row_is_cut_into_tiles() -> None:
    window = Window(kernel=(3, 3), stride=(2, 2), pads=(0, 0, 1, 1))
    op, source, output = case_of(np.random.default_rng(3), (6, 61, 2), (2, 3, 3, 1), window)
    check_op(op, (source,), output, target=M0PLUS, minimum=20)


@pytest.mark.parametrize(
    ("column", "apart"),
    [
        ((127, 127, 2), False),
        ((127, 127, 3), True),
        ((-127, -127, -1), False),
        ((-127, -127, -2), True),
        ((127, -128, 0), False),
    ],
)
def test_a_column_is_added_up_at_once_where_16_bits_hold_it(
    column: tuple[int, ...], apart: bool
) -> None:
    weight = np.zeros((2, 3, 3, 1), np.int8)
    weight[1, :, 2, 0] = column
    extremes = np.stack(
        [np.where(np.array(column) > 0, a, b) for a, b in ((127, -128), (-128, 127))]
    )
    sums = extremes @ np.array(column)
    assert bool(np.any((sums < -(2**15)) | (sums >= 2**15))) == apart
    assert columns_apart(weight).tolist() == [False, apart]


@pytest.mark.parametrize("bias", ["rows", "columns", "everywhere"])
def test_biases_that_depend_on_the_place(bias: str) -> None:
    rng = np.random.default_rng(0)
    op = conv(rng, (5, 1, 1, 6), Window(kernel=(1, 1)))
    shape = {"rows": (4, 1, 5), "columns": (1, 7, 5), "everywhere": (4, 7, 5)}[bias]
    field = np.broadcast_to(rng.integers(-3000, 3000, shape), (4, 7, 5))
    check_op(replace(op, bias=field), ((4, 7, 6),), (4, 7, 5), target=M0PLUS, minimum=20)


@pytest.mark.parametrize(
    "change",
    [
        {"groups": 2},
        {"bias": np.array([2**29, 0, 0, 0])},
        {"requantize": requantize_for(np.full(4, 0.01), 0, -128, 127, "double")},
        {"requantize": requantize_for(np.full(4, 0.6), 0, -128, 127, "single")},
        {
            "bias": np.full(4, 2**28),
            "requantize": requantize_for(np.full(4, 2.0**-24), 0, -128, 127, "single"),
        },
    ],
)
def test_what_is_left_to_the_portable_kernel(change: dict[str, Any]) -> None:
    op = conv(np.random.default_rng(0), (4, 1, 2, 4), Window(kernel=(1, 2)))
    assert replace(op, **change).implementations(((3, 5, 4),), (3, 4, 4), M0PLUS) == ()


def test_channels_that_round_to_a_constant() -> None:
    op = conv(np.random.default_rng(0), (4, 1, 2, 4), Window(kernel=(1, 2)))
    scales = np.array([2.0**-24, 0.01, 2.0**-40, 0.002])
    faint = replace(op, requantize=requantize_for(scales, 4, -128, 127, "single"))
    check_op(faint, ((3, 5, 4),), (3, 4, 4), target=M0PLUS, minimum=20)


def test_a_constant_channel_of_zero_scale() -> None:
    op = conv(np.random.default_rng(0), (3, 1, 1, 4), Window(kernel=(1, 1)))
    silent = requantize_for(np.array([0.01, 0.0, 0.002]), 4, -128, 127, "single")
    op = replace(op, requantize=silent)
    check_op(op, ((2, 3, 4),), (2, 3, 3), target=M0PLUS, minimum=20)


def side_by_side(seed: int) -> Graph:
    """Convolutions of one picture, an output each: what needs assembly and its tails."""
    rng = np.random.default_rng(seed)
    image = (9, 11, 6)
    cases = [
        case_of(rng, image, (out_ch, *kernel, in_ch), Window(kernel=kernel, stride=stride, pads=p))
        for kernel, stride, p, in_ch, out_ch in (
            ((1, 1), (1, 1), (0, 0, 0, 0), 6, 5),
            ((1, 1), (2, 2), (0, 0, 0, 0), 6, 8),
            ((3, 3), (1, 1), (1, 1, 1, 1), 6, 3),
            ((3, 2), (2, 1), (2, 0, 1, 1), 6, 1),
            ((4, 5), (1, 3), (0, 4, 3, 0), 6, 4),
            ((3, 3), (1, 1), (1, 1, 1, 1), 1, 6),
            ((3, 3), (2, 2), (0, 0, 1, 1), 1, 6),
            ((2, 1), (1, 1), (1, 0, 0, 0), 1, 6),
            ((1, 3), (3, 2), (0, 2, 0, 2), 1, 6),
        )
    ]
    q = DEFAULT_QPARAMS
    op, source, output = cases[5]
    cases.append((replace(op, variant="pair_saving"), source, output))
    largest = np.array([[127, 127, 2], [-127, -127, -1]] * 3, np.int8)[:, :, None, None]
    cases.append((replace(op, weight=np.tile(largest, (1, 1, 3, 1))), source, output))
    names = tuple(f"y{k}" for k in range(len(cases)))
    nodes = [
        Node(name=name, op=op, inputs=("x",), shape=output, qparams=q)
        for name, (op, _, output) in zip(names, cases, strict=True)
    ]
    graph = Graph(
        name="net",
        inputs=("x",),
        outputs=names,
        nodes=(Node(name="x", op=InputS8(), inputs=(), shape=image, qparams=q), *nodes),
        input_layouts=((0, 1, 2),),
        output_layouts=((0, 1, 2),) * len(cases),
    )
    return check(graph, "integer", "the test")


@pytest.mark.slow
@pytest.mark.parametrize("name", CORES)
def test_on_the_simulated_core(name: str) -> None:
    for seed in range(3):
        check_on_core(side_by_side(seed), name)
