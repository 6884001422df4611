# SPDX-License-Identifier: Apache-2.0
"""A budget for `mcugen prune`: how much of each layer it wants to go, and whether it is met."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from mcugen.boards import load_board
from mcugen.errors import BudgetError, McugenError, OptionError
from mcugen.ir.graph import Graph
from mcugen.ops.base import Target
from mcugen.pipeline import CompileOptions
from mcugen.pruning.criteria import Data
from mcugen.pruning.options import BUDGET, PruneOptions
from mcugen.pruning.training import PruneTraining
from mcugen.quantize.options import QuantOptions
from mcugen.tradeoff.allocate import allocate, kernels_within
from mcugen.tradeoff.budget import EXAMPLE, Budget, parse_budget
from mcugen.tradeoff.found import Found
from mcugen.tradeoff.problem import Problem
from mcugen.tuned import TunedNetwork

Status = Callable[[str], None]
Progress = Callable[[int, int, str], None]


MISSING = (
    f"the allocation {BUDGET} needs a board (--board) and what may be used of it "
    f"(--budget {EXAMPLE}, or some of them)"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """The board, by name, part number or file, and what the network may cost on it.

    cache: a file for measured losses while the run lasts.
    """

    board: str
    budget: Budget
    cache: Path | None = None

    @classmethod
    def of(
        cls, board: str | Path | None, budget: Budget | str | None, out: Path | None
    ) -> Limits | None:
        """None where neither is given; losses lie beside `out`. Raises OptionError, BoardError."""
        if board is None and budget is None:
            return None
        if board is None or budget is None:
            msg = f"{'--budget' if board is None else '--board'} is alone: {MISSING}"
            raise OptionError(msg)
        load_board(str(board))
        return cls(
            board=str(board),
            budget=parse_budget(budget) if isinstance(budget, str) else budget,
            cache=None if out is None else out.with_name(f"{out.name}.losses"),
        )

    def shares(
        self,
        graph: Graph,
        calibration: Sequence[NDArray[np.float32]],
        seen: Data,
        quant: QuantOptions,
        options: PruneOptions,
        status: Status,
        progress: Progress,
    ) -> PruneOptions:
        """The options with the share of zeros of each layer.

        graph: float, after the exact passes. calibration: float32 [N, *shape] of each input, stored
        layout. seen: training samples, whose labels tell whether there are classes. Raises
        BudgetError where the budget cannot be met, OptionError where it is without any zeros.
        """
        problem = replace(self._problem(graph, calibration, quant), evaluation=_labelled(seen))
        try:
            made, found = allocate(problem, options, self.budget, self.cache, status, progress)
        except McugenError:
            self._forget()  # only an interruption leaves them
            raise
        if not any(form.sparsity for form in found.chosen.choice.forms.values()):
            msg = (
                f"the budget is met without new zeros ({_costs(found)}): nothing is to be pruned; "
                "give a tighter one, or train it with `mcugen finetune`"
            )
            self._forget()
            raise OptionError(msg)
        return made

    def _forget(self) -> None:
        if self.cache is not None:
            self.cache.unlink(missing_ok=True)

    def outcome(
        self,
        network: TunedNetwork,
        calibration: Sequence[NDArray[np.float32]],
        status: Status = lambda _: None,
    ) -> dict[str, Any]:
        """What the trained network costs with the best kernels for it, as plain values.

        "missed" says where that is more than the budget, None where it is not. The measured losses
        are removed.
        """
        self._forget()
        problem = replace(
            self._problem(network.graph, calibration, QuantOptions()),
            quantization=network.quantization,
        )
        values: dict[str, Any] = {"board": self.board, "bounds": self.budget.bounds()}
        try:
            found = kernels_within(problem, self.budget, status)
        except BudgetError as error:
            return values | {"measured": None, "missed": str(error)}
        figures = found.chosen.figures
        assert figures is not None
        measured = {name: round(getattr(figures, name)) for name in ("flash", "ram", "cycles")}
        return values | {"measured": measured, "missed": None}

    def _problem(
        self, graph: Graph, calibration: Sequence[NDArray[np.float32]], quant: QuantOptions
    ) -> Problem:
        board = load_board(self.board)
        target = Target(core=board.core.name, features=board.core.features)
        return Problem(
            graph=graph,
            calibration=calibration,
            evaluation=None,
            board=board,
            compiling=CompileOptions(quant=quant, target=target, ram_bytes=board.ram_bytes),
        )


def limit_problems(pruning: PruneTraining | None, limits: Limits | None) -> list[str]:
    """What is missing of a board, a budget, and pruning that asks for them."""
    allocates = pruning is not None and pruning.options.allocation == BUDGET
    if allocates and limits is None:
        return [MISSING]
    if limits is not None and not allocates:
        return [f"a board and a budget say how much is pruned with --allocation {BUDGET} alone"]
    return []


def _labelled(seen: Data) -> tuple[list[NDArray[np.float32]], NDArray[np.generic]] | None:
    """Samples with class indices, None where there are no such labels."""
    labels = [y for _, y in seen.batches if y is not None]
    if len(labels) < len(seen.batches) or labels[0].is_floating_point() or labels[0].ndim != 1:
        return None
    return [x.numpy() for x in seen.inputs()], torch.cat(labels).numpy()


def _costs(found: Found) -> str:
    figures = found.chosen.figures
    assert figures is not None
    return f"flash {figures.flash:,}, RAM {figures.ram:,}, cycles {figures.cycles:,.0f}"
