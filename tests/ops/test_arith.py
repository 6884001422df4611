# SPDX-License-Identifier: Apache-2.0
"""Sums and products: of two tensors with broadcasting, of a tensor and a constant."""

from __future__ import annotations

from collections.abc import Callable
from typing import cast

import numpy as np
import pytest
import torch
from torch import nn

from mcugen.errors import ModelError
from mcugen.fixed_point import RequantMode
from mcugen.frontend.export import to_graph
from mcugen.ir.graph import QParams, Shape
from mcugen.ir.interp import run
from mcugen.ops import Add, Mul, Op
from mcugen.ops.add import AddS8
from mcugen.ops.base import Clamp, IntOp, Lowering, Operand
from mcugen.ops.mul import MulS8
from mcugen.pipeline import Compilation, cost_of
from mcugen.verify.inputs import verification_inputs
from tests.ops.harness import check_module, check_op, graph_of

Function = Callable[..., torch.Tensor]


class Apply(nn.Module):
    """A function as a module, with constants of several shapes."""

    def __init__(self, function: Function) -> None:
        super().__init__()
        self.function = function
        generator = torch.Generator().manual_seed(5)

        def parameter(*shape: int) -> nn.Parameter:
            return nn.Parameter(torch.rand(shape, generator=generator) + 0.5)

        self.scalar = parameter()
        self.channel = parameter(3, 1, 1)
        self.batched = parameter(1, 3, 1, 1)
        self.plane = parameter(4, 5)
        self.column = parameter(5)
        self.full = parameter(3, 4, 5)
        self.vector = parameter(3)

    def forward(self, *inputs: torch.Tensor) -> torch.Tensor:
        return self.function(self, *inputs)


def kinds(compiled: Compilation) -> list[str]:
    return [node.op.kind for node in compiled.graph.layers]


IMAGE = (1, 3, 4, 5)

SHAPES: list[tuple[Shape, Shape]] = [
    ((3, 4, 5), (3, 4, 5)),
    ((3, 4, 5), (5,)),
    ((3, 4, 5), (1, 1, 5)),
    ((3, 4, 5), (3, 4, 1)),
    ((3, 4, 5), (1, 4, 1)),
    ((3, 4, 5), (3, 1, 5)),
    ((3, 4, 5), (1,)),
    ((1, 1, 5), (3, 4, 5)),
    ((3, 1, 5), (1, 4, 1)),
    ((2, 3, 4, 5), (2, 1, 4, 1)),
    ((1, 3, 1, 5), (2, 1, 4, 1)),
    ((2, 1, 3, 4, 5), (1, 6, 3, 4, 1)),
    ((7,), (7,)),
]


def lowered(op: Op, shapes: tuple[Shape, Shape], seed: int, requant: RequantMode) -> IntOp:
    rng = np.random.default_rng(seed)

    def operand(shape: Shape) -> Operand:
        scale, zero_point = float(rng.uniform(0.01, 0.2)), int(rng.integers(-128, 128))
        return Operand(shape=shape, qparams=QParams(scale=scale, zero_point=zero_point))

    inputs = tuple(operand(shape) for shape in shapes)
    output = operand(op.infer(shapes))
    return op.lower(Lowering(inputs=inputs, output=output, requant=requant, where="test"))


@pytest.mark.parametrize("shapes", SHAPES, ids=str)
def test_add_kernel_equals_reference(shapes: tuple[Shape, Shape]) -> None:
    op = Add(factors=(1.0, -0.7), clamp=Clamp(low=-3.0))
    check_op(lowered(op, shapes, 1, "single"), list(shapes), op.infer(shapes))


@pytest.mark.parametrize("requant", ["single", "double"])
@pytest.mark.parametrize("shapes", SHAPES, ids=str)
def test_mul_kernel_equals_reference(shapes: tuple[Shape, Shape], requant: RequantMode) -> None:
    op = Mul(clamp=Clamp(high=4.0))
    check_op(lowered(op, shapes, 2, requant), list(shapes), op.infer(shapes))


def test_five_alternating_axes_are_refused() -> None:
    with pytest.raises(ValueError, match="limit 4"):
        Add().infer([(2, 1, 3, 1, 4), (1, 5, 1, 6, 1)])


