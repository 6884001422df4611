# SPDX-License-Identifier: Apache-2.0
"""Budgets as users write them."""

from __future__ import annotations

import pytest

from mcugen.errors import OptionError
from mcugen.tradeoff.budget import Budget, parse_budget


@pytest.mark.parametrize(
    ("text", "bounds"),
    [
        ("flash=64K,ram=20K,cycles=5M", {"flash": 65536, "ram": 20480, "cycles": 5_000_000}),
        ("ram=20000", {"ram": 20000}),
        ("cycles=1.5G", {"cycles": 1_500_000_000}),
        (" flash = 0.5M , cycles = 10k", {"flash": 524288, "cycles": 10_000}),
        ("flash=64KiB", {"flash": 65536}),
    ],
)
def test_it_reads_bytes_and_cycles(text: str, bounds: dict[str, int]) -> None:
    budget = parse_budget(text)
    assert budget.bounds() == bounds
    assert parse_budget(budget.text()) == budget


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "budget '' is not known; expected some of flash=64K"),
        ("rom=5", "budget 'rom=5' is not known"),
        ("flash", "budget 'flash' is not known"),
        ("flash=lots", "budget flash: 'lots' is no number"),
        ("ram=2G", "budget ram: '2G' is no number, with K, M behind it"),
        ("flash=-3", "budget flash: '-3' is no number"),
        ("flash=0", "budget: flash is 0; expected 1 or more"),
        ("flash=1K,flash=2K", "flash is given twice"),
    ],
)
def test_it_says_what_it_cannot_read(text: str, words: str) -> None:
    with pytest.raises(OptionError) as caught:
        parse_budget(text)
    assert words in str(caught.value)


def test_all_faults_are_told_at_once() -> None:
    with pytest.raises(OptionError) as caught:
        parse_budget("rom=5,flash=x,ram=1K")
    assert len(str(caught.value).splitlines()) == 2


def test_a_budget_bounds_something() -> None:
    with pytest.raises(OptionError):
        Budget()
