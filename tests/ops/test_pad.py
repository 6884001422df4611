# SPDX-License-Identifier: Apache-2.0
"""Padding: constants of any value, mirrored and repeated margins, and margins that crop."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

from mcugen.errors import ModelError
from mcugen.frontend.export import InputLayout
from mcugen.ir.graph import QParams, Shape
from mcugen.ops import Pad
from mcugen.ops.base import Lowering, Operand
from mcugen.ops.pad import Margins, PadS8
from tests.ops.harness import check_forward, check_module, export
from tests.ops.movers import Apply, Function, check_mover, check_removal, conv, kinds

MARGINS: list[tuple[Shape, Margins]] = [
    ((4,), ((1, 2),)),
    ((4,), ((0, 0),)),
    ((3, 4), ((2, 1), (0, 0))),
    ((3, 4), ((0, 0), (0, 3))),
    ((3, 4, 2), ((1, 0), (0, 2), (0, 0))),
    ((3, 4, 2), ((0, 0), (0, 2), (0, 0))),
    ((3, 4, 2), ((1, 2), (3, 4), (5, 6))),
    ((3, 4, 2), ((0, 1), (0, 0), (1, 0))),
    ((1, 1, 1), ((0, 1), (1, 0), (2, 2))),
    ((2, 3, 4, 5), ((0, 0), (1, 1), (0, 0), (0, 1))),
]

FUNCTIONS: dict[str, Function] = {
    "zeros": lambda x: functional.pad(x, (1, 2, 3, 0)),
    "another value": lambda x: functional.pad(x, (1, 1), value=0.75),
    "a value far outside": lambda x: functional.pad(x, (1, 1, 1, 1), value=9.0),
    "channels": lambda x: functional.pad(x, (0, 0, 0, 0, 1, 2)),
    "all axes": lambda x: functional.pad(x, (1, 0, 0, 1, 1, 1), value=-1.0),
    "crop": lambda x: functional.pad(x, (-1, -2, 0, -1)),
    "crop and pad": lambda x: functional.pad(x, (-1, 2, 1, -1), value=0.5),
    "nothing": lambda x: functional.pad(x, (0, 0)).relu(),
    "reflect": lambda x: functional.pad(x, (2, 1, 0, 3), mode="reflect"),
    "replicate": lambda x: functional.pad(x, (2, 1, 7, 3), mode="replicate"),
    "circular": lambda x: functional.pad(x, (2, 1, 0, 4), mode="circular"),
    "ZeroPad2d": nn.ZeroPad2d((1, 0, 2, 0)),
    "ReflectionPad2d": nn.ReflectionPad2d(2),
    "ReplicationPad2d": nn.ReplicationPad2d((0, 1, 2, 3)),
    "ATen's own names": lambda x: torch.ops.aten.reflection_pad2d(
        torch.ops.aten.replication_pad2d(torch.ops.aten.constant_pad_nd(x, [1, 1], 0.5), [1] * 4),
        [1] * 4,
    ),
}


@pytest.mark.parametrize("value", [0.0, 7.0, -128.0])
@pytest.mark.parametrize(("shape", "margins"), MARGINS)
def test_every_value_goes_where_torch_puts_it(shape: Shape, margins: Margins, value: float) -> None:
    check_mover(Pad(margins=margins, value=value), shape)


@pytest.mark.parametrize("layout", ["nhwc", "nchw"])
@pytest.mark.parametrize("name", FUNCTIONS)
def test_it_means_what_torch_means(name: str, layout: InputLayout) -> None:
    check_forward(Apply(FUNCTIONS[name]), (1, 3, 5, 4), layout=layout)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_c_equals_the_reference(name: str) -> None:
    check_module(Apply(FUNCTIONS[name]), (1, 3, 5, 4), tolerance=0.005)


@pytest.mark.parametrize("mode", ["constant", "reflect", "replicate", "circular"])
def test_sequences(mode: str) -> None:
    check_module(Apply(lambda x: functional.pad(x, (3, 2), mode=mode)), (1, 3, 8), tolerance=0.005)


def test_the_batch_axis_is_an_error() -> None:
    module = Apply(lambda x: functional.pad(x, (0, 0, 0, 0, 0, 0, 1, 0)))
    with pytest.raises(ModelError, match="the batch axis can only be passed through"):
        export(module, (1, 3, 5, 4))


@pytest.mark.parametrize(
    ("margins", "message"),
    [
        (((1, 1),), "do not suit a tensor"),
        (((-1, 0), (0, 0), (0, 0), (0, 0)), "do not suit a tensor"),
        (((1, 0), (1, 0), (1, 0), (1, 0)), "more than 3 axes"),
    ],
)
def test_margins_that_do_not_suit_are_an_error(margins: Margins, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Pad(margins=margins).infer([(2, 3, 4, 5)])


@pytest.mark.parametrize(
    ("value", "step"), [(0.0, -3), (0.26, 2), (1e9, 127), (-1e9, -128), (-np.inf, -128)]
)
def test_the_value_is_the_nearest_step_there_is(value: float, step: int) -> None:
    qparams = QParams(scale=0.05, zero_point=-3)
    operand = Operand(shape=(2,), qparams=qparams)
    output = Operand(shape=(4,), qparams=qparams)
    ctx = Lowering(inputs=(operand,), output=output, requant="single", where="")
    assert Pad(margins=((1, 1),), value=value).lower(ctx).value == step


def test_the_output_range_holds_the_value() -> None:
    compiled = check_module(Apply(lambda x: functional.pad(x, (1, 1), value=9.0)), (1, 3, 5, 4))
    qparams = compiled.graph.by_name[compiled.graph.outputs[0]].qparams
    assert qparams is not None
    assert (127 - qparams.zero_point) * qparams.scale >= 9.0


class Padded(nn.Module):
    """A convolution, padding of its channels and places, and a reader that cannot pad so itself."""

    def __init__(self) -> None:
        super().__init__()
        self.head, self.tail = conv(2, 4, 3, dead=[1, 2]), conv(7, 3, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        padded = functional.pad(self.head(x), (1, 2, 0, 1, 1, 2), value=0.5)
        y: torch.Tensor = self.tail(padded)
        return y


def test_dead_channels_and_those_of_padding_go() -> None:
    cut = check_removal(Padded(), (1, 2, 7, 6))
    assert kinds(cut) == ["conv", "pad", "conv"]
    [(shape, margins)] = [
        (node.shape, node.op.margins) for node in cut.graph.nodes if isinstance(node.op, PadS8)
    ]
    assert shape[-1] == 2
    assert margins[-1] == (0, 0)
