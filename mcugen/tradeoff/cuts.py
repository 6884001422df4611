# SPDX-License-Identifier: Apache-2.0
"""The search with whole channels: of the network, and of it cut to some shares of its products.

What hangs together across layers goes together, so that channels are no form of one layer. Each cut
network has an option table of its own; all are told against the float network as it came.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from mcugen.errors import BudgetError, ModelError, OptionError
from mcugen.pruning.criteria import Data
from mcugen.pruning.options import CHANNEL, PruneOptions
from mcugen.pruning.prune import prune
from mcugen.tradeoff.found import Found, Point
from mcugen.tradeoff.prepare import Progress, Status, halves
from mcugen.tradeoff.problem import Problem, SearchOptions
from mcugen.tradeoff.search import Search

CRITERION = "perturbation"  # the others judge a layer by itself; docs/PRUNING.md compares them


def search(
    problem: Problem,
    options: SearchOptions,
    status: Status = lambda _: None,
    progress: Progress = lambda _done, _total, _text: None,
) -> Found:
    """The best of all these networks, and their fronts as one.

    Raises McugenError for what cannot be cut, BudgetError where none of them is within the bounds.
    """
    whole = Search(problem, options, status, progress)
    some = {1.0: whole}
    for share, smaller in _cut_to(problem, options, status).items():
        telling = _telling(share, status)
        some[share] = Search(smaller, options, telling, progress)
    results: list[Found] = []
    errors: dict[float, BudgetError] = {}
    for share, each in some.items():
        try:
            results.append(_marked(each.run(), share))
        except BudgetError as error:
            errors[share] = error
    if not results:
        if len(errors) == 1:
            raise errors[1.0]
        raise BudgetError("\n".join(f"{_what(share)}: {each}" for share, each in errors.items()))
    return _joined(results, problem, options)


def _what(share: float) -> str:
    return "the whole network" if share == 1.0 else f"cut to {100 * share:g} % of its products"


def _telling(share: float, status: Status) -> Status:
    return lambda text: status(f"{_what(share)}: {text}")


def _cut_to(problem: Problem, options: SearchOptions, status: Status) -> dict[float, Problem]:
    """The network cut to each share. Raises OptionError that names all that cannot be."""
    shares = sorted(set(options.channels), reverse=True)
    if shares and problem.quantization is not None:
        msg = "channels: the network brings its own quantization, and its weights stay as they are"
        raise OptionError(msg)
    fit, _ = halves(problem.calibration, options.samples)
    found, problems = {}, []
    for share in shares:
        status(f"cutting channels, to {100 * share:g} % of the products")
        asked = PruneOptions(
            criterion=CRITERION,
            pattern=CHANNEL,
            macs=share,
            keep_dense=options.keep,
            reconstruct=True,
        )
        try:
            graph = prune(problem.graph, Data.of(fit), asked)
        except (ModelError, OptionError) as error:
            problems.append(f"channels {share:g}: {error}")
            continue
        found[share] = replace(problem, graph=graph, parent=problem.graph)
    if problems:
        raise OptionError("\n".join(problems))
    return found


def _marked(found: Found, share: float) -> Found:
    return replace(
        found,
        chosen=replace(found.chosen, cut=share),
        most=replace(found.most, cut=share),
        front=tuple(replace(point, cut=share) for point in found.front),
    )


def _joined(results: Sequence[Found], problem: Problem, options: SearchOptions) -> Found:
    """The one whose choice is best, with what the others found beside it."""

    def worth(found: Found) -> float:
        figures = found.chosen.figures
        assert figures is not None
        if options.max_drop is None:
            return found.chosen.loss
        return figures.cycles if problem.compiling.target.optimize == "speed" else figures.flash

    best = min(results, key=worth)
    if len(results) == 1:
        return best
    names = ("sensitivity", "front", "solver")
    return replace(
        best,
        most=results[0].most,
        front=_undominated([point for found in results for point in found.front]),
        options=sum(found.options for found in results),
        seconds={name: sum(found.seconds[name] for found in results) for name in names},
    )


def _undominated(points: Sequence[Point]) -> tuple[Point, ...]:
    """Those that no other one beats in loss, flash and cycles; most flash first."""

    def costs(point: Point) -> tuple[float, float, float]:
        assert point.figures is not None
        return point.loss, point.figures.flash, point.figures.cycles

    def beats(one: Point, other: Point) -> bool:
        pairs = zip(costs(one), costs(other), strict=True)
        return costs(one) != costs(other) and all(a <= b for a, b in pairs)

    kept = [p for p in points if not any(beats(other, p) for other in points)]
    return tuple(sorted(kept, key=lambda point: -costs(point)[1]))
