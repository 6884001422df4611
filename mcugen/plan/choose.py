# SPDX-License-Identifier: Apache-2.0
"""Which kernel computes each layer: the whole network's cycles, arena and flash, weighed at once.

The kernels of a layer differ in cycles, tables, scratch and in how their output may overlap their
operands. The arena is as large as its largest step, so a step that needs less than others may take
the fastest kernel, whatever its scratch; flash is a sum, so the bytes go where they save most.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from operator import itemgetter

from mcugen.ir.graph import Graph, Node
from mcugen.ops.base import Kernel, KernelCall, Optimize, Target
from mcugen.plan.arena import SEARCH_STEPS
from mcugen.plan.chains import Chain
from mcugen.plan.choices import Choice, Choices, all_choices, cycles_of, peak_of
from mcugen.plan.exact import Option, Program, solve
from mcugen.plan.lifetimes import SCRATCH, find_buffers


@dataclass(frozen=True, slots=True, kw_only=True)
class Goal:
    """What a choice is judged by.

    All tables together may take `flash_growth` times the smallest ones that there are, or
    `spare_bytes` more than those. Among such choices, the one of least
    cycles * (arena + FIRMWARE_BYTES) ** ram_weight: 1 % less RAM is worth `ram_weight` % of cycles.
    """

    flash_growth: float
    spare_bytes: int
    ram_weight: float

    def flash_limit(self, least_bytes: int) -> int:
        """What the tables may take where the smallest ones take `least_bytes`."""
        return max(int(self.flash_growth * least_bytes), least_bytes + self.spare_bytes)

    def score(self, cycles: float, arena_bytes: int) -> float:
        """Less is better."""
        return cycles * math.pow(arena_bytes + FIRMWARE_BYTES, self.ram_weight)


GOALS: Mapping[Optimize, Goal] = {
    "balanced": Goal(flash_growth=1.1, spare_bytes=1024, ram_weight=0.5),
    "speed": Goal(flash_growth=3.0, spare_bytes=4096, ram_weight=0.001),
    "size": Goal(flash_growth=1.02, spare_bytes=512, ram_weight=0.5),
    "ram": Goal(flash_growth=1.1, spare_bytes=1024, ram_weight=16.0),
}
# what a firmware needs anyway for its stack and drivers, beside which a small arena hardly matters
FIRMWARE_BYTES = 4096
MAX_TANGENTS = 4  # rounds of the solver
SWITCH_STEPS = 60  # exchanges with which the arena of a switched kernel is estimated


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class LayerKernel:
    """A layer and the kernel that computes it."""

    node: Node
    kernel: Kernel

    @property
    def calls(self) -> tuple[KernelCall, ...]:
        """The kernel's calls."""
        return self.kernel.calls


def choose_kernels(
    graph: Graph,
    target: Target,
    chains: Sequence[Chain] = (),
    chained: Mapping[str, Kernel] | None = None,
) -> tuple[LayerKernel, ...]:
    """The kernel of every layer of an integer graph, in execution order.

    `chained` are the kernels of the layers in `chains`, by name; they stay as they are.
    """
    choices = all_choices(graph, target, chains, chained or {})
    goal = GOALS[target.optimize]
    choice, bound = _best_below_peaks(choices, goal)
    if _score(choices, goal, choice) > bound:
        choice = _solved(choices, goal, choice)
    layers = zip(graph.layers, choice, strict=True)
    return tuple(LayerKernel(node=node, kernel=offer.kernel) for node, offer in layers)


def best_kernel(kernels: Sequence[Kernel], optimize: Optimize, beside_bytes: int = 0) -> Kernel:
    """The best kernel of one layer that is chosen alone; beside its scratch, so much is live."""
    goal = GOALS[optimize]
    limit = goal.flash_limit(min(kernel.table_bytes for kernel in kernels))
    small = [kernel for kernel in kernels if kernel.table_bytes <= limit]
    return min(small, key=lambda k: goal.score(k.cycles, beside_bytes + k.scratch_bytes))