@pytest.mark.parametrize("seed", range(4))
def test_sum_is_the_real_one_rounded(seed: int) -> None:
    op = lowered(Add(factors=(1.0, -0.5)), ((1,), (1,)), seed, "single")
    assert isinstance(op, AddS8)
    grid = np.stack(np.meshgrid(np.arange(-128, 128), np.arange(-128, 128)), axis=-1)
    x, y = grid.reshape(-1, 2, 1).transpose(1, 0, 2)
    step = 2.0**op.affine.shift
    real = (x * op.affine.factors[0] + y * op.affine.factors[1] + op.affine.bias) / step - 0.5
    got = op.reference((x, y))
    inside = (real > -128) & (real < 127)
    assert inside.any()
    assert np.abs(got - real)[inside].max() <= 0.5
    assert np.array_equal(op.bounds([(x, x), (y, y)], (1,))[0], got)


@pytest.mark.parametrize("op", [Add(), Mul()], ids=["add", "mul"])
def test_ties_round_up_in_both_worlds(op: Op) -> None:
    one = Operand(shape=(9,), qparams=QParams(scale=1.0, zero_point=0))
    two = Operand(shape=(9,), qparams=QParams(scale=2.0, zero_point=0))
    made = op.lower(Lowering(inputs=(one, one), output=two, requant="single", where="test"))
    x, neutral = np.array([[-3, -1, 1, 3, 5]]), np.full((1, 5), int(made.kind == "mul"))
    assert made.reference((x, neutral)).tolist() == [[-1, 0, 1, 2, 3]]
    check_op(made, [(9,), (9,)], (9,))


@pytest.mark.parametrize("op", [Add(factors=(1.0, -0.7)), Mul()], ids=["add", "mul"])
def test_bounds_are_reached(op: Op) -> None:
    made = lowered(op, ((1,), (1,)), 3, "single")
    left, right = (-90, 40), (-3, 100)
    values = [
        made.reference((np.full((1, 1), x), np.full((1, 1), y)))[0, 0]
        for x in range(left[0], left[1] + 1)
        for y in range(right[0], right[1] + 1)
    ]
    ends = [(np.full(1, low), np.full(1, high)) for low, high in (left, right)]
    low, high = made.bounds(ends, (1,))
    assert (low[0], high[0]) == (min(values), max(values))


def test_only_operands_of_the_outputs_size_may_be_overwritten() -> None:
    op = lowered(Add(), ((3, 4, 5), (1, 1, 5)), 0, "single")
    assert op.in_place_operands([(3, 4, 5), (1, 1, 5)], (3, 4, 5)) == (0,)
    assert op.in_place_operands([(5,), (3, 4, 5)], (3, 4, 5)) == (1,)
    assert op.in_place_operands([(3, 4, 5), (3, 4, 5)], (3, 4, 5)) == (0, 1)


def test_scale_beyond_int32_is_refused() -> None:
    tiny = Operand(shape=(1,), qparams=QParams(scale=1e-9, zero_point=0))
    huge = Operand(shape=(1,), qparams=QParams(scale=1e5, zero_point=0))
    ctx = Lowering(inputs=(huge, huge), output=tiny, requant="single", where="here")
    for op in (Add(), Mul()):
        with pytest.raises(ModelError, match="here: output range is too narrow"):
            op.lower(ctx)


