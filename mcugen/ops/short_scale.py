# SPDX-License-Identifier: Apache-2.0
"""Requantization by products of 32 bits: mcugen_short.h. Each channel is proved to be exact."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mcugen.fixed_point import IntArray, Requantize

FRACTION = 13  # bits of the lower factor, a signed number; with larger sums one less
WORD = 31  # bits of a word's absolute value
MAX_SHIFT = 22
MAX_DROP = 53  # so that thresholds can be computed in 64 bits
ATTEMPTS = (0, 1, -1, 2, -2, 3, -3)  # factors next to the nearest one


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ShortScale:
    """What the kernels need to know of a layer's channels.

    words: uint32 [C, 2], the offset and the factors, the lower one in the lowest `fraction` bits.
    An output is low + min(max(scaled >> shift, 0), span), where
    scaled = upper * sum + (lower * sum >> fraction) + offset.
    """

    words: NDArray[np.uint32]
    fraction: int
    shift: int
    low: int
    span: int

    def fields(self) -> tuple[tuple[str, int], ...]:
        """The parameters that hold for all channels."""
        return ("shift", self.shift), ("low", self.low), ("span", self.span)


def short_scale(
    sums: IntArray, bias: IntArray, requantize: Requantize, fraction: int = FRACTION
) -> ShortScale | None:
    """The channels' constants; None where one of them would not give the same outputs.

    sums: int64 [C], the largest |sum of products| that int8 inputs can reach, without the bias;
    bias: int64 [C]. An output is k at least from some sum on. Both forms have to agree on that sum
    for every k: of the factors near the real one, the first one is taken that some offset makes
    agree.
    """
    if requantize.mode != "single" or np.any(sums >= max_sum(fraction)):
        return None
    multiplier = np.broadcast_to(requantize.multiplier, len(sums))
    drop = np.broadcast_to(requantize.shift, len(sums))
    # what rounds to zero whatever the input is needs no more than a factor of zero
    silent = (sums + np.abs(bias)).astype(np.float64) * multiplier < np.ldexp(0.25, drop)
    multiplier, drop = np.where(silent, 0, multiplier), np.where(silent, 1, drop)
    if np.any(drop > MAX_DROP):
        return None
    real = np.ldexp(multiplier.astype(np.float64), -drop)
    shift = _shift(real, sums, bias, requantize, fraction)
    if shift < 0:
        return None
    wanted = _thresholds(sums, bias, multiplier, drop, requantize)
    nearest = np.floor(np.ldexp(real, shift + fraction) + 0.5).astype(np.int64)
    factor, offset = np.full_like(nearest, -1), np.zeros_like(nearest)
    for attempt in ATTEMPTS:
        trial = np.maximum(nearest + attempt, 0)
        least, most = _offsets(sums, wanted, trial, shift, fraction)
        found = (factor < 0) & (least <= most)
        factor = np.where(found, trial, factor)
        offset = np.where(found, (least + most) // 2, offset)
    upper = (factor + (1 << (fraction - 1))) >> fraction
    largest = sums * (np.abs(upper) + 1) + np.abs(offset)
    if np.any(factor < 0) or np.any(upper >= 1 << (WORD - fraction)) or np.any(largest >= 2**31):
        return None
    words = np.stack([offset, upper << fraction | factor % (1 << fraction)], axis=1)
    return ShortScale(
        words=(words & 0xFFFFFFFF).astype(np.uint32),
        fraction=fraction,
        shift=shift,
        low=requantize.low,
        span=requantize.high - requantize.low,
    )


def max_sum(fraction: int) -> int:
    """What sums have to be below, so that their product with the lower factor is a word."""
    return 1 << (WORD - fraction + 1)


def _shift(
    real: NDArray[np.float64], sums: IntArray, bias: IntArray, requantize: Requantize, fraction: int
) -> int:
    """The largest shift that leaves products and offsets of all channels within 32 bits."""
    offset = np.abs(real * bias + requantize.zero_point - requantize.low) + 1.0
    by_sums = np.log2((2.0**WORD - 2.0 * max_sum(fraction)) / np.max(real * sums + offset))
    by_factor = np.log2((2.0 ** (WORD - fraction) - 1) / max(float(np.max(real)), 2.0**-32))
    return int(np.floor(min(by_sums, by_factor, MAX_SHIFT)))


def _thresholds(
    sums: IntArray, bias: IntArray, multiplier: IntArray, drop: IntArray, requantize: Requantize
) -> IntArray:
    """The least sum that gives low + k or more, for every k from 1 on: int64 [C, span].

    Among sums from -sums to sums; one more than that where none does.
    """
    steps = np.arange(requantize.low + 1, requantize.high + 1) - requantize.zero_point
    # (acc * M + 2^(t - 1)) >> t >= step
    least = (2 * steps - 1) * (np.int64(1) << (drop - 1))[:, None]
    some = np.maximum(multiplier, 1)[:, None]
    far = np.where(steps <= 0, -(2**40), 2**40)
    acc = np.where(multiplier[:, None] > 0, -(-least // some), far)
    found: IntArray = np.clip(acc - bias[:, None], -sums[:, None], sums[:, None] + 1)
    return found


def _offsets(
    sums: IntArray, wanted: IntArray, factor: IntArray, shift: int, fraction: int
) -> tuple[IntArray, IntArray]:
    """The least and the largest offset that have the wanted thresholds: int64 [C] each.

    Both floors are one, of (factor * sum + 2^fraction * offset) / 2^(fraction + shift).
    """
    steps = np.arange(1, wanted.shape[1] + 1)
    limits = steps << shift + fraction
    at = limits - wanted * factor[:, None]  # 2^fraction * offset is that at least
    before = at + factor[:, None]  # and less than that
    least = np.where(wanted <= sums[:, None], -(-at >> fraction), -(2**31))
    most = np.where(wanted > -sums[:, None], -(-before >> fraction) - 1, 2**31)
    low, high = least.max(axis=1, initial=-(2**31)), most.min(axis=1, initial=2**31)
    return low, high
