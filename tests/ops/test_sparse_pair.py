# SPDX-License-Identifier: Apache-2.0
"""Convolutions that are mostly zero without the DSP extension: bits, tails, overlap, cost."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mcugen.boards import core_named
from mcugen.emit.render import render
from mcugen.emit.view import network_view
from mcugen.emit.write import write_files
from mcugen.errors import MissingToolError
from mcugen.fixed_point import requantize_for
from mcugen.ops.base import Target
from mcugen.ops.window import Window
from mcugen.plan.arena import plan_arena
from mcugen.plan.choose import choose_kernels
from mcugen.simulate.profile import profile_target
from mcugen.simulate.program import program_of
from tests.ops.harness import check_op
from tests.ops.on_core import Case, check_on_core, network_of
from tests.ops.sparse_ops import MASKS, plain, sparse_conv, sparse_rows

M0PLUS = Target(core="cortex-m0plus", features=frozenset({"mul32"}))
M3 = Target(core="cortex-m3", features=frozenset({"mul32", "mul64", "thumb2"}))
CORES = ("cortex-m0plus", "cortex-m3", "riscv32imc")
SAME = Window(kernel=(3, 3), pads=(1, 1, 1, 1))


@st.composite
def convolutions(draw: st.DrawFn) -> Case:
    """Small images with tails everywhere, steps that one byte cannot hold."""
    size = st.integers(1, 3)
    kernel, dilation, stride = ((draw(size), draw(size)) for _ in range(3))
    pads = tuple(draw(st.integers(0, k + 1)) for k in (*kernel, *kernel))
    window = Window(kernel=kernel, stride=stride, dilation=dilation, pads=pads)  # type: ignore[arg-type]
    spans = [(k - 1) * d + 1 for k, d in zip(kernel, dilation, strict=True)]
    h, w = (draw(st.integers(span, span + 7)) for span in spans)
    in_ch, out_ch = draw(st.integers(1, 70)), draw(st.integers(1, 5))
    mask, seed = draw(st.sampled_from(MASKS)), draw(st.integers(0, 99))
    op = sparse_conv(seed, (in_ch, out_ch), window, mask, "sparse")
    return op, ((h, w, in_ch),), (*window.output_size((h, w)), out_ch)


@pytest.mark.slow
@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(convolutions(), st.sampled_from([M0PLUS, M3]))
def test_any_convolution(case: Case, target: Target) -> None:
    check_op(*case, target=target, minimum=16)


@pytest.mark.slow
@settings(max_examples=6, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    st.integers(1, 600), st.integers(1, 9), st.integers(1, 3), st.sampled_from(MASKS),
    st.integers(0, 99),
)  # fmt: skip
def test_any_linear_layer(in_ch: int, out_ch: int, rows: int, mask: str, seed: int) -> None:
    op = sparse_rows(seed, (in_ch, out_ch), mask)
    lead = () if rows == 1 else (rows,)
    check_op(op, ((*lead, in_ch),), (*lead, out_ch), target=M0PLUS, minimum=16)


def target_cases() -> list[Case]:
    """Groups in a round, channels, strips, borders, strides, one channel alone."""
    cases: list[Case] = []
    for seed, (window, in_ch, mask) in enumerate(
        [
            (Window(kernel=(1, 1)), 23, "random"),
            (Window(kernel=(1, 1)), 80, "one"),
            (SAME, 10, "blocks"),
            (Window(kernel=(3, 3), stride=(2, 2), pads=(1, 1, 1, 1)), 7, "random"),
            (Window(kernel=(2, 2), dilation=(2, 2), stride=(1, 3)), 1, "dense"),
            (Window(kernel=(1, 5), pads=(0, 0, 1, 4)), 4, "empty rows"),
            (Window(kernel=(1, 1)), 70, "dense"),
            (Window(kernel=(2, 2)), 20, "dense"),
            (Window(kernel=(3, 1), stride=(2, 2)), 9, "dense"),
            (Window(kernel=(1, 1)), 150, "dense"),
        ]
    ):
        op = sparse_conv(seed, (in_ch, 5), window, mask, "sparse")
        cases.append((op, ((6, 9, in_ch),), (*window.output_size((6, 9)), 5)))
    for in_ch, mask in ((30, "random"), (900, "one"), (77, "none")):
        cases.append((sparse_rows(in_ch, (in_ch, 5), mask), ((in_ch,),), (5,)))
    return cases


@pytest.mark.slow
@pytest.mark.parametrize("name", CORES)
def test_on_the_simulated_core(name: str) -> None:
    check_on_core(network_of(target_cases()), name, minimum=12)


@pytest.mark.parametrize(
    "change",
    [
        {"groups": 2},
        {"bias": np.zeros((3, 5, 4), np.int64)},
        {"bias": np.full(4, 2**23)},
        {"requantize": requantize_for(np.full(4, 0.01), 0, -128, 127, "double")},
        {"requantize": requantize_for(np.full(4, 0.6), 0, -128, 127, "single")},
    ],
)
def test_what_is_left_to_other_kernels(change: dict[str, Any]) -> None:
    op = sparse_conv(0, (8, 4), Window(kernel=(1, 1)), "random", "sparse")
    assert len(op.implementations(((3, 5, 8),), (3, 5, 4), M3)) == 1
    assert replace(op, **change).implementations(((3, 5, 8),), (3, 5, 4), M3) == ()


def test_the_cases_call_every_kernel() -> None:
    called = {
        op.implementations(shapes, output, M0PLUS)[0].calls[0].function
        for op, shapes, output in target_cases()
    }
    short = {f"mcugen_sparse_short{kind}_conv_s8" for kind in ("", "_wide", "_column")}
    short |= {"mcugen_sparse_short_column_wide_conv_s8"}
    assert called == {*short, "mcugen_sparse_pair_conv_s8", "mcugen_sparse_linear_s8"}


@pytest.mark.parametrize(
    ("changes", "called"),
    [
        ({}, "short_column"),
        ({"bias": np.full(4, 2**23)}, "short_column"),
        ({"weight": np.full((4, 1, 1, 40), 127, np.int8)}, "short_column_wide"),
        ({"weight": np.full((4, 1, 1, 70), 127, np.int8)}, "pair"),
        ({"weight": np.full((4, 1, 1, 4), 127, np.int8)}, "short"),
        ({"weight": np.tile(np.array([0, 1], np.int8), (4, 1, 1, 255))}, "short_column"),
        ({"weight": np.tile(np.array([0, 1], np.int8), (4, 1, 1, 256))}, "short_column"),
        ({"weight": np.tile(np.array([1], np.int8), (4, 1, 1, 511))}, "short_column"),
    ],
)
def test_short_factors_where_they_are_exact(changes: dict[str, Any], called: str) -> None:
    op = replace(sparse_conv(0, (40, 4), Window(kernel=(1, 1)), "random", "sparse"), **changes)
    shape = (3, 5, op.weight.shape[-1])
    (kernel,) = op.implementations((shape,), (3, 5, 4), M0PLUS)
    assert kernel.calls[0].function == f"mcugen_sparse_{called}_conv_s8"
    check_op(op, (shape,), (3, 5, 4), target=M0PLUS, minimum=16)


@pytest.mark.parametrize(("mask", "chosen"), [("dense", "pair"), ("random", "sparse")])
def test_the_cheapest_kernel_is_chosen(mask: str, chosen: str) -> None:
    op = plain(sparse_conv(0, (32, 8), Window(kernel=(1, 1)), mask, ""))
    (layer,) = choose_kernels(network_of([(op, ((8, 8, 32),), (8, 8, 8))]), M0PLUS)
    assert layer.kernel.variant == chosen


@pytest.mark.slow
@pytest.mark.parametrize("name", CORES)
def test_the_model_is_near_the_count(name: str, tmp_path: Path) -> None:
    core = core_named(name).core
    cases: list[Case] = [
        (sparse_conv(k, (in_ch, 12), window, mask, "sparse"), ((7, 8, in_ch),), (7, 8, 12))
        for k, (in_ch, window, mask) in enumerate(
            [(64, Window(kernel=(1, 1)), "random"), (16, SAME, "blocks"), (8, SAME, "random")]
        )
    ]
    cases += [(sparse_rows(i, (i, 40), "random"), ((i,),), (40,)) for i in (60, 500)]
    graph = network_of(cases)
    layers = choose_kernels(graph, Target(core=core.name, features=core.features))
    plan = plan_arena(graph, {layer.node.name: layer.kernel for layer in layers})
    write_files(tmp_path, render(network_view(graph, layers, plan, 0, "")))
    try:
        profile = profile_target(program_of(tmp_path, graph), core)
    except MissingToolError as error:
        pytest.skip(str(error))
    model = [layer.kernel.cycles for layer in layers]
    np.testing.assert_allclose(model, [cost.cycles for cost in profile.layers], rtol=0.06)
