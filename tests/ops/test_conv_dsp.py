# SPDX-License-Identifier: Apache-2.0
"""Convolutions and fully connected layers for the DSP extension: bits, tails, overlap."""

from __future__ import annotations

import itertools
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mcugen.boards import load_board
from mcugen.emit.render import render
from mcugen.emit.view import network_view
from mcugen.emit.write import write_files
from mcugen.errors import MissingToolError
from mcugen.fixed_point import requantize_for
from mcugen.ir.graph import Graph, Node, Shape
from mcugen.ops.base import InputS8, IntOp, Kernel, Target
from mcugen.ops.conv import ConvS8
from mcugen.ops.dsp import pack_quads, pair_order
from mcugen.ops.linear import LinearS8
from mcugen.ops.window import Pads, Window
from mcugen.plan.arena import plan_arena
from mcugen.plan.choose import choose_kernels
from mcugen.simulate.program import program_of
from mcugen.verify.compare import compare
from mcugen.verify.inputs import verification_inputs
from mcugen.verify.target import TargetNetwork
from tests.ops.harness import DEFAULT_QPARAMS, check_op

DSP = Target(core="cortex-m4", features=frozenset({"dsp"}))
SPEED = Target(core="cortex-m4", features=frozenset({"dsp"}), optimize="speed")
Case = tuple[IntOp, Shape, Shape]


class DspConv(ConvS8):
    """A convolution that must be computed by the kernel for the DSP extension."""

    __slots__ = ()

    def implementations(
        self, inputs: Sequence[Shape], output: Shape, target: Target
    ) -> tuple[Kernel, ...]:
        """None but those."""
        found = super().implementations(inputs, output, target)
        return tuple(kernel for kernel in found if kernel.variant.startswith("dsp_4"))


class WinogradConv(ConvS8):
    """A convolution that must be computed by minimal filtering."""

    __slots__ = ()

    def implementations(
        self, inputs: Sequence[Shape], output: Shape, target: Target
    ) -> tuple[Kernel, ...]:
        """None but that."""
        found = super().implementations(inputs, output, target)
        return tuple(kernel for kernel in found if kernel.variant == "dsp_winograd")


class DspLinear(LinearS8):
    """A fully connected layer that must be computed by the kernel for the DSP extension."""

    __slots__ = ()

    def implementations(
        self, inputs: Sequence[Shape], output: Shape, target: Target
    ) -> tuple[Kernel, ...]:
        """None but those."""
        found = super().implementations(inputs, output, target)
        return tuple(kernel for kernel in found if kernel.variant.startswith("dsp_4"))


def layer(
    rng: np.random.Generator, shape: tuple[int, ...], clamp: tuple[int, int] = (-128, 127)
) -> dict[str, Any]:
    """Extreme weights, whose outputs spread over int8; one channel that only gives zero."""
    weight = rng.choice([-127, -1, 0, 1, 127, 64], size=shape).astype(np.int8)
    scales = rng.uniform(0.5, 2.0, shape[0]) / (80.0 * np.sqrt(np.prod(shape[1:])))
    scales[rng.integers(shape[0])] *= rng.choice([1.0, 2.0**-24, 0.0])
    return {
        "weight": weight,
        "bias": rng.integers(-3000, 3000, shape[0]),
        "requantize": requantize_for(scales, int(rng.integers(-128, 128)), *clamp, "single"),
    }


def conv(
    seed: int, channels: tuple[int, int], window: Window, clamp: tuple[int, int] = (-128, 127)
) -> ConvS8:
    rng = np.random.default_rng(seed)
    numbers = layer(rng, (channels[1], *window.kernel, channels[0]), clamp)
    return DspConv(**numbers, window=window, groups=1, pad_value=int(rng.integers(-128, 128)))


