# SPDX-License-Identifier: Apache-2.0
"""Real numbers to quantized ones and back: ranges, scales, zero points, rounding to the grid."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from mcugen.ir.graph import QParams

Range = tuple[float, float]


def qparams_for(
    low: float, high: float, symmetric: bool = False, power_of_two: bool = False, bits: int = 8
) -> QParams:
    """int8 or int16 over a real range, widened to hold zero; scale is a float32 exactly.

    Asymmetric: source Jacob et al., "Quantization and Training of Neural Networks", 2018,
    section 3. Symmetric: zero point 0, the larger end at 127; int16 is always so, its end at 32767.
    A power of two is the next one that still holds the range.
    """
    low, high = min(low, 0.0), max(high, 0.0)
    if symmetric or bits == 16:
        real = max(-low, high) / (2.0 ** (bits - 1) - 1.0)
    else:
        real = (high - low) / 255.0
    scale = float(np.float32(real))
    if scale < 1e-20:
        scale, symmetric = 1.0, True
    elif power_of_two:
        scale = next_power_of_two(scale)
    if bits == 16:
        return QParams.int16(scale)
    if symmetric:
        return QParams(scale=scale, zero_point=0)
    zero_point = int(np.clip(np.floor(-128.0 - low / scale + 0.5), -128, 127))
    return QParams(scale=scale, zero_point=zero_point)


def next_power_of_two(scale: float) -> float:
    """The smallest power of two that is not smaller."""
    return float(2.0 ** np.ceil(np.log2(scale)))


def fake_steps(
    values: NDArray[np.float64], low: NDArray[np.float64], high: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Values on the asymmetric int8 grids of ranges that hold zero; shapes broadcast."""
    scale = np.maximum((high - low) / 255.0, 1e-20)
    zero = np.clip(np.floor(-128.0 - low / scale + 0.5), -128, 127)
    steps = np.clip(np.floor(values / scale + 0.5) + zero, -128, 127)
    grid: NDArray[np.float64] = (steps - zero) * scale
    return grid


def fake_quantize(x: torch.Tensor, qparams: QParams) -> torch.Tensor:
    """A float tensor on the grid of its quantization: half up, then clipped, as the C rounds."""
    steps = torch.floor(x / qparams.scale + 0.5) + qparams.zero_point
    return (steps.clamp(qparams.low, qparams.high) - qparams.zero_point) * qparams.scale
