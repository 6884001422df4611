# SPDX-License-Identifier: Apache-2.0
"""Maximum and average pooling: C == reference == torch, to the last border."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from mcugen.errors import UnsupportedOpError
from mcugen.fixed_point import IntArray, RequantMode
from mcugen.frontend.export import InputLayout
from mcugen.ir.graph import QParams
from mcugen.ir.interp import run
from mcugen.ops import AdaptiveAvgPool, AdaptiveMaxPool, AvgPool, MaxPool, Window
from mcugen.ops.avg_pool import AvgPoolS8
from mcugen.ops.base import Lowering, Op, Operand
from mcugen.ops.channels import Kept
from mcugen.ops.window import as_image
from mcugen.verify.inputs import verification_inputs
from tests.ops.harness import check_forward, check_module, check_op, export

IMAGE = (1, 3, 7, 10)
SEQUENCE = (1, 5, 23)

MAX_POOLS = [
    nn.MaxPool2d(1),
    nn.MaxPool2d(1, stride=2),
    nn.MaxPool2d(2),
    nn.MaxPool2d(3, stride=1, padding=1),
    nn.MaxPool2d((2, 3), stride=(1, 2), padding=(1, 0)),
    nn.MaxPool2d((7, 10)),
    nn.MaxPool2d(3, dilation=2),
    nn.MaxPool2d(3, stride=2, padding=1, dilation=(2, 3)),
    nn.MaxPool2d(2, ceil_mode=True),
    nn.MaxPool2d(3, stride=2, padding=1, ceil_mode=True),
    nn.MaxPool2d(2, stride=4, padding=1, ceil_mode=True),
    nn.MaxPool2d(3, stride=2, padding=1, dilation=2, ceil_mode=True),
    nn.AdaptiveMaxPool2d(1),
    nn.AdaptiveMaxPool2d((3, None)),
    nn.AdaptiveMaxPool2d((9, 4)),
]
AVG_POOLS = [
    nn.AvgPool2d(1),
    nn.AvgPool2d(1, stride=3),
    nn.AvgPool2d(2),
    nn.AvgPool2d(3, stride=1, padding=1),
    nn.AvgPool2d(3, stride=1, padding=1, count_include_pad=False),
    nn.AvgPool2d((2, 5), stride=(1, 2), padding=(1, 2), count_include_pad=False),
    nn.AvgPool2d((4, 1), stride=(2, 1)),
    nn.AvgPool2d((7, 10)),
    nn.AvgPool2d((7, 10), divisor_override=9),
    nn.AvgPool2d(2, ceil_mode=True),
    nn.AvgPool2d(3, stride=2, padding=1, ceil_mode=True),
    nn.AvgPool2d(3, stride=2, padding=1, ceil_mode=True, count_include_pad=False),
    nn.AvgPool2d(4, stride=3, padding=2, ceil_mode=True),
    nn.AvgPool2d(2, stride=4, padding=1, ceil_mode=True),
    nn.AvgPool2d(3, stride=2, padding=1, ceil_mode=True, divisor_override=5),
    nn.AdaptiveAvgPool2d(1),
    nn.AdaptiveAvgPool2d((3, 4)),
    nn.AdaptiveAvgPool2d((None, 5)),
    nn.AdaptiveAvgPool2d((9, 1)),
]
SEQUENCE_POOLS = [
    nn.MaxPool1d(2),
    nn.MaxPool1d(3, stride=2, padding=1, dilation=2, ceil_mode=True),
    nn.AdaptiveMaxPool1d(7),
    nn.AvgPool1d(4),
    nn.AvgPool1d(4, stride=3, padding=2, ceil_mode=True),
    nn.AvgPool1d(4, stride=3, padding=2, count_include_pad=False),
    nn.AvgPool1d(23),
    nn.AdaptiveAvgPool1d(1),
    nn.AdaptiveAvgPool1d(7),
]


@pytest.mark.parametrize("pool", [*MAX_POOLS, *AVG_POOLS], ids=str)
def test_every_window_over_images_means_what_torch_means(pool: nn.Module) -> None:
    check_forward(pool, IMAGE)
    check_forward(pool, IMAGE, layout="nchw")


@pytest.mark.parametrize("pool", SEQUENCE_POOLS, ids=str)
def test_every_window_over_sequences_means_what_torch_means(pool: nn.Module) -> None:
    check_forward(pool, SEQUENCE)


class All(nn.Module):
    """Every module on the same input: one network, compiled once."""

    def __init__(self, modules: list[nn.Module]) -> None:
        super().__init__()
        self.parts = nn.ModuleList(modules)

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, ...]:
        return tuple(part(x) for part in self.parts)


@pytest.mark.slow
@pytest.mark.parametrize("requant", ["single", "double"])
@pytest.mark.parametrize("pools", [MAX_POOLS, AVG_POOLS], ids=["max", "avg"])
def test_images(pools: list[nn.Module], requant: RequantMode) -> None:
    check_module(All(pools), IMAGE, requant=requant)


@pytest.mark.slow
@pytest.mark.parametrize("layout", ["nhwc", "nchw"])
def test_sequences(layout: InputLayout) -> None:
    check_module(All(SEQUENCE_POOLS), SEQUENCE, layout=layout)


def lowered(op: Op, shape: tuple[int, ...], source: QParams, target: QParams) -> AvgPoolS8:
    ctx = Lowering(
        inputs=(Operand(shape=shape, qparams=source),),
        output=Operand(shape=op.infer([shape]), qparams=target),
        requant="single",
        where="here",
    )
    result = op.lower(ctx)
    assert isinstance(result, AvgPoolS8)
    return result


AVERAGES = [
    AvgPool(window=Window(kernel=(3, 3), stride=(2, 2), pads=(1, 1, 1, 2)), overhang=(0, 1)),
    AvgPool(window=Window(kernel=(3, 3), pads=(1, 1, 1, 1)), count_include_pad=False),
    AvgPool(window=Window(kernel=(2, 2), stride=(2, 2)), divisor=3),
    AdaptiveAvgPool(size=(2, 3)),
]


@pytest.mark.parametrize("op", AVERAGES, ids=str)
@pytest.mark.parametrize("zero_point", [-128, -7, 127])
@pytest.mark.parametrize("gain", [0.01, 0.37, 1.0, 40.0])
def test_the_integer_mean_is_the_true_one_rounded(op: Op, zero_point: int, gain: float) -> None:
    shape = (5, 8, 2)
    source = QParams(scale=0.02 * gain, zero_point=zero_point)
    target = QParams(scale=0.02, zero_point=3)
    x = np.random.default_rng(1).integers(-128, 128, (20, *shape))
    y = lowered(op, shape, source, target).reference([x])
    real = torch.from_numpy((x - zero_point) * source.scale)
    exact = op.forward([real]).numpy() / target.scale + target.zero_point
    assert np.abs(y - np.clip(exact, -128, 127)).max() < 0.5 + 2.0**-20 * max(gain, 1.0) * 128


@pytest.mark.parametrize("op", AVERAGES, ids=str)
def test_extremes_of_average(op: Op) -> None:
    shape = (6, 8, 3)
    source, target = QParams(scale=1.0, zero_point=127), QParams(scale=0.004, zero_point=-128)
    check_op(lowered(op, shape, source, target), [shape], op.infer([shape]), source, target)


@pytest.mark.parametrize(
    "op", [MaxPool(window=Window(kernel=(2, 2))), AdaptiveAvgPool(size=(2, 2))], ids=str
)
def test_bounds_are_reached_and_channels_go_one_by_one(op: Op) -> None:
    shape = (3, 4, 5)
    q = QParams(scale=0.1, zero_point=0)
    operand = Operand(shape=shape, qparams=q)
    output = Operand(shape=op.infer([shape]), qparams=q)
    integer = op.lower(Lowering(inputs=(operand,), output=output, requant="single", where=""))
    rng = np.random.default_rng(2)
    ends: list[IntArray] = [rng.integers(-128, 0, shape), rng.integers(0, 128, shape)]
    low, high = integer.bounds([(ends[0], ends[1])], output.shape)
    assert np.array_equal(low, integer.reference([ends[0][None]])[0])
    assert np.array_equal(high, integer.reference([ends[1][None]])[0])
    chosen = np.array([1, 4])
    kept = Kept(inputs=(chosen,), output=chosen, values=(ends[0],), shapes=(shape,))
    cut = integer.take_channels(kept).reference([ends[1][None][..., chosen]])
    assert np.array_equal(cut[0], high[..., chosen])


class DeadChannels(nn.Module):
    """Channels that are constant but for the border, through every kind of pooling."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(2, 12, 3, padding=1)
        self.fc = nn.Linear(12, 4)
        with torch.no_grad():
            self.conv.weight[::2] = 0.0

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = nn.functional.max_pool2d(self.conv(x), 3, 2, 1)
        y = nn.functional.avg_pool2d(y, 3, 2, 1)
        y = nn.functional.adaptive_avg_pool2d(y, (2, 3))
        z: torch.Tensor = self.fc(y.mean((2, 3)))
        return z


