# SPDX-License-Identifier: Apache-2.0
"""The best choice of one option for each layer under bounds, exactly: a mixed-integer program.

One binary variable for each option; one row that takes one option of each layer; a row for each
bound on a sum; and for RAM a row for each step of the schedule, since steps do not add up: each has
to fit by itself. Code is in flash once, however many layers call it: a variable for each piece of
code is at least that of every option that needs it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from mcugen.errors import BudgetError, InternalError
from mcugen.milp import Rows, minimize
from mcugen.tradeoff.options import Choice, Form, Option, Table, choice_of

Quantity: TypeAlias = Literal["loss", "flash", "ram", "cycles"]
MAX_NODES = 50_000
SLACK = 1e-9  # relative, of a bound that was itself a result of the solver
# the solver's own tolerance is absolute, so that objectives are brought to this size
SCALE = 1e4


@dataclass(frozen=True, slots=True, kw_only=True)
class Bounds:
    """What the whole choice may have at most, None where there is no bound."""

    loss: float | None = None
    flash: float | None = None
    ram: float | None = None
    cycles: float | None = None

    def items(self) -> dict[Quantity, float]:
        """The bounds that there are."""
        named: dict[Quantity, float | None] = {
            "loss": self.loss,
            "flash": self.flash,
            "ram": self.ram,
            "cycles": self.cycles,
        }
        return {name: bound for name, bound in named.items() if bound is not None}


Weights: TypeAlias = Mapping[Quantity, float]  # of the sums, to break ties by


def solve(
    table: Table,
    minimize: Quantity,
    bounds: Bounds,
    ties: Weights,
    excluded: Sequence[Mapping[str, Form]] = (),
) -> Choice | None:
    """The choice of least `minimize` within the bounds, None where there is none.

    Of the best ones, that of the least weighted sum of `ties`, each relative to what the best
    choice has. `excluded` are forms of all layers that are not to be taken again as a whole.
    """
    model = _Model(table, excluded)
    first = (
        model.least_ram(bounds) if minimize == "ram" else model.least(model.sums(minimize), bounds)
    )
    if first is None:
        return None
    found = choice_of(table, first)
    if not ties:
        return found
    reached: float = getattr(found, minimize)
    tight = replace(bounds, **{minimize: reached + abs(reached) * SLACK})
    cost = sum(
        weight * model.sums(name) / max(float(getattr(found, name)), 1e-30)
        for name, weight in ties.items()
    )
    second = model.least(np.asarray(cost), tight)
    better = None if second is None else choice_of(table, second)
    # the solver's tolerances may let a bound be missed by a hair
    return better if better is not None and within(better, tight) else found


def within(choice: Choice, bounds: Bounds) -> bool:
    """Whether every bound holds."""
    return all(getattr(choice, name) <= bound for name, bound in bounds.items().items())


def explain(table: Table, bounds: Bounds) -> BudgetError:
    """Which bounds cannot be met, and by how much: each alone, or only all of them together."""
    lines = []
    for name, bound in bounds.items().items():
        least = solve(table, name, Bounds(), {})
        assert least is not None, "without bounds, everything is possible"
        needed: float = getattr(least, name)
        if needed > bound:
            lines.append(f"{name}: at least {_more(needed, bound)}")
    if lines:
        return BudgetError(_text("no choice of bits, zeros and kernels meets the budget:", lines))
    for name, bound in bounds.items().items():
        least = solve(table, name, replace(bounds, **{name: None}), {})
        if least is not None:
            lines.append(f"{name}: at least {_more(getattr(least, name), bound)} within the others")
    return BudgetError(
        _text("each bound of the budget can be met by itself, but not all of them together:", lines)
    )


def _more(needed: float, bound: float) -> str:
    if max(needed, bound) < 1000:
        return f"{needed:.4g} is needed, {bound:.4g} allowed, {needed - bound:.4g} too much"
    return f"{needed:,.0f} is needed, {bound:,.0f} allowed, {needed - bound:,.0f} too much"


def _text(head: str, lines: Sequence[str]) -> str:
    return "\n".join([head, *(f"  {line}" for line in lines), "  nothing was written"])


_Row: TypeAlias = "tuple[NDArray[np.float64], float]"


class _Model:
    """Columns are the options of all layers, one after the other, then the pieces of code."""

    def __init__(self, table: Table, excluded: Sequence[Mapping[str, Form]]) -> None:
        self.table = table
        self.flat = [option for options in table.layers for option in options]
        ends = np.cumsum([len(options) for options in table.layers]).tolist()
        self.spans = [slice(a, b) for a, b in zip([0, *ends[:-1]], ends, strict=True)]
        self.pieces = _pieces(table)
        self.columns = len(self.flat) + len(self.pieces)
        self.cuts = [*self._calls(), *(self._cut(forms) for forms in excluded)]

    def sums(self, name: Quantity) -> NDArray[np.float64]:
        """What each column adds to a quantity."""
        own = "live" if name == "ram" else name
        code = [size if name == "flash" else 0 for size in self.pieces.values()]
        return np.array([*(getattr(option, own) for option in self.flat), *code], np.float64)

    def _cut(self, forms: Mapping[str, Form]) -> _Row:
        """Not all layers in these forms at once."""
        row = np.zeros(self.columns)
        for column, option in enumerate(self.flat):
            row[column] = option.form is not None and forms.get(option.layer) == option.form
        return row, len(forms) - 1.0

    def _calls(self) -> Iterator[_Row]:
        """Code is there where an option calls it."""
        for column, functions in enumerate(self.pieces, start=len(self.flat)):
            calling = np.array([not functions.isdisjoint(o.functions) for o in self.flat])
            for span in self.spans:
                if calling[span].any():
                    row = np.zeros(self.columns)
                    row[span] = calling[span]
                    row[column] = -1.0
                    yield row, 0.0

    def _rows(self, bounds: Bounds) -> Iterator[_Row]:
        fixed = {"loss": 0.0, "flash": float(self.table.code), "cycles": self.table.moves}
        for name, bound in bounds.items().items():
            if name != "ram":
                yield self.sums(name), bound - fixed[name]
                continue
            live = self.sums("ram")
            for span in self.spans:
                row = np.zeros(self.columns)
                row[span] = live[span]
                yield row, bound - self.table.arena
        yield from self.cuts

    def least(self, cost: NDArray[np.float64], bounds: Bounds) -> tuple[Option, ...] | None:
        """The options of least total cost, None where no choice is within the bounds."""
        scaled = cost * (SCALE / max(float(np.abs(cost).max(initial=0.0)), 1e-300))
        return self._solved(scaled, [_scaled(row) for row in self._rows(bounds)])

    def least_ram(self, bounds: Bounds) -> tuple[Option, ...] | None:
        """The options whose largest step is smallest: one more column is at least each step."""
        live = self.sums("ram") / max(float(self.sums("ram").max(initial=0.0)), 1.0)
        rows = [(np.append(row, 0.0), right) for row, right in map(_scaled, self._rows(bounds))]
        for span in self.spans:
            row = np.append(np.zeros(self.columns), -1.0)
            row[span] = live[span]
            rows.append((row, 0.0))
        return self._solved(np.append(np.zeros(self.columns), SCALE), rows)

    def _solved(self, cost: NDArray[np.float64], rows: Sequence[_Row]) -> tuple[Option, ...] | None:
        """Columns behind those of the options are no binaries."""
        one = np.zeros((len(self.spans), len(cost)))
        for row, span in zip(one, self.spans, strict=True):
            row[span] = 1.0
        constraints = [Rows(matrix=one, low=1.0, high=1.0)]
        if rows:
            matrix, right = (np.array(each) for each in zip(*rows, strict=True))
            constraints.append(Rows(matrix=matrix, low=-np.inf, high=right))
        found = minimize(
            cost,
            whole=np.arange(len(cost)) < len(self.flat),
            low=np.zeros(len(cost)),
            high=np.ones(len(cost)),
            rows=constraints,
            max_nodes=MAX_NODES,
        )
        if found.infeasible:
            return None
        if found.values is None:
            msg = f"the solver found no choice: {found.message}"
            raise InternalError(msg)
        values = found.values
        picked = [int(np.argmax(values[span])) for span in self.spans]
        return tuple(options[k] for options, k in zip(self.table.layers, picked, strict=True))


def _pieces(table: Table) -> dict[frozenset[str], int]:
    """Code in bytes by the functions that need it: what all of these need and no other does."""
    called = {f for options in table.layers for option in options for f in option.functions}
    users: dict[str, set[str]] = {}
    sizes: dict[str, int] = {}
    for function in sorted(called & set(table.code_of)):
        for name, size in table.code_of[function].items():
            users.setdefault(name, set()).add(function)
            sizes[name] = size
    found: dict[frozenset[str], int] = {}
    for name, functions in users.items():
        key = frozenset(functions)
        found[key] = found.get(key, 0) + sizes[name]
    return found


def _scaled(row: _Row) -> _Row:
    """In units of the bound: the solver's tolerances are then relative."""
    terms, right = row
    unit = max(abs(right), 1e-3 * float(np.abs(terms).max(initial=0.0)), 1e-30)
    return terms / unit, right / unit
