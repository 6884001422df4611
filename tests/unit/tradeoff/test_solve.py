# SPDX-License-Identifier: Apache-2.0
"""The solver against all choices one by one, and what it says where there is none."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from mcugen.tradeoff.options import Choice, Form, Option, Table, choice_of, undominated
from mcugen.tradeoff.solve import Bounds, Quantity, explain, solve, within

FORMS = (Form(), Form(bits=4), Form(pattern="block2x2", sparsity=0.5), Form(bits=2))
QUANTITIES: tuple[Quantity, ...] = ("loss", "flash", "ram", "cycles")


def option(layer: str, k: int, random: np.random.Generator) -> Option:
    return Option(
        layer=layer,
        form=FORMS[k % len(FORMS)],
        kernel=f"k{k}",
        loss=float(10.0 ** random.uniform(-7, 0)),
        flash=int(random.integers(10, 5000)),
        cycles=float(random.integers(1000, 100_000)),
        live=int(random.integers(100, 4000)),
        functions=(("f", "g", "h")[k % 3],),
    )


# `help` is code that two of the functions call
CODE_OF = {"f": {"f": 3000, "help": 900}, "g": {"g": 500, "help": 900}, "h": {"h": 2500}}


def random_table(seed: int, layers: int = 4, options: int = 4) -> Table:
    random = np.random.default_rng(seed)
    made = tuple(tuple(option(f"l{n}", k, random) for k in range(options)) for n in range(layers))
    return Table(layers=made, code_of=CODE_OF, code=1000, moves=500.0, arena=8)


def all_choices(table: Table) -> list[Choice]:
    return [choice_of(table, options) for options in itertools.product(*table.layers)]


def middle(table: Table, share: float, names: tuple[Quantity, ...]) -> Bounds:
    """Bounds between the least and the most of some quantities."""
    choices = all_choices(table)
    values = {name: [getattr(c, name) for c in choices] for name in names}
    return Bounds(**{n: min(v) + share * (max(v) - min(v)) for n, v in values.items()})


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("minimize", QUANTITIES)
def test_it_finds_what_trying_all_choices_finds(seed: int, minimize: Quantity) -> None:
    table = random_table(seed)
    others: tuple[Quantity, ...] = tuple(name for name in QUANTITIES if name != minimize)
    bounds = middle(table, 0.4, others)
    fitting = [choice for choice in all_choices(table) if within(choice, bounds)]
    found = solve(table, minimize, bounds, {"cycles": 1.0, "flash": 1.0})
    if not fitting:
        assert found is None
        return
    assert found is not None and within(found, bounds)
    least = min(getattr(choice, minimize) for choice in fitting)
    assert getattr(found, minimize) == pytest.approx(least, rel=1e-8)


def test_code_counts_once_for_all_that_call_it() -> None:
    table = random_table(0)
    options = [options[0] for options in table.layers]
    tables = sum(option.flash for option in options)
    assert choice_of(table, options).flash == 1000 + tables + 3900
    options[0] = table.layers[0][1]
    tables = sum(option.flash for option in options)
    assert choice_of(table, options).flash == 1000 + tables + 3000 + 500 + 900


def test_ties_are_broken_by_the_other_sums() -> None:
    same = {"layer": "a", "form": None, "loss": 0.0, "live": 0}
    slow = Option(kernel="slow", flash=10, cycles=900.0, **same)  # type: ignore[arg-type] # plain
    fast = Option(kernel="fast", flash=20, cycles=100.0, **same)  # type: ignore[arg-type] # plain
    table = Table(layers=((slow, fast),))
    for ties, wanted in (({"cycles": 1.0}, "fast"), ({"flash": 1.0}, "slow")):
        found = solve(table, "loss", Bounds(), ties)  # type: ignore[arg-type] # a dict of literals
        assert found is not None and found.kernels == (("a", wanted),)


def test_excluded_forms_give_the_next_best() -> None:
    table = random_table(3)
    bounds = middle(table, 0.6, ("flash", "cycles"))
    ordered = sorted((c for c in all_choices(table) if within(c, bounds)), key=lambda c: c.loss)
    taken: list[Choice] = []
    for wanted in ordered[:4]:
        found = solve(table, "loss", bounds, {}, [choice.forms for choice in taken])
        assert found is not None
        assert found.loss == pytest.approx(wanted.loss, rel=1e-8)
        taken.append(found)


def test_one_bound_that_cannot_be_met_is_named_with_how_much_is_missing() -> None:
    table = random_table(1)
    least = min(choice.flash for choice in all_choices(table))
    bounds = Bounds(flash=least - 100, ram=1e6)
    assert solve(table, "loss", bounds, {}) is None
    text = str(explain(table, bounds))
    assert f"flash: at least {least:,} is needed, {least - 100:,} allowed, 100 too much" in text
    assert "ram" not in text


def test_bounds_that_only_clash_together_are_told_as_such() -> None:
    table = random_table(2)
    choices = all_choices(table)
    flash = min(choice.flash for choice in choices)
    cycles = min(choice.cycles for choice in choices)
    bounds = Bounds(flash=flash, cycles=cycles)
    assert not any(within(choice, bounds) for choice in choices)
    text = str(explain(table, bounds))
    least = min(choice.cycles for choice in choices if choice.flash <= flash)
    assert "not all of them together" in text
    assert f"cycles: at least {least:,.0f} is needed" in text


def test_thirty_layers_of_twenty_options_take_no_second() -> None:
    table = random_table(0, layers=30, options=20)
    least = solve(table, "flash", Bounds(), {})
    assert least is not None
    found = solve(table, "loss", Bounds(flash=2 * least.flash, cycles=8e5), {"cycles": 1.0})
    assert found is not None and found.flash <= 2 * least.flash


def test_options_that_others_beat_are_left_out() -> None:
    table = random_table(5, layers=1, options=12)
    kept = undominated(table.layers[0])
    for one in table.layers[0]:
        others = [o for o in table.layers[0] if o is not one and o.functions == one.functions]
        assert (one in kept) == (not any(o.beats(one) for o in others))
