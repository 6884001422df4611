# SPDX-License-Identifier: Apache-2.0
"""Mixed-integer programs, solved exactly by HiGHS (through scipy).

Work is limited in nodes of the search tree, not in seconds, so that what is found repeats.
"""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

STDOUT = 1
OPTIMAL, INFEASIBLE = 0, 2  # of scipy.optimize.OptimizeResult.status

Array = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Rows:
    """low <= matrix @ x <= high; the matrix dense, or sparse in a form of scipy."""

    matrix: Any
    low: Array | float
    high: Array | float


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Solved:
    """The best values that were found, None without any, and what is known of them.

    optimal: there are no better ones. infeasible: there are none at all.
    """

    values: Array | None
    optimal: bool
    infeasible: bool
    message: str


def minimize(
    cost: Array,
    *,
    whole: NDArray[np.bool_],
    low: Array,
    high: Array,
    rows: list[Rows],
    max_nodes: int,
) -> Solved:
    """The x of least cost @ x between `low` and `high`, integers where `whole` says so."""
    # Late import: it takes a third of a second.
    from scipy.optimize import Bounds, LinearConstraint, milp

    with _silent():
        found = milp(
            cost,
            integrality=whole.astype(np.int64),
            bounds=Bounds(low, high),
            constraints=[LinearConstraint(each.matrix, each.low, each.high) for each in rows],
            options={"node_limit": max_nodes, "mip_rel_gap": 0.0},
        )
    return Solved(
        values=found.x,
        optimal=found.status == OPTIMAL,
        infeasible=found.x is None and found.status == INFEASIBLE,
        message=str(found.message),
    )


@contextlib.contextmanager
def _silent() -> Iterator[None]:
    """Without the lines that HiGHS prints now and then, where a tool may read a report."""
    sys.stdout.flush()
    try:
        kept = os.dup(STDOUT)
    except OSError:  # a process without standard output has nothing to silence
        yield
        return
    nothing = os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nothing, STDOUT)
        yield
    finally:
        os.dup2(kept, STDOUT)
        os.close(kept)
        os.close(nothing)
