# SPDX-License-Identifier: Apache-2.0
"""A histogram of one tensor, and the ranges that can be read from it."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from mcugen.quantize.affine import Range, fake_steps

FloatVector = NDArray[np.float64]

# shares of the extremes that a search tries, one end at a time
SHARES: FloatVector = np.power(0.97, np.arange(80))
LEVELS = 256
BIN_VALUES = 1000
CHUNK = 16  # candidates that are looked at together


class Histogram:
    """Counts over [-limit, limit]. Source: torch.ao's HistogramObserver.

    Two passes would be exact; this keeps 4096 bins and doubles their width as values come.
    """

    BINS = 4096

    def __init__(self) -> None:
        """Nothing seen yet."""
        self.counts: FloatVector = np.zeros(self.BINS)
        self.limit = 0.0
        self.low, self.high = np.inf, -np.inf

    def update(self, values: NDArray[np.float32]) -> None:
        """Count the values of a batch."""
        self.low = min(self.low, float(values.min(initial=np.inf)))
        self.high = max(self.high, float(values.max(initial=-np.inf)))
        largest = float(np.abs(values).max(initial=0.0))
        if self.limit == 0.0:
            self.limit = largest
        while largest > self.limit:
            self._widen()
        if self.limit > 0.0:
            place = (values.astype(np.float64) / self.limit + 1.0) * (self.BINS / 2)
            bins = np.minimum(place.astype(np.int64), self.BINS - 1).ravel()
            self.counts += np.bincount(bins, minlength=self.BINS)

    def _widen(self) -> None:
        quarter = self.BINS // 4
        merged = self.counts.reshape(-1, 2).sum(axis=1)
        self.counts = np.concatenate([np.zeros(quarter), merged, np.zeros(quarter)])
        self.limit *= 2.0

    @property
    def edges(self) -> FloatVector:
        """Borders of the bins, BINS + 1 of them."""
        return np.linspace(-self.limit, self.limit, self.BINS + 1)

    @property
    def extremes(self) -> Range:
        """Smallest and largest value seen."""
        return self.low, self.high


def percentile_range(histogram: Histogram, percentile: float) -> Range:
    """The range that leaves 100 - `percentile` percent outside, half at each end."""
    low, high = histogram.extremes
    total = histogram.counts.sum()
    if total == 0:
        return low, high
    tail = total * (1.0 - percentile / 100.0) / 2.0
    below = np.cumsum(histogram.counts)
    first = int(np.searchsorted(below, tail, side="right"))
    last = min(int(np.searchsorted(below, total - tail, side="left")), histogram.BINS - 1)
    edges = histogram.edges
    return max(low, float(edges[first])), min(high, float(edges[last + 1]))


def mse_range(histogram: Histogram) -> Range:
    """The range whose 8 bits leave the least mean squared error.

    Source: Banner et al., "Post training 4-bit quantization of convolutional networks", 2019,
    section 3, by search instead of in closed form.
    """
    seen = histogram.counts > 0
    values = (0.5 * (histogram.edges[1:] + histogram.edges[:-1]))[seen]
    counts = histogram.counts[seen]

    def error(low: FloatVector, high: FloatVector) -> FloatVector:
        off = fake_steps(values, low[:, None], high[:, None]) - values
        total: FloatVector = (off * off) @ counts
        return total

    return search(histogram.extremes, error)


def entropy_range(histogram: Histogram) -> Range:
    """The range whose 8 bits tell most of the distribution: least Kullback-Leibler divergence.

    Source: Migacz, "8-bit inference with TensorRT", GTC 2017: what lies outside counts for the
    outermost bins of the clipped distribution P; Q spreads each level's count evenly over those of
    its bins that are not empty. Zeros are left out, as every grid holds them exactly; bins are
    merged in pairs until they hold enough values on average to tell shape from chance.
    """
    edges = histogram.edges
    counts = histogram.counts.copy()
    counts[histogram.BINS // 2] = 0.0
    while len(counts) > LEVELS and counts.sum() < BIN_VALUES * np.count_nonzero(counts):
        counts, edges = counts.reshape(-1, 2).sum(axis=1), edges[::2]

    def divergence(low: FloatVector, high: FloatVector) -> FloatVector:
        pairs = zip(low, high, strict=True)
        return np.array([_divergence(counts, edges, a, b) for a, b in pairs])

    return search(histogram.extremes, divergence)


def _divergence(counts: FloatVector, edges: FloatVector, low: float, high: float) -> float:
    first = int(np.clip(np.searchsorted(edges, low, side="right") - 1, 0, len(counts) - 1))
    last = int(np.clip(np.searchsorted(edges, high, side="left"), first + 1, len(counts)))
    inside = counts[first:last]
    clipped = inside.copy()
    clipped[0] += counts[:first].sum()
    clipped[-1] += counts[last:].sum()
    level = np.arange(len(inside)) * LEVELS // len(inside)
    mass = np.bincount(level, inside, LEVELS)
    filled = np.bincount(level, inside > 0, LEVELS)
    spread = np.where(inside > 0, (mass / np.maximum(filled, 1))[level], 0.0)
    # an end that holds nothing but what was cut off has no place in Q: it costs as if one had
    spread[[0, -1]] = np.maximum(spread[[0, -1]], np.minimum(clipped[[0, -1]], 1.0))
    p, q = clipped / max(clipped.sum(), 1.0), spread / max(spread.sum(), 1e-12)
    held = p > 0
    return float(np.sum(p[held] * np.log(p[held] / np.maximum(q[held], 1e-12))))


def search(extremes: Range, cost: Callable[[FloatVector, FloatVector], FloatVector]) -> Range:
    """The range of least cost, each end a share of the extreme, found one end at a time."""
    low, high = min(extremes[0], 0.0), max(extremes[1], 0.0)
    if not np.isfinite([low, high]).all() or low == high:
        return extremes
    best_low, best_high = low, high
    for _ in range(2):
        if high > 0.0:
            ends = high * SHARES
            best_high = float(ends[_least(cost, np.full(len(ends), best_low), ends)])
        if low < 0.0:
            ends = low * SHARES
            best_low = float(ends[_least(cost, ends, np.full(len(ends), best_high))])
    return max(best_low, extremes[0]), min(best_high, extremes[1])


def _least(
    cost: Callable[[FloatVector, FloatVector], FloatVector], low: FloatVector, high: FloatVector
) -> int:
    parts = [cost(low[k : k + CHUNK], high[k : k + CHUNK]) for k in range(0, len(low), CHUNK)]
    return int(np.argmin(np.concatenate(parts)))
