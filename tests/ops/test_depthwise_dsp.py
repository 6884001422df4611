# SPDX-License-Identifier: Apache-2.0
"""Depthwise convolutions for the DSP extension: bits, strips, chunks of rows, and in place."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mcugen.emit.render import render
from mcugen.emit.view import network_view
from mcugen.emit.write import write_files
from mcugen.fixed_point import requantize_for
from mcugen.ir.graph import Shape
from mcugen.ops.base import Kernel, Target
from mcugen.ops.conv import ConvS8
from mcugen.ops.depthwise_dsp import (
    SCRATCH_BYTES,
    Planes,
    cut_columns,
    fit_planes,
    grid_of,
    in_place,
)
from mcugen.ops.window import Pads, Pair, Window, as_image
from mcugen.plan.arena import Plan
from mcugen.plan.choose import choose_kernels
from mcugen.simulate.program import program_of
from mcugen.verify.compare import compare
from mcugen.verify.host import HostNetwork
from mcugen.verify.inputs import verification_inputs
from tests.ops.harness import check_op, graph_of
from tests.ops.on_core import check_on_core, network_of

DSP = Target(core="cortex-m4", features=frozenset({"dsp"}))
SAME: Pads = (1, 1, 1, 1)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class DspDepthwise(ConvS8):
    """A depthwise convolution that must be computed by the kernel for the DSP extension.

    `rank` says with how much scratch: 0 is the most that is offered.
    """

    rank: int = 0

    def implementations(
        self, inputs: Sequence[Shape], output: Shape, target: Target
    ) -> tuple[Kernel, ...]:
        """None but that."""
        found = ConvS8.implementations(self, inputs, output, target)
        own = [k for k in found if k.variant in ("dsp_3x3", "dsp_planes")]
        return tuple(own[min(self.rank, len(own) - 1) :][:1])


Case = tuple[DspDepthwise, Shape, Shape]


def depthwise(
    seed: int, ch: int, window: Window, clamp: Pair = (-128, 127), shifts: Pair = (36, 44)
) -> DspDepthwise:
    """Extreme weights; the multipliers' shifts spread over `shifts`."""
    rng = np.random.default_rng(seed)
    scales = rng.uniform(0.5, 1.0, ch) * 2.0 ** (31.0 - rng.integers(*shifts, ch, endpoint=True))
    return DspDepthwise(
        weight=rng.choice([-127, -1, 0, 64, 127], (ch, *window.kernel, 1)).astype(np.int8),
        bias=rng.integers(-9000, 9000, ch),
        requantize=requantize_for(scales, int(rng.integers(-128, 128)), *clamp, "single"),
        window=window,
        groups=ch,
        pad_value=int(rng.integers(-128, 128)),
    )


def case(op: DspDepthwise, size: Pair) -> Case:
    ch = len(op.weight)
    return op, (*size, ch), (*op.window.output_size(size), ch)


@st.composite
def layers(draw: st.DrawFn) -> Case:
    """3x3 kernels with a block of their own, half of them, and any others; strides and padding."""
    kernel, stride = (3, 3), draw(st.sampled_from([(1, 1), (2, 2)]))
    if draw(st.booleans()):
        kernel = (draw(st.integers(1, 6)), draw(st.integers(1, 7)))
        stride = (draw(st.integers(1, 4)), draw(st.integers(1, 5)))
    pads = tuple(draw(st.integers(0, k + 1)) for k in (*kernel, *kernel))
    window = Window(kernel=kernel, stride=stride, pads=pads)  # type: ignore[arg-type]
    clamp = draw(st.sampled_from([(-128, 127), (-5, 90)]))
    shifts = draw(st.sampled_from([(36, 44), (35, 46), (20, 62)]))
    op = depthwise(draw(st.integers(0, 99)), draw(st.integers(2, 5)), window, clamp, shifts)
    return case(op, (draw(st.integers(kernel[0], 14)), draw(st.integers(kernel[1], 17))))


@pytest.mark.slow
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(layers(), st.integers(0, 2))
def test_any_layer(layer: Case, rank: int) -> None:
    op, source, output = layer
    check_op(replace(op, rank=rank), (source,), output, target=DSP, minimum=15)


@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("width", range(3, 16))
def test_every_width(width: int, stride: int) -> None:
    window = Window(kernel=(3, 3), stride=(stride, stride), pads=(1, 1, 1, 1))
    op, source, output = case(depthwise(width, 3, window), (5, width * stride))
    (kernel,) = op.implementations((source,), output, DSP)
    assert kernel.variant == "dsp_3x3"
    check_op(op, (source,), output, target=DSP, minimum=10)


def test_sequences() -> None:
    op = depthwise(0, 6, Window(kernel=(1, 5), pads=(0, 2, 0, 2)))
    check_op(op, ((23, 6),), (23, 6), target=DSP, minimum=10)


def test_biases_far_out() -> None:
    """Where a scaled accumulator could leave int32, the general code computes all channels."""
    op = replace(
        depthwise(0, 2, Window(kernel=(3, 3), pads=SAME)), bias=np.array([2**24, -(2**24)])
    )
    (kernel,) = op.implementations(((6, 6, 2),), (6, 6, 2), DSP)
    assert kernel.variant == "dsp_planes"
    check_op(op, ((6, 6, 2),), (6, 6, 2), target=DSP, minimum=10)


@pytest.mark.parametrize(
    "change",
    [
        {"window": Window(kernel=(3, 3), dilation=(1, 2))},
        {"requantize": requantize_for(np.full(2, 0.01), 0, -128, 127, "double")},
        {"bias": np.zeros((3, 3, 2), np.int64)},
    ],
)
def test_what_is_left_to_other_kernels(change: dict[str, Any]) -> None:
    op = replace(depthwise(0, 2, Window(kernel=(3, 3))), **change)
    assert op.implementations(((5, 5, 2),), (3, 3, 2), DSP) == ()


