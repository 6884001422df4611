# SPDX-License-Identifier: Apache-2.0
"""Programs that torch quantized: what is read of them, and what is refused and why."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from mcugen.errors import ModelError, UnsupportedOpError
from mcugen.evaluate import check_import
from mcugen.frontend.aten_safety import known_operator
from mcugen.frontend.export import to_graph
from mcugen.frontend.load import LoadOptions, load
from mcugen.frontend.run import run_program
from mcugen.ir.graph import Graph, QParams
from mcugen.ops import Constant, Conv, FakeQuantize, Linear, Op
from mcugen.ops.base import Lowering, Operand
from mcugen.train.forward import forward, to_stored
from tests.model_files import exported, saved
from tests.quantized_models import (
    SHAPE,
    TENSORS,
    QuantizedNet,
    QuantizedWeight,
    ops,
    random_ints,
    rounded,
    scales,
)


class Applied(nn.Module):
    def __init__(self, function: Callable[[Tensor], Tensor], *parts: nn.Module) -> None:
        super().__init__()
        self.function = function
        self.parts = nn.ModuleList(parts)

    def forward(self, x: Tensor) -> Tensor:
        return self.function(x)


def graph_of(function: Callable[[Tensor], Tensor], *parts: nn.Module) -> Graph:
    program = exported(Applied(function, *parts), SHAPE)
    graph = to_graph(program, "net")
    rng = np.random.default_rng(0)
    check_import(program, graph, [rng.standard_normal((4, *SHAPE[1:])).astype(np.float32)])
    return graph


def refusal(function: Callable[[Tensor], Tensor], *parts: nn.Module) -> str:
    with pytest.raises(UnsupportedOpError) as caught:
        to_graph(exported(Applied(function, *parts), SHAPE), "net")
    return str(caught.value)


def found(graph: Graph, kind: type[Op]) -> list[Op]:
    return [node.op for node in graph.nodes if isinstance(node.op, kind)]


def test_pairs_become_roundings_of_int8() -> None:
    graph = to_graph(exported(QuantizedNet(), SHAPE), "net")
    roundings = [op.qparams for op in found(graph, FakeQuantize) if isinstance(op, FakeQuantize)]
    stated = {float(np.float32(scale)): zero_point for scale, zero_point in TENSORS.items()}
    assert {q.scale: q.zero_point for q in roundings} == stated
    assert {(q.low, q.high) for q in roundings} == {(-128, 127)}


def test_the_import_computes_what_the_program_computes() -> None:
    program = exported(QuantizedNet(), SHAPE)
    graph = to_graph(program, "net")
    x = torch.randn(SHAPE, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        [got] = forward(graph, [to_stored(x, graph.input_layouts[0])])
    [want] = run_program(program, [x])
    assert torch.equal(got, want)
    [unrounded] = run_program(program, [x], rounded=False)
    assert not torch.equal(unrounded, want)


def test_weights_carry_their_grid_from_wherever_they_come() -> None:
    weight = QuantizedWeight(random_ints(3, 36), scales(3, 0.01), low=-7, high=7)
    table = QuantizedWeight(random_ints(4, 2, 3, 3), scales(4, 0.01))
    as_float = torch.linspace(-1.0, 1.0, 12).reshape(6, 2, 1, 1)

    def transposed(x: Tensor) -> Tensor:
        return torch.addmm(torch.zeros(3), x.flatten(1)[:, :36], weight().t())

    def rounded_here(x: Tensor) -> Tensor:
        return nn.functional.conv2d(x, rounded(as_float, 0.02, 0, -127, 127))

    [linear] = found(graph_of(transposed, weight), Linear)
    [conv] = found(graph_of(lambda x: nn.functional.conv2d(x, table()), table), Conv)
    [other] = found(graph_of(rounded_here), Conv)
    grids = [op.weight_grid for op in (linear, conv, other)]
    assert all(grid is not None for grid in grids)
    wanted = [weight.scales, table.scales, torch.full((6,), 0.02)]
    for grid, want in zip(grids, wanted, strict=True):
        assert grid is not None
        np.testing.assert_array_equal(grid.scales, want.double().numpy())
    assert [grid.high for grid in grids if grid is not None] == [7, 127, 127]


def test_constant_operands_keep_their_own_quantization() -> None:
    table = torch.arange(36, dtype=torch.int8).reshape(1, 1, 6, 6)
    graph = graph_of(lambda x: x + ops.dequantize_per_tensor(table, 0.25, 7, -128, 127, torch.int8))
    [constant] = found(graph, Constant)
    assert constant.fixed_qparams() == QParams(scale=0.25, zero_point=7)


def test_uint8_is_128_above_int8() -> None:
    program = exported(Applied(lambda x: rounded(x, 0.02, 100, 3, 250, torch.uint8)), SHAPE)
    graph = to_graph(program, "net")
    [op] = found(graph, FakeQuantize)
    assert op.rounds_to == QParams(
        scale=float(np.float32(0.02)), zero_point=-28, low=-125, high=122
    )
    x = 4.0 * torch.randn(SHAPE, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        [got] = forward(graph, [to_stored(x, graph.input_layouts[0])])
    [want] = run_program(program, [x])
    assert torch.equal(got, to_stored(want, graph.input_layouts[0]))


def test_a_rounding_lowers_to_a_change_of_scale() -> None:
    source, target = QParams(scale=0.02, zero_point=5), QParams(scale=0.05, zero_point=-7, low=-20)
    ctx = Lowering(
        inputs=(Operand(shape=(8,), qparams=source),),
        output=Operand(shape=(8,), qparams=target),
        requant="single",
        where="here",
    )
    steps = np.arange(-128, 128)
    got = FakeQuantize(qparams=target).lower(ctx).reference([steps])
    real = (steps - 5) * 0.02
    np.testing.assert_array_equal(got, np.clip(np.floor(real / 0.05 + 0.5) - 7, -20, 127))


@pytest.mark.parametrize(
    ("function", "telling"),
    [
        (lambda x: rounded(x, 0.1, 0, -32768, 32767, torch.int16), "quantization to int16"),
        (lambda x: rounded(x, 0.0), "scale 0"),
        (lambda x: rounded(x, 0.1, 200), "zero point 200"),
        (lambda x: ops.quantize_per_tensor(x, 0.1, 0, -128, 127, torch.int8), "an output is"),
        (
            lambda x: ops.dequantize_per_tensor(
                ops.quantize_per_tensor(x, 0.1, 0, -128, 127, torch.int8).flatten(1),
                *(0.1, 0, -128, 127, torch.int8),
            ),
            "flatten.using_ints reads a quantized tensor",
        ),
        (
            lambda x: ops.dequantize_per_tensor(
                ops.quantize_per_tensor(x, 0.1, 0, -128, 127, torch.int8),
                *(0.2, 0, -128, 127, torch.int8),
            ),
            "that was quantized with",
        ),
        (
            lambda x: ops.quantize_per_channel(
                x, torch.ones(2), torch.zeros(2, dtype=torch.int64), 1, -128, 127, torch.int8
            ).float(),
            "quantize activations per tensor",
        ),
        (
            lambda x: ops.quantize_per_tensor.tensor(
                x,
                *ops.choose_qparams.tensor(x, -128, 127, 1e-7, torch.int8),
                *(-128, 127, torch.int8),
            ).float(),
            "quantize statically",
        ),
    ],
)  # fmt: skip
def test_what_int8_cannot_hold_is_refused(
    function: Callable[[Tensor], Tensor], telling: str
) -> None:
    assert telling in refusal(function)


def test_a_weight_by_input_channel_is_refused_and_everything_told_at_once() -> None:
    weight = QuantizedWeight(random_ints(4, 2, 3, 3), scales(2, 0.01), axis=1)

    def function(x: Tensor) -> Tensor:
        y = nn.functional.conv2d(x, weight())
        return y.sum() + rounded(x, 0.1, 0, -32768, 32767, torch.int16)

    told = refusal(function, weight)
    assert "2 problems" in told
    assert "conv2d: the weight is quantized along another axis" in told
    assert "per channel along axis 0" in told
    assert "quantize_per_tensor: quantization to int16 is not supported" in told


@pytest.mark.slow
def test_a_file_is_read_by_a_process_that_knows_nothing_of_it(tmp_path: Path) -> None:
    path = saved(exported(QuantizedNet(), SHAPE), tmp_path / "net.pt2")
    script = (
        "import sys; from pathlib import Path; from mcugen.source import open_model;"
        "from mcugen.frontend.load import LoadOptions;"
        "assert 'torch.ao.quantization.fx._decomposed' not in sys.modules;"
        f"source = open_model(Path({str(path)!r}), LoadOptions());"
        "print(source.kind, source.is_quantized)"
    )
    ran = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert ran.stdout == "torch.export archive, quantized True\n"


def test_a_traced_module_knows_the_shape_of_its_input() -> None:
    module = exported(QuantizedNet(), SHAPE).module()
    loaded = load(module, LoadOptions())
    assert to_graph(loaded.program, "net").by_name["x"].shape == (6, 6, 2)
    with pytest.raises(ModelError, match="--input-shape"):
        load(QuantizedNet(), LoadOptions())


@pytest.mark.parametrize(
    "name",
    ["dequantize_per_token.default", "convert_element_type.no_fuse", "__class__.default", "x"],
)
def test_other_operators_of_the_namespace_are_none_to_a_file(name: str) -> None:
    assert known_operator(f"torch.ops.quantized_decomposed.{name}") is None


def test_those_that_compute_are_known_to_a_file() -> None:
    assert known_operator("torch.ops.quantized_decomposed.quantize_per_tensor.default") is not None
    assert known_operator("torch.ops.aten.relu.default") is not None
