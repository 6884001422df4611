# SPDX-License-Identifier: Apache-2.0
"""Programs that can be solved by hand, and that the solver's own lines go nowhere."""

from __future__ import annotations

import os
from typing import Any

import numpy as np
import pytest
import scipy.optimize

from mcugen.milp import Rows, Solved, minimize


def knapsack(limit: float) -> Solved:
    """The most of 5, 4 and 3 that weigh 2, 3 and 1, two at least."""
    rows = [
        Rows(matrix=np.array([[2.0, 3.0, 1.0]]), low=-np.inf, high=limit),
        Rows(matrix=np.ones((1, 3)), low=2.0, high=np.inf),
    ]
    return minimize(
        np.array([-5.0, -4.0, -3.0]),
        whole=np.ones(3, bool),
        low=np.zeros(3),
        high=np.ones(3),
        rows=rows,
        max_nodes=100,
    )


@pytest.mark.parametrize(
    ("limit", "wanted"), [(6.0, [1, 1, 1]), (5.0, [1, 1, 0]), (3.0, [1, 0, 1])]
)
def test_the_best_choice_is_found(limit: float, wanted: list[int]) -> None:
    found = knapsack(limit)
    assert found.optimal and found.values is not None
    assert np.rint(found.values).astype(int).tolist() == wanted


def test_there_may_be_none() -> None:
    found = knapsack(2.0)
    assert found.infeasible and found.values is None


def test_what_the_solver_prints_is_not_seen(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    own = scipy.optimize.milp

    def loud(*arguments: Any, **more: Any) -> Any:
        os.write(1, b"a line of the solver\n")
        return own(*arguments, **more)

    monkeypatch.setattr(scipy.optimize, "milp", loud)
    assert knapsack(6.0).optimal
    os.write(1, b"ours\n")
    assert capfd.readouterr().out == "ours\n"