@pytest.mark.slow
def test_constant_channels_vanish_and_change_no_bit() -> None:
    module = DeadChannels()
    cut = check_module(module, (1, 2, 17, 15))
    whole = check_module(module, (1, 2, 17, 15), skip_passes=frozenset({"remove_channels"}))
    assert {node.shape[-1] for node in cut.graph.layers[:-1]} == {6}
    inputs = verification_inputs(cut.graph, (np.zeros((1, 17, 15, 2), np.int8),), 50)
    assert np.array_equal(run(cut.graph, inputs), run(whole.graph, inputs))


class UsesIndices(nn.Module):
    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        y, indices = nn.functional.max_pool2d(x, 2, return_indices=True)
        return y, indices


class DropsIndices(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return nn.functional.max_pool2d(x, 2, return_indices=True)[0]


def test_indices_are_an_error_only_where_they_are_used() -> None:
    check_forward(DropsIndices(), IMAGE)
    with pytest.raises(UnsupportedOpError, match="only its values are supported"):
        export(UsesIndices(), IMAGE)


def test_a_window_without_any_input_is_an_error() -> None:
    window = Window(kernel=(1, 2), dilation=(1, 2), pads=(0, 1, 0, 1))
    with pytest.raises(ValueError, match="lies in the padding altogether"):
        MaxPool(window=window).infer([(1, 1, 3)])


@pytest.mark.parametrize("op", [AdaptiveMaxPool(size=(1, 2)), AdaptiveAvgPool(size=(1, 2))])
def test_pooling_needs_channels(op: Op) -> None:
    with pytest.raises(ValueError, match="expected an image"):
        op.infer([(7,)])
    assert as_image((4, 3)) == (1, 4, 3)
