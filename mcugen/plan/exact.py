# SPDX-License-Identifier: Apache-2.0
"""The best plan there is, with a proof: kernels and offsets as one mixed-integer program.

Of every two buffers that are live together, one lies below the other; which one is a binary
variable. So is each kernel of each layer, of which one is taken: how large its scratch is and how
far its output must lie below its operand are then linear too. HiGHS (through scipy) solves it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

import numpy as np

from mcugen.milp import Rows, minimize
from mcugen.plan.lifetimes import ALIGNMENT, Buffer, Buffers, align, lower_bound

MAX_PAIRS = 300  # of buffers that meet: more make the program too hard to be worth the time
MAX_NODES = 2000  # of the search tree: a limit on work, not on time, so that builds repeat


@dataclass(frozen=True, slots=True, kw_only=True)
class Option:
    """A kernel of one layer: its cost, and what it makes of the buffers.

    `scratch` are the bytes of buffers that are of no use to the other kernels of the layer,
    `distances` those of its operands; pairs that no option names have the buffers' own.
    """

    cost: float
    table_bytes: int
    scratch: Mapping[str, int]
    distances: Mapping[tuple[str, str], int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Program:
    """What is to be placed, and between which kernels there is a choice.

    To be as small as can be: the costs of the options, one of each layer, and `arena_cost` for each
    byte of the arena, which may have `limit_bytes`; the tables may have `flash_limit`. From
    `limit_bytes` on lies a second block of `fast_bytes`; a buffer in it saves its `gains`.
    """

    buffers: Buffers
    limit_bytes: int
    options: Sequence[Sequence[Option]] = ()
    flash_limit: int = 0
    arena_cost: float = 1.0
    fast_bytes: int = 0
    gains: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Solution:
    """Offsets and the chosen option of each layer; `optimal` where there are no better ones.

    None and optimal: there is no plan within the limit. None and not optimal: none was found.
    """

    offsets: Mapping[str, int] | None = None
    chosen: tuple[int, ...] = ()
    optimal: bool = False


def solve(program: Program) -> Solution:
    """The best plan, or the best that was found within a fixed amount of work."""
    model = _Model(program)
    if len(model.pairs) > MAX_PAIRS:
        return Solution()
    return model.solve()


_Row: TypeAlias = "tuple[dict[int, float], float]"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Sum:
    """A sum of variables, by column, and a fixed number."""

    fixed: float = 0.0
    terms: Mapping[int, float] = field(default_factory=dict)

    @property
    def most(self) -> float:
        """The largest value, the variables being one choice."""
        return self.fixed + max(self.terms.values(), default=0.0)


class _Model:
    """Columns: offsets of the buffers, the arena, one binary for each option and for each pair.

    With a second block, there is one more binary for each buffer, which is 1 where it lies there.

    All sizes are in words of ALIGNMENT bytes, which is exact: offsets are multiples of it.
    """

    def __init__(self, program: Program) -> None:
        self.program = program
        self.buffers = program.buffers.all
        self.limit = program.limit_bytes // ALIGNMENT
        self.end = self.limit + program.fast_bytes // ALIGNMENT  # of the second block
        self.pairs = [
            (i, j)
            for i, one in enumerate(self.buffers)
            for j, other in enumerate(self.buffers[:i])
            if one.meets(other)
        ]
        self.arena = len(self.buffers)
        flat = [option for options in program.options for option in options]
        self.flat = dict(enumerate(flat, start=self.arena + 1))  # options by column
        self.orders = self.arena + 1 + len(flat)  # the first column of a pair
        self.places = self.orders + len(self.pairs)  # the first that tells a buffer's block
        self.columns = self.places + (len(self.buffers) if program.fast_bytes else 0)
        self.sizes = [self._size(buffer) for buffer in self.buffers]

    def _size(self, buffer: Buffer) -> _Sum:
        terms = {
            c: _words(o.scratch[buffer.name])
            for c, o in self.flat.items()
            if buffer.name in o.scratch
        }
        return _Sum(terms=terms) if terms else _Sum(fixed=_words(buffer.size_bytes))

    def _below(self, lower: int, upper: int) -> _Sum:
        """From the lower one's start to the upper one's at least."""
        one, other = self.buffers[lower], self.buffers[upper]
        key = (one.name, other.name)
        size = self.sizes[lower]
        if one.written != other.last:
            return size
        if key in self.program.buffers.distances:
            return _Sum(fixed=min(size.most, _words(self.program.buffers.distances[key])))
        nearer = {
            c: min(0.0, _words(option.distances[key]) - size.most)
            for c, option in self.flat.items()
            if key in option.distances
        }
        return _Sum(fixed=size.fixed, terms={**size.terms, **nearer})

    def _rows(self) -> Iterator[_Row]:
        """Inequalities: the terms' sum is at most the number."""
        yield from self._blocks()
        for order, (i, j) in enumerate(self.pairs, start=self.orders):
            # order 1: i + its distance <= j; order 0: j + its distance <= i
            up, down = self._below(i, j), self._below(j, i)
            slack = self.end + up.most
            yield {i: 1.0, j: -1.0, order: slack, **up.terms}, slack - up.fixed
            slack = self.end + down.most
            yield {j: 1.0, i: -1.0, order: -slack, **down.terms}, -down.fixed
        if self.flat:
            tables = {c: float(option.table_bytes) for c, option in self.flat.items()}
            yield tables, float(self.program.flash_limit)
        column = self.arena + 1
        for options in self.program.options:
            own = range(column, column + len(options))
            yield dict.fromkeys(own, 1.0), 1.0
            yield dict.fromkeys(own, -1.0), -1.0
            column += len(options)

    def _blocks(self) -> Iterator[_Row]:
        """Each buffer ends within the arena, or lies in the second block."""
        for i, size in enumerate(self.sizes):
            row = {i: 1.0, self.arena: -1.0, **size.terms}
            if self.columns > self.places:
                row[self.places + i] = -float(self.end)
                yield {i: -1.0, self.places + i: float(self.limit)}, 0.0
                yield {i: 1.0, **size.terms}, self.end - size.fixed
            yield row, -size.fixed

    def solve(self) -> Solution:
        """Solve the program."""
        # Late import: most plans are done without it, and it takes a third of a second.
        from scipy.sparse import coo_array

        fixed = not self.flat and self.end == self.limit
        bound = align(lower_bound(self.program.buffers)) // ALIGNMENT if fixed else 0
        if self.limit < bound:
            return Solution(optimal=True)
        rows = list(self._rows())
        entries = [(r, c, v) for r, (terms, _) in enumerate(rows) for c, v in terms.items()]
        at, column, value = (np.array(each) for each in zip(*entries, strict=True))
        cost = np.zeros(self.columns)
        cost[self.arena] = self.program.arena_cost * ALIGNMENT
        low, high = np.zeros(self.columns), np.ones(self.columns)
        high[: self.arena] = self.end
        low[self.arena], high[self.arena] = bound, self.limit
        for c, option in self.flat.items():
            cost[c] = option.cost
        for c in range(self.places, self.columns):
            cost[c] = -self.program.gains.get(self.buffers[c - self.places].name, 0.0)
        found = minimize(
            cost,
            whole=np.ones(self.columns, bool),
            low=low,
            high=high,
            rows=[
                Rows(
                    matrix=coo_array(
                        (value, (at, column)), shape=(len(rows), self.columns)
                    ).tocsr(),
                    low=-np.inf,
                    high=np.array([right for _, right in rows]),
                )
            ],
            max_nodes=MAX_NODES,
        )
        if found.values is None:
            return Solution(optimal=found.infeasible)
        values = np.rint(found.values).astype(int)
        offsets = {b.name: int(values[i]) * ALIGNMENT for i, b in enumerate(self.buffers)}
        return Solution(
            offsets=offsets,
            chosen=tuple(self._chosen(values.tolist())),
            optimal=found.optimal,
        )

    def _chosen(self, values: Sequence[int]) -> Iterator[int]:
        column = self.arena + 1
        for options in self.program.options:
            yield values[column : column + len(options)].index(1)
            column += len(options)


def _words(size: int) -> float:
    return float(align(size) // ALIGNMENT)