TWO_TENSORS: dict[str, tuple[Function, list[Shape]]] = {
    "add": (lambda m, x, y: x + y, [IMAGE, IMAGE]),
    "sub_alpha": (lambda m, x, y: torch.sub(x, y, alpha=0.5), [IMAGE, IMAGE]),
    "rsub": (lambda m, x, y: torch.rsub(x, y, alpha=2), [IMAGE, IMAGE]),
    "self": (lambda m, x: x + x, [IMAGE]),
    "self_minus": (lambda m, x: torch.add(x, x, alpha=-0.25), [IMAGE]),
    "in_place": (lambda m, x, y: (x * 1.5).add_(y), [IMAGE, IMAGE]),
    "per_channel": (lambda m, x, y: x + y, [IMAGE, (1, 3, 1, 1)]),
    "per_pixel": (lambda m, x, y: x - y, [IMAGE, (1, 1, 4, 5)]),
    "per_column": (lambda m, x, y: x * y, [IMAGE, (1, 1, 1, 5)]),
    "outer": (lambda m, x, y: x * y, [(1, 3, 1, 5), (1, 1, 4, 1)]),
    "mul": (lambda m, x, y: x * y, [IMAGE, IMAGE]),
    "square": (lambda m, x: x * x, [IMAGE]),
    "vectors": (lambda m, x, y: x * y + y, [(1, 6), (1, 6)]),
    "scalar_of_each": (lambda m, x, y: x * y, [(1, 6), (1, 1)]),
    "sequences": (lambda m, x, y: x - y, [(1, 3, 8), (1, 3, 8)]),
    "rank_from_the_right": (lambda m, x, y: x + y, [IMAGE, (1, 5)]),
    "unbatched": (lambda m, x, y: x + y, [IMAGE, (3, 4, 5)]),
    "permuted": (lambda m, x, y: x + y.permute(0, 3, 1, 2), [IMAGE, (1, 4, 5, 3)]),
}


@pytest.mark.parametrize("layout", ["nhwc", "nchw"])
@pytest.mark.parametrize("name", TWO_TENSORS)
def test_two_tensors(name: str, layout: str) -> None:
    function, shapes = TWO_TENSORS[name]
    check_module(Apply(function), *shapes, layout=layout)  # type: ignore[arg-type]


# what is left of each when the tensor is a convolution's output
CONSTANTS: dict[str, tuple[Function, list[str]]] = {
    "number": (lambda m, x: x + 2, []),
    "number_times": (lambda m, x: x * -1.5, []),
    "number_minus": (lambda m, x: 3 - x, []),
    "number_sub_alpha": (lambda m, x: torch.sub(x, 2, alpha=0.5), []),
    "divided": (lambda m, x: x / 2.5, []),
    "divided_by_channel": (lambda m, x: x / m.channel, []),
    "zero_dimensional": (lambda m, x: x * m.scalar + m.scalar, []),
    "per_channel": (lambda m, x: x + m.channel, []),
    "per_channel_batched": (lambda m, x: x * m.batched, []),
    "constant_first": (lambda m, x: m.channel - x, []),
    "negative": (lambda m, x: -x, []),
    "per_pixel": (lambda m, x: x + m.plane, ["add"]),
    "per_pixel_minus": (lambda m, x: m.plane - x, ["add"]),
    "per_column": (lambda m, x: x * m.column, ["mul"]),
    "everywhere": (lambda m, x: x * m.full + m.full, ["mul", "add"]),
    "square": (lambda m, x: x**2, ["table"]),
    "chain": (lambda m, x: ((x - m.channel) / m.batched * 0.5).sub_(1.0), []),
}


@pytest.mark.parametrize("name", CONSTANTS)
def test_constants_fold_into_weights_or_stay_tensors(name: str) -> None:
    function, left = CONSTANTS[name]
    conv = nn.Conv2d(3, 3, 1)
    compiled = check_module(nn.Sequential(conv, Apply(function)), IMAGE)
    assert kinds(compiled) == ["conv", *left]


@pytest.mark.parametrize("name", CONSTANTS)
def test_constants_without_weights_nearby(name: str) -> None:
    check_module(Apply(CONSTANTS[name][0]), IMAGE, layout="nhwc")


@pytest.mark.parametrize(
    "function",
    [lambda m, x: x.abs(), lambda m, x: x.exp(), lambda m, x: torch.square(x), lambda m, x: x**1],
)
def test_functions_of_one_number(function: Function) -> None:
    check_module(Apply(function), IMAGE)


def test_constant_that_makes_the_tensor_larger() -> None:
    check_module(Apply(lambda m, x: x + m.full), (1, 1, 1, 5))
    check_module(Apply(lambda m, x: x * m.batched), (1, 6))


def test_per_channel_constant_on_vectors() -> None:
    compiled = check_module(
        nn.Sequential(nn.Linear(4, 3), Apply(lambda m, x: x * m.vector)), (1, 4)
    )
    assert kinds(compiled) == ["linear"]


