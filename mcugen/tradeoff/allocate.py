# SPDX-License-Identifier: Apache-2.0
"""How much of each layer becomes zero under a budget, the bits and the pattern being given."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np

from mcugen.pruning.masks import prunable, weight_of
from mcugen.pruning.options import PruneOptions
from mcugen.pruning.patterns import blocks_of
from mcugen.quantize.bits import layer_bits
from mcugen.tradeoff.budget import Budget
from mcugen.tradeoff.forms import FormOptions
from mcugen.tradeoff.found import Found
from mcugen.tradeoff.options import Form
from mcugen.tradeoff.problem import Problem, SearchOptions
from mcugen.tradeoff.search import Search

Status = Callable[[str], None]
Progress = Callable[[int, int, str], None]

GRID = (0.3, 0.5, 0.6, 0.7, 0.75, 0.8, 0.85, 0.9, 0.95)  # shares of zeros


def allocate(
    problem: Problem,
    prune: PruneOptions,
    budget: Budget,
    cache: Path | None = None,
    status: Status = lambda _: None,
    progress: Progress = lambda _done, _total, _text: None,
) -> tuple[PruneOptions, Found]:
    """The options with the share of each layer, and the search that found them.

    cache: a file for measured losses. Raises OptionError where nothing may be pruned, and
    BudgetError where no shares of `GRID` are within the budget.
    """
    bits = layer_bits(problem.graph, problem.compiling.quant.widths)
    pruned = {node.name for node in prunable(problem.graph, prune)}
    forms = {
        name: (
            Form(bits=width),
            *(
                Form(bits=width, pattern=prune.pattern, sparsity=share)
                for share in (GRID if name in pruned else ())
            ),
        )
        for name, width in bits.items()
    }
    options = SearchOptions(
        budget=budget,
        by_layer=forms,
        forms=FormOptions(patterns=(prune.pattern,), sparsities=GRID, criterion=prune.criterion),
        points=0,
        cache=cache,
    )
    found = Search(problem, options, status, progress).run()
    return replace(prune, shares=_shares(found, pruned, prune.pattern)), found


def _shares(found: Found, pruned: set[str], pattern: str) -> tuple[tuple[str, float], ...]:
    """Of all groups of each layer, so that those that were zero before count as well."""
    blocks = blocks_of(pattern)
    shares = []
    for node in found.chosen.network.graph.nodes:
        if node.name in pruned:
            groups = blocks.groups(weight_of(node) != 0.0)
            shares.append((node.name, float(np.mean(groups == 0.0))))
    return tuple(shares)


def kernels_within(
    problem: Problem, budget: Budget | None, status: Status = lambda _: None
) -> Found:
    """The kernels of a network whose weights are settled. Raises BudgetError for none."""
    bits = layer_bits(problem.graph, problem.compiling.quant.widths)
    forms = {name: (Form(bits=width),) for name, width in bits.items()}
    options = SearchOptions(budget=budget, by_layer=forms, points=0, runners=0)
    return Search(problem, options, status).run()
