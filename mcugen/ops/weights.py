# SPDX-License-Identifier: Apache-2.0
"""What layers with weights share: symmetric per-channel weights, bias, and the overflow proof."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mcugen.errors import ModelError
from mcugen.fixed_point import (
    INT32_MAX,
    IntArray,
    Requantize,
    RequantMode,
    requantize_for,
    round_half_up,
)
from mcugen.ops.base import Clamp, ConstTable, FloatArray, Lowering

ZERO_POINT_ROOM = 256  # steps; what is added to a scaled accumulator before it is clamped
MAX_BIAS = 2**29  # steps; leaves the accumulator's other bits to the products


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class IntLayer:
    """weight: int8 like the float one, [out_ch, ...]; bias: int64 [out_ch] in int32 range."""

    weight: NDArray[np.int8]
    bias: IntArray
    requantize: Requantize


def weight_scales(weight: FloatArray, bias: FloatArray, input_scale: float) -> NDArray[np.float64]:
    """Symmetric scale of each output channel: max |w| / 127, float64 [out_ch].

    Never so small that the bias would need more than 2^29 accumulator steps: weights below that
    are nothing beside the bias.
    """
    flat = np.abs(weight.reshape(len(weight), -1)).max(axis=1, initial=0.0).astype(np.float64)
    scales = np.maximum(flat / 127.0, np.abs(bias.astype(np.float64)) / (input_scale * MAX_BIAS))
    return np.where(scales == 0.0, 1.0, np.maximum(scales, 1e-30))


def quantize_layer(weight: FloatArray, bias: FloatArray, clamp: Clamp, ctx: Lowering) -> IntLayer:
    """Integer weights, bias and requantization of one layer, weight [out_ch, ...].

    Raises ModelError where the int32 accumulator could overflow, or where the output range is
    too narrow for the layer's weights to be requantized.
    """
    source, target = ctx.inputs[0].qparams, ctx.output.qparams
    scales = weight_scales(weight, bias, source.scale)
    column = scales.reshape(-1, *(1,) * (weight.ndim - 1))
    ints = np.clip(round_half_up(weight / column), -127, 127)
    sums = ints.reshape(len(ints), -1).sum(axis=1)
    steps = round_half_up(bias / (source.scale * scales)) - source.zero_point * sums
    real = source.scale * scales / target.scale
    bound = np.abs(steps) + 128 * np.abs(ints).reshape(len(ints), -1).sum(axis=1)
    requantize = proved_requantize(real, bound, clamp, ctx)
    return IntLayer(weight=ints.astype(np.int8), bias=steps, requantize=requantize)


def proved_requantize(
    real: NDArray[np.float64], bound: IntArray, clamp: Clamp, ctx: Lowering
) -> Requantize:
    """Requantize with factors `real` [C] accumulators that stay within +-`bound` [C].

    Raises ModelError where one could overflow int32, or where the output range is too narrow.
    """
    target = ctx.output.qparams
    if np.any(real >= 2.0**30):
        msg = f"{ctx.where}: output range is too narrow for this layer; calibrate on real data"
        raise ModelError(msg)
    low, high = clamp.to_int(target)
    requantize = requantize_for(real, target.zero_point, low, high, ctx.requant)
    prove_accumulator(bound, requantize, ctx.where)
    return requantize


def pre_shift(shift: IntArray, mode: RequantMode) -> IntArray:
    """Bits by which an accumulator is shifted left before the high-word multiply."""
    return np.maximum((33 if mode == "single" else 31) - shift, 0)


def prove_accumulator(bound: IntArray, requantize: Requantize, where: str) -> None:
    """Raise ModelError unless no input can overflow int32; bound: largest |accumulator| [C]."""
    worst = int(bound.max(initial=0))
    if worst > INT32_MAX:
        msg = (
            f"{where}: the int32 accumulator could reach {worst}, limit {INT32_MAX}; "
            "split the layer or reduce its fan-in"
        )
        raise ModelError(msg)
    shifted = bound << pre_shift(requantize.shift, requantize.mode)
    if np.any(shifted > INT32_MAX - ZERO_POINT_ROOM):
        channel = int(np.argmax(shifted))
        msg = (
            f"{where}: channel {channel} can swing 2^20 times wider than the output range that "
            "calibration saw; calibrate with representative data"
        )
        raise ModelError(msg)


def requantize_tables(
    requantize: Requantize, axes: str = "[ch]"
) -> tuple[tuple[tuple[str, int | str | None], ...], tuple[ConstTable, ...]]:
    """Parameter fields and tables of a requantization; `axes` tells what its entries are for."""
    fields: tuple[tuple[str, int | str | None], ...] = (
        ("multiplier", "multiplier"),
        ("shift", "shift"),
        ("zero_point", requantize.zero_point),
        ("low", requantize.low),
        ("high", requantize.high),
        ("double_rounding", int(requantize.mode == "double")),
    )
    tables = (
        ConstTable(
            suffix="multiplier", values=requantize.multiplier.astype(np.int32), comment=axes
        ),
        ConstTable(suffix="shift", values=requantize.shift.astype(np.uint8), comment=axes),
    )
    return fields, tables


def bias_classes(
    bias: IntArray,
) -> tuple[tuple[tuple[str, int | str | None], ...], tuple[ConstTable, ...]]:
    """Parameter fields and tables of a bias that may depend on the place.

    Rows and columns of a bias field [out_h, out_w, out_ch] that are alike share a class, so the
    3x3 kernel's border needs nine biases at most, not one for each pixel.
    """
    if bias.ndim == 1:
        plain = ConstTable(suffix="bias", values=bias.astype(np.int32), comment="[ch]")
        return (
            (("bias", "bias"), ("row_class", None), ("col_class", None), ("col_classes", 1)),
            (plain,),
        )
    _, row_first, row_class = np.unique(bias, axis=0, return_index=True, return_inverse=True)
    _, col_first, col_class = np.unique(bias, axis=1, return_index=True, return_inverse=True)
    compact = bias[row_first][:, col_first]
    fields: tuple[tuple[str, int | str | None], ...] = (
        ("bias", "bias"),
        ("row_class", "row_class"),
        ("col_class", "col_class"),
        ("col_classes", len(col_first)),
    )
    tables = (
        ConstTable(suffix="bias", values=compact.astype(np.int32), comment="[row, col, ch]"),
        ConstTable(suffix="row_class", values=row_class.astype(np.uint16), comment="[out_h]"),
        ConstTable(suffix="col_class", values=col_class.astype(np.uint16), comment="[out_w]"),
    )
    return fields, tables
