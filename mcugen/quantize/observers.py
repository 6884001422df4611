# SPDX-License-Identifier: Apache-2.0
"""What calibration data tell of each tensor: the range that 8 bits shall span."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from mcugen.errors import CalibrationError
from mcugen.ir.graph import Graph
from mcugen.quantize.affine import Range
from mcugen.quantize.histogram import Histogram, entropy_range, mse_range, percentile_range
from mcugen.quantize.options import RangeRule
from mcugen.train.forward import forward

BATCH = 32


class Observer(ABC):
    """Takes in one tensor, a batch at a time."""

    @abstractmethod
    def update(self, x: torch.Tensor) -> None:
        """Take in one batch, float32 [N, *shape]."""


class RangeObserver(Observer):
    """Turns a stream of batches of one tensor into a real range."""

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


class MovingAverageObserver(RangeObserver):
    """An exponential average of each batch's extremes: r += share * (batch's - r).

    Source: Jacob et al., "Quantization and Training of Neural Networks", 2018, section 3.1.
    """

    def __init__(self, share: float) -> None:
        """`share` of a new batch, in (0, 1]."""
        self.share = share
        self.ends: NDArray[np.float64] | None = None

    def update(self, x: torch.Tensor) -> None:
        """Average the batch in."""
        batch = np.array([float(end) for end in torch.aminmax(x)])
        self.ends = batch if self.ends is None else self.ends + self.share * (batch - self.ends)

    def range(self) -> Range:
        """The averages."""
        return (
            (np.inf, -np.inf) if self.ends is None else (float(self.ends[0]), float(self.ends[1]))
        )


class HistogramObserver(RangeObserver):
    """A range that is read from the distribution of the values."""

    def __init__(self, choose: Callable[[Histogram], Range]) -> None:
        """`choose` reads it."""
        self.histogram = Histogram()
        self.choose = choose

    def update(self, x: torch.Tensor) -> None:
        """Count the batch's values."""
        self.histogram.update(x.detach().numpy().ravel())

    def range(self) -> Range:
        """What `choose` makes of the counts."""
        return self.choose(self.histogram)


def make_observer(rule: RangeRule, bits: int = 8) -> RangeObserver:
    """The observer of a rule; `output` begins from the extremes.

    `mse` and `entropy` are the extremes for int16, whose steps are finer than a histogram's bins:
    what they weigh against clipping is nothing.
    """
    figure = rule.figure or 0.0
    if rule.name in ("minmax", "output") or (bits == 16 and rule.name in ("mse", "entropy")):
        return MinMaxObserver()
    if rule.name == "moving_average":
        return MovingAverageObserver(figure)
    if rule.name == "percentile":
        return HistogramObserver(lambda histogram: percentile_range(histogram, figure))
    return HistogramObserver(entropy_range if rule.name == "entropy" else mse_range)


def observe_ranges(
    graph: Graph,
    inputs: Sequence[NDArray[np.float32]],
    rule: RangeRule | Mapping[str, tuple[RangeRule, int]],
) -> dict[str, Range]:
    """The range of every tensor over calibration data, float32 [N, *shape] in stored layout.

    rule: one for all tensors, of int8, or rule and bits of each by name.

    Raises CalibrationError, naming the layer, where a tensor becomes NaN or infinite.
    """
    rules = rule if isinstance(rule, Mapping) else {n.name: (rule, 8) for n in graph.nodes}
    observers = {node.name: make_observer(*rules[node.name]) for node in graph.nodes}
    # an input's range is what the data holds; clipping it would cost accuracy for no gain
    observers |= {name: MinMaxObserver() for name in graph.inputs}
    observe(graph, inputs, observers)
    return {name: observer.range() for name, observer in observers.items()}


def observe(
    graph: Graph, inputs: Sequence[NDArray[np.float32]], observers: Mapping[str, Observer]
) -> None:
    """Show every tensor of the float network on `inputs` to the observer of its name.

    Raises CalibrationError, naming the layer, where a tensor becomes NaN or infinite.
    """

    def show(name: str, x: torch.Tensor) -> None:
        if not bool(torch.isfinite(x).all()):
            where = graph.by_name[name].origin
            msg = f"{where or name}: the float network gives NaN or infinity on calibration data"
            raise CalibrationError(msg)
        observers[name].update(x)

    with torch.no_grad():
        for start in range(0, len(inputs[0]), BATCH):
            forward(graph, [torch.from_numpy(x[start : start + BATCH]) for x in inputs], show)
