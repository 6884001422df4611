# SPDX-License-Identifier: Apache-2.0
"""Weights of 4 and 2 bits: packing, portable kernels, those for the DSP extension, their price."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mcugen.boards import core_named
from mcugen.emit.render import render
from mcugen.emit.view import network_view
from mcugen.emit.write import write_files
from mcugen.errors import MissingToolError
from mcugen.ops.base import PORTABLE, Kernel, Target
from mcugen.ops.conv import ConvS8
from mcugen.ops.packed import pack_rows
from mcugen.ops.window import Window
from mcugen.plan.arena import plan_arena
from mcugen.plan.choose import choose_kernels
from mcugen.simulate.profile import profile_target
from mcugen.simulate.program import program_of
from tests.ops.harness import check_op
from tests.ops.narrow_ops import narrow_conv, narrow_linear, numbers
from tests.ops.on_core import Case, check_on_core, network_of


def target_of(name: str) -> Target:
    """What kernels for a core may use."""
    core = core_named(name).core
    return Target(core=core.name, features=core.features)


CORES = ("cortex-m4", "cortex-m0plus", "cortex-m3", "riscv32imc")
DSP, SCALAR, MVE = (target_of(name) for name in ("cortex-m4", "cortex-m3", "cortex-m55"))
FAST = {DSP: ("dsp_4x2_w", "dsp_4x1_w"), SCALAR: ("pair_w", "eight_w"), MVE: ("mve_", "dsp_")}
KINDS = ("random", "ends", "highest", "lowest")
POINT, SAME = Window(kernel=(1, 1)), Window(kernel=(3, 3), pads=(1, 1, 1, 1))


@given(st.sampled_from([4, 2]), st.integers(1, 5), st.integers(1, 23), st.integers(0, 99))
def test_every_weight_comes_back_from_its_byte(
    bits: int, out_ch: int, length: int, seed: int
) -> None:
    weight = numbers(seed, (out_ch, length), bits)["weight"]
    packed = pack_rows(weight, bits)
    assert packed.shape == (out_ch, -(-length * bits // 8))
    for o in range(out_ch):
        for i in range(length):
            code = packed[o, i * bits // 8] >> (i * bits % 8) & (1 << bits) - 1
            signed = int(code) - (1 << bits if code >> (bits - 1) else 0)
            assert signed == weight[o, i]


@pytest.mark.parametrize(
    ("bits", "value", "said"),
    [
        (4, 8, "a weight of 4 bits is 8 from zero; expected at most 7"),
        (4, -8, "a weight of 4 bits is 8 from zero; expected at most 7"),
        (2, -2, "a weight of 2 bits is 2 from zero; expected at most 1"),
        (3, 0, "weights of 3 bits; expected one of 8, 4, 2"),
    ],
)
def test_weights_that_need_more_bits_are_refused(bits: int, value: int, said: str) -> None:
    op = narrow_linear(0, 4, 1, (5, 3), "random")[0]
    weight = np.full((3, 5), value, np.int8)
    with pytest.raises(ValueError, match=said):
        replace(op, weight=weight, weight_bits=bits)  # type: ignore[call-arg]


def grouped(
    bits: int,
    groups: int,
    channels: tuple[int, int],
    window: Window,
    size: tuple[int, int] = (6, 5),
) -> Case:
    """A grouped convolution, depthwise where each group has one channel."""
    op = ConvS8(
        **numbers(groups, (channels[1], *window.kernel, channels[0] // groups), bits),
        window=window,
        groups=groups,
        pad_value=-7,
    )
    return op, ((*size, channels[0]),), (*window.output_size(size), channels[1])


@pytest.mark.parametrize("bits", [4, 2])
@pytest.mark.parametrize("kind", KINDS)
def test_portable(bits: int, kind: str) -> None:
    strided = Window(kernel=(3, 2), stride=(2, 1), pads=(0, 1, 1, 0), dilation=(1, 2))
    for case in (
        narrow_conv(KINDS.index(kind), bits, (5, 3), strided, (7, 6), kind),
        narrow_linear(KINDS.index(kind), bits, 3, (13, 5), kind),
    ):
        check_op(*case, target=PORTABLE, minimum=20)


@pytest.mark.parametrize("bits", [4, 2])
@pytest.mark.parametrize(("groups", "channels"), [(5, (5, 5)), (2, (6, 4))])
def test_groups(bits: int, groups: int, channels: tuple[int, int]) -> None:
    check_op(*grouped(bits, groups, channels, SAME), target=PORTABLE, minimum=20)


def test_depthwise_layers_may_hold_their_weights_as_bytes() -> None:
    """No kernel unpacks them as fast; which is worth it, the plan decides."""
    case = grouped(4, 8, (8, 8), SAME, (16, 16))
    packed, *others = case[0].implementations(case[1], case[2], DSP)
    assert packed.table_bytes < others[0].table_bytes
    assert min(kernel.cycles for kernel in others) < packed.cycles
    check_op(*case, target=DSP, minimum=20)


def test_a_sequence() -> None:
    op, ((_, *rest),), (_, *out) = narrow_conv(
        1, 4, (6, 5), Window(kernel=(1, 3), pads=(0, 1, 0, 1)), (1, 9)
    )
    check_op(op, (tuple(rest),), tuple(out), target=DSP, minimum=20)


def kernel_for(case: Case, target: Target) -> Kernel:
    """The kernel that a target gets."""
    op, shapes, output = case
    return op.implementations(shapes, output, target)[0]


@st.composite
def convolutions(draw: st.DrawFn) -> Case:
    """Small images with tails everywhere."""
    kernel = (draw(st.integers(1, 3)), draw(st.integers(1, 4)))
    window = Window(
        kernel=kernel,
        stride=(draw(st.integers(1, 2)), draw(st.integers(1, 3))),
        dilation=(draw(st.integers(1, 2)), draw(st.integers(1, 2))),
        pads=tuple(draw(st.integers(0, k)) for k in (*kernel, *kernel)),  # type: ignore[arg-type]
    )
    spans = [(k - 1) * d + 1 for k, d in zip(kernel, window.dilation, strict=True)]
    size = (draw(st.integers(spans[0], 8)), draw(st.integers(spans[1], 9)))
    channels = (draw(st.integers(1, 19)), draw(st.integers(1, 11)))
    bits, kind = draw(st.sampled_from([4, 2])), draw(st.sampled_from(KINDS))
    return narrow_conv(draw(st.integers(0, 99)), bits, channels, window, size, kind)


@pytest.mark.slow
@settings(max_examples=10, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(convolutions(), st.sampled_from(list(FAST)))
def test_any_convolution(case: Case, target: Target) -> None:
    assert kernel_for(case, target).variant.startswith(FAST[target])
    check_op(*case, target=target, minimum=20)


@pytest.mark.slow
@settings(max_examples=6, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    st.sampled_from(list(FAST)),
    st.sampled_from([4, 2]),
    st.integers(1, 3),
    st.tuples(st.integers(2, 40), st.integers(1, 11)),
    st.sampled_from(KINDS),
)
def test_any_linear_layer(
    target: Target, bits: int, rows: int, channels: tuple[int, int], kind: str
) -> None:
    case = narrow_linear(channels[0], bits, rows, channels, kind)
    assert kernel_for(case, target).variant.startswith(FAST[target])
    check_op(*case, target=target, minimum=20)


def placed(bits: int) -> Case:
    """Biases that depend on the place, as removed channels leave them."""
    op, shapes, output = narrow_conv(3, bits, (5, 6), SAME, (4, 7))
    bias = np.random.default_rng(bits).integers(-3000, 3000, output)
    return replace(op, bias=bias), shapes, output  # type: ignore[call-arg]


def some_of_all(bits: int, kinds: tuple[str, ...]) -> list[Case]:
    """Each kernel with every tail, at the ends of its range too."""
    strided = Window(kernel=(3, 2), stride=(2, 1), pads=(0, 1, 1, 0), dilation=(1, 2))
    cases = [placed(bits), grouped(bits, 5, (5, 5), SAME)]
    for k, kind in enumerate(kinds):
        cases += [
            narrow_linear(k, bits, 1, (37 + k, 5 + k), kind),
            narrow_linear(k, bits, 3, (18 + k, 7), kind),
            narrow_conv(k, bits, (7 + k, 6 + k), SAME, (5, 4), kind),
            narrow_conv(k, bits, (33, 9), POINT, (5, 3), kind),
            narrow_conv(k, bits, (3, 4), strided, (7, 6), kind),
        ]
    return cases


@pytest.mark.parametrize("bits", [4, 2])
@pytest.mark.parametrize("target", FAST)
def test_biases_that_depend_on_the_place(bits: int, target: Target) -> None:
    assert kernel_for(placed(bits), target).variant.startswith(FAST[target])
    check_op(*placed(bits), target=target, minimum=20)


@pytest.mark.parametrize("far", [2**23 - 1, 2**23])
def test_biases_hold_their_shifts_where_there_is_room(far: int) -> None:
    op, shapes, output = narrow_conv(3, 4, (5, 6), POINT, (4, 7))
    assert isinstance(op, ConvS8)
    bias = np.where(np.arange(6) == 2, -far, op.bias)
    case = replace(op, bias=bias), shapes, output
    (call,) = kernel_for(case, SCALAR).calls
    suffixes = {table.suffix for table in call.tables}
    assert ("shift" in suffixes) == (far == 2**23)
    check_op(*case, target=SCALAR, minimum=20)


@pytest.mark.slow
def test_on_the_cortex_m55() -> None:
    """Fewer cases, as its simulator is slow."""
    cases = some_of_all(4, KINDS[:1]) + some_of_all(2, KINDS[1:2])
    check_on_core(network_of(cases), "cortex-m55", minimum=6)


@pytest.mark.slow
@pytest.mark.parametrize("core", CORES)
def test_on_the_core(core: str) -> None:
    cases = some_of_all(4, KINDS) + some_of_all(2, KINDS[1:3])
    check_on_core(network_of(cases), core, minimum=12)


@pytest.mark.parametrize(
    "change",
    [
        {"bias": np.full(8, 2**23)},
        {"weight": np.full((8, 3, 3, 2000), 7, np.int8)},  # 256 times the sum leaves int32
    ],
)
def test_what_the_dsp_kernels_cannot_do(change: dict[str, np.ndarray]) -> None:
    op, shapes, output = narrow_conv(0, 4, (16, 8), SAME, (4, 4))
    changed = replace(op, **change)  # type: ignore[arg-type]
    assert [k.variant for k in changed.implementations(shapes, output, DSP)] == ["portable"]


def costs(bits: int, core_name: str, folder: Path) -> list[tuple[int, int]]:
    """Simulated cycles and table bytes of three layers; the model is near the count."""
    layers = [
        narrow_conv(0, bits, (64, 64), POINT, (4, 4)),
        narrow_conv(2, bits, (64, 16), SAME, (6, 6)),
        narrow_linear(0, bits, 1, (320, 32), "random"),
    ]
    graph, core = network_of(layers), core_named(core_name).core
    chosen = choose_kernels(graph, target_of(core_name))
    plan = plan_arena(graph, {layer.node.name: layer.kernel for layer in chosen})
    folder.mkdir()
    write_files(folder, render(network_view(graph, chosen, plan, 0, "")))
    try:
        profile = profile_target(program_of(folder, graph), core)
    except MissingToolError as error:
        pytest.skip(str(error))
    found = list(zip(chosen, profile.layers, strict=True))
    for layer, cost in found:
        assert layer.kernel.cycles == pytest.approx(cost.cycles, rel=0.1)
    return [(cost.cycles, layer.kernel.table_bytes) for layer, cost in found]


@pytest.mark.slow
@pytest.mark.parametrize(("core", "most"), [("cortex-m4", 1.2), ("cortex-m0plus", 1.06)])
def test_what_they_cost(core: str, most: float, tmp_path: Path) -> None:
    """Hardly more cycles than int8, hardly more flash than the weights' share."""
    whole, *narrow = (costs(bits, core, tmp_path / str(bits)) for bits in (8, 4, 2))
    for share, found in zip((0.565, 0.35), narrow, strict=True):
        for (cycles, table_bytes), (own_cycles, own_bytes) in zip(whole, found, strict=True):
            assert own_cycles <= most * cycles
            assert own_bytes <= share * table_bytes
