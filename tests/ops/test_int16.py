# SPDX-License-Identifier: Apache-2.0
"""int16 operands and results: the C equals the reference everywhere, and is near to torch."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from mcugen import ops
from mcugen.boards import core_named
from mcugen.emit.render import render
from mcugen.emit.view import NetworkView
from mcugen.emit.write import write_files
from mcugen.errors import ModelError, ToolchainError
from mcugen.evaluate import layer_sqnr
from mcugen.fixed_point import INT32_MAX
from mcugen.ops.base import Op, Target
from mcugen.simulate.program import program_of
from mcugen.verify.compare import compare
from mcugen.verify.host import HostNetwork
from mcugen.verify.inputs import verification_inputs
from mcugen.verify.sanitized import SanitizedNetwork
from tests.c.networks import kernels, reads_or_makes_int16
from tests.ops.harness import check_bounds, check_module, random_inputs, stored_inputs
from tests.ops.int16_ops import (
    BOTH,
    NARROWING,
    PARTS,
    WIDENING,
    all_cases,
    conv,
    lowered,
    networks,
)
from tests.ops.on_core import Case, check_on_core, network_of, view_of

CASES = all_cases()


def write(view: NetworkView, folder: str) -> Path:
    write_files(Path(folder), render(view))
    return Path(folder)


@pytest.mark.slow
@pytest.mark.parametrize("part", range(PARTS))
def test_the_c_equals_the_reference(part: int) -> None:
    graph, view = networks()[part]
    with tempfile.TemporaryDirectory() as temporary:
        program = program_of(write(view, temporary), graph)
        with HostNetwork(program, view.ram_bytes) as network:
            found = compare(graph, network, verification_inputs(graph, minimum=60))
    assert found.mismatches == 0


@pytest.mark.slow
@pytest.mark.parametrize("part", range(PARTS))
def test_sanitizers_find_nothing(part: int) -> None:
    graph, view = networks()[part]
    with tempfile.TemporaryDirectory() as temporary:
        program = program_of(write(view, temporary), graph)
        try:
            network = SanitizedNetwork(program)
        except ToolchainError as error:
            pytest.skip(str(error))
        with network:
            assert compare(graph, network, verification_inputs(graph, minimum=20)).mismatches == 0


@pytest.mark.slow
@pytest.mark.parametrize("core", ["cortex-m4", "cortex-m0plus", "riscv32imc"])
def test_cores_compute_the_same(core: str) -> None:
    for graph, view in networks():
        check_on_core(graph, core, minimum=10, view=view)


def test_every_kernel_is_called() -> None:
    calls = {c.function for op, shapes, output in CASES for c in op.kernels(shapes, output)}
    assert calls == {kernel for kernel in kernels() if reads_or_makes_int16(kernel)}


@pytest.mark.parametrize("core", ["cortex-m4", "cortex-m55", "cortex-m0plus", "riscv32imc"])
def test_no_kernel_for_int8_alone_is_offered(core: str) -> None:
    target = Target(core=core, features=core_named(core).core.features)
    offered = [
        call.function
        for op, shapes, output in CASES
        for kernel in op.implementations(shapes, output, target)
        for call in kernel.calls
    ]
    assert [name for name in offered if not reads_or_makes_int16(name)] == []


DSP = Target(core="cortex-m4", features=frozenset({"dsp"}), optimize="speed")


def dsp_cases() -> Iterator[Case]:
    """Layers that the kernel for the DSP extension computes: borders, strides, tails, dilation."""
    rng = np.random.default_rng(4)
    same = ops.Window(kernel=(3, 3), pads=(1, 1, 1, 1))
    far = ops.Window(kernel=(2, 3), stride=(2, 2), dilation=(2, 1), pads=(3, 1, 0, 4))
    along = ops.Window(kernel=(1, 3), pads=(0, 1, 0, 1))
    for widths in (BOTH, NARROWING):
        yield lowered(conv(rng, (6, 3, 3, 8), same), (5, 4, 8), widths=widths, reach=200.0)
        yield lowered(conv(rng, (5, 2, 3, 4), far), (5, 6, 4), widths=widths, reach=90.0)
        yield lowered(conv(rng, (8, 1, 3, 12), along), (9, 12), widths=widths, reach=90.0)
        for rows in (1, 3):
            weight = rng.integers(-127, 128, (9, 36)).astype(np.float32)
            linear = ops.Linear(weight=weight, bias=np.ones(9, np.float32))
            yield lowered(linear, (rows, 36), widths=widths, reach=120.0)


def test_the_dsp_kernel_is_chosen_and_equals_the_reference() -> None:
    cases = tuple(dsp_cases())
    for op, shapes, output in cases:
        variants = [kernel.variant for kernel in op.implementations(shapes, output, DSP)]
        assert variants == ["portable", "dsp_4x1"]
    graph = network_of(cases)
    view = view_of(graph, DSP)
    with tempfile.TemporaryDirectory() as temporary:
        program = program_of(write(view, temporary), graph)
        assert "mcugen_conv_s16(" not in (Path(temporary) / "net.c").read_text()
        with HostNetwork(program, view.ram_bytes) as network:
            compare(graph, network, verification_inputs(graph, minimum=60))


@pytest.mark.slow
def test_the_dsp_kernel_computes_the_same_on_a_core() -> None:
    check_on_core(network_of(tuple(dsp_cases())), "cortex-m4", minimum=16)


def test_what_the_dsp_kernel_cannot_do() -> None:
    rng = np.random.default_rng(5)
    one, depth = ops.Window(kernel=(1, 1)), ops.Window(kernel=(1, 2), dilation=(1, 2))
    others = [
        lowered(conv(rng, (4, 1, 1, 6), one), (2, 2, 6)),  # channels are no whole words
        lowered(conv(rng, (4, 1, 1, 4), one, 2), (2, 2, 8)),
        lowered(conv(rng, (4, 1, 2, 4), depth), (2, 4, 4)),
        lowered(conv(rng, (4, 1, 1, 8), one), (2, 2, 8), widths=WIDENING),
        lowered(conv(rng, (4, 1, 1, 8), one, 1, 7), (2, 2, 8)),
    ]
    for op, shapes, output in others:
        assert len(op.implementations(shapes, output, DSP)) == 1


def test_bounds_hold_the_results() -> None:
    for op, shapes, output in CASES:
        own = network_of([(op, shapes, output)])
        check_bounds(op, shapes, output, verification_inputs(own, minimum=30))


FUNCTIONS = (ops.Sigmoid(), ops.Tanh(), ops.GELU(), ops.SiLU(), ops.ELU(), ops.Square(), ops.Exp())
LINES = (ops.LeakyReLU(slope=0.3), ops.Abs(), ops.HardSigmoid(), ops.Clip(low=-1.0, high=2.0))


@pytest.mark.parametrize("op", [*FUNCTIONS, *LINES, ops.HardSwish()], ids=lambda op: op.kind)
@pytest.mark.parametrize("widths", [BOTH, NARROWING, WIDENING])
def test_a_function_is_near_to_itself(op: Op, widths: tuple[int, int]) -> None:
    """Over every operand: rounding alone is off by up to half a step, 0.29 on average."""
    made, _, _ = lowered(op, (1,), widths=widths)
    x = np.arange(made.operand_limits[0], made.operand_limits[1] + 1)
    scales = {8: 6.4 / 128, 16: 6.4 / 32768}
    zeros = {8: -3, 16: 0}
    real = (x - zeros[widths[0]]) * scales[widths[0]]
    with torch.no_grad():
        wanted = op.forward((torch.from_numpy(real),)).numpy() / scales[widths[1]]
    exact = np.clip(wanted + zeros[widths[1]], *made.result_limits)
    error = np.sqrt(np.mean((made.reference([x]) - exact) ** 2))
    assert error < (0.32 if widths[1] == 8 else 0.65)


def test_sums_that_int32_does_not_hold_have_64_bits() -> None:
    weight = np.full((1, 700), 127.0, np.float32)
    linear = ops.Linear(weight=weight, bias=np.ones(1, np.float32))
    wide, _, _ = lowered(linear, (700,), reach=20000.0)
    narrow, _, _ = lowered(
        ops.Linear(weight=weight[:, :500], bias=linear.bias), (500,), reach=9000.0
    )
    assert wide.has_wide_sums and not narrow.has_wide_sums
    x = np.full((1, 700), -(1 << 15), np.int64)
    assert INT32_MAX < 127 * 700 * (1 << 15)
    # 0.02 is the weights' scale, 6.4 and 20000 the ranges of operand and result
    wanted = 127 * 0.02 * 700 * -6.4 / (20000 / 32768)
    assert abs(float(wide.reference([x])[0, 0]) - wanted) < 5


def test_softmax_is_exact_to_a_step() -> None:
    made, _, _ = lowered(ops.Softmax(), (9,))
    x = np.random.default_rng(0).integers(-(1 << 15), 1 << 15, (500, 9))
    wanted = torch.from_numpy(x * 6.4 / 32768).softmax(-1).numpy() * 32768
    assert np.abs(made.reference([x]) - np.minimum(wanted, 32767)).max() < 0.51


def test_logarithms_of_softmax_are_near() -> None:
    made, _, _ = lowered(ops.LogSoftmax(), (9,), reach=16.0)
    x = np.random.default_rng(0).integers(-(1 << 15), 1 << 15, (500, 9))
    wanted = torch.from_numpy(x * 6.4 / 32768).log_softmax(-1).numpy() / (16 / 32768)
    assert np.abs(made.reference([x]) - wanted).max() < 1.0


class Mixed(nn.Module):
    """All ways from one width to another: a residual branch, a gate, a concatenation, softmax."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(2, 6, 3, padding=1)
        self.second = nn.Conv2d(6, 6, 3, padding=1, groups=6)
        self.third = nn.Conv2d(6, 6, 1)
        self.head = nn.Linear(12, 4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        a = torch.relu(self.first(x))
        b = torch.relu(a + self.second(a))
        c = b * torch.sigmoid(self.third(b))
        d = torch.cat([nn.functional.max_pool2d(b, 2), nn.functional.avg_pool2d(c, 2)], 1)
        y: torch.Tensor = self.head(d.mean((2, 3))).softmax(-1)
        return y


@pytest.mark.slow
@pytest.mark.parametrize(
    "activations",
    [
        ("int16",),
        ("int16", "first=int8", "third=int8"),
        ("int8", "second=int16", "sigmoid*=int16"),
        ("int16", "softmax=int8", "cat=int8", "max_pool2d=int8"),
        ("int8", "softmax=int16", "x=int16"),
    ],
    ids=",".join,
)
def test_widths_mix(activations: tuple[str, ...]) -> None:
    check_module(Mixed(), (1, 2, 8, 8), activations=activations)


@pytest.mark.slow
def test_int16_is_finer_than_int8() -> None:
    """The weights' own 8 bits are what is left of the error."""
    outputs = []
    for activations in ((), ("int16",)):
        made = check_module(Mixed(), (1, 2, 8, 8), activations=activations)
        stored = stored_inputs(made.float_graph, random_inputs(made.float_graph))
        found = layer_sqnr(made.float_graph, made.uncut_graph, stored)
        outputs.append(found[made.graph.outputs[0]])
    assert outputs[1] > outputs[0] + 6.0


def test_a_sum_over_too_many_values_says_what_to_do() -> None:
    with pytest.raises(ModelError, match="--activations PATTERN=int8"):
        lowered(ops.Sum(first=0, last=1), (70000, 1), reach=1e6)
