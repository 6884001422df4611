# SPDX-License-Identifier: Apache-2.0
"""What a search gives: choices made real, and whether they keep what was asked."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from mcugen.errors import BudgetError
from mcugen.evaluate import Accuracy
from mcugen.pipeline import CompileOptions
from mcugen.tradeoff.measure import Measure
from mcugen.tradeoff.options import Choice, Table, code_bytes
from mcugen.tradeoff.realize import Figures, Network, pinned
from mcugen.tradeoff.solve import Bounds


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Point:
    """A choice, made real.

    predicted: its loss by the option table, with what rounding the activations adds, as measured
    on the network with most bits. loss: measured on the integer network. figures: None where it
    was not compiled. loose: its kernels are the planner's own for least RAM, not the choice's.
    cut: the share of its products that whole channels were cut to before, 1 for none.
    """

    choice: Choice
    network: Network
    predicted: float
    loss: float
    accuracy: Accuracy | None = None
    figures: Figures | None = None
    loose: bool = False
    cut: float = 1.0

    @property
    def drop(self) -> float:
        """Points of accuracy lost against the float network."""
        assert self.accuracy is not None
        return self.accuracy.float_value - self.accuracy.int8_value


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Found:
    """What a search gave."""

    chosen: Point
    most: Point  # with most bits and no new zeros
    front: tuple[Point, ...]
    measure: Measure
    judged_by: str | None
    losses: Mapping[str, Mapping[str, float]]
    bounds: Bounds
    options: int
    seconds: Mapping[str, float]


def fits(found: Figures, bounds: Bounds) -> bool:
    """Whether what was measured is within every bound."""
    return all(getattr(found, name) <= bound for name, bound in bounds.items().items())


def with_choice(options: CompileOptions, found: Found) -> CompileOptions:
    """The options of a compilation with the bits and kernels that were found."""
    choice = found.chosen.choice
    bits = tuple((name, form.bits) for name, form in choice.forms.items())
    return replace(
        pinned(options, choice, loose=found.chosen.loose),
        bits=bits or None,
        ram_bytes=int(found.bounds.ram or 0),
    )


def check_found(found: Found, report: Mapping[str, Any]) -> None:
    """Raise BudgetError where the finished build costs more than what was found."""
    made = found.chosen.figures
    assert made is not None
    flash = report["flash_bytes"] or report["weight_bytes"]
    real = replace(made, flash=flash, ram=report["arena_bytes"] + report["fast_arena_bytes"])
    if not fits(real, found.bounds):
        bounds = ", ".join(f"{n} {b:,.0f}" for n, b in found.bounds.items().items())
        msg = (
            f"the finished network takes {real.flash:,} bytes of flash and {real.ram:,} of RAM, "
            f"which is more than the budget ({bounds}); nothing was written"
        )
        raise BudgetError(msg)


def corrected(table: Table, point: Point) -> Table:
    """The table with what is beside tables, kernels and steps as it was measured."""
    choice, found = point.choice, point.figures
    assert found is not None
    return replace(
        table,
        code=found.flash
        - code_bytes(table, choice.options)
        - sum(option.flash for option in choice.options),
        moves=found.cycles - sum(option.cycles for option in choice.options),
        arena=found.ram - max(option.live for option in choice.options),
    )


def tightest(one: Table, other: Table) -> Table:
    """What is beside the options, the larger of both: so that rounds come to an end."""
    return replace(
        other,
        code=max(one.code, other.code),
        moves=max(one.moves, other.moves),
        arena=max(one.arena, other.arena),
    )


def loosened(before: Table, after: Table) -> bool:
    """Something is smaller than it was taken to be."""
    return after.code < before.code or after.moves < before.moves or after.arena < before.arena
