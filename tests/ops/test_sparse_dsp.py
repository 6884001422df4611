# SPDX-License-Identifier: Apache-2.0
"""Layers that are mostly zero on the DSP extension: bits, tails, overlap, cost, choice."""

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
from mcugen.ops.sparse_dsp import SHORT_BIAS
from mcugen.ops.weights import SHORT_ZEROS, accumulator_bound
from mcugen.ops.window import Window
from mcugen.plan.arena import plan_arena
from mcugen.plan.choose import LayerKernel, choose_kernels
from mcugen.simulate.profile import profile_target
from mcugen.simulate.program import program_of
from tests.ops.harness import check_op
from tests.ops.on_core import Case, check_on_core, network_of
from tests.ops.sparse_ops import MASKS, plain, random_blocks, sparse_conv, sparse_rows

DSP = Target(core="cortex-m4", features=frozenset({"dsp"}))
VARIANTS = ("sparse", "sparse_2x2", "sparse_1x4")
SORTED = "sparse_sorted"
SAME = Window(kernel=(3, 3), pads=(1, 1, 1, 1))


@st.composite
def convolutions(draw: st.DrawFn) -> Case:
    """Small images with tails everywhere."""
    variant = draw(st.sampled_from(VARIANTS))
    size = st.integers(1, 3)
    kernel = (draw(size), draw(size))
    dilation = (draw(st.integers(1, 2)), 1 if variant == "sparse_1x4" else draw(st.integers(1, 2)))
    stride = (draw(size), 1 if variant == "sparse_1x4" else draw(size))
    if variant == "sparse_1x4":
        kernel = (kernel[0], draw(st.sampled_from([1, 3, 5])))
    pads = tuple(draw(st.integers(0, k + 1)) for k in (*kernel, *kernel))
    window = Window(kernel=kernel, stride=stride, dilation=dilation, pads=pads)  # type: ignore[arg-type]
    spans = [(k - 1) * d + 1 for k, d in zip(kernel, dilation, strict=True)]
    h, w = (draw(st.integers(span, span + 9)) for span in spans)
    in_ch, outs = draw(st.integers(1, 19)), draw(st.integers(1, 5))
    out_ch = 2 * outs if variant == "sparse_2x2" else outs
    mask, seed = draw(st.sampled_from(MASKS)), draw(st.integers(0, 99))
    op = sparse_conv(seed, (in_ch, out_ch), window, mask, variant)
    return op, ((h, w, in_ch),), (*window.output_size((h, w)), out_ch)


@pytest.mark.slow
@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(convolutions())
def test_any_convolution(case: Case) -> None:
    check_op(*case, target=DSP, minimum=16)


@pytest.mark.slow
@settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    st.integers(1, 600), st.integers(1, 9), st.integers(1, 3), st.sampled_from(MASKS),
    st.integers(0, 99),
)  # fmt: skip
def test_any_linear_layer(in_ch: int, out_ch: int, rows: int, mask: str, seed: int) -> None:
    if rows > 1:
        in_ch = 1 + in_ch % 250  # pixels of a convolution, whose sums have 23 bits
    op = sparse_rows(seed, (in_ch, out_ch), mask)
    lead = () if rows == 1 else (rows,)
    check_op(op, ((*lead, in_ch),), (*lead, out_ch), target=DSP, minimum=16)


@pytest.mark.slow
@settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.integers(1, 32), st.integers(1, 40), st.sampled_from(MASKS), st.integers(0, 99))
def test_any_layer_with_few_weights(in_ch: int, out_ch: int, mask: str, seed: int) -> None:
    op = sparse_rows(seed, (30 * in_ch if mask == "one" else in_ch, out_ch), mask, SORTED)
    check_op(op, ((op.weight.shape[1],),), (out_ch,), target=DSP, minimum=16)


def test_rows_of_many_weights_are_not_sorted() -> None:
    for in_ch, found in ((32, 1), (33, 0)):
        op = sparse_rows(0, (in_ch, 3), "dense", SORTED)
        assert len(op.implementations(((in_ch,),), (3,), DSP)) == found
    op = sparse_rows(0, (8, 257), "random", SORTED)
    assert op.implementations(((8,),), (257,), DSP) == ()


