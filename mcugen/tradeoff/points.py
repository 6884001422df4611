# SPDX-License-Identifier: Apache-2.0
"""Choices of one option table made real: compiled, measured, and the table corrected by that."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from mcugen.errors import BudgetError
from mcugen.evaluate import Accuracy
from mcugen.ir.graph import Graph
from mcugen.lower.integer import to_integer
from mcugen.ops.base import Optimize
from mcugen.pipeline import compile_graph
from mcugen.tradeoff.found import Point, corrected, fits
from mcugen.tradeoff.measure import Measure
from mcugen.tradeoff.options import Choice, Form, Table
from mcugen.tradeoff.prepare import Prepared, Progress
from mcugen.tradeoff.problem import Labelled, Problem
from mcugen.tradeoff.realize import Figures, Network, figures, judged, pinned, rescored
from mcugen.tradeoff.solve import Bounds, Quantity, Weights, explain, solve

Status = Callable[[str], None]

# what counts where the loss is the same
TIES: Mapping[Optimize, Weights] = {
    "balanced": {"cycles": 1.0, "flash": 1.0},
    "speed": {"cycles": 1.0, "flash": 0.05},
    "size": {"cycles": 0.05, "flash": 1.0},
    "ram": {"cycles": 1.0, "flash": 1.0},
}


class Points:
    """Makes points of choices; what was made once is kept."""

    def __init__(
        self,
        problem: Problem,
        prepared: Prepared,
        bounds: Bounds,
        measure: Measure,
        labelled: Labelled | None,
        progress: Progress,
    ) -> None:
        """Build the network with most bits: its code, and what rounding activations loses."""
        self.problem, self.prepared, self.bounds, self.measure = problem, prepared, bounds, measure
        self.labelled, self.progress = labelled, progress
        self.ties = TIES[problem.compiling.target.optimize]
        self.table = prepared.table
        self.solver_seconds = 0.0
        self._networks: dict[frozenset[tuple[str, Form]], Network] = {}
        self._figures: dict[Any, Figures] = {}
        self._activations = 0.0
        choice = self.solve("loss", Bounds())
        assert choice is not None, "without bounds, everything is possible"
        point = self.point(choice)
        self._activations = point.loss - choice.loss
        self.most = self.built(replace(point, predicted=point.loss))
        # how far an arena is above its largest step is a matter of the choice itself
        self.table = replace(corrected(self.table, self.most), arena=0)

    def solve(
        self,
        minimize: Quantity,
        bounds: Bounds,
        excluded: Sequence[Mapping[str, Form]] = (),
        table: Table | None = None,
    ) -> Choice | None:
        """The exact choice of the table, or of one like it."""
        start = time.perf_counter()
        found = solve(table or self.table, minimize, bounds, self.ties, excluded)
        self.solver_seconds += time.perf_counter() - start
        return found

    def point(self, choice: Choice, *, judge: bool = True) -> Point:
        """The network of a choice, its loss measured, and its accuracy if asked for."""
        network = self._network(choice)
        return Point(
            choice=choice,
            network=network,
            predicted=choice.loss + self._activations,
            loss=rescored(network, self.prepared.truth, self.prepared.held, self.measure),
            accuracy=self.accuracy(network) if judge else None,
        )

    def accuracy(self, network: Network) -> Accuracy | None:
        """Beside that of the float network, None without labels."""
        if self.labelled is None:
            return None
        return judged(self.problem.truth, network, self.labelled)

    def built(self, point: Point, *, simulate: bool = True) -> Point:
        """Compiled and measured; with the planner's kernels, if RAM is met by these alone."""
        built = self._compiled(point, simulate=simulate)
        ram = self.bounds.ram
        if ram is not None and built.figures is not None and built.figures.ram > ram:
            other = self._compiled(replace(point, loose=True), simulate=simulate)
            if other.figures is not None and other.figures.ram <= ram:
                return other
        return built

    def fits(self, point: Point) -> bool:
        """Whether what was built is within the bounds."""
        return point.figures is not None and fits(point.figures, self.bounds)

    def explained(self, asked: Sequence[str]) -> BudgetError:
        """Why nothing is within the bounds: those `asked` for by themselves, or all of them."""
        kept = {name: bound for name, bound in self.bounds.items().items() if name in asked}
        if solve(self.table, "loss", Bounds(**kept), {}) is None:
            return explain(self.table, Bounds(**kept))
        return explain(self.table, self.bounds)

    def _network(self, choice: Choice) -> Network:
        forms = choice.forms
        key = frozenset(forms.items())
        if key not in self._networks:
            made = self.problem.quantization
            self._networks[key] = (
                self.prepared.stitcher.network(forms, self.progress)
                if made is None
                else Network(graph=self.problem.graph, quantization=made, integer=self._settled())
            )
        return self._networks[key]

    def _settled(self) -> Graph:
        assert self.problem.quantization is not None
        requant = self.problem.compiling.requant
        return to_integer(self.problem.graph, self.problem.quantization, requant)

    def _compiled(self, point: Point, *, simulate: bool) -> Point:
        choice, network = point.choice, point.network
        key = frozenset(choice.forms.items()), choice.kernels, point.loose, simulate
        if key not in self._figures:
            own = pinned(self.problem.compiling, choice, loose=point.loose)
            options = replace(own, ram_bytes=int(self.bounds.ram or 0) or None)
            samples = self.problem.calibration
            made = compile_graph(network.graph, samples, options, network.quantization)
            self._figures[key] = figures(
                made, self.problem.board, simulate=simulate, row_input=options.row_input
            )
        return replace(point, figures=self._figures[key])
