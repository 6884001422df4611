# SPDX-License-Identifier: Apache-2.0
"""Softmax and log-softmax from int16 to int16.

Both see a row x of n values with scale s through d_i = max(x) - x_i in [0, 2^16):

    e_i = floor(coarse[floor(d_i / 256)] fine[d_i mod 256] / 2^31)
    coarse[j] = round(2^k exp(-256 s j)), fine[j] = round(2^31 exp(-s j)), k = 31 - ceil(log2 n)
    S   = sum of e_i                     in [2^k, 2^31]
    h   = floor(log2 S)

Softmax takes one division for each row:

    r   = floor(2^(h + 31) / S)          in (2^30, 2^31]
    y_i = min(floor((e_i r + 2^(h + 15)) / 2^(h + 16)), 2^15 - 1)

The logarithm, with log2 of m = floor(S / 2^(h - 15)) as int8 has it:

    q   = (h - k) 2^16 + floor(2^16 log2(m / 2^15))
    y_i = clamp(floor((2^(t-1) - floor(q L / 2^16) - A d_i) / 2^t), low, high)

with A = round(2^t s / s_out) and L = round(2^t ln 2 / s_out). Every round() is half up;
sums have 64 bits.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from mcugen.errors import ModelError
from mcugen.fixed_point import IntArray, half_up, round_half_up
from mcugen.ir.graph import Shape
from mcugen.ops.base import ConstTable, IntOp, KernelCall, Lowering

MAX_LOG_SHIFT = 20
LOG2_BITS = 16
TABLE = 256  # entries of both


def lower_softmax(ctx: Lowering, bits: int) -> SoftmaxS16:
    """The tables of exponentials of `bits` for the operand's scale."""
    coarse, fine = exp_tables(ctx.inputs[0].qparams.scale, bits)
    return SoftmaxS16(coarse=coarse, fine=fine)


def lower_log_softmax(ctx: Lowering, bits: int) -> LogSoftmaxS16:
    """Tables and factors with as many fraction bits as fit.

    Raises ModelError where the output's range is too narrow for the operand's.
    """
    source, target = ctx.inputs[0].qparams, ctx.output.qparams
    step, log2 = source.scale / target.scale, np.log(2.0) / target.scale
    shift = min(MAX_LOG_SHIFT, int(np.floor(30.0 - np.log2(max(step, log2)))))
    if shift < 1 or 65536.0 * step + 32.0 * log2 >= 2.0**30:
        msg = f"{ctx.where}: output range is too narrow for this layer; calibrate on real data"
        raise ModelError(msg)
    coarse, fine = exp_tables(source.scale, bits)
    return LogSoftmaxS16(
        coarse=coarse,
        fine=fine,
        exp_bits=bits,
        factor=half_up(step * 2.0**shift),
        log2_factor=half_up(log2 * 2.0**shift),
        shift=shift,
        low=target.low,
        high=target.high,
    )


def exp_tables(scale: float, bits: int) -> tuple[IntArray, IntArray]:
    """`coarse` and `fine`: int64 [256] each, in uint32 range."""
    d = np.arange(float(TABLE))
    coarse = round_half_up(np.exp(-scale * TABLE * d) * 2.0**bits)
    return coarse, round_half_up(np.exp(-scale * d) * 2.0**31)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class RowFunctionS16(IntOp):
    """What both share. coarse, fine: int64 [256] in uint32 range."""

    coarse: IntArray
    fine: IntArray

    def in_place_operands(self, inputs: Sequence[Shape], output: Shape) -> tuple[int, ...]:
        """A value is read for the last time when its own result is written."""
        return (0,)

    def sums(self, x: IntArray) -> tuple[IntArray, IntArray, IntArray, IntArray]:
        """d and e [..., n], S and h [..., 1]."""
        d = x.max(axis=-1, keepdims=True) - x
        e = (self.coarse[d >> 8] * self.fine[d & 255]) >> 31
        total = e.sum(axis=-1, keepdims=True)
        # frexp: total = f * 2^e with f in [1/2, 1), so e is its length in bits; exact below 2^53
        return d, e, total, np.frexp(total.astype(np.float64))[1].astype(np.int64) - 1

    def tables(self) -> tuple[ConstTable, ...]:
        """As the C has them."""
        return (
            ConstTable(suffix="coarse", values=self.coarse.astype(np.uint32), comment="[d / 256]"),
            ConstTable(suffix="fine", values=self.fine.astype(np.uint32), comment="[d mod 256]"),
        )


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class SoftmaxS16(RowFunctionS16):
    """The formula of this module's head."""

    kind: ClassVar[str] = "softmax"

    def reference(self, inputs: Sequence[IntArray]) -> IntArray:
        """Row by row along the last axis."""
        _, e, total, top = self.sums(inputs[0])
        reciprocal = (np.int64(1) << (top + 31)) // total
        y = (e * reciprocal + (np.int64(1) << (top + 15))) >> (top + 16)
        cut: IntArray = np.minimum(y, (1 << 15) - 1)
        return cut

    def kernels(self, inputs: Sequence[Shape], output: Shape) -> tuple[KernelCall, ...]:
        """One call over all rows."""
        function, header = self.typed("mcugen_softmax")
        call = KernelCall(
            function=function,
            header=header,
            fields=(*row_fields(output), ("coarse", "coarse"), ("fine", "fine")),
            tables=self.tables(),
        )
        return (call,)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class LogSoftmaxS16(RowFunctionS16):
    """The formula of this module's head.

    `exp_bits` is k, `factor` A, `log2_factor` L and `shift` t.
    """

    kind: ClassVar[str] = "log_softmax"
    exp_bits: int
    factor: int
    log2_factor: int
    shift: int
    low: int
    high: int

    def reference(self, inputs: Sequence[IntArray]) -> IntArray:
        """Row by row along the last axis."""
        d, _, total, top = self.sums(inputs[0])
        fraction = log2_fraction(total >> (top - 15))
        q = ((top - self.exp_bits) << LOG2_BITS) + fraction
        row = (1 << (self.shift - 1)) - ((q * self.log2_factor) >> LOG2_BITS)
        y: IntArray = np.clip((row - d * self.factor) >> self.shift, self.low, self.high)
        return y

    def kernels(self, inputs: Sequence[Shape], output: Shape) -> tuple[KernelCall, ...]:
        """One call over all rows."""
        function, header = self.typed("mcugen_log_softmax", "mcugen_softmax")
        call = KernelCall(
            function=function,
            header=header,
            fields=(
                *row_fields(output),
                ("coarse", "coarse"),
                ("fine", "fine"),
                ("exp_bits", self.exp_bits),
                ("factor", self.factor),
                ("log2_factor", self.log2_factor),
                ("shift", self.shift),
                ("low", self.low),
                ("high", self.high),
            ),
            tables=self.tables(),
        )
        return (call,)


def log2_fraction(mantissa: IntArray) -> IntArray:
    """floor(2^16 log2(m / 2^15)) for m in [2^15, 2^16), m truncated to 16 bits in each step.

    Source: Knuth, "The Art of Computer Programming", volume 1, section 1.2.2.
    """
    fraction = np.zeros_like(mantissa)
    for _ in range(LOG2_BITS):
        square = (mantissa * mantissa) >> 15
        bit = square >> 16
        fraction = (fraction << 1) | bit
        mantissa = square >> bit
    return fraction


def row_fields(shape: Shape) -> tuple[tuple[str, int], ...]:
    """How many rows there are, and their length."""
    return ("rows", int(np.prod(shape[:-1]))), ("len", shape[-1])
