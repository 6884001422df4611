# SPDX-License-Identifier: Apache-2.0
"""The least cost below rising losses: a ladder of choices, on which a drop is looked for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from mcugen.errors import BudgetError
from mcugen.tradeoff.found import Point, corrected, tightest
from mcugen.tradeoff.least_loss import ROUNDS
from mcugen.tradeoff.options import Choice
from mcugen.tradeoff.points import Points, Status
from mcugen.tradeoff.solve import Bounds, Quantity

LADDER = 24  # bounds of the loss between which a drop is looked for


def least_cost(
    points: Points,
    wanted: Quantity,
    allowed: float,
    told_by: str,
    asked: Sequence[str],
    status: Status,
) -> Point:
    """The least of `wanted` that loses at most `allowed` points of accuracy.

    told_by: what the drop is measured on, in words. Raises BudgetError where the choice of least
    loss loses more, and where nothing is within the bounds, told of those that were `asked` for.
    """
    for number in range(ROUNDS):
        steps = ladder(points, wanted, points.bounds, LADDER)
        if not steps:
            break
        built = points.built(_furthest(points, steps, allowed, told_by, status))
        if points.fits(built):
            return built
        before = points.table
        points.table = corrected(before, built)
        if number > 0:
            points.table = tightest(before, points.table)
    raise points.explained(asked)


def ladder(points: Points, wanted: Quantity, bounds: Bounds, steps: int) -> list[Choice]:
    """The cheapest choices below rising losses, the dearest first; empty without any."""
    ends = points.solve("loss", bounds), points.solve(wanted, bounds)
    if ends[0] is None or ends[1] is None:
        return []
    low, high = (max(end.loss, 1e-12) for end in ends if end is not None)
    found: list[Choice] = []
    for bound in np.geomspace(low, max(low, high), steps):
        choice = points.solve(wanted, replace(bounds, loss=float(bound) * (1 + 1e-9)))
        if choice is not None and (not found or choice.forms != found[-1].forms):
            found.append(choice)
    return found or [ends[0]]


def _furthest(
    points: Points, steps: list[Choice], allowed: float, told_by: str, status: Status
) -> Point:
    """The last choice of the ladder whose measured drop is allowed, by halving."""
    made: dict[int, Point] = {}

    def is_allowed(step: int) -> bool:
        status(f"measuring the drop of choice {step + 1} of {len(steps)}")
        made[step] = points.point(steps[step])
        return made[step].drop <= allowed + 1e-9

    if not is_allowed(0):
        msg = (
            f"max drop: the choice of least loss loses {made[0].drop:.2f} points "
            f"({told_by}), {allowed:g} are allowed; allow more, try --quant adaround, "
            "or train it with `mcugen finetune`\n  nothing was written"
        )
        raise BudgetError(msg)
    low, high = 0, len(steps)
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if is_allowed(middle) else (low, middle)
    # drops do not rise evenly: the next ones may be allowed by good luck
    for step in range(low + 1, min(low + 3, len(steps))):
        if step in made and made[step].drop > allowed + 1e-9:
            continue
        if is_allowed(step):
            low = step
    return made[low]