def long_rows(variant: str, mask: str) -> Case:
    """Rows with more to say than the first word of a head holds: large biases, many entries."""
    in_ch = {"sparse": 66, "sparse_2x2": 132, "sparse_1x4": 264}[variant]
    op = sparse_conv(len(mask), (in_ch, 8), Window(kernel=(1, 1)), mask, variant)
    limits = np.array([0, 1, SHORT_BIAS - 1, SHORT_BIAS])
    bias = np.concatenate([limits, -limits])[np.array([3, 0, 7, 2, 6, 1, 5, 4])]
    kept = np.arange(in_ch) < np.where(np.arange(8) < 4, in_ch, 64 * in_ch // 66)[:, None]
    weight = (op.weight * kept[:, None, None]).astype(np.int8)
    scales = 120.0 / np.maximum(accumulator_bound(weight, bias), 2000)
    requantize = requantize_for(scales, 3, -128, 127, "single", zeros=SHORT_ZEROS)
    op = replace(op, weight=weight, bias=bias, requantize=requantize)
    return op, ((9, in_ch),), (9, 8)


@pytest.mark.parametrize("mask", ["dense", "none", "random"])
@pytest.mark.parametrize("variant", VARIANTS)
def test_long_rows(variant: str, mask: str) -> None:
    check_op(*long_rows(variant, mask), target=DSP, minimum=8)


def target_cases() -> list[Case]:
    """Each path of the assembly: entries in a round, channels, strips, borders, strides."""
    cases: list[Case] = []
    windows = (
        Window(kernel=(1, 1)),
        SAME,
        Window(kernel=(3, 3), stride=(2, 2), pads=(1, 1, 1, 1)),
        Window(kernel=(1, 5), pads=(0, 0, 1, 4)),
        Window(kernel=(2, 2), dilation=(2, 2), stride=(1, 3)),
    )
    for seed, window in enumerate(windows):
        for variant in VARIANTS:
            for mask, in_ch, out_ch in (("random", 23, 4), ("blocks", 44, 2))[: 2 - seed % 2]:
                op = sparse_conv(seed, (in_ch, out_ch), window, mask, variant)
                cases.append((op, ((6, 9, in_ch),), (*window.output_size((6, 9)), out_ch)))
    cases += [long_rows(variant, mask) for variant in VARIANTS for mask in ("dense", "none")]
    for in_ch, mask in ((1, "dense"), (30, "random"), (900, "one"), (77, "none"), (64, "dense")):
        cases.append((sparse_rows(in_ch, (in_ch, 5), mask), ((in_ch,),), (5,)))
    for in_ch, mask in ((1, "dense"), (32, "dense"), (40, "random"), (900, "one"), (77, "none")):
        cases.append((sparse_rows(in_ch, (in_ch, 15), mask, SORTED), ((in_ch,),), (15,)))
    return cases


@pytest.mark.slow
def test_the_assembly_does_what_the_c_does() -> None:
    check_on_core(network_of(target_cases()), "cortex-m4", minimum=12)


@pytest.mark.parametrize(
    "change",
    [
        {"groups": 2},
        {"bias": np.zeros((3, 5, 4), np.int64)},
        {"bias": np.full(4, 2**31)},
        {"requantize": requantize_for(np.full(4, 0.6), 0, -128, 127, "single", zeros=SHORT_ZEROS)},
        {"requantize": requantize_for(np.full(4, 0.01), 0, -128, 127, "single")},
    ],
)
@pytest.mark.parametrize("variant", VARIANTS)
def test_what_is_left_to_other_kernels(change: dict[str, Any], variant: str) -> None:
    op = sparse_conv(0, (8, 4), Window(kernel=(1, 1)), "random", variant)
    assert len(op.implementations(((3, 5, 8),), (3, 5, 4), DSP)) == 1
    assert replace(op, **change).implementations(((3, 5, 8),), (3, 5, 4), DSP) == ()


def test_sums_of_two_pixels_stay_apart() -> None:
    """The lower one has 23 bits: single weights are left out where it could reach 2^22."""
    op = sparse_conv(0, (300, 2), Window(kernel=(1, 1)), "dense", "sparse")
    op = replace(op, weight=np.full((2, 1, 1, 300), 109, np.int8), bias=np.zeros(2, np.int64))
    assert 300 * 109 * 128 < 2**22 < 300 * 110 * 128
    assert len(op.implementations(((1, 8, 300),), (1, 8, 2), DSP)) == 1
    check_op(op, ((1, 8, 300),), (1, 8, 2), target=DSP, minimum=16)
    op = replace(op, weight=np.full((2, 1, 1, 300), 110, np.int8))
    assert op.implementations(((1, 8, 300),), (1, 8, 2), DSP) == ()


@pytest.mark.parametrize(
    ("mask", "chosen"),
    [("dense", "dsp_4x2"), ("blocks", "sparse_2x2"), ("random", "sparse")],
)
def test_the_cheapest_kernel_is_chosen(mask: str, chosen: str) -> None:
    op = plain(sparse_conv(0, (64, 32), Window(kernel=(1, 1)), mask, ""))
    graph = network_of([(op, ((8, 8, 64),), (8, 8, 32))])
    (layer,) = choose_kernels(graph, DSP)
    assert layer.kernel.variant == chosen


@pytest.mark.slow
@pytest.mark.parametrize("variant", (*VARIANTS, SORTED))
def test_the_model_is_near_the_count(variant: str, tmp_path: Path) -> None:
    cases: list[Case] = [
        (
            sparse_conv(2 * k, (in_ch, out_ch), window, mask, variant),
            ((7, 9, in_ch),),
            (7, 9, out_ch),
        )
        for k, (in_ch, out_ch, window, mask) in enumerate(
            [
                (64, 32, Window(kernel=(1, 1)), "random"),
                (32, 16, SAME, "blocks"),
                (16, 24, SAME, "random"),
                (72, 8, Window(kernel=(1, 1)), "blocks"),
            ]
        )
        if variant != SORTED
    ]
    if variant == "sparse":
        cases += [(sparse_rows(i, (i, 40), "random"), ((i,),), (40,)) for i in (60, 500)]
    elif variant == SORTED:
        cases += [(sparse_rows(i, (i, 40), "random", SORTED), ((i,),), (40,)) for i in (20, 50)]
    layers, counts = counted(cases, tmp_path)
    np.testing.assert_allclose([layer.kernel.cycles for layer in layers], counts, rtol=0.05)


@pytest.mark.slow
def test_blocks_pay_on_64_channels(tmp_path: Path) -> None:
    """Against the best kernel that multiplies zeros: cycles, and with nine of ten zeros, tables."""
    wanted = {("sparse_2x2", 0.75): 1.9, ("sparse_1x4", 0.75): 1.9}
    wanted |= {("sparse_2x2", 0.9): 3.2, ("sparse_1x4", 0.9): 3.2}
    blocks = {"sparse_2x2": (2, 2), "sparse_1x4": (1, 4)}
    shape, window = (8, 8, 64), Window(kernel=(1, 1))
    cases: list[Case] = [(plain(sparse_conv(0, (64, 64), window, "dense", "")), (shape,), shape)]
    (best,), (most,) = counted(cases, tmp_path / "dense")
    assert not best.kernel.skips_zeros
    cases = []
    for variant, share in wanted:
        op = sparse_conv(0, (64, 64), window, "dense", variant)
        kept = random_blocks(np.random.default_rng(0), op.weight.shape, blocks[variant], share)
        cases.append((replace(op, weight=(op.weight * kept).astype(np.int8)), (shape,), shape))
    layers, counts = counted(cases, tmp_path / "blocks")
    for layer, count, ((variant, share), faster) in zip(
        layers, counts, wanted.items(), strict=True
    ):
        assert layer.kernel.variant == variant
        assert most >= faster * count
        tables = layer.kernel.table_bytes / best.kernel.table_bytes
        assert tables <= (0.2 if share == 0.9 else 0.5)


def counted(cases: list[Case], folder: Path) -> tuple[tuple[LayerKernel, ...], list[int]]:
    """The chosen kernels, and cycles on the simulated core."""
    core, graph = core_named("cortex-m4").core, network_of(cases)
    layers = choose_kernels(graph, Target(core=core.name, features=core.features))
    plan = plan_arena(graph, {layer.node.name: layer.kernel for layer in layers})
    folder.mkdir(exist_ok=True)
    write_files(folder, render(network_view(graph, layers, plan, 0, "")))
    try:
        profile = profile_target(program_of(folder, graph), core)
    except MissingToolError as error:
        pytest.skip(str(error))
    return layers, [cost.cycles for cost in profile.layers]
