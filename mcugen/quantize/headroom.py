# SPDX-License-Identifier: Apache-2.0
"""How much further a tensor will reach than it did on a few calibration samples."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from mcugen.ir.graph import Graph
from mcugen.quantize.affine import Range
from mcugen.quantize.observers import Observer, observe

# as many samples speak for themselves; of fewer, the extremes that so many would reach are guessed
ENOUGH = 100
MOST = 2.0  # a guess from two or three samples can be wild
# of a Gumbel distribution: (mean of the largest of n - mean) / standard deviation = FACTOR * ln n
FACTOR = np.sqrt(6.0) / np.pi

Headroom = tuple[float, float]  # factors of the lower and the upper end of a range, 1 or more
NONE: Headroom = (1.0, 1.0)


class ExtremesObserver(Observer):
    """The smallest and largest value of each sample."""

    def __init__(self) -> None:
        """Nothing seen yet."""
        self.lows: list[float] = []
        self.highs: list[float] = []

    def update(self, x: torch.Tensor) -> None:
        """Take in the samples of a batch."""
        low, high = torch.aminmax(x.reshape(len(x), -1), dim=1)
        self.lows += low.tolist()
        self.highs += high.tolist()

    def headroom(self) -> Headroom:
        """What both ends are to be multiplied by."""
        return _factor(-np.array(self.lows)), _factor(np.array(self.highs))


def observe_headroom(graph: Graph, samples: Sequence[NDArray[np.float32]]) -> dict[str, Headroom]:
    """Headroom of every tensor; empty where there are samples enough."""
    if len(samples[0]) >= ENOUGH:
        return {}
    observers = {node.name: ExtremesObserver() for node in graph.nodes}
    observe(graph, samples, observers)
    return {name: observer.headroom() for name, observer in observers.items()}


def widened(ranges: Mapping[str, Range], headroom: Mapping[str, Headroom]) -> dict[str, Range]:
    """Every range with its headroom."""
    return {
        name: (low * headroom.get(name, NONE)[0], high * headroom.get(name, NONE)[1])
        for name, (low, high) in ranges.items()
    }


def _factor(extremes: NDArray[np.float64]) -> float:
    """From the largest value of each sample to the largest of `ENOUGH` samples.

    The largest of many values is distributed as Gumbel's law says, and so is the largest of these;
    its parameters come from mean and deviation. Source: Gumbel, "Statistics of extremes", 1958,
    section 5.2 (the law and its moments).
    """
    largest = extremes.max()
    if len(extremes) < 2 or largest <= 0.0:
        return 1.0
    reached = extremes.mean() + FACTOR * np.log(ENOUGH) * extremes.std(ddof=1)
    return float(np.clip(reached / largest, 1.0, MOST))