@st.composite
def convolutions(draw: st.DrawFn) -> Case:
    """Small images with tails everywhere, whole windows in the padding included."""
    size = st.integers(1, 5)
    kernel, dilation = (draw(size), draw(size)), (draw(st.integers(1, 2)), draw(st.integers(1, 2)))
    window = Window(
        kernel=kernel,
        stride=(draw(st.integers(1, 3)), draw(st.integers(1, 3))),
        dilation=dilation,
        pads=tuple(draw(st.integers(0, k + 1)) for k in (*kernel, *kernel)),  # type: ignore[arg-type]
    )
    in_ch, out_ch = draw(st.integers(1, 19)), draw(st.integers(1, 11))
    spans = [(k - 1) * d + 1 for k, d in zip(kernel, dilation, strict=True)]
    h, w = (draw(st.integers(span, span + 5)) for span in spans)
    clamp = draw(st.sampled_from([(-128, 127), (-5, 90)]))
    op = conv(draw(st.integers(0, 99)), (in_ch, out_ch), window, clamp)
    return op, (h, w, in_ch), (*window.output_size((h, w)), out_ch)


@pytest.mark.slow
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(convolutions())
def test_any_convolution(case: Case) -> None:
    op, source, output = case
    check_op(op, (source,), output, target=DSP, minimum=20)


@pytest.mark.slow
@settings(max_examples=10, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.integers(1, 3), st.integers(1, 40), st.integers(1, 11), st.integers(0, 99))
def test_any_linear_layer(rows: int, in_ch: int, out_ch: int, seed: int) -> None:
    op = DspLinear(**layer(np.random.default_rng(seed), (out_ch, in_ch)))
    shapes = [(in_ch,), (out_ch,)] if rows == 1 else [(rows, in_ch), (rows, out_ch)]
    check_op(op, (shapes[0],), shapes[1], target=DSP, minimum=20)


def winograd(seed: int, channels: tuple[int, int], size: tuple[int, int], pads: Pads) -> Case:
    rng = np.random.default_rng(seed)
    numbers = layer(rng, (channels[1], 3, 3, channels[0]), [(-128, 127), (-9, 70)][seed % 2])
    window = Window(kernel=(3, 3), pads=pads)
    op = WinogradConv(**numbers, window=window, groups=1, pad_value=int(rng.integers(-128, 128)))
    return op, (*size, channels[0]), (*window.output_size(size), channels[1])


@pytest.mark.slow
@settings(max_examples=10, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    st.tuples(st.sampled_from([16, 32]), st.sampled_from([4, 12])),
    st.tuples(st.integers(3, 8), st.integers(3, 9)),
    st.tuples(*[st.integers(0, 2)] * 4),
    st.integers(0, 99),
)
def test_any_minimal_filtering(
    channels: tuple[int, int], size: tuple[int, int], pads: Pads, seed: int
) -> None:
    op, source, output = winograd(seed, channels, size, pads)
    check_op(op, (source,), output, target=SPEED, minimum=20)


@pytest.mark.parametrize(
    "change",
    [
        {"window": Window(kernel=(3, 3), stride=(1, 2))},
        {"window": Window(kernel=(3, 3), dilation=(2, 1))},
        {"bias": np.zeros((3, 4, 4), np.int64)},
        {"bias": np.full(4, 2**29)},
    ],
)
def test_what_minimal_filtering_cannot_do(change: dict[str, Any]) -> None:
    op, source, output = winograd(0, (16, 4), (5, 6), (0, 0, 0, 0))
    assert len(op.implementations((source,), output, SPEED)) == 1
    assert replace(op, **change).implementations((source,), output, SPEED) == ()


def test_tiles_go_over_what_was_read() -> None:
    """Without padding, 4x6 pixels to 2x4: one group, so nothing is read after it has written."""
    op, source, output = winograd(0, (16, 4), (4, 6), (0, 0, 0, 0))
    (kernel,) = op.implementations((source,), output, SPEED)
    assert kernel.overlaps[0].distance == 2 * 4 * 4 - 4 * 6 * 16
    op, source, output = winograd(0, (16, 16), (4, 8), (1, 1, 1, 1))
    (kernel,) = op.implementations((source,), output, SPEED)
    # the third group writes up to (3, 4) while the fourth still reads (1, 3) and on
    assert kernel.overlaps[0].distance == ((3 * 8 + 4) - (8 + 3)) * 16


