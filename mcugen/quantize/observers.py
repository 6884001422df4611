# SPDX-License-Identifier: Apache-2.0
"""What calibration data tell of each tensor: extremes, and a histogram for percentiles."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from mcugen.errors import CalibrationError, OptionError
from mcugen.ir.graph import Graph
from mcugen.train.forward import forward

Range = tuple[float, float]
BATCH = 32


class RangeObserver(ABC):
    """Turns a stream of batches of one tensor into a real range."""

    @abstractmethod
    def update(self, x: torch.Tensor) -> None:
        """Take in one batch."""

    @abstractmethod
    def range(self) -> Range:
        """The range so far."""


class MinMaxObserver(RangeObserver):
    """The extremes themselves."""

    def __init__(self) -> None:
        """Nothing seen yet."""
        self.low, self.high = np.inf, -np.inf

    def update(self, x: torch.Tensor) -> None:
        """Widen to the batch's extremes."""
        low, high = torch.aminmax(x)
        self.low, self.high = min(self.low, float(low)), max(self.high, float(high))

    def range(self) -> Range:
        """Smallest and largest value seen."""
        return self.low, self.high


class HistogramObserver(RangeObserver):
    """The range that leaves `100 - percentile` percent of the values outside, half at each end.

    Two passes would be exact; this one keeps 4096 bins and doubles their width as values come.
    """

    BINS = 4096

    def __init__(self, percentile: float) -> None:
        """`percentile` in (50, 100]."""
        self.percentile = percentile
        self.counts: NDArray[np.float64] = np.zeros(self.BINS)
        self.limit = 0.0  # bins span [-limit, limit]
        self.extremes = MinMaxObserver()

    def update(self, x: torch.Tensor) -> None:
        """Count the batch's values."""
        self.extremes.update(x)
        values = x.detach().numpy().ravel()
        largest = float(np.abs(values).max(initial=0.0))
        if self.limit == 0.0:
            self.limit = largest
        while largest > self.limit:
            self._widen()
        if self.limit > 0.0:
            self.counts += np.histogram(values, self.BINS, (-self.limit, self.limit))[0]

    def _widen(self) -> None:
        quarter = self.BINS // 4
        merged = self.counts.reshape(-1, 2).sum(axis=1)
        self.counts = np.concatenate([np.zeros(quarter), merged, np.zeros(quarter)])
        self.limit *= 2.0

    def range(self) -> Range:
        """Percentile range, within the extremes."""
        low, high = self.extremes.range()
        total = self.counts.sum()
        if total == 0:
            return low, high
        tail = total * (1.0 - self.percentile / 100.0) / 2.0
        edges = np.linspace(-self.limit, self.limit, self.BINS + 1)
        below = np.cumsum(self.counts)
        first = int(np.searchsorted(below, tail, side="right"))
        last = int(np.searchsorted(below, total - tail, side="left"))
        return max(low, float(edges[first])), min(high, float(edges[min(last, self.BINS - 1) + 1]))


def make_observer(ranges: str) -> RangeObserver:
    """`minmax`, or `percentile` with an optional figure: `percentile:99.9`.

    Raises OptionError for anything else.
    """
    method, _, figure = ranges.partition(":")
    if method == "minmax" and not figure:
        return MinMaxObserver()
    if method == "percentile":
        try:
            percentile = float(figure or 99.99)
        except ValueError:
            percentile = 0.0
        if 50.0 < percentile <= 100.0:
            return HistogramObserver(percentile)
    msg = f"ranges {ranges!r} is not known; use minmax, or percentile:P with 50 < P <= 100"
    raise OptionError(msg)


def observe_ranges(
    graph: Graph, inputs: Sequence[NDArray[np.float32]], ranges: str
) -> dict[str, Range]:
    """The range of every tensor over calibration data, float32 [N, *shape] in stored layout.

    Raises CalibrationError, naming the layer, where a tensor becomes NaN or infinite.
    """
    observers = {node.name: make_observer(ranges) for node in graph.nodes}
    # an input's range is what the data holds; clipping it would cost accuracy for no gain
    observers |= {name: MinMaxObserver() for name in graph.inputs}

    def observe(name: str, x: torch.Tensor) -> None:
        if not bool(torch.isfinite(x).all()):
            where = graph.by_name[name].origin
            msg = f"{where or name}: the float network gives NaN or infinity on calibration data"
            raise CalibrationError(msg)
        observers[name].update(x)

    with torch.no_grad():
        for start in range(0, len(inputs[0]), BATCH):
            forward(graph, [torch.from_numpy(x[start : start + BATCH]) for x in inputs], observe)
    return {name: observer.range() for name, observer in observers.items()}
