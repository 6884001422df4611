# SPDX-License-Identifier: Apache-2.0
"""The search: option table, exact choice, the real network, and again until the budget holds."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from mcugen.errors import BudgetError
from mcugen.evaluate import Accuracy
from mcugen.ir.graph import Graph
from mcugen.ir.quantization import Quantization
from mcugen.lower.integer import to_integer
from mcugen.ops.base import Optimize
from mcugen.pipeline import compile_graph
from mcugen.quantize.quantize import quantize
from mcugen.tradeoff.cache import Losses, digest
from mcugen.tradeoff.code import code_sizes
from mcugen.tradeoff.forms import Former
from mcugen.tradeoff.found import Found, Point, corrected, fits, loosened, tightest
from mcugen.tradeoff.measure import Float, Measure
from mcugen.tradeoff.options import Choice, Form, Table
from mcugen.tradeoff.problem import Arrays, Problem, SearchOptions
from mcugen.tradeoff.realize import (
    Figures,
    Network,
    Stitcher,
    figures,
    judged,
    pinned,
    rescored,
)
from mcugen.tradeoff.schedule import Schedule
from mcugen.tradeoff.sensitivity import cost_table, measure_losses, needed_forms, option_table
from mcugen.tradeoff.solve import Bounds, Quantity, Weights, explain, solve

Status = Callable[[str], None]
Progress = Callable[[int, int, str], None]

ROUNDS = 6  # of solving and building, until what was built is within the budget
LADDER = 24  # bounds of the loss between which a drop is looked for
FIT_SAMPLES = 256
# what counts where the loss is the same
TIES: Mapping[Optimize, Weights] = {
    "balanced": {"cycles": 1.0, "flash": 1.0},
    "speed": {"cycles": 1.0, "flash": 0.05},
    "size": {"cycles": 0.05, "flash": 1.0},
    "ram": {"cycles": 1.0, "flash": 1.0},
}


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
        self.ties = TIES[problem.compiling.target.optimize]
        self.seconds: dict[str, float] = {}
        self._networks: dict[frozenset[tuple[str, Form]], Network] = {}
        self._figures: dict[Any, Figures] = {}

    def run(self) -> Found:
        """All of it. Raises BudgetError where nothing is within the bounds."""
        self._prepare()
        chosen = (
            self._of_least_cost() if self.options.max_drop is not None else self._of_least_loss()
        )
        start = time.perf_counter()
        front = self._front()
        self.seconds["front"] = time.perf_counter() - start
        return Found(
            chosen=chosen,
            most=self.most,
            front=front,
            measure=self.measure,
            judged_by=self.judged_by,
            losses=self.losses.found,
            bounds=self.bounds,
            options=sum(map(len, self.table.layers)),
            seconds=dict(self.seconds) | {"solver": self._solver_seconds},
        )

    # what everything else is told from

    def _prepare(self) -> None:
        self._solver_seconds = 0.0
        start = time.perf_counter()
        problem, quant = self.problem, self.problem.compiling.quant
        self.status("looking at the layers")
        fit, held = _halves(problem.calibration, self.options.samples)
        widest = dict.fromkeys(self.allowed, max(self.options.forms.bits))
        # bits of nearest rounding: what a method learns comes when a choice is made real
        plain = replace(quant, method="mean_rounding") if quant.method == "adaround" else quant
        quantization = problem.quantization or quantize(
            problem.graph, problem.calibration, plain, widest
        )
        self.schedule = self._scheduled(quantization)
        self.held, self.exact = held, Float(problem.graph, held, self.measure)
        self.former = self._former(fit)
        self.stitcher = Stitcher(
            former=self.former, quant=quant, calibration=problem.calibration, refit=fit
        )
        table = self._table()
        used = {f for options in table.layers for option in options for f in option.functions}
        headers = {f: self.schedule.headers[f] for f in sorted(used)}
        self.table = replace(table, code_of=code_sizes(problem.board.core, headers))
        self.seconds["sensitivity"] = time.perf_counter() - start
        self._begin()

    def _scheduled(self, quantization: Quantization) -> Schedule:
        problem, options = self.problem, self.problem.compiling
        assert self.bounds.ram is not None
        return Schedule.of(
            problem.graph,
            quantization,
            options.target,
            requant=options.requant,
            ram_bytes=int(self.bounds.ram),
            row_input=options.row_input,
            removing="remove_channels" not in options.skip_passes,
        )

    def _former(self, fit: Arrays) -> Former:
        read = Float(self.problem.graph, fit, self.measure)
        return Former(
            graph=self.problem.graph,
            schedule=self.schedule,
            quant=self.problem.compiling.quant,
            criterion=self.options.forms.criterion,
            samples=fit,
            operands={name: read.operand(name) for name in self.schedule.weighted},
        )

    def _table(self) -> Table:
        if self.problem.quantization is not None:
            self.losses = Losses("")
            return option_table(self.schedule, {}, {}, self.losses)
        forms = self.options.forms.forms()
        costs = cost_table(self.schedule, self.former, forms, self.allowed)
        wanted = {
            name: tuple(each) if self.options.complete else needed_forms(each)
            for name, each in costs.items()
        }
        self.losses = Losses(self._key(), self.options.cache)
        self.status("measuring what each layer loses")
        measure_losses(self.former, self.exact, wanted, self.losses, self.progress)
        return option_table(self.schedule, costs, wanted, self.losses)

    def _key(self) -> str:
        problem = self.problem
        return digest(
            problem.graph,
            problem.calibration,
            (
                problem.compiling.quant.text(),
                self.options.forms.criterion,
                str(self.options.samples),
                self.measure.title,
                *self.measure.tensors,
            ),
        )

    def _begin(self) -> None:
        """The network with most bits: its code, and what rounding activations loses."""
        self.status("building the network with most bits")
        choice = self._solve("loss", Bounds())
        assert choice is not None, "without bounds, everything is possible"
        network = self._network(choice)
        loss = rescored(network, self.exact.exact, self.held, self.measure)
        self._activations = loss - choice.loss
        self.most = self._built(
            Point(
                choice=choice,
                network=network,
                predicted=loss,
                loss=loss,
                accuracy=self._accuracy(network),
            )
        )
        # how far an arena is above its largest step is a matter of the choice itself
        self.table = replace(corrected(self.table, self.most), arena=0)

    # points

    def _solve(
        self, minimize: Quantity, bounds: Bounds, excluded: list[Mapping[str, Form]] | None = None
    ) -> Choice | None:
        start = time.perf_counter()
        found = solve(self.table, minimize, bounds, self.ties, excluded or ())
        self._solver_seconds += time.perf_counter() - start
        return found

    def _network(self, choice: Choice) -> Network:
        forms = choice.forms
        key = frozenset(forms.items())
        if key not in self._networks:
            made = self.problem.quantization
            self._networks[key] = (
                self.stitcher.network(forms, self.progress)
                if made is None
                else Network(graph=self.problem.graph, quantization=made, integer=self._settled())
            )
        return self._networks[key]

    def _settled(self) -> Graph:
        assert self.problem.quantization is not None
        requant = self.problem.compiling.requant
        return to_integer(self.problem.graph, self.problem.quantization, requant)

    def _point(self, choice: Choice, *, judge: bool = True) -> Point:
        network = self._network(choice)
        return Point(
            choice=choice,
            network=network,
            predicted=choice.loss + self._activations,
            loss=rescored(network, self.exact.exact, self.held, self.measure),
            accuracy=self._accuracy(network) if judge else None,
        )

    def _accuracy(self, network: Network) -> Accuracy | None:
        if self.labelled is None:
            return None
        return judged(self.problem.graph, network, self.labelled)

    def _built(self, point: Point, *, simulate: bool = True) -> Point:
        """Compiled and measured; with the planner's kernels, if RAM is met by these alone."""
        built = self._compiled(point, simulate=simulate)
        ram = self.bounds.ram
        if ram is not None and built.figures is not None and built.figures.ram > ram:
            other = self._compiled(replace(point, loose=True), simulate=simulate)
            if other.figures is not None and other.figures.ram <= ram:
                return other
        return built

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

    # the least loss under a budget

    def _of_least_loss(self) -> Point:
        best: Point | None = None
        for number in range(ROUNDS):
            self.status(f"choosing, round {number + 1}")
            choice = self._solve("loss", self.bounds)
            if choice is None:
                break
            point = self._built(self._point(choice, judge=False))
            assert point.figures is not None
            before = self.table
            self.table = corrected(self.table, point)
            if fits(point.figures, self.bounds):
                if best is None or point.loss < best.loss:
                    best = point
                # what the correction frees may be enough for a better choice, once
                if number > 0 or not loosened(before, self.table):
                    break
            elif number > 0:
                self.table = tightest(before, self.table)
        if best is None:
            raise self._explained()
        best = self._best_of_next(best)
        return replace(best, accuracy=self._accuracy(best.network))

    def _best_of_next(self, best: Point) -> Point:
        """The choices behind the best one, measured: a sum of losses is an estimate."""
        tried: list[Mapping[str, Form]] = [best.choice.forms]
        settled = best.choice.forms == self.most.choice.forms  # nothing can be more exact
        for number in range(0 if settled else self.options.runners):
            self.status(f"measuring the next best choices, {number + 1}")
            choice = self._solve("loss", self.bounds, tried)
            if choice is None:
                break
            tried.append(choice.forms)
            point = self._point(choice, judge=False)
            if point.loss < best.loss:
                built = self._built(point)
                assert built.figures is not None
                if fits(built.figures, self.bounds):
                    best = built
        return best

    def _explained(self) -> BudgetError:
        asked = self.options.budget
        names = asked.bounds() if asked is not None else {}
        kept = {name: bound for name, bound in self.bounds.items().items() if name in names}
        if solve(self.table, "loss", Bounds(**kept), {}) is None:
            return explain(self.table, Bounds(**kept))
        return explain(self.table, self.bounds)

    # the least cost with a drop that is allowed

    def _of_least_cost(self) -> Point:
        allowed = self.options.max_drop
        assert allowed is not None
        speed = self.problem.compiling.target.optimize == "speed"
        wanted: Quantity = "cycles" if speed else "flash"
        for number in range(ROUNDS):
            steps = self._ladder(wanted, self.bounds, LADDER)
            if not steps:
                break
            point = self._furthest(steps, allowed)
            built = self._built(point)
            assert built.figures is not None
            if fits(built.figures, self.bounds):
                return built
            before = self.table
            self.table = corrected(self.table, built)
            if number > 0:
                self.table = tightest(before, self.table)
        raise self._explained()

    def _ladder(self, wanted: Quantity, bounds: Bounds, steps: int) -> list[Choice]:
        """The cheapest choices below rising losses, the dearest first; empty without any."""
        ends = self._solve("loss", bounds), self._solve(wanted, bounds)
        if ends[0] is None or ends[1] is None:
            return []
        low, high = (max(end.loss, 1e-12) for end in ends if end is not None)
        found: list[Choice] = []
        for bound in np.geomspace(low, max(low, high), steps):
            choice = self._solve(wanted, replace(bounds, loss=float(bound) * (1 + 1e-9)))
            if choice is not None and (not found or choice.forms != found[-1].forms):
                found.append(choice)
        return found or [ends[0]]

    def _furthest(self, steps: list[Choice], allowed: float) -> Point:
        """The last choice of the ladder whose measured drop is allowed, by halving."""
        points: dict[int, Point] = {}

        def is_allowed(step: int) -> bool:
            self.status(f"measuring the drop of choice {step + 1} of {len(steps)}")
            points[step] = self._point(steps[step])
            return points[step].drop <= allowed + 1e-9

        if not is_allowed(0):
            msg = (
                f"max drop: the choice of least loss loses {points[0].drop:.2f} points "
                f"({self.judged_by}), {allowed:g} are allowed; allow more, try --quant adaround, "
                "or train it with `mcugen finetune`\n  nothing was written"
            )
            raise BudgetError(msg)
        low, high = 0, len(steps)
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (middle, high) if is_allowed(middle) else (low, middle)
        # drops do not rise evenly: the next ones may be allowed by good luck
        for step in range(low + 1, min(low + 3, len(steps))):
            if step in points and points[step].drop > allowed + 1e-9:
                continue
            if is_allowed(step):
                low = step
        return points[low]

    # the front

    def _front(self) -> tuple[Point, ...]:
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
        steps = self._ladder(axis, others, self.options.points)
        points: list[Point] = []
        for number, choice in enumerate(steps):
            self.status(f"measuring the front, {number + 1} of {len(steps)}")
            points.append(self._built(self._point(choice), simulate=False))
        return tuple(points)


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


def _halves(samples: Arrays, most: int) -> tuple[Arrays, Arrays]:
    """Samples to refit weights to, and others to measure losses on; the same where there are few.

    What was fitted to a sample looks too good on it.
    """
    count = len(samples[0])
    if count < 2 * most:
        most = count // 2 or count
    if count < 8:
        return samples, samples
    chosen = np.linspace(0, count - 1, most).astype(np.int64)
    others = np.setdiff1d(np.arange(count), chosen)
    fit = others[np.linspace(0, len(others) - 1, min(len(others), FIT_SAMPLES)).astype(np.int64)]
    return [x[fit] for x in samples], [x[chosen] for x in samples]
