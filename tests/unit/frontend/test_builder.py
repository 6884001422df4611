# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from mcugen.frontend.builder import Builder, Perm, Value
from mcugen.ir.graph import Graph, Shape
from mcugen.ops import Input
from mcugen.train.forward import forward, to_stored


@st.composite
def shapes(draw: st.DrawFn, total: int) -> Shape:
    """Up to five axes that hold `total` elements."""
    sizes: list[int] = []
    while math.prod(sizes) < total and len(sizes) < 4:
        rest = total // math.prod(sizes)
        sizes.append(draw(st.sampled_from([d for d in range(1, rest + 1) if rest % d == 0])))
    return (*sizes, total // math.prod(sizes))


@st.composite
def reshapes(draw: st.DrawFn) -> tuple[Shape, Perm, Shape]:
    """A shape, the order its axes are stored in, and another shape."""
    total = draw(st.sampled_from([1, 6, 24, 36]))
    old = draw(shapes(total))
    return old, tuple(draw(st.permutations(range(len(old))))), draw(shapes(total))


def reshaped(old: Shape, perm: Perm, new: Shape) -> tuple[Graph, Value]:
    builder = Builder()
    stored = tuple(old[axis] for axis in perm)
    value = Value(node=builder.emit(Input(shape=stored), []), shape=old, perm=perm)
    target = builder.reshape(value, new, True)
    graph = Graph(
        name="net",
        inputs=(value.node,),
        outputs=(target.node,),
        nodes=tuple(builder.nodes),
        input_layouts=(perm,),
        output_layouts=(target.perm,),
    )
    return graph, target


@settings(max_examples=300, deadline=None, derandomize=True)
@given(reshapes())
def test_a_reshape_means_what_torch_means_in_every_layout(case: tuple[Shape, Perm, Shape]) -> None:
    old, perm, new = case
    graph, target = reshaped(old, perm, new)
    x = torch.arange(math.prod(old), dtype=torch.float32).reshape(1, *old)
    [got] = forward(graph, [to_stored(x, perm)])
    assert target.shape == new
    assert torch.equal(got, to_stored(x.reshape(1, *new), target.perm))


@pytest.mark.parametrize(
    ("old", "perm", "new", "moves", "stored"),
    [
        # axes that split, merge in place, or appear and vanish with size 1
        ((8, 4, 6), (1, 2, 0), (2, 4, 4, 6), 0, (4, 6, 2, 4)),
        ((2, 4, 4, 6), (2, 3, 0, 1), (8, 4, 6), 0, (4, 6, 8)),
        ((8, 4, 6), (1, 2, 0), (8, 1, 4, 6), 0, (1, 4, 6, 8)),
        ((1, 4, 6), (1, 2, 0), (4, 6), 0, (4, 6)),
        ((8, 1, 6), (1, 2, 0), (8, 6), 0, (6, 8)),
        # axes that merge in another order than they lie: channels stay last
        ((4, 2, 4, 6), (2, 3, 1, 0), (8, 4, 6), 1, (4, 6, 8)),
        ((5, 2, 4), (1, 0, 2), (5, 8), 1, (5, 8)),
        # all axes merge: the model's own order
        ((8, 4, 6), (1, 2, 0), (192,), 1, (192,)),
    ],
)
def test_bytes_move_only_where_they_must(
    old: Shape, perm: Perm, new: Shape, moves: int, stored: Shape
) -> None:
    graph, target = reshaped(old, perm, new)
    assert [node.op.kind for node in graph.nodes].count("transpose") == moves
    assert target.stored == stored
