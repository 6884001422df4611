# SPDX-License-Identifier: Apache-2.0
"""Factors of 32 bits that requantize as the multipliers of 64 do."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from mcugen.fixed_point import IntArray, Requantize, requantize_for
from mcugen.ops.short_scale import FRACTION, ShortScale, max_sum, short_scale


def outputs(scale: ShortScale, acc: IntArray) -> IntArray:
    """What the kernels compute, no intermediate leaving 32 bits. acc: int64 [N, C]."""
    offset, both = scale.words.view(np.int32).astype(np.int64).T
    sign = 1 << (scale.fraction - 1)
    upper = both >> scale.fraction
    lower = (both & (2 * sign - 1) ^ sign) - sign
    terms = (upper * acc, lower * acc, upper * acc + (lower * acc >> scale.fraction))
    total = terms[2] + offset
    assert all(np.abs(term).max() < 2**31 for term in (*terms, total))
    out: IntArray = scale.low + np.clip(total >> scale.shift, 0, scale.span)
    return out


def layer(seed: int, weights: int, low: int, high: int) -> tuple[IntArray, IntArray, Requantize]:
    """Largest sums, biases and requantization of 64 channels with so many weights."""
    rng = np.random.default_rng(seed)
    sums = 128 * np.abs(rng.integers(-80, 81, (64, weights))).sum(axis=1)
    bias = rng.integers(-9000, 9000, 64)
    scales = rng.uniform(0.3, 3.0, 64) / (40.0 * np.sqrt(weights))
    zero_point = int(rng.integers(-128, 128))
    return sums, bias, requantize_for(scales, zero_point, low, high, "single")


@pytest.mark.parametrize("weights", [1, 9, 25, 50])
@pytest.mark.parametrize(("low", "high"), [(-128, 127), (-5, 90)])
@pytest.mark.parametrize("fraction", [FRACTION, FRACTION - 1])
def test_outputs_are_the_same(weights: int, low: int, high: int, fraction: int) -> None:
    sums, bias, requantize = layer(weights, weights, low, high)
    scale = short_scale(sums, bias, requantize, fraction)
    assert scale is not None or fraction < FRACTION
    if scale is None:
        return
    rng = np.random.default_rng(0)
    acc = np.concatenate([rng.integers(-sums, sums + 1, (4000, 64)), [-sums], [sums]])
    np.testing.assert_array_equal(outputs(scale, acc), requantize(acc + bias))


def steps(sums: IntArray, bias: IntArray, requantize: Requantize) -> NDArray[np.int64]:
    """Sums of one channel where the output changes, and those before."""
    every = np.arange(-sums[0], sums[0] + 1)
    out = requantize((every + bias[0])[:, None])[:, 0]
    after = every[1:][np.diff(out) != 0]
    return np.concatenate([after - 1, after])


@pytest.mark.parametrize("seed", range(8))
def test_every_step_is_where_it_was(seed: int) -> None:
    sums, bias, requantize = layer(seed, 20, -128, 127)
    one = requantize.take(np.array([seed]))
    scale = short_scale(sums[seed : seed + 1], bias[seed : seed + 1], one)
    assert scale is not None
    acc = steps(sums[seed : seed + 1], bias[seed : seed + 1], one)[:, None]
    assert len(acc) > 100
    np.testing.assert_array_equal(outputs(scale, acc), one(acc + bias[seed]))


@pytest.mark.parametrize("real", [0.0, 2.0**-45, 1e-12])
def test_channels_without_outputs_of_their_own(real: float) -> None:
    requantize = requantize_for(np.array([real]), 3, -128, 127, "single")
    scale = short_scale(np.array([50_000]), np.array([-900]), requantize)
    assert scale is not None
    acc = np.array([[-50_000], [0], [50_000]])
    np.testing.assert_array_equal(outputs(scale, acc), requantize(acc - 900))


def test_what_is_left_to_longer_products() -> None:
    sums, bias = np.array([max_sum(FRACTION) - 1]), np.array([0])
    requantize = requantize_for(np.array([2.0**-10 / 3]), 0, -128, 127, "single")
    assert short_scale(sums, bias, requantize) is not None
    assert short_scale(sums + 1, bias, requantize) is None
    wide = short_scale(sums + 1, bias, requantize, FRACTION - 1)
    assert wide is not None
    assert short_scale(2 * sums + 2, bias, requantize, FRACTION - 1) is None
    double = requantize_for(np.array([2.0**-10 / 3]), 0, -128, 127, "double")
    assert short_scale(sums, bias, double) is None
    coarse = requantize_for(np.array([2.0**-2 / 3]), 0, -128, 127, "single")
    assert short_scale(np.array([2**18]), bias, coarse) is not None
