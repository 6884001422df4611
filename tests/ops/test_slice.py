# SPDX-License-Identifier: Apache-2.0
"""Parts of tensors: slices, single positions, splits, lists of positions, flips and repeats."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from mcugen.errors import ModelError
from mcugen.frontend.export import InputLayout
from mcugen.ir.graph import Shape
from mcugen.ops import Gather, Slice
from mcugen.ops.gather import Indices
from tests.ops.harness import check_forward, check_module, export
from tests.ops.movers import Apply, Function, check_mover, check_removal, conv, kinds

SLICES: list[tuple[Shape, Slice]] = [
    ((7,), Slice(axis=0, start=2, count=3)),
    ((7,), Slice(axis=0, start=0, count=4, step=2)),
    ((3, 4, 5), Slice(axis=0, start=1, count=2)),
    ((3, 4, 5), Slice(axis=1, start=3, count=1)),
    ((3, 4, 5), Slice(axis=2, start=1, count=3)),
    ((5, 4, 5), Slice(axis=0, start=0, count=3, step=2)),
    ((3, 4, 5), Slice(axis=1, start=1, count=2, step=2)),
    ((3, 4, 5), Slice(axis=2, start=1, count=2, step=3)),
    ((2, 3, 4, 5), Slice(axis=2, start=1, count=2, step=2)),
]

GATHERS: list[tuple[Shape, Indices]] = [
    ((4,), ((3, 3, 0),)),
    ((3, 4, 5), ((2, 0, 0, 1), None, None)),
    ((3, 4, 5), (None, (3, 2, 1, 0), None)),
    ((3, 4, 5), (None, None, (4, 0, 4))),
    ((3, 4, 5), ((2, 1), (0, 0, 3), None)),
    ((3, 4, 5), ((2, 1), None, (1, 2, 3, 4, 0))),
    ((2, 3, 4, 2), ((1,), (0, 2), (3, 3), (1, 0))),
    ((3, 4), (None, None)),
]

FUNCTIONS: dict[str, Function] = {
    "channels": lambda x: x[:, 1:3],
    "rows and columns": lambda x: x[:, :, 1:-1, 2:],
    "negative and huge ends": lambda x: x[:, -3:9999, -2:],
    "steps": lambda x: x[:, ::2, ::3, 1::2],
    "one channel": lambda x: x[:, 2],
    "one column, kept": lambda x: x[..., -1:].relu(),
    "one pixel": lambda x: x[:, :, 0, -1],
    "narrow": lambda x: x.narrow(2, 1, 2),
    "split": lambda x: x.split(3, 1),
    "split by sizes": lambda x: x.split([1, 4], 1)[1].relu(),
    "chunk": lambda x: x.chunk(3, 3),
    "chunk with a rest": lambda x: x.chunk(2, 1),
    "unbind": lambda x: x.unbind(2),
    "tensor_split": lambda x: torch.tensor_split(x, 3, 1),
    "index_select": lambda x: torch.index_select(x, 1, torch.tensor([4, 0])),
    "index by a list": lambda x: x[:, [2, 0, 2]],
    "flip": lambda x: x.flip(2, -1),
    "roll": lambda x: x.roll((1, -2), (2, 3)),
    "repeat": lambda x: x.repeat(1, 2, 1, 3),
    "tile": lambda x: x.tile(2, 1),
    "repeat_interleave": lambda x: x.repeat_interleave(2, 3),
    "expand": lambda x: x[:, :1].expand(-1, 3, -1, -1),
    "expand to more axes": lambda x: x[:, :, :1, 0].expand(1, 2, -1, 4),
}


@pytest.mark.parametrize(("shape", "op"), SLICES)
def test_a_slice_holds_what_torch_holds(shape: Shape, op: Slice) -> None:
    check_mover(op, shape)


@pytest.mark.parametrize(("shape", "indices"), GATHERS)
def test_gathering_takes_what_torch_takes(shape: Shape, indices: Indices) -> None:
    check_mover(Gather(indices=indices), shape)


@pytest.mark.parametrize("layout", ["nhwc", "nchw"])
@pytest.mark.parametrize("name", FUNCTIONS)
def test_it_means_what_torch_means(name: str, layout: InputLayout) -> None:
    check_forward(Apply(FUNCTIONS[name]), (1, 5, 4, 6), layout=layout)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_c_equals_the_reference(name: str) -> None:
    check_module(Apply(FUNCTIONS[name]), (1, 5, 4, 6), tolerance=0.005)


def test_the_only_sample_may_be_picked() -> None:
    graph = export(Apply(lambda x: x[0, 1:]), (1, 5, 4, 6))
    assert graph.by_name[graph.outputs[0]].shape in {(4, 4, 6), (4, 6, 4)}


def test_the_whole_is_no_layer() -> None:
    assert kinds(check_module(Apply(lambda x: x[:, :, 0:99].relu()), (1, 5, 4, 6))) == ["table"]


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (lambda x: x.expand(3, -1, -1, -1), "the batch axis can only be passed through"),
        (lambda x: x.repeat(2, 1, 1, 1), "the batch axis can only be passed through"),
        (lambda x: x[:, 3:3].sum() + x, "is empty"),
        (lambda x: x[:, [0, 1], [1, 2]], "positions along one axis only"),
        (lambda x: x.roll(1), "with the axes named only"),
        (lambda x: x.repeat_interleave(2), "along a named axis only"),
    ],
)
def test_what_is_not_supported_says_so(function: Function, message: str) -> None:
    with pytest.raises(ModelError, match=message):
        export(Apply(function), (1, 5, 4, 6))


@pytest.mark.parametrize(
    ("op", "message"),
    [
        (Slice(axis=0, start=2, count=2), "no part of"),
        (Slice(axis=0, start=0, count=0), "no part of"),
        (Slice(axis=0, start=-1, count=1), "no part of"),
        (Gather(indices=((0, 3),)), "not all within an axis of 3"),
    ],
)
def test_positions_outside_are_an_error(op: Slice | Gather, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        op.infer([(3,)])


def test_tables_of_more_than_sixteen_bits_are_an_error() -> None:
    with pytest.raises(ValueError, match="too many positions"):
        Gather(indices=(None, (1, 0), None)).infer([(40_000, 2, 1)])


class Picked(nn.Module):
    """A convolution with dead channels, a pick among its channels, and a reader."""

    def __init__(self, pick: Function, dead: list[int], picked: int) -> None:
        super().__init__()
        self.head, self.tail, self.pick = conv(2, 6, 3, dead), conv(picked, 2, 1), pick

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y: torch.Tensor = self.tail(self.pick(self.head(x)))
        return y


@pytest.mark.parametrize(
    ("pick", "picked", "shape"),
    [
        # channels 1 and 4 are dead, channels that are not picked have no reader
        (lambda x: x[:, 1:5], 4, (4, 4, 2)),
        (lambda x: x[:, :, 1:3], 6, (2, 4, 4)),
        (lambda x: x[:, [5, 4, 5, 0]], 4, (4, 4, 3)),
        (lambda x: x.flip(3), 6, (4, 4, 4)),
    ],
)
def test_dead_and_unread_channels_go(pick: Function, picked: int, shape: Shape) -> None:
    cut = check_removal(Picked(pick, [1, 4], picked), (1, 2, 6, 6))
    _, middle, _ = cut.graph.layers
    assert middle.shape == shape


def test_every_other_channel_is_pinned() -> None:
    compiled = check_module(Picked(lambda x: x[:, ::2], [2], 3), (1, 2, 6, 6))
    assert [node.shape[-1] for node in compiled.graph.layers] == [6, 3, 2]
