# SPDX-License-Identifier: Apache-2.0
"""What every method of quantization decides, and lowering obeys. Knows no operator by name."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from mcugen.ir.graph import QParams


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class WeightGrid:
    """The steps that a model itself rounded a layer's weights to: weight[o] = scales[o] * integer.

    scales: float64 [out_ch], not negative. high: the largest integer that the model allows.
    """

    scales: NDArray[np.float64]
    high: int = 127

    def scaled(self, factors: NDArray[np.floating]) -> WeightGrid:
        """The grid of the weights times factors, [out_ch] or [1]."""
        return replace(self, scales=self.scales * np.abs(factors.astype(np.float64)))

    def scaled_within(self, factors: NDArray[np.floating]) -> WeightGrid | None:
        """The same for factors [out_ch, in_ch]; None where they differ within an output channel."""
        alike = np.abs(factors) == np.abs(factors[:, :1])
        return self.scaled(factors[:, 0]) if np.all(alike) else None

    def take(self, order: NDArray[np.int64]) -> WeightGrid:
        """The grid of these rows of the weights."""
        return replace(self, scales=self.scales[order])


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class WeightQuant:
    """The weights of one layer as integers: weight[o] = scales[o] * ints[o].

    ints: int8, shaped like the float weight [out_ch, ...], within +-(2^(bits - 1) - 1).
    scales: float64 [out_ch], positive; one repeated value where the whole tensor shares it.
    bias: float32 [out_ch], real, with whatever correction the method makes to it.
    bits: 8, 4 or 2.
    """

    ints: NDArray[np.int8]
    scales: NDArray[np.float64]
    bias: NDArray[np.float32]
    bits: int = 8


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Quantization:
    """The quantization of a whole float graph, by name of its nodes after the exact passes.

    `tensors` has an entry for every node, `weights` one for every node whose operator has weights
    (`Op.weight_arrays`).
    """

    tensors: Mapping[str, QParams]
    weights: Mapping[str, WeightQuant]
