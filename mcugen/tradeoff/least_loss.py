# SPDX-License-Identifier: Apache-2.0
"""The least loss within bounds: the exact choice, built, and chosen again until it fits."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from mcugen.tradeoff.found import Point, corrected, loosened, tightest
from mcugen.tradeoff.options import Form
from mcugen.tradeoff.points import Points, Status

ROUNDS = 6  # of solving and building, until what was built is within the budget


def least_loss(points: Points, runners: int, asked: Sequence[str], status: Status) -> Point:
    """Raises BudgetError, told of the bounds that were `asked` for, where nothing fits."""
    best: Point | None = None
    for number in range(ROUNDS):
        status(f"choosing, round {number + 1}")
        choice = points.solve("loss", points.bounds)
        if choice is None:
            break
        point = points.built(points.point(choice, judge=False))
        before = points.table
        points.table = corrected(before, point)
        if points.fits(point):
            if best is None or point.loss < best.loss:
                best = point
            # what the correction frees may be enough for a better choice, once
            if number > 0 or not loosened(before, points.table):
                break
        elif number > 0:
            points.table = tightest(before, points.table)
    if best is None:
        raise points.explained(asked)
    if best.choice.forms != points.most.choice.forms:  # nothing can be more exact than that
        best = _best_of_next(points, best, runners, status)
    return replace(best, accuracy=points.accuracy(best.network))


def _best_of_next(points: Points, best: Point, runners: int, status: Status) -> Point:
    """The choices behind the best one, measured: a sum of losses is an estimate."""
    tried: list[Mapping[str, Form]] = [best.choice.forms]
    for number in range(runners):
        status(f"measuring the next best choices, {number + 1}")
        choice = points.solve("loss", points.bounds, tried)
        if choice is None:
            break
        tried.append(choice.forms)
        point = points.point(choice, judge=False)
        if point.loss < best.loss:
            built = points.built(point)
            if points.fits(built):
                best = built
    return best
