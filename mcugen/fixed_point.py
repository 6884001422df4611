# SPDX-License-Identifier: Apache-2.0
"""The numerics contract: how accumulators become int8. The specification of runtime_c/mcugen.h."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

IntArray = NDArray[np.int64]
RequantMode = Literal["single", "double"]

INT32_MAX = 2**31 - 1
MAX_SHIFT = 62


def quantize_multiplier(real: float, bits: int = 31, zeros: int = 0) -> tuple[int, int]:
    """A non-negative real as (M, t) with real = M / 2^t, M of `bits` bits and t in [1, 62].

    With 31 bits M is in [2^30, 2^31). The lowest `zeros` bits of M are zero. Below 2^-32 the shift
    stays 62 and M loses bits, down to 0. Raises ValueError at 2^30 and above, or where fewer bits
    leave no shift.
    Source: gemmlowp, "Low-precision matrix multiplication", section on fixed-point multipliers.
    """
    if not 0.0 <= real < 2.0 ** (bits - 1):
        msg = f"multiplier must be in [0, 2^{bits - 1}), got {real!r}"
        raise ValueError(msg)
    if real == 0.0:
        return 0, MAX_SHIFT
    fraction, exponent = math.frexp(real)
    bits -= zeros
    multiplier, shift = half_up(math.ldexp(fraction, bits)), bits - exponent
    if multiplier == 2**bits:
        # just below the limit the shift cannot fall any further, and M keeps its largest value
        last = shift + zeros == 1
        multiplier, shift = (2**bits - 1, shift) if last else (2 ** (bits - 1), shift - 1)
    if shift > MAX_SHIFT - zeros:
        shift = MAX_SHIFT - zeros
        multiplier = half_up(math.ldexp(real, shift))
    return multiplier << zeros, shift + zeros


def round_half_up(values: NDArray[np.float64]) -> IntArray:
    """floor(x + 1/2), the one rounding that turns reals into integers at compile time."""
    return np.floor(values + 0.5).astype(np.int64)


def half_up(value: float) -> int:
    """The same for one number."""
    return math.floor(value + 0.5)


def scale_single(acc: IntArray, multiplier: IntArray, shift: IntArray) -> IntArray:
    """floor((acc * M + 2^(t-1)) / 2^t): one rounding, half up; |acc| < 2^31."""
    return (acc * multiplier + (np.int64(1) << (shift - 1))) >> shift


def scale_double(acc: IntArray, multiplier: IntArray, shift: IntArray) -> IntArray:
    """Saturating rounding doubling high multiply, then rounding divide by a power of two.

    Source: gemmlowp fixedpoint.h, as used by TFLite's MultiplyByQuantizedMultiplier.
    """
    left, right = np.maximum(31 - shift, 0), np.maximum(shift - 31, 0)
    product = (acc << left) * multiplier
    nudged = product + np.where(product >= 0, 1 << 30, 1 - (1 << 30))
    high = np.where(nudged >= 0, nudged >> 31, -((-nudged) >> 31))
    mask = (np.int64(1) << right) - 1
    threshold = (mask >> 1) + (high < 0)
    rounded: IntArray = (high >> right) + ((high & mask) > threshold)
    return rounded


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Requantize:
    """Accumulator to int8: y = clamp(scale(acc) + zero_point, low, high).

    `multiplier` and `shift` are int64 [C], or [1] for all channels alike.
    """

    multiplier: IntArray
    shift: IntArray
    zero_point: int
    low: int
    high: int
    mode: RequantMode

    def __call__(self, acc: IntArray) -> IntArray:
        """Requantize int32-range accumulators [..., C] to [low, high]."""
        scale = scale_single if self.mode == "single" else scale_double
        scaled = scale(acc, self.multiplier, self.shift) + self.zero_point
        return np.clip(scaled, self.low, self.high)

    def take(self, channels: NDArray[np.intp]) -> Requantize:
        """The same for a selection of channels; a shared multiplier stays shared."""
        if self.multiplier.size == 1:
            return self
        return Requantize(
            multiplier=self.multiplier[channels],
            shift=self.shift[channels],
            zero_point=self.zero_point,
            low=self.low,
            high=self.high,
            mode=self.mode,
        )


def requantize_for(
    scales: NDArray[np.float64],
    zero_point: int,
    low: int,
    high: int,
    mode: RequantMode,
    bound: IntArray | None = None,
    zeros: int = 0,
) -> Requantize:
    """Requantize with real factors `scales` [C] or [1].

    bound: the largest |accumulators| [C], where they may need more than 32 bits: multipliers then
    have as many bits as leave the product below 2^62; zeros: how many of their lowest bits are 0.
    """
    bits = [31] * len(scales) if bound is None else multiplier_bits(bound)
    made = [quantize_multiplier(float(s), b, zeros) for s, b in zip(scales, bits, strict=True)]
    pairs = np.array(made, np.int64).reshape(-1, 2)
    return Requantize(
        multiplier=pairs[:, 0],
        shift=pairs[:, 1],
        zero_point=zero_point,
        low=low,
        high=high,
        mode=mode,
    )


def multiplier_bits(bound: IntArray) -> list[int]:
    """31, less the bits by which accumulators of up to +-`bound` are longer than 31."""
    return [31 - max(0, int(most).bit_length() - 31) for most in bound]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Affine:
    """Integer linear form: y = clamp((sum_i x_i * M_i + B) >> t, low, high).

    All of it is within int32, or within int64 where int16 operands make an int16 result.

    `factors` is int64 [operands, C], `bias` and `shift` int64 [C], or [1] for all channels. Zero
    points and the rounding half are inside B, so the kernel multiplies raw values.
    """

    factors: IntArray
    bias: IntArray
    shift: IntArray
    low: int
    high: int

    def __call__(self, *operands: IntArray) -> IntArray:
        """Apply to integer operands [..., C]."""
        acc = self.bias
        for x, factor in zip(operands, self.factors, strict=True):
            acc = acc + x * factor
        scaled: IntArray = np.clip(acc >> self.shift, self.low, self.high)
        return scaled

    def take(self, channels: NDArray[np.intp]) -> Affine:
        """The same for a selection of channels; one entry for all of them stays one."""
        if self.bias.size == 1:
            return self
        return replace(
            self,
            factors=self.factors[:, channels],
            bias=self.bias[channels],
            shift=self.shift[channels],
        )


MAX_AFFINE_SHIFT = 24
MAX_WIDE_SHIFT = 30


@dataclass(frozen=True, slots=True, kw_only=True)
class AffineLimits:
    """What operands and results a linear form has: `reach` is the largest |x - zero point|.

    `span` is the number of values that a result can take; `wide` sums have 64 bits.
    """

    reach: float = 256.0
    span: float = 256.0
    wide: bool = False


S8_LIMITS = AffineLimits()


def affine_for(
    factors: NDArray[np.float64],
    offset: NDArray[np.float64],
    zero_points: tuple[int, ...],
    out_zero_point: int,
    low: int,
    high: int,
    limits: AffineLimits = S8_LIMITS,
) -> Affine:
    """The Affine nearest to y = sum_i f_i * (x_i - z_i) + offset + out_zero_point, in output steps.

    factors: float64 [operands, C]; offset: float64 [C]. The shift is the largest up to 24 for
    which no int8 input can leave int32: sum 256 |M| + |B| < 2^31. With wide sums, up to 30: the
    factors fit int32, the sums 2^62, and their quotients int32.
    """
    # beyond this an offset saturates the output whatever the input is
    limit = limits.reach * np.abs(factors).sum(axis=0) + 4.0 * limits.span
    offset = np.clip(offset, -limit, limit)
    real_bias = offset + out_zero_point - factors.T @ np.array(zero_points, np.float64)
    worst = limits.reach * np.abs(factors).sum(axis=0) + np.abs(real_bias) + 1.0
    if limits.wide:
        largest = np.abs(factors).max(axis=0, initial=2.0**-30)
        room = np.floor(np.minimum(61.0 - np.log2(worst), 30.99 - np.log2(largest)))
        shift = np.clip(room, 1, MAX_WIDE_SHIFT).astype(np.int64)
        fits = (worst < 2.0**30) & (largest * 2.0**shift < 2.0**31 - 1.0)
    else:
        room = np.floor(31.0 - np.log2(worst + 2.0**-20) - 2.0**-20)
        shift = np.clip(room, 1, MAX_AFFINE_SHIFT).astype(np.int64)
        fits = worst * 2.0**shift < 2.0**31
    if not np.all(fits):
        msg = f"affine factor out of range: {float(worst.max()):g} output steps"
        raise ValueError(msg)
    step = 2.0**shift
    ints = round_half_up(factors * step)
    exact_bias = (
        round_half_up((offset + out_zero_point) * step)
        - np.array(zero_points, np.int64) @ ints
        + (np.int64(1) << (shift - 1))
    )
    return Affine(factors=ints, bias=exact_bias, shift=shift, low=low, high=high)
