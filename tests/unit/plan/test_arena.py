# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mcugen.errors import InternalError
from mcugen.plan.arena import _ORDERS, _place, prove
from mcugen.plan.lifetimes import Buffer, lower_bound


@st.composite
def buffers(draw: st.DrawFn) -> list[Buffer]:
    count = draw(st.integers(1, 24))
    made = []
    for k in range(count):
        first = draw(st.integers(-1, 20))
        last = first + draw(st.integers(0, 8))
        size = draw(st.integers(1, 500))
        made.append(Buffer(name=f"b{k}", size_bytes=size, first=first, last=last))
    return made


@settings(max_examples=200, deadline=None)
@given(buffers(), st.sampled_from(_ORDERS))
def test_no_placement_lets_live_buffers_overlap(made: list[Buffer], order: object) -> None:
    placed = _place(made, order)  # type: ignore[arg-type]
    prove(made, placed)
    extent = max(placed[b.name] + b.size_bytes for b in made)
    assert extent >= lower_bound(made)


def test_the_proof_catches_one_byte_of_overlap() -> None:
    one = Buffer(name="one", size_bytes=9, first=0, last=2)
    two = Buffer(name="two", size_bytes=4, first=2, last=3)
    prove([one, two], {"one": 0, "two": 12})
    with pytest.raises(InternalError, match="one and two"):
        prove([one, two], {"one": 0, "two": 8})


def test_the_proof_catches_misalignment() -> None:
    one = Buffer(name="one", size_bytes=9, first=0, last=2)
    with pytest.raises(InternalError, match="not aligned"):
        prove([one], {"one": 2})


def test_buffers_that_never_meet_may_share_bytes() -> None:
    one = Buffer(name="one", size_bytes=8, first=0, last=1)
    two = Buffer(name="two", size_bytes=8, first=2, last=3)
    prove([one, two], {"one": 0, "two": 0})
