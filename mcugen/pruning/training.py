# SPDX-License-Identifier: Apache-2.0
"""Pruning while a network is trained: when how much of it becomes zero, and masks that hold."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from functools import partial
from operator import mul

import torch

from mcugen.errors import OptionError
from mcugen.ir.graph import Graph
from mcugen.pruning.criteria import SAMPLES, Data, Loss
from mcugen.pruning.masks import prunable, weight_of
from mcugen.pruning.norms import NormScales
from mcugen.pruning.options import PruneOptions, of_what_is_left
from mcugen.pruning.prune import choose_masks, prune
from mcugen.train.batches import Batch
from mcugen.train.loop import OnStep, Progress, Step
from mcugen.train.network import TrainableNetwork

SCHEDULES = ("oneshot", "iterative", "cubic")
UPDATES = 12  # of the masks while the sparsity rises along the cubic
ROUNDS = 4  # of the iterative schedule


@dataclass(frozen=True, slots=True, kw_only=True)
class PruneTraining:
    """What becomes zero, and when.

    schedule: `oneshot` before the first step, the weights that stay being refitted unless
        `options.reconstruct` is False; `iterative` in 4 rounds, after each of which the
        same share of what is left goes; `cubic`, s (1 - (1 - t)^3) for t from 0 to 1.
    ramp: share of all steps in which the sparsity rises; the other steps train what is left.
    Source of the cubic: Zhu and Gupta, "To prune, or not to prune", 2017, equation 1; of the
    rounds: Han et al., "Learning both Weights and Connections", 2015, section 3.4.
    """

    options: PruneOptions = field(default_factory=lambda: PruneOptions(sparsity=0.75))
    schedule: str = "oneshot"
    ramp: float = 0.5

    def __post_init__(self) -> None:
        """Raise OptionError that lists every choice which is not possible."""
        problems = []
        if self.schedule not in SCHEDULES:
            known = ", ".join(SCHEDULES)
            problems.append(f"schedule {self.schedule!r} is not known; there are {known}")
        elif self.schedule != "oneshot" and not self.options.rises:
            problems.append(f"schedule {self.schedule} needs a sparsity to rise to; use oneshot")
        if not 0.0 < self.ramp < 1.0:
            problems.append(f"ramp is {self.ramp:g}; expected a share above 0 and below 1")
        if problems:
            raise OptionError("\n".join(problems))

    def text(self) -> str:
        """The choices in a line."""
        options = self._at_once if self.schedule == "oneshot" else self.options
        return f"{self.schedule} ramp {self.ramp:g} {options.text()}"

    @property
    def _at_once(self) -> PruneOptions:
        return replace(self.options, reconstruct=self.options.reconstruct is not False)

    def start(
        self,
        graph: Graph,
        data: Data,
        progress: Progress = lambda _done, _total, _text: None,
    ) -> Graph:
        """The float network that is quantized and trained: pruned already where it is at once."""
        if self.schedule != "oneshot":
            prunable(graph, self.options)  # its errors now, not at the first update
            return graph
        return prune(graph, data, self._at_once, progress)

    def attach(self, network: TrainableNetwork, data: Data, total: int) -> OnStep:
        """What to call before each of `total` steps; sets the masks of a network at once."""
        if self.schedule == "oneshot":
            layers = prunable(network.graph, self.options)
            network.masks = {n.name: torch.from_numpy(weight_of(n) != 0.0).float() for n in layers}
            return lambda _: None
        moments = self.moments(total)

        def update(step: Step) -> None:
            if step.number in moments:
                masks = choose_masks(network.float_graph(), data, moments[step.number])
                network.masks = {name: torch.from_numpy(m).float() for name, m in masks.items()}
                network.hold_masks()

        return update

    def moments(self, total: int) -> dict[int, PruneOptions]:
        """The options from each step on at which the sparsity rises, the wanted one at last."""
        last = self._last(total)
        if self.schedule == "iterative":
            parts = [k / ROUNDS for k in range(1, ROUNDS + 1)]
            rounds = [self.options.risen(of_what_is_left(t)) for t in parts]
            return {last * k // (ROUNDS - 1): options for k, options in enumerate(rounds)}
        times = [k / UPDATES for k in range(1, UPDATES + 1)]
        return {
            round(last * t): self.options.risen(partial(mul, 1.0 - (1.0 - t) ** 3)) for t in times
        }

    def _last(self, total: int) -> int:
        return max(math.ceil(self.ramp * total) - 1, 0)

    def counts_from(self, steps_per_epoch: int, epochs: int) -> int:
        """The first epoch at whose end the network is as sparse as it shall be."""
        if self.schedule == "oneshot":
            return 0
        return self._last(steps_per_epoch * epochs) // steps_per_epoch + 1


def data_of(batches: Iterable[Batch], loss: Loss | None, scales: NormScales | None = None) -> Data:
    """The first batches, of some 256 samples; `loss` is for those with targets."""
    found: list[Batch] = []
    count = 0
    for batch in batches:
        found.append(batch)
        count += len(batch[0][0])
        if count >= SAMPLES:
            break
    labelled = bool(found) and found[0][1] is not None
    return Data(batches=found, loss=loss if labelled else None, norm_scales=scales or {})
