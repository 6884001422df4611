# SPDX-License-Identifier: Apache-2.0
"""What layers with weights share: bias in accumulator steps, and the overflow proof."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mcugen.errors import ModelError
from mcugen.fixed_point import (
    INT32_MAX,
    IntArray,
    Requantize,
    RequantMode,
    multiplier_bits,
    requantize_for,
    round_half_up,
)
from mcugen.ops.base import Clamp, ConstTable, Lowering

SHORT_ZEROS = 15  # of a multiplier's 31 bits, so that kernels may keep 16
ZERO_POINT_ROOM = 256  # steps; what is added to a scaled accumulator before it is clamped


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class IntLayer:
    """weight: int8 like the float one, [out_ch, ...]; bias: int64 [out_ch] in int32 range."""

    weight: NDArray[np.int8]
    bias: IntArray
    requantize: Requantize
    weight_bits: int


def integer_layer(clamp: Clamp, ctx: Lowering) -> IntLayer:
    """Bias and requantization for the integer weights in `ctx`.

    Raises ModelError where the accumulator could overflow, or where the output range is too narrow
    for the layer's weights to be requantized.
    """
    assert ctx.weights is not None
    source, target = ctx.inputs[0].qparams, ctx.output.qparams
    ints, scales = ctx.weights.ints.astype(np.int64), ctx.weights.scales
    flat = ints.reshape(len(ints), -1)
    steps = round_half_up(ctx.weights.bias / (source.scale * scales))
    steps -= source.zero_point * flat.sum(axis=1)
    real = source.scale * scales / target.scale
    bound = accumulator_bound(flat, steps, source.bits)
    requantize = proved_requantize(real, bound, clamp, ctx)
    return IntLayer(
        weight=ctx.weights.ints,
        bias=steps,
        requantize=requantize,
        weight_bits=ctx.weights.bits,
    )


def accumulator_bound(
    weight: NDArray[np.integer[Any]], bias: IntArray, operand_bits: int = 8
) -> IntArray:
    """Largest |bias + sum w * x| of any input: int64 [out_ch].

    weight: [out_ch, ...]; bias: int64 [..., out_ch].
    """
    sums = np.abs(weight.astype(np.int64)).reshape(len(weight), -1).sum(axis=1)
    most = np.abs(bias).reshape(-1, len(weight)).max(axis=0)
    bound: IntArray = most + (1 << (operand_bits - 1)) * sums
    return bound


def swing(ctx: Lowering) -> int:
    """The largest |x - zero point| of an operand."""
    return 255 if ctx.operand_bits == 8 else 32768


def proved_requantize(
    real: NDArray[np.float64], bound: IntArray, clamp: Clamp, ctx: Lowering
) -> Requantize:
    """Requantize with factors `real` [C] accumulators that stay within +-`bound` [C].

    Accumulators over int16 operands of layers with weights may leave int32: multipliers then have
    fewer bits. Raises ModelError where another could overflow int32, or where the output range is
    too narrow.
    """
    target = ctx.output.qparams
    wide = ctx.operand_bits == 16 and ctx.weights is not None
    bits = np.array(multiplier_bits(bound) if wide else [31], np.float64)
    if np.any(real >= 2.0 ** (bits - 1.0)):
        msg = f"{ctx.where}: output range is too narrow for this layer; calibrate on real data"
        raise ModelError(msg)
    low, high = clamp.to_int(target)
    requantize = requantize_for(
        real,
        target.zero_point,
        low,
        high,
        ctx.requant,
        bound=bound if wide else None,
        zeros=SHORT_ZEROS if has_short_multipliers(ctx) else 0,
    )
    if not wide:
        prove_accumulator(bound, requantize, ctx)
    return requantize


def has_short_multipliers(ctx: Lowering) -> bool:
    """Whether 16 bits of a multiplier are enough: outputs are then off by 1/512 step at most.

    Not where the rounding is somebody else's, and not for the 65,536 steps of int16.
    """
    return ctx.weights is not None and ctx.requant == "single" and not ctx.has_int16


def pre_shift(shift: IntArray, mode: RequantMode) -> IntArray:
    """Bits by which an accumulator is shifted left before the high-word multiply."""
    return np.maximum((33 if mode == "single" else 31) - shift, 0)


def prove_accumulator(bound: IntArray, requantize: Requantize, ctx: Lowering) -> None:
    """Raise ModelError unless no input can overflow int32; bound: largest |accumulator| [C]."""
    where, worst = ctx.where, int(bound.max(initial=0))
    if worst > INT32_MAX:
        narrower = ", or let its operand be int8 (--activations PATTERN=int8)"
        msg = (
            f"{where}: the int32 accumulator could reach {worst}, limit {INT32_MAX}; "
            f"split the layer or reduce its fan-in{narrower if ctx.operand_bits == 16 else ''}"
        )
        raise ModelError(msg)
    if ctx.has_int16:
        return  # the kernels take the product as a whole
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


def bias_table(bias: IntArray, comment: str, *, wide: bool = False) -> ConstTable:
    """Biases of 32 bits, or of 64 where the sums have these."""
    kind = np.int64 if wide else np.int32
    return ConstTable(suffix="bias", values=bias.astype(kind), comment=comment)


def bias_classes(
    bias: IntArray, *, wide: bool = False
) -> tuple[tuple[tuple[str, int | str | None], ...], tuple[ConstTable, ...]]:
    """Parameter fields and tables of a bias that may depend on the place.

    Rows and columns of a bias field [out_h, out_w, out_ch] that are alike share a class, so the
    3x3 kernel's border needs nine biases at most, not one for each pixel.
    """
    if bias.ndim == 1:
        plain = bias_table(bias, "[ch]", wide=wide)
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
        bias_table(compact, "[row, col, ch]", wide=wide),
        ConstTable(suffix="row_class", values=row_class.astype(np.uint16), comment="[out_h]"),
        ConstTable(suffix="col_class", values=col_class.astype(np.uint16), comment="[out_w]"),
    )
    return fields, tables
