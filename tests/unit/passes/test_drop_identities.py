# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import numpy as np
import pytest

from mcugen.ir.graph import Shape
from mcugen.ops import Clip, Concat, Gather, Op, Pad, Reshape, Slice, Transpose
from mcugen.passes.drop_identities import run
from tests.unit.passes.moves import chain, graph_of, kinds, ran

SHAPE = (2, 3, 4)
CLIP = Clip(low=-0.5)

NOTHING: list[Op] = [
    Reshape(shape=SHAPE),
    Transpose(order=(0, 1, 2)),
    Slice(axis=1, start=0, count=3),
    Pad(margins=((0, 0),) * 3, value=5.0),
    Gather(indices=(None, (0, 1, 2), None)),
    Clip(low=-np.inf, high=np.inf),
    Concat(axis=1),
]
SOMETHING: list[Op] = [
    Reshape(shape=(3, 2, 4)),
    Transpose(order=(1, 0, 2)),
    Slice(axis=1, start=0, count=2),
    Slice(axis=1, start=1, count=2),
    Pad(margins=((0, 0), (0, 1), (0, 0))),
    Gather(indices=(None, (0, 2, 1), None)),
    Clip(low=-1.0),
    Clip(high=1.0),
]


@pytest.mark.parametrize("op", NOTHING)
def test_what_does_nothing_goes(op: Op) -> None:
    assert kinds(ran(run, chain(SHAPE, CLIP, op, CLIP))) == ["clip", "clip"]


@pytest.mark.parametrize("op", SOMETHING)
def test_what_does_something_stays(op: Op) -> None:
    assert kinds(ran(run, chain(SHAPE, op))) == [op.kind]


@pytest.mark.parametrize("op", NOTHING)
def test_an_output_that_does_nothing_is_the_value_before_it(op: Op) -> None:
    graph = graph_of(SHAPE, [("y", CLIP, ("x",)), ("z", op, ("y",))], ["z", "y"])
    assert ran(run, graph).outputs == ("y", "y")


@pytest.mark.parametrize("op", NOTHING)
def test_an_output_may_be_the_input_itself(op: Op) -> None:
    after = ran(run, chain(SHAPE, op))
    assert (after.outputs, kinds(after)) == (("x",), [])


MERGES: list[tuple[Shape, list[Op], list[str]]] = [
    (SHAPE, [Reshape(shape=(6, 4)), Reshape(shape=(24,))], ["reshape"]),
    (SHAPE, [Reshape(shape=(6, 4)), Reshape(shape=SHAPE)], []),
    (SHAPE, [Transpose(order=(2, 0, 1)), Transpose(order=(2, 1, 0))], ["transpose"]),
    (SHAPE, [Transpose(order=(2, 0, 1)), Transpose(order=(1, 2, 0))], []),
    ((2, 3, 4, 5), [Transpose(order=(1, 2, 3, 0)), Transpose(order=(2, 0, 3, 1))], ["transpose"]),
    ((1, 3, 4), [Transpose(order=(1, 2, 0))], ["reshape"]),
    ((3, 1, 4), [Transpose(order=(0, 2, 1)), Reshape(shape=(12,))], ["reshape"]),
    ((3, 1, 4), [Reshape(shape=(3, 4, 1)), Transpose(order=(2, 0, 1))], ["reshape"]),
    ((3, 1, 4), [Transpose(order=(1, 0, 2)), Transpose(order=(1, 0, 2))], []),
    (SHAPE, [Transpose(order=(1, 0, 2)), Reshape(shape=(24,))], ["transpose", "reshape"]),
]


@pytest.mark.parametrize(("shape", "ops", "left"), MERGES)
def test_moves_that_follow_each_other_are_one(shape: Shape, ops: list[Op], left: list[str]) -> None:
    assert kinds(ran(run, chain(shape, *ops))) == left


def test_a_value_in_between_that_is_read_elsewhere_stays() -> None:
    turn, back = Transpose(order=(2, 0, 1)), Transpose(order=(1, 2, 0))
    lines = [("t", turn, ("x",)), ("b", back, ("t",)), ("c", CLIP, ("b",)), ("d", CLIP, ("t",))]
    after = ran(run, graph_of(SHAPE, lines, ["c", "d"]))
    assert kinds(after) == ["transpose", "clip", "clip"]
    assert after.by_name["c"].inputs == ("x",)


def test_a_join_of_two_stays() -> None:
    lines = [("y", Concat(axis=0), ("x", "x"))]
    assert kinds(ran(run, graph_of(SHAPE, lines, ["y"]))) == ["concat"]
