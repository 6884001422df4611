# SPDX-License-Identifier: Apache-2.0
"""The search of one network: option table, exact choice, the front."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace

from mcugen.tradeoff.found import Found, Point
from mcugen.tradeoff.least_cost import ladder, least_cost
from mcugen.tradeoff.least_loss import least_loss
from mcugen.tradeoff.measure import Measure
from mcugen.tradeoff.points import Points
from mcugen.tradeoff.prepare import Prepared, Progress, prepare
from mcugen.tradeoff.problem import Problem, SearchOptions
from mcugen.tradeoff.solve import Bounds, Quantity

Status = Callable[[str], None]


class Search:
    """One search; what was found is kept from step to step."""

    def __init__(
        self,
        problem: Problem,
        options: SearchOptions,
        status: Status = lambda _: None,
        progress: Progress = lambda _done, _total, _text: None,
    ) -> None:
        """Raises McugenError for what cannot be meant; does no long work yet."""
        self.problem, self.options = problem, options
        self.status, self.progress = status, progress
        self.allowed = problem.allowed(options)
        self.measure = Measure.of(problem.graph, classes=problem.classes)
        self.labelled, self.judged_by = problem.evaluation, None
        if options.max_drop is not None:
            self.labelled, self.judged_by = problem.judges()
        elif problem.evaluation is not None:
            self.judged_by = "evaluation data"
        self.bounds = _bounds(problem, options)

    def run(self) -> Found:
        """All of it. Raises BudgetError where nothing is within the bounds."""
        start = time.perf_counter()
        prepared = self._prepared()
        seconds = {"sensitivity": time.perf_counter() - start}
        self.status("building the network with most bits")
        points = Points(
            self.problem, prepared, self.bounds, self.measure, self.labelled, self.progress
        )
        chosen = self._chosen(points)
        start = time.perf_counter()
        front = self._front(points)
        seconds["front"] = time.perf_counter() - start
        return Found(
            chosen=chosen,
            most=points.most,
            front=front,
            measure=self.measure,
            judged_by=self.judged_by,
            losses=prepared.losses.found,
            bounds=self.bounds,
            options=sum(map(len, points.table.layers)),
            seconds=seconds | {"solver": points.solver_seconds},
        )

    def _prepared(self) -> Prepared:
        return prepare(
            self.problem,
            self.options,
            self.allowed,
            self.bounds,
            self.measure,
            self.status,
            self.progress,
        )

    def _chosen(self, points: Points) -> Point:
        budget, allowed = self.options.budget, self.options.max_drop
        asked = tuple(budget.bounds()) if budget is not None else ()
        if allowed is None:
            return least_loss(points, self.options.runners, asked, self.status)
        speed = self.problem.compiling.target.optimize == "speed"
        wanted: Quantity = "cycles" if speed else "flash"
        return least_cost(points, wanted, allowed, str(self.judged_by), asked, self.status)

    def _front(self, points: Points) -> tuple[Point, ...]:
        """The least flash below rising losses, spread evenly in their logarithm.

        Other bounds hold for all points. Of cycles, where the budget bounds these alone.
        """
        if not self.options.points or self.problem.quantization is not None:
            return ()
        asked = self.options.budget
        axis: Quantity = "flash"
        if asked is not None and asked.flash is None and asked.cycles is not None:
            axis = "cycles"
        others = replace(self.bounds, **{axis: None})
        steps = ladder(points, axis, others, self.options.points)
        found: list[Point] = []
        for number, choice in enumerate(steps):
            self.status(f"measuring the front, {number + 1} of {len(steps)}")
            found.append(points.built(points.point(choice), simulate=False))
        return tuple(found)


def _bounds(problem: Problem, options: SearchOptions) -> Bounds:
    """Those of the budget; flash and RAM of the board where it has none."""
    board, budget = problem.board, options.budget
    flash, ram = board.flash_bytes, board.ram_bytes
    if budget is None:
        return Bounds(flash=flash, ram=ram)
    return Bounds(
        flash=min(flash, budget.flash or flash),
        ram=min(ram, budget.ram or ram),
        cycles=budget.cycles,
    )
