# SPDX-License-Identifier: Apache-2.0
"""Statistics of every tensor over calibration data: whole, by channel, and as a histogram."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from mcugen.ir.graph import Graph
from mcugen.quantize.histogram import Histogram
from mcugen.quantize.observers import Observer, observe


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Statistics:
    """Of one tensor, float64 [C] each, by channel of its last axis ([1] for a scalar)."""

    count: int  # values of each channel
    low: NDArray[np.float64]
    high: NDArray[np.float64]
    mean: NDArray[np.float64]
    std: NDArray[np.float64]
    histogram: Histogram

    def whole(self) -> tuple[float, float, float, float]:
        """Minimum, maximum, mean and standard deviation over all channels."""
        mean = float(self.mean.mean())
        variance = float((self.std**2 + (self.mean - mean) ** 2).mean())
        return float(self.low.min()), float(self.high.max()), mean, float(np.sqrt(variance))


class StatisticsObserver(Observer):
    """Adds up what `Statistics` holds, in float64."""

    def __init__(self) -> None:
        """Nothing seen yet."""
        self.count = 0
        self.low: NDArray[np.float64] = np.full(1, np.inf)
        self.high: NDArray[np.float64] = np.full(1, -np.inf)
        self.total: NDArray[np.float64] = np.zeros(1)
        self.square: NDArray[np.float64] = np.zeros(1)
        self.histogram = Histogram()

    def update(self, x: torch.Tensor) -> None:
        """Take in one batch."""
        self.histogram.update(x.detach().numpy().ravel())
        channels = x.shape[-1] if x.dim() > 1 else 1
        flat = x.detach().double().reshape(-1, channels).numpy()
        self.count += len(flat)
        self.low = np.minimum(self.low, flat.min(axis=0))
        self.high = np.maximum(self.high, flat.max(axis=0))
        self.total = self.total + flat.sum(axis=0)
        self.square = self.square + (flat**2).sum(axis=0)

    def statistics(self) -> Statistics:
        """What was seen."""
        mean = self.total / max(self.count, 1)
        variance = np.maximum(self.square / max(self.count, 1) - mean**2, 0.0)
        return Statistics(
            count=self.count,
            low=self.low,
            high=self.high,
            mean=mean,
            std=np.sqrt(variance),
            histogram=self.histogram,
        )


def observe_statistics(
    graph: Graph, inputs: Sequence[NDArray[np.float32]]
) -> dict[str, Statistics]:
    """Statistics of every tensor of the float network, inputs float32 [N, *shape] stored layout.

    Raises CalibrationError, naming the layer, where a tensor becomes NaN or infinite.
    """
    observers = {node.name: StatisticsObserver() for node in graph.nodes}
    observe(graph, inputs, observers)
    return {name: observer.statistics() for name, observer in observers.items()}