def _best_below_peaks(choices: Choices, goal: Goal) -> tuple[Choice, float]:
    """The best of the fastest choices below each possible peak, and a score that none undercuts.

    From the highest peak down, each choice is slower, and no arena can be smaller than its peak.
    """
    flash_limit = goal.flash_limit(choices.least_tables)
    choice = choices.fastest(flash_limit)
    assert choice is not None, "the smallest tables are always within the limit"
    best, score = choice, _score(choices, goal, choice)
    bound = goal.score(cycles_of(choice), peak_of(choice))
    while goal.score(cycles_of(choice), choices.least_peak) < score:
        choice = choices.fastest(flash_limit, peak_of(choice) - 1)
        if choice is None:
            break
        undercut = goal.score(cycles_of(choice), peak_of(choice))
        bound = min(bound, undercut)
        if undercut < score and (own := _score(choices, goal, choice)) < score:
            best, score = choice, own
    return best, bound


def _score(choices: Choices, goal: Goal, choice: Choice, steps: int = SEARCH_STEPS) -> float:
    return goal.score(cycles_of(choice), choices.arena_bytes(choice, steps))


def _solved(choices: Choices, goal: Goal, choice: Choice) -> Choice:
    """Kernels and offsets chosen at once, starting from a choice.

    Needed where the arena is above the peak of the steps: an output that lies a little below its
    operand pushes those that follow down. The score's logarithm is concave in cycles and arena, so
    what is best for its tangent at one choice is no worse for itself; repeated until nothing moves.
    """
    fastest = choices.fastest(goal.flash_limit(choices.least_tables))
    assert fastest is not None
    limit = max(choices.arena_bytes(choice), choices.arena_bytes(fastest))
    for _ in range(MAX_TANGENTS):
        found = solve(_tangent(choices, goal, choice, limit))
        if found.offsets is None:
            return _improved(choices, goal, choice)
        better = tuple(o[k] for o, k in zip(choices.layers, found.chosen, strict=True))
        choices.note_arena(better, found.offsets)
        if _score(choices, goal, better) >= _score(choices, goal, choice):
            break
        choice = better
    return choice


def _tangent(choices: Choices, goal: Goal, choice: Choice, limit_bytes: int) -> Program:
    """Kernels and offsets, judged by how the score changes around a choice."""
    cycles, arena_bytes = cycles_of(choice), choices.arena_bytes(choice)
    fixed = find_buffers(choices.graph, {}, choices.chains)
    names = [node.name + SCRATCH for node in choices.graph.layers]
    largest = tuple(max(offers, key=lambda o: o.kernel.scratch_bytes) for offers in choices.layers)
    return Program(
        buffers=replace(choices.buffers(largest), distances=fixed.distances),
        limit_bytes=limit_bytes,
        options=[
            [
                Option(
                    cost=offer.kernel.cycles / cycles,
                    table_bytes=offer.table_bytes,
                    scratch={name: offer.kernel.scratch_bytes},
                    distances=offer.distances,
                )
                for offer in offers
            ]
            for name, offers in zip(names, choices.layers, strict=True)
        ],
        flash_limit=goal.flash_limit(choices.least_tables),
        arena_cost=goal.ram_weight / (arena_bytes + FIRMWARE_BYTES),
    )


def _improved(choices: Choices, goal: Goal, choice: Choice) -> Choice:
    """Kernels exchanged one by one as long as that helps: for networks too large to be solved."""
    flash_limit = goal.flash_limit(choices.least_tables)
    score = _score(choices, goal, choice)
    while True:
        tried = [
            (_score(choices, goal, switched, SWITCH_STEPS), k, switched)
            for k, switched in enumerate(choices.switched(choice, flash_limit))
            if goal.score(cycles_of(switched), peak_of(switched)) < score
        ]
        best_score, _, best = min(tried, default=(score, 0, choice), key=itemgetter(0, 1))
        if best_score >= score:
            return choice
        choice, score = best, best_score
