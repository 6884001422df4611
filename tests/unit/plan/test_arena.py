# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mcugen.errors import InternalError
from mcugen.ir.graph import Graph
from mcugen.ops.base import Kernel
from mcugen.plan import arena, exact
from mcugen.plan.arena import extent, place, plan_arena, prove, search
from mcugen.plan.lifetimes import Buffer, Buffers, lower_bound
from mcugen.report.terminal import arena_proof_text
from tests.unit.plan.offering import kernel, network


def plain(*buffers: Buffer) -> Buffers:
    return Buffers(home={}, all=buffers, distances={})


@st.composite
def chains(draw: st.DrawFn) -> Buffers:
    """Random lifetimes, in which some buffers are written by the last reader of another."""
    made: list[Buffer] = []
    distances: dict[tuple[str, str], int] = {}
    for k in range(draw(st.integers(1, 20))):
        first = draw(st.integers(-1, 20))
        last = first + draw(st.integers(0, 8))
        made.append(
            Buffer(name=f"b{k}", size_bytes=draw(st.integers(1, 500)), first=first, last=last)
        )
    for output in made:
        for operand in made:
            if operand.last == output.first > operand.first and draw(st.booleans()):
                distances[output.name, operand.name] = draw(st.integers(-40, 200))
    return Buffers(home={}, all=tuple(made), distances=distances)


@pytest.mark.slow
@settings(max_examples=150, deadline=None)
@given(chains(), st.randoms(use_true_random=False))
def test_every_placement_is_proved(buffers: Buffers, random: object) -> None:
    order = list(buffers.all)
    random.shuffle(order)  # type: ignore[attr-defined]
    placed = place(buffers, order)
    prove(buffers, placed)
    assert extent(buffers, placed) >= lower_bound(buffers)


@settings(max_examples=25, deadline=None)
@given(chains())
def test_the_search_is_no_worse_than_execution_order_and_repeats(buffers: Buffers) -> None:
    found = search(buffers)
    prove(buffers, found)
    in_order = place(buffers, sorted(buffers.all, key=lambda b: (b.first, -b.size_bytes)))
    assert extent(buffers, found) <= extent(buffers, in_order)
    assert search(buffers) == found


ONE = Buffer(name="one", size_bytes=9, first=0, last=2)
TWO = Buffer(name="two", size_bytes=4, first=2, last=3)


def test_the_proof_catches_one_byte_of_overlap() -> None:
    prove(plain(ONE, TWO), {"one": 0, "two": 12})
    with pytest.raises(InternalError, match="one and two"):
        prove(plain(ONE, TWO), {"one": 0, "two": 8})


def test_the_proof_catches_misalignment() -> None:
    with pytest.raises(InternalError, match="not aligned"):
        prove(plain(ONE), {"one": 2})


def test_buffers_that_never_meet_may_share_bytes() -> None:
    later = Buffer(name="later", size_bytes=8, first=3, last=3)
    prove(plain(ONE, later), {"one": 0, "later": 0})


def test_an_output_may_lie_as_far_below_its_operand_as_its_kernel_says() -> None:
    buffers = Buffers(home={}, all=(ONE, TWO), distances={("two", "one"): 4})
    prove(buffers, {"two": 0, "one": 4})
    with pytest.raises(InternalError, match="one and two"):
        prove(buffers, {"two": 4, "one": 4})


def test_the_search_uses_what_it_may() -> None:
    operand = Buffer(name="operand", size_bytes=12, first=0, last=2)
    output = Buffer(name="output", size_bytes=8, first=2, last=3)
    distances = {("output", "operand"): 4}
    buffers = Buffers(home={}, all=(operand, output), distances=distances)
    assert extent(buffers, search(buffers)) == lower_bound(buffers) == 16


def test_a_distance_excuses_only_the_step_at_which_the_operand_dies() -> None:
    longer = Buffer(name="one", size_bytes=9, first=0, last=3)
    buffers = Buffers(home={}, all=(longer, TWO), distances={("two", "one"): 0})
    with pytest.raises(InternalError, match="one and two"):
        prove(buffers, {"one": 0, "two": 0})


def test_a_negative_distance_lets_the_output_start_later() -> None:
    buffers = Buffers(home={}, all=(ONE, TWO), distances={("two", "one"): -4})
    prove(buffers, {"one": 0, "two": 4})
    with pytest.raises(InternalError):
        prove(buffers, {"one": 0, "two": 8})


def drifting() -> tuple[Graph, dict[str, Kernel]]:
    """Each output must lie 40 bytes below its operand: more is needed than is live at any step."""
    offers = [kernel(1, 0, 0, 40)]
    graph = network([400] * 4, offers, offers, offers)
    return graph, {node.name: offers[0] for node in graph.layers}


def test_the_solver_proves_what_the_bound_does_not() -> None:
    plan = plan_arena(*drifting())
    assert (plan.bound_bytes, plan.arena_bytes, plan.proof) == (440, 520, "solver")


def test_a_plan_that_reaches_the_bound_needs_no_solver(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(arena, "solve", None)
    offers = [kernel(1, 0, 12, 0)]
    graph = network([400] * 4, offers, offers, offers)
    plan = plan_arena(graph, {node.name: offers[0] for node in graph.layers})
    assert (plan.bound_bytes, plan.arena_bytes, plan.proof) == (412, 412, "bound")


def test_nothing_is_claimed_without_a_proof(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exact, "MAX_PAIRS", 0)
    plan = plan_arena(*drifting())
    assert (plan.arena_bytes, plan.proof) == (520, None)


def test_a_better_plan_of_the_solver_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    def poor_search(buffers: Buffers) -> dict[str, int]:
        return {buffer.name: 1000 * k for k, buffer in enumerate(buffers.all)}

    monkeypatch.setattr(arena, "search", poor_search)
    plan = plan_arena(*drifting())
    assert (plan.arena_bytes, plan.proof) == (520, "solver")


@pytest.mark.parametrize(
    ("proof", "text"),
    [
        ("bound", "as small as can be: 440 bytes"),
        ("solver", "as small as can be, by the solver: 440 bytes"),
        (None, "not proved to be the smallest: 440 bytes"),
    ],
)
def test_the_summary_says_whether_it_is_proved(proof: str | None, text: str) -> None:
    report = {"arena_proof": proof, "arena_bound_bytes": 440, "arena_peak_layer": "y0"}
    assert arena_proof_text(report).startswith(text)
