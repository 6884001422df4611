# SPDX-License-Identifier: Apache-2.0
"""What operators that are linear in each element share: lowering to int32, bounds and tables."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from mcugen.errors import ModelError
from mcugen.fixed_point import Affine, IntArray, affine_for
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
        )
    except ValueError as error:
        msg = f"{ctx.where}: output range is too narrow for its operands ({error})"
        raise ModelError(msg) from error


def affine_bounds(affine: Affine, inputs: Sequence[Interval]) -> Interval:
    """Exact: a positive factor takes the far end of its operand's interval, a negative the near."""
    rising = affine.factors >= 0
    lows = [np.where(up, x[0], x[1]) for up, x in zip(rising, inputs, strict=True)]
    highs = [np.where(up, x[1], x[0]) for up, x in zip(rising, inputs, strict=True)]
    return affine(*lows), affine(*highs)


def channel_table(suffix: str, values: IntArray) -> ConstTable:
    """A per-channel table of an Affine: shifts as bytes, factors and biases as words."""
    kind = np.uint8 if suffix.endswith("shift") else np.int32
    return ConstTable(suffix=suffix, values=values.astype(kind), comment="[ch]")