class Residual(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(3, 4, 3, padding=1)
        self.second = nn.Conv2d(4, 4, 3, padding=1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = torch.relu(self.first(x))
        return torch.relu(self.second(y) + y)


def test_residual_sum_takes_the_relu_and_runs_in_place() -> None:
    compiled = check_module(Residual(), (1, 3, 6, 6))
    assert kinds(compiled) == ["conv", "conv", "add"]
    conv, add = compiled.graph.layers[1:]
    assert compiled.plan.offsets[add.name] in {compiled.plan.offsets[n] for n in add.inputs}
    assert conv.name in add.inputs


class Gated(nn.Module):
    """Dead and constant channels on both sides of sums, products, slopes and scales."""

    def __init__(self, seed: int) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(seed)
        self.left, self.right = nn.Conv2d(3, 8, 3), nn.Conv2d(3, 8, 3)
        self.last = nn.Conv2d(8, 4, 1)
        for layer in (self.left, self.right):
            assert layer.bias is not None
            dead = torch.rand(8, generator=generator) < 0.6
            layer.weight.data[dead] = 0
            layer.bias.data[dead & (torch.rand(8, generator=generator) < 0.5)] = -1
        self.last.weight.data[:, ::3] = 0
        self.slope = nn.PReLU(8)
        self.slope.weight = nn.Parameter(torch.rand(8, generator=generator) - 0.5)
        self.gain = nn.Parameter(torch.rand(8, 1, 1, generator=generator))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        left, right = self.slope(self.left(x)), torch.relu(self.right(x)) * self.gain
        gate = torch.sigmoid(right[:, :, :1, :1])
        return cast("torch.Tensor", self.last(torch.relu(left + right) * gate - right))


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(6))
def test_channels_are_removed_without_changing_a_bit(seed: int) -> None:
    module = Gated(seed)
    cut = check_module(module, (1, 3, 6, 6))
    whole = check_module(module, (1, 3, 6, 6), skip_passes=frozenset({"remove_channels"}))
    assert cost_of(cut.graph).parameters < cost_of(whole.graph).parameters
    inputs = verification_inputs(cut.graph)
    for got, wanted in zip(run(cut.graph, inputs), run(whole.graph, inputs), strict=True):
        assert np.array_equal(got, wanted)


class SqueezeExcite(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Conv2d(3, 8, 3, padding=1)
        self.gate = nn.Linear(8, 8)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y: torch.Tensor = self.body(x)
        gate = torch.sigmoid(self.gate(y.mean((2, 3))))
        return y * gate.view(1, 8, 1, 1)


@pytest.mark.parametrize("requant", ["single", "double"])
def test_squeeze_and_excitation(requant: RequantMode) -> None:
    compiled = check_module(SqueezeExcite(), (1, 3, 6, 6), requant=requant)
    assert "transpose" not in kinds(compiled)


def test_gate_of_a_scaled_sum_keeps_its_channels_tied() -> None:
    op = lowered(Mul(), ((3, 4, 5), (3, 4, 1)), 0, "single")
    assert isinstance(op, MulS8)
    links = op.channel_links([(3, 4, 5), (3, 4, 1)], (3, 4, 5))
    assert links is not None
    assert links.inputs[0].tolist() == links.output.tolist()
    reads = links.reads[1]
    assert reads is not None and reads.all()
    assert graph_of(op, [(3, 4, 5), (3, 4, 1)], (3, 4, 5)).layers


@pytest.mark.parametrize(
    ("function", "says"),
    [
        (lambda m, x: m.channel / x, "division by a tensor"),
        (lambda m, x: x / 0, "division by zero"),
        (lambda m, x: x**3, "exponent 3"),
        (lambda m, x: torch.div(x, 2, rounding_mode="floor"), "rounding_mode"),
    ],
)
def test_what_is_not_supported_is_said(function: Function, says: str) -> None:
    program = torch.export.export(Apply(function), (torch.zeros(IMAGE),))
    with pytest.raises(ModelError, match=says):
        to_graph(program, "net")