def placed_bias(bias: str) -> ConvS8:
    rng = np.random.default_rng(0)
    op = conv(0, (5, 6), Window(kernel=(1, 1)))
    shape = {"rows": (4, 1, 6), "columns": (1, 7, 6), "everywhere": (4, 7, 6)}[bias]
    return replace(op, bias=np.broadcast_to(rng.integers(-3000, 3000, shape), (4, 7, 6)))


@pytest.mark.parametrize("bias", ["rows", "columns", "everywhere"])
def test_biases_that_depend_on_the_place(bias: str) -> None:
    check_op(placed_bias(bias), ((4, 7, 5),), (4, 7, 6), target=DSP, minimum=20)


@pytest.mark.parametrize(
    "change",
    [
        {"groups": 2},
        {"requantize": requantize_for(np.full(4, 0.01), 0, -128, 127, "double")},
        {"requantize": requantize_for(np.full(4, 0.6), 0, -128, 127, "single")},
        {"bias": np.full(4, 2**23)},
    ],
)
def test_what_is_left_to_other_kernels(change: dict[str, Any]) -> None:
    op = conv(0, (4, 4), Window(kernel=(1, 2)))
    assert len(op.implementations(((3, 5, 4),), (3, 4, 4), DSP)) == 1
    assert replace(op, **change).implementations(((3, 5, 4),), (3, 4, 4), DSP) == ()


def test_every_value_is_in_one_pair() -> None:
    for length in range(1, 20):
        order = pair_order(length, rows=3)
        assert sorted(order[order >= 0]) == list(range(3 * length))
    assert pair_order(7).tolist() == [[0, 2], [1, 3], [4, 6], [5, -1]]
    assert pair_order(6).tolist() == [[0, 2], [1, 3], [4, 5]]


def test_a_word_holds_the_weights_of_two_channels() -> None:
    numbers = layer(np.random.default_rng(0), (4, 2))
    numbers["weight"] = np.array([[-1, 2], [127, -127], [3, 4], [5, 6]], np.int8)
    quads = pack_quads(**numbers, order=pair_order(2))
    assert quads is not None
    halves = quads.packed[0, 4:6].view(np.int16)
    assert halves.tolist() == [256 * 127 - 1, 2 - 256 * 127, 256 * 5 + 3, 256 * 6 + 4]


def tightest_distance(
    op: ConvS8, source: tuple[int, int, int], output: tuple[int, int, int]
) -> int:
    """Tap by tap: least distance at which no pair of pixels overwrites what a later one reads."""
    (h, w, c), (out_h, out_w, out_ch), window = source, output, op.window
    reads: list[list[int]] = []
    for y, x in itertools.product(range(out_h), range(out_w)):
        taps = [
            (y * window.stride[0] - window.pads[0] + i * window.dilation[0],
             x * window.stride[1] - window.pads[1] + j * window.dilation[1])
            for i, j in itertools.product(*map(range, window.kernel))
        ]  # fmt: skip
        reads.append([(i * w + j) * c for i, j in taps if 0 <= i < h and 0 <= j < w])
    steps = (*range(2, len(reads), 2), len(reads))
    firsts = [min((k for later in reads[n:] for k in later), default=h * w * c) for n in steps]
    return int(max(n * out_ch - first for n, first in zip(steps, firsts, strict=True)))


