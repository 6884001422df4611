# SPDX-License-Identifier: Apache-2.0
"""The solver finds what trying everything finds, and knows when it has."""

from __future__ import annotations

import itertools
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mcugen.plan import exact
from mcugen.plan.arena import conflict, extent, search
from mcugen.plan.exact import Option, Program, solve
from mcugen.plan.lifetimes import Buffer, Buffers, align

WORD = 4
ENOUGH = 4 * 5 * WORD  # bytes for four buffers of five words side by side


@st.composite
def tiny_buffers(draw: st.DrawFn) -> Buffers:
    """Up to four buffers of up to five words, some of which may overlap."""
    made = []
    for k in range(draw(st.integers(1, 4))):
        first = draw(st.integers(0, 3))
        made.append(
            Buffer(
                name=f"b{k}",
                size_bytes=draw(st.integers(1, 20)),
                first=first,
                last=first + draw(st.integers(0, 2)),
            )
        )
    pairs = [(a, b) for a in made for b in made if b.last == a.first > b.first]
    distances = {
        (a.name, b.name): draw(st.integers(-8, 24)) for a, b in pairs if draw(st.booleans())
    }
    return Buffers(home={}, all=tuple(made), distances=distances)


def smallest_arena(buffers: Buffers) -> int:
    """By trying all offsets."""
    places = [range(0, ENOUGH - b.size_bytes + 1, WORD) for b in buffers.all]
    names = [b.name for b in buffers.all]
    return min(
        align(extent(buffers, placed))
        for offsets in itertools.product(*places)
        if not conflict(buffers, placed := dict(zip(names, offsets, strict=True)))
    )


@settings(max_examples=25, deadline=None)
@given(tiny_buffers())
def test_the_solver_finds_the_smallest_arena_of_all(buffers: Buffers) -> None:
    buffers = replace(buffers, all=buffers.all[:3])
    found = solve(Program(buffers=buffers, limit_bytes=ENOUGH))
    assert found.optimal
    assert found.offsets is not None
    assert conflict(buffers, found.offsets) is None
    least = smallest_arena(buffers)
    assert align(extent(buffers, found.offsets)) == least
    below = solve(Program(buffers=buffers, limit_bytes=least - WORD))
    assert below.optimal
    assert below.offsets is None


@settings(max_examples=25, deadline=None)
@given(tiny_buffers())
def test_the_search_finds_no_smaller_one(buffers: Buffers) -> None:
    found = solve(Program(buffers=buffers, limit_bytes=ENOUGH))
    assert found.offsets is not None
    assert align(extent(buffers, search(buffers))) >= align(extent(buffers, found.offsets))


OPERAND = Buffer(name="operand", size_bytes=40, first=0, last=1)
OUTPUT = Buffer(name="output", size_bytes=40, first=1, last=2)
SCRATCH = Buffer(name="output.scratch", size_bytes=80, first=1, last=1)
BOTH = Buffers(home={}, all=(OPERAND, OUTPUT, SCRATCH), distances={})


def kernel(cost: float, tables: int, scratch: int, distance: int | None) -> Option:
    distances = {} if distance is None else {("output", "operand"): distance}
    return Option(
        cost=cost, table_bytes=tables, scratch={"output.scratch": scratch}, distances=distances
    )


FAST, IN_PLACE, SMALL = kernel(1, 9, 80, 8), kernel(3, 9, 20, 0), kernel(9, 2, 0, None)


@pytest.mark.parametrize(
    ("arena_cost", "flash", "limit", "chosen", "arena_bytes"),
    [
        (0.001, 9, 200, 0, 40 + 8 + 80),
        (1.0, 9, 200, 1, 40 + 20),
        (0.001, 9, 120, 1, 40 + 20),  # the arena's limit
        (0.001, 8, 200, 2, 40 + 40),  # the tables' limit
    ],
)
def test_kernels_are_chosen_together_with_the_offsets(
    arena_cost: float, flash: int, limit: int, chosen: int, arena_bytes: int
) -> None:
    options = (FAST, IN_PLACE, SMALL)
    found = solve(
        Program(
            buffers=BOTH,
            limit_bytes=limit,
            options=[options],
            flash_limit=flash,
            arena_cost=arena_cost,
        )
    )
    assert found.optimal
    assert found.chosen == (chosen,)
    assert found.offsets is not None
    own = replace(SCRATCH, size_bytes=options[chosen].scratch["output.scratch"])
    buffers = replace(BOTH, all=(OPERAND, OUTPUT, own), distances=options[chosen].distances)
    assert conflict(buffers, found.offsets) is None
    assert extent(buffers, found.offsets) == arena_bytes


def test_two_layers_share_the_flash() -> None:
    """The bytes go to the layer that gains more."""

    def layer(gain: float) -> list[Option]:
        return [
            Option(cost=10.0, table_bytes=1, scratch={}, distances={}),
            Option(cost=10.0 - gain, table_bytes=5, scratch={}, distances={}),
        ]

    found = solve(
        Program(buffers=BOTH, limit_bytes=200, options=[layer(2.0), layer(3.0)], flash_limit=8)
    )
    assert found.chosen == (0, 1)


def test_nothing_is_claimed_of_programs_that_are_too_large(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exact, "MAX_PAIRS", 2)
    found = solve(Program(buffers=BOTH, limit_bytes=200))
    assert found.offsets is None
    assert not found.optimal
