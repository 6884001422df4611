# SPDX-License-Identifier: Apache-2.0
"""1x1 convolutions that are mostly zero on the M-profile Vector Extension: bits, tails, cost."""

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
from tests.ops.sparse_ops import MASKS, OneKernelConv, plain, sparse_conv

MVE = Target(core="cortex-m55", features=frozenset({"dsp", "mve"}))
ONE = Window(kernel=(1, 1))
VARIANT = "sparse_mve"


def layer(seed: int, channels: tuple[int, int], mask: str) -> OneKernelConv:
    """A 1x1 convolution that the vector kernel has to compute."""
    return sparse_conv(seed, channels, ONE, mask, VARIANT)


@pytest.mark.slow
@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    st.integers(1, 5), st.integers(1, 11), st.integers(1, 300), st.integers(1, 7),
    st.sampled_from(MASKS), st.integers(0, 99),
)  # fmt: skip
def test_any_1x1_convolution(h: int, w: int, in_ch: int, out_ch: int, mask: str, seed: int) -> None:
    op = layer(seed, (in_ch, out_ch), mask)
    check_op(op, ((h, w, in_ch),), (h, w, out_ch), target=MVE, minimum=16)


@pytest.mark.slow
def test_on_the_simulated_core() -> None:
    cases: list[Case] = []
    for seed, (pixels, in_ch, mask) in enumerate(
        [
            (16, 23, "random"), (17, 40, "blocks"), (7, 5, "dense"), (40, 300, "one"),
            (12, 9, "none"), (41, 33, "empty rows"),
        ]
    ):  # fmt: skip
        cases.append((layer(seed, (in_ch, 5), mask), ((pixels, in_ch),), (pixels, 5)))
    check_on_core(network_of(cases), "cortex-m55", minimum=12)


@pytest.mark.parametrize(
    "change",
    [
        {"groups": 2},
        {"bias": np.zeros((3, 5, 4), np.int64)},
        {"window": Window(kernel=(1, 1), pads=(0, 1, 0, 1))},
        {"requantize": requantize_for(np.full(4, 0.01), 0, -128, 127, "double")},
    ],
)
def test_what_is_left_to_other_kernels(change: dict[str, Any]) -> None:
    op = layer(0, (8, 4), "random")
    assert len(op.implementations(((3, 5, 8),), (3, 5, 4), MVE)) == 1
    assert replace(op, **change).implementations(((3, 5, 8),), (3, 5, 4), MVE) == ()


@pytest.mark.parametrize(("mask", "chosen"), [("dense", "mve_2x3"), ("one", VARIANT)])
def test_the_cheapest_kernel_is_chosen(mask: str, chosen: str) -> None:
    op = plain(layer(0, (64, 32), mask))
    (found,) = choose_kernels(network_of([(op, ((8, 8, 64),), (8, 8, 32))]), MVE)
    assert found.kernel.variant == chosen


@pytest.mark.slow
def test_the_model_is_near_the_count(tmp_path: Path) -> None:
    core = core_named("cortex-m55").core
    cases: list[Case] = [
        (layer(k, (in_ch, 20), mask), ((7, 9, in_ch),), (7, 9, 20))
        for k, (in_ch, mask) in enumerate([(64, "random"), (24, "blocks"), (130, "empty rows")])
    ]
    graph = network_of(cases)
    layers = choose_kernels(graph, Target(core=core.name, features=core.features))
    plan = plan_arena(graph, {layer.node.name: layer.kernel for layer in layers})
    write_files(tmp_path, render(network_view(graph, layers, plan, 0, "")))
    try:
        profile = profile_target(program_of(tmp_path, graph), core)
    except MissingToolError as error:
        pytest.skip(str(error))
    model = [layer.kernel.cycles for layer in layers]
    np.testing.assert_allclose(model, [cost.instructions for cost in profile.layers], rtol=0.05)