def test_less_scratch_takes_more_chunks() -> None:
    op, source, output = case(depthwise(0, 3, Window(kernel=(3, 3), pads=SAME)), (30, 12))
    offered = [replace(op, rank=rank).implementations((source,), output, DSP) for rank in range(3)]
    kernels = [kernel for (kernel,) in offered]
    assert all(k.scratch_bytes <= most for k, most in zip(kernels, SCRATCH_BYTES, strict=True))
    assert kernels[0].scratch_bytes > kernels[1].scratch_bytes > kernels[2].scratch_bytes
    assert kernels[0].cycles < kernels[1].cycles < kernels[2].cycles


def test_strips_cover_the_columns() -> None:
    for width in range(3, 100):
        strips = cut_columns(width)
        assert strips.columns - strips.spare == width
        assert strips.spare in (0, 1)


def overwritten(layer: Case, planes: Planes, turned: bool) -> bool:
    """Byte by byte: some chunk copies a byte of the channel that an earlier one has overwritten."""
    op, source, output = layer
    grid = grid_of(op.window, as_image(source), as_image(output))
    grid = grid.turn() if turned else grid
    written: set[int] = set()
    top, step, kernel = grid.window.pads[0], grid.window.stride[0], grid.window.kernel[0]
    for y in range(0, grid.out_h, planes.chunk):
        rows = min(planes.chunk, grid.out_h - y)
        kept = max(kernel - step, 0) if y else 0
        for row in range(y * step - top + kept, (y + rows - 1) * step - top + kernel):
            if 0 <= row < grid.in_h:
                read = {row * grid.in_row + x * grid.in_col for x in range(grid.in_w)}
                if read & written:
                    return True
        for row in range(y, y + rows):
            written |= {row * grid.out_row + x * grid.out_col for x in range(grid.out_w)}
    return False


@settings(max_examples=300, deadline=None)
@given(layers(), st.booleans(), st.integers(100, 2000))
def test_in_place_overwrites_nothing_that_is_still_read(
    layer: Case, turned: bool, limit_bytes: int
) -> None:
    op, source, output = layer
    grid = grid_of(op.window, as_image(source), as_image(output))
    grid = grid.turn() if turned else grid
    planes = fit_planes(grid, cut_columns(max(grid.out_w, 3)), True, limit_bytes)
    if in_place(grid, planes):
        assert not overwritten(layer, planes, turned)


@pytest.mark.parametrize("stride", [1, 2])
def test_layers_of_common_networks_run_in_place(stride: int) -> None:
    window = Window(kernel=(3, 3), stride=(stride, stride), pads=(1, 1, 1, 1))
    for size in (3, 7, 12, 24, 48, 96):
        op, source, output = case(depthwise(0, 4, window), (size, size))
        (kernel,) = op.implementations((source,), output, DSP)
        assert [overlap.distance for overlap in kernel.overlaps] == [0]


def check_at_offset(layer: Case, output_below: int) -> None:
    """The layer with its output `output_below` bytes before its input, overlapping it."""
    op, source, output = layer
    graph = graph_of(op, (source,), output)
    (chosen,) = choose_kernels(graph, DSP)
    size = int(np.prod(source)) + output_below
    scratch = -(-size // 16) * 16
    plan = Plan(
        offsets={"x0": output_below, "y": 0, "y.scratch": scratch},
        arena_bytes=scratch + chosen.kernel.scratch_bytes,
        bound_bytes=0,
        peak="y",
    )
    with tempfile.TemporaryDirectory() as temporary:
        write_files(Path(temporary), render(network_view(graph, (chosen,), plan, 0, "")))
        with HostNetwork(program_of(Path(temporary), graph), plan.arena_bytes) as network:
            compare(graph, network, verification_inputs(graph, minimum=8))


@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("below", [0, 4, 40, 1000])
def test_an_output_before_its_input(stride: int, below: int) -> None:
    window = Window(kernel=(3, 3), stride=(stride, stride), pads=(1, 1, 1, 1))
    check_at_offset(case(depthwise(0, 6, window), (30, 30)), below)


def target_cases() -> list[Case]:
    """Each path of the assembly: strips and their rests, ends of rows, chunks, odd channels."""
    cases = []
    for width in (3, 4, 5, 6, 7, 10, 13, 17):
        for stride in (1, 2):
            pads = (1, width % 3, 1, (width + 1) % 3)
            window = Window(kernel=(3, 3), stride=(stride, stride), pads=pads)
            op = depthwise(width, 2 + width % 3, window, shifts=(35, 45))
            cases.append(case(op, (4 + 10 * (width % 2), width)))
    window = Window(kernel=(3, 3), pads=(1, 1, 1, 1))
    for rank in (0, 1):
        op = replace(depthwise(0, 3, window, clamp=(-9, 70)), rank=rank)
        cases.append(case(op, (40, 34)))
    for kernel, steps in [((5, 5), (1, 1)), ((1, 7), (1, 3)), ((10, 4), (2, 2)), ((2, 1), (3, 4))]:
        pads = (kernel[0] - 1, kernel[1] - 1, 0, 1)
        op = depthwise(1, 3, Window(kernel=kernel, stride=steps, pads=pads), shifts=(20, 62))
        cases.append(case(op, (12, 11)))
    return cases


@pytest.mark.slow
@pytest.mark.parametrize("core", ["cortex-m4", "cortex-m33"])
def test_the_assembly_does_what_the_c_does(core: str) -> None:
    check_on_core(
        network_of([(op, (source,), output) for op, source, output in target_cases()]),
        core,
        minimum=12,
    )