@pytest.mark.parametrize("channels", [(8, 8), (8, 4), (3, 8)])
@pytest.mark.parametrize(
    "window",
    [
        Window(kernel=(1, 1)),
        Window(kernel=(3, 3), pads=(1, 1, 1, 1)),
        Window(kernel=(3, 2), stride=(2, 2), pads=(0, 0, 1, 1)),
        Window(kernel=(1, 1), stride=(2, 1)),
    ],
)
def test_outputs_go_over_what_was_read(channels: tuple[int, int], window: Window) -> None:
    source = (5, 7, channels[0])
    output = (*window.output_size((5, 7)), channels[1])
    op = conv(0, channels, window)
    (kernel,) = op.implementations((source,), output, DSP)
    (overlap,) = kernel.overlaps
    assert overlap.distance == tightest_distance(op, source, output)


def network_of(cases: Sequence[Case]) -> Graph:
    """Independent layers, each with an input and an output of its own."""
    nodes: list[Node] = []
    for k, (op, source, output) in enumerate(cases):
        nodes += [
            Node(name=f"x{k}", op=InputS8(), inputs=(), shape=source, qparams=DEFAULT_QPARAMS),
            Node(name=f"y{k}", op=op, inputs=(f"x{k}",), shape=output, qparams=DEFAULT_QPARAMS),
        ]
    names = [tuple(n.name for n in nodes if n.name.startswith(letter)) for letter in "xy"]
    layouts = [
        tuple(tuple(range(len(n.shape))) for n in part) for part in (nodes[::2], nodes[1::2])
    ]
    return Graph(
        name="net",
        inputs=names[0],
        outputs=names[1],
        nodes=(*nodes[::2], *nodes[1::2]),
        input_layouts=layouts[0],
        output_layouts=layouts[1],
    )


def target_cases() -> list[Case]:
    """Each path of the assembly: rounds of the loop, rests of rows, channels, pixels, borders."""
    cases: list[Case] = []
    for seed, in_ch in enumerate([1, 2, 3, 4, 7, 16, 33, 64, 67]):
        out_ch = 1 + seed % 6
        vector = DspLinear(**layer(np.random.default_rng(seed), (out_ch, in_ch)))
        cases.append((vector, (in_ch,), (out_ch,)))
        pointwise = conv(seed, (in_ch, out_ch), Window(kernel=(1, 1)))
        cases.append((pointwise, (3, 1 + seed % 4, in_ch), (3, 1 + seed % 4, out_ch)))
    for seed, in_ch in enumerate([1, 2, 3, 4, 5]):
        for window in (
            Window(kernel=(3, 3), pads=(1, 1, 1, 1)),
            Window(kernel=(2, 3), stride=(2, 3), dilation=(2, 2), pads=(0, 3, 1, 4)),
            Window(kernel=(4, 1), stride=(1, 2), pads=(5, 0, 0, 0)),
        ):
            op = conv(seed, (in_ch, 3 + seed), window, (-128, 127) if seed else (-9, 70))
            cases.append((op, (5, 6, in_ch), (*window.output_size((5, 6)), 3 + seed)))
    for channels, size in [((16, 4), (5, 7)), ((32, 8), (6, 4)), ((48, 4), (3, 5))]:
        cases.append(winograd(channels[0], channels, size, (1, 1, 1, 1)))
    cases += [(placed_bias(bias), (4, 7, 5), (4, 7, 6)) for bias in ("rows", "everywhere")]
    return cases


@pytest.mark.slow
@pytest.mark.parametrize("core", ["cortex-m4", "cortex-m33"])
def test_the_assembly_does_what_the_c_does(core: str) -> None:
    graph = network_of(target_cases())
    layers = choose_kernels(graph, SPEED)
    plan = plan_arena(graph, {each.node.name: each.kernel for each in layers})
    inputs = verification_inputs(graph, minimum=12)
    with tempfile.TemporaryDirectory() as temporary:
        write_files(Path(temporary), render(network_view(graph, layers, plan, 0, "")))
        program = program_of(Path(temporary), graph)
        try:
            network = TargetNetwork(program, load_board(core).core)
        except MissingToolError as missing:
            pytest.skip(str(missing))
        with network:
            assert compare(graph, network, inputs).inputs == len(inputs[0])
