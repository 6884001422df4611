# SPDX-License-Identifier: Apache-2.0
"""The change of a tensor's quantization, where a reader needs another scale or other integers."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from mcugen.fixed_point import round_half_up
from mcugen.ir.graph import QParams, Shape
from mcugen.ops.base import NO_CLAMP, IntOp, Lowering, Operand
from mcugen.ops.scale_shift import scaled_and_shifted
from mcugen.ops.tabulate import TableS8


def rescale(source: QParams, target: QParams, shape: Shape) -> IntOp:
    """The integer operator that turns a tensor quantized as `source` into one as `target`.

    A table from int8 to int8, else a linear form.
    """
    if source.bits == target.bits == 8:
        real = (np.arange(-128, 128, dtype=np.float64) - source.zero_point) * source.scale
        steps = round_half_up(real / target.scale) + target.zero_point
        return TableS8(table=np.clip(steps, target.low, target.high).astype(np.int8))
    ctx = Lowering(
        inputs=(Operand(shape=shape, qparams=source),),
        output=Operand(shape=shape, qparams=target),
        requant="single",
        where="a change of scale",
    )
    made = scaled_and_shifted(np.ones(1), np.zeros(1), NO_CLAMP, ctx)
    return replace(made, operand_bits=source.bits, result_bits=target.bits)


def widened(source: QParams) -> QParams:
    """int16 that holds all that int8 does, exactly: 128 steps for each of its own."""
    return QParams.int16(source.scale / 128.0)
