# SPDX-License-Identifier: Apache-2.0
"""What operators that are linear in each element share: lowering to int32, bounds and tables."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from mcugen.errors import ModelError
from mcugen.fixed_point import Affine, AffineLimits, IntArray, affine_for
from mcugen.ops.base import Clamp, ConstTable, Interval, Lowering


def lower_affine(
    factors: NDArray[np.float64], offset: NDArray[np.float64], clamp: Clamp, ctx: Lowering
) -> Affine:
    """The integer form of y = clamp(sum_i f_i * x_i + offset) on real numbers.

    factors: float64 [operands, C]; offset: float64 [C]. Raises ModelError where a factor takes an
    operand so far out of the output's range that int32 cannot hold it.
    """
    target = ctx.output.qparams
    low, high = clamp.to_int(target)
    steps = np.array([[operand.qparams.scale / target.scale] for operand in ctx.inputs])
    try:
        return affine_for(
            factors * steps,
            offset / target.scale,
            tuple(operand.qparams.zero_point for operand in ctx.inputs),
            target.zero_point,
            low,
            high,
            _limits(ctx),
        )
    except ValueError as error:
        msg = f"{ctx.where}: output range is too narrow for its operands ({error})"
        raise ModelError(msg) from error


def _limits(ctx: Lowering) -> AffineLimits:
    """Sums of int16 operands need 64 bits where an int16 result keeps all of their figures."""
    reads_int16, makes_int16 = ctx.operand_bits == 16, ctx.output.qparams.bits == 16
    return AffineLimits(
        reach=32768.0 if reads_int16 else 256.0,
        span=65536.0 if makes_int16 else 256.0,
        wide=reads_int16 and makes_int16,
    )


def affine_bounds(affine: Affine, inputs: Sequence[Interval]) -> Interval:
    """Exact: a positive factor takes the far end of its operand's interval, a negative the near."""
    rising = affine.factors >= 0
    lows = [np.where(up, x[0], x[1]) for up, x in zip(rising, inputs, strict=True)]
    highs = [np.where(up, x[1], x[0]) for up, x in zip(rising, inputs, strict=True)]
    return affine(*lows), affine(*highs)


def channel_table(suffix: str, values: IntArray, *, wide: bool = False) -> ConstTable:
    """A per-channel table of an Affine: shifts as bytes, factors and biases as words.

    Biases of wide sums have 64 bits.
    """
    kinds = {"shift": np.uint8, "bias": np.int64 if wide else np.int32}
    return ConstTable(
        suffix=suffix, values=values.astype(kinds.get(suffix, np.int32)), comment="[ch]"
    )
