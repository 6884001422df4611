# SPDX-License-Identifier: Apache-2.0
"""What may be chosen about pruning, by name. Imports no torch."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from dataclasses import dataclass, replace

from mcugen.errors import OptionError

# criterion -> its forms, the first of which its name alone means
CRITERIA = {
    "magnitude": ("l1", "l2", "bn_scale"),
    "importance": ("wanda", "taylor", "snip", "obs"),
    "stability": ("perturbation", "deviation"),
    "random": ("uniform",),
}
WHEN_TRAINED = "perturbation"  # what `mcugen prune` judges by if not told otherwise
OF_CHANNELS = ("deviation", "bn_scale")  # forms that know only whole channels
OF_LAYERS = ("wanda", "obs")  # forms whose scores are about a layer's own outputs
BLOCKS = {"unstructured": (1, 1), "block1x4": (1, 4), "block2x2": (2, 2)}
N_M = ("1:4", "2:4", "1:8", "1:16")
CHANNEL = "channel"
PATTERNS = (*BLOCKS, *N_M, CHANNEL)
BUDGET = "budget"  # the allocation that costs decide
ALLOCATIONS = ("uniform", "global", "erk", BUDGET)
DENSE = ("first", "depthwise")
PLACES = ("first", "last", "depthwise", "none")  # what `keep_dense` may name beside layers


def parse_criterion(text: str) -> tuple[str, str]:
    """`importance`, `importance:obs` or `obs`: criterion and form. Raises OptionError."""
    name, _, form = text.partition(":")
    if name in CRITERIA and (form in CRITERIA[name] or text == name):
        return name, form or CRITERIA[name][0]
    for criterion, forms in CRITERIA.items():
        if text in forms:
            return criterion, text
    known = ", ".join(f"{name} ({', '.join(forms)})" for name, forms in CRITERIA.items())
    msg = f"criterion {text!r} is not known; the criteria and their forms are {known}"
    raise OptionError(msg)


def parse_n_m(pattern: str) -> tuple[int, int] | None:
    """`2:4` as (2, 4): of 4 neighbouring weights, 2 stay. None for patterns of another kind."""
    match = re.fullmatch(r"([0-9]+):([0-9]+)", pattern)
    return None if match is None else (int(match[1]), int(match[2]))


def is_n_m(pattern: str) -> bool:
    """Whether some of some more weights stay."""
    n_m = parse_n_m(pattern)
    return n_m is not None and 0 < n_m[0] < n_m[1]


def of_what_is_left(time: float) -> Callable[[float], float]:
    """How much of a share is gone at a time from 0 to 1: as much of what is left in equal times."""
    return lambda share: 1.0 - (1.0 - share) ** time


@dataclass(frozen=True, slots=True, kw_only=True)
class PruneOptions:
    """One way to prune a network.

    criterion: what scores weights, as `parse_criterion` takes it.
    sparsity: the share of groups of weights that shall be zero, of each pruned layer with the
        uniform allocation, else of all pruned layers together. n:m patterns say it themselves.
    shares: with the allocation `budget`, that of each layer by its name, once it has been found.
    threshold: instead of a sparsity, the score of a group up to which it goes.
    macs: with the pattern `channel`, the share of all products that may be left.
    round_to: with the pattern `channel`, what the channels that stay are a multiple of.
    keep_dense: layers that are left alone: `first`, `last`, `depthwise`, patterns of layers' names
        or modules; `none` leaves none alone.
    reconstruct: refit the weights that stay to calibration data; None: where the criterion does.
    rounds: in how many steps, each with refitting, the sparsity rises; the same share of what is
        left goes in each.
    allow_empty: a layer may lose all of its weights; what is left of it is its bias.
    """

    criterion: str = "magnitude"
    pattern: str = "unstructured"
    sparsity: float | None = None
    threshold: float | None = None
    macs: float | None = None
    round_to: int = 4
    allocation: str = "uniform"
    shares: tuple[tuple[str, float], ...] = ()
    keep_dense: tuple[str, ...] = DENSE
    reconstruct: bool | None = None
    rounds: int = 8
    allow_empty: bool = False
    seed: int = 0  # of what is drawn at random: perturbations, and the random criterion

    def __post_init__(self) -> None:
        """Raise OptionError that lists every choice which is not possible."""
        problems = [*self._name_problems(), *self._amount_problems()]
        if problems:
            raise OptionError("\n".join(problems))

    def _name_problems(self) -> list[str]:
        problems = []
        try:
            parse_criterion(self.criterion)
        except OptionError as error:
            problems.append(str(error))
        if self.pattern not in PATTERNS and not is_n_m(self.pattern):
            problems.append(
                f"pattern {self.pattern!r} is not known; the patterns are {', '.join(PATTERNS)}"
            )
        if self.allocation not in ALLOCATIONS:
            known = ", ".join(ALLOCATIONS)
            problems.append(f"allocation {self.allocation!r} is not known; there are {known}")
        problems += [
            f"{name} is {value}; expected 1 or more"
            for name, value in (("rounds", self.rounds), ("round_to", self.round_to))
            if value < 1
        ]
        return problems

    def _amount_problems(self) -> list[str]:
        given = [x for x in (self.sparsity, self.threshold) if x is not None]
        if is_n_m(self.pattern):
            problems = []
            if given:
                kept, of = self.pattern.split(":")
                problems.append(
                    f"pattern {self.pattern} says itself that {kept} of {of} weights stay: "
                    "leave out sparsity and threshold"
                )
            if self.allocation != "uniform":
                problems.append(f"pattern {self.pattern} is alike in all layers: no allocation")
            return problems
        if self.allocation == BUDGET and self.pattern != CHANNEL:
            return self._budget_problems(given)
        if self.pattern == CHANNEL:
            return self._channel_problems(given)
        problems = []
        if self.macs is not None:
            problems.append(f"macs goes with the pattern {CHANNEL}; others take a sparsity")
        form = self.criterion.rpartition(":")[2]
        if form in OF_CHANNELS and (self.threshold is None or self.pattern != "unstructured"):
            problems.append(
                f"{form} takes whole channels: it needs a threshold, and no pattern but "
                f"unstructured; or the pattern {CHANNEL}"
            )
        if len(given) != 1:
            problems.append("pruning needs either a sparsity or a threshold, and not both")
        if self.sparsity is not None and not 0.0 < self.sparsity < 1.0:
            problems.append(
                f"sparsity is {self.sparsity:g}; expected a share of zeros above 0 and below 1: "
                "0 prunes nothing, 1 leaves no weight at all"
            )
        if self.threshold is not None and not 0.0 < self.threshold < math.inf:
            problems.append(f"threshold is {self.threshold:g}; expected a score above 0")
        if self.threshold is not None and self.allocation != "uniform":
            problems.append("a threshold is the same for all layers: no allocation")
        return problems

    def _budget_problems(self, given: list[float]) -> list[str]:
        problems = []
        if given or self.macs is not None:
            problems.append(
                "the allocation budget finds by itself how much of each layer goes: leave out "
                "sparsity, threshold and macs"
            )
        if self.form in OF_CHANNELS:
            problems.append(f"{self.form} takes whole channels, which no allocation divides")
        return problems

    def _channel_problems(self, given: list[float]) -> list[str]:
        problems = []
        if given or self.macs is None:
            problems.append(f"pattern {CHANNEL} needs macs, and neither sparsity nor threshold")
        if self.macs is not None and not 0.0 < self.macs < 1.0:
            problems.append(
                f"macs is {self.macs:g}; expected the share of all products that may be left, "
                "above 0 and below 1"
            )
        if self.allocation != "uniform":
            problems.append(f"pattern {CHANNEL} compares the channels of all layers: no allocation")
        return problems

    @property
    def form(self) -> str:
        """The form of the criterion."""
        return parse_criterion(self.criterion)[1]

    @property
    def reconstructs(self) -> bool:
        """Whether the weights that stay are refitted."""
        return self.form == "obs" if self.reconstruct is None else self.reconstruct

    @property
    def rises(self) -> bool:
        """Whether there are shares of zeros that can rise step by step."""
        return self.sparsity is not None or self.allocation == BUDGET

    def risen(self, part: Callable[[float], float]) -> PruneOptions:
        """With a part of each share of zeros."""
        whole = self.sparsity
        return replace(
            self,
            sparsity=None if whole is None else part(whole),
            shares=tuple((name, part(share)) for name, share in self.shares),
        )

    def in_rounds(self) -> tuple[PruneOptions, ...]:
        """What each round of pruning and refitting goes up to; the last one's is all of it."""
        if self.threshold is not None or self.pattern == CHANNEL:
            return (self,)
        times = [k / self.rounds for k in range(1, self.rounds)]
        sooner = replace(self, allow_empty=True)  # what is empty at last is told of then
        n_m = parse_n_m(self.pattern)
        if n_m is None:
            some = [sooner.risen(of_what_is_left(t)) for t in times]
            return (*some, self)
        kept, of = n_m
        counts = dict.fromkeys(math.ceil(of * (kept / of) ** t) for t in times)
        more = [count for count in counts if kept < count < of]
        return (*(replace(sooner, pattern=f"{count}:{of}") for count in more), self)

    def text(self) -> str:
        """The choices in a line, for digests and tables."""
        words = [self.form, self.pattern]
        if self.sparsity is not None:
            words.append(f"sparsity {self.sparsity:g} {self.allocation}")
        if self.shares:
            words.append(f"shares {dict(self.shares)}")
        if self.threshold is not None:
            words.append(f"threshold {self.threshold:g}")
        if self.macs is not None:
            words.append(f"macs {self.macs:g} round to {self.round_to}")
        words.append(f"dense {','.join(self.keep_dense)}")
        words += [f"reconstructed in {len(self.in_rounds())}"] if self.reconstructs else []
        words += ["may be empty"] if self.allow_empty else []
        return " ".join([*words, f"seed {self.seed}"])
