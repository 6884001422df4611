# SPDX-License-Identifier: Apache-2.0
"""Softmax and its logarithm over the last axis, in integers.

Both see a row x of n int8 values with scale s through d_i = max(x) - x_i in [0, 255]:

    e_i = round(2^k exp(-s d_i))         a table of 256 entries; k = 31 - ceil(log2 n)
    S   = sum of e_i                     in [2^k, 2^31], within uint32
    h   = the least for which m = floor(S / 2^h) < 2^16, so m is in [2^15, 2^16)

Softmax takes one division for each row and one product of 32 bits for each value:

    r   = floor(2^31 / m)
    y_i = min(floor((floor(e_i / 2^h) r + 2^22) / 2^23) - 128, 127)

which is 256 exp(..) / sum exp(..) with an error below 1/64 + n^2 / 2^23 of a step before it is
rounded. The logarithm needs log2 of m, which comes bit by bit from squaring:

    q   = floor(2^16 log2(S / 2^k))      up to the truncation of m to 16 bits in each squaring
    y_i = clamp(floor((B - A d_i - floor(q L / 2^16)) / 2^t), low, high)

with A = round(2^t s / s_out), L = round(2^t ln 2 / s_out) and B = 2^t zero_point + 2^(t-1).
Every round() is half up.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from mcugen.errors import ModelError
from mcugen.fixed_point import IntArray, half_up, round_half_up
from mcugen.ir.graph import QParams, Shape
from mcugen.ops import mve, softmax_s16
from mcugen.ops.base import ConstTable, IntOp, Kernel, KernelCall, Lowering, Op, Target
from mcugen.ops.scalar import UNROLLED, by_core
from mcugen.ops.softmax_s16 import LOG2_BITS, log2_fraction, row_fields

if TYPE_CHECKING:
    import torch

MAX_LEN = 2**16
MAX_LOG_SHIFT = 20


class RowFunction(Op):
    """Base of the two: one row in, one row out."""

    normalizes: ClassVar[bool] = True
    mixes_widths: ClassVar[bool] = False

    def infer(self, inputs: Sequence[Shape]) -> Shape:
        """The shape of the operand."""
        if not inputs[0] or inputs[0][-1] > MAX_LEN:
            msg = f"{self.kind} takes rows of 1 to {MAX_LEN} values, got shape {inputs[0]}"
            raise ValueError(msg)
        return inputs[0]


@dataclass(frozen=True, slots=True, kw_only=True)
class Softmax(RowFunction):
    """y_i = e^x_i / sum of e^x over the last axis."""

    kind: ClassVar[str] = "softmax"

    def forward(self, inputs: Sequence[torch.Tensor]) -> torch.Tensor:
        """Source: torch.softmax."""
        return inputs[0].softmax(-1)

    def fixed_range(self) -> tuple[float, float]:
        """A probability."""
        return 0.0, 1.0

    def fixed_qparams(self, bits: int = 8) -> QParams:
        """Steps of 1/256, of int16 2^-15. Source: TFLite's quantization specification."""
        if bits == 16:
            return QParams.int16(2.0**-15)
        return QParams(scale=1.0 / 256.0, zero_point=-128)

    def lower(self, ctx: Lowering) -> IntOp:
        """The table of exponentials for the operand's scale."""
        source = ctx.inputs[0]
        bits = exp_bits(source.shape[-1])
        if ctx.operand_bits == 16:
            return softmax_s16.lower_softmax(ctx, bits)
        return SoftmaxS8(exp=exp_table(source.qparams.scale, bits))


@dataclass(frozen=True, slots=True, kw_only=True)
class LogSoftmax(RowFunction):
    """y_i = x_i - log(sum of e^x) over the last axis."""

    kind: ClassVar[str] = "log_softmax"

    def forward(self, inputs: Sequence[torch.Tensor]) -> torch.Tensor:
        """Source: torch.log_softmax."""
        return inputs[0].log_softmax(-1)

    def fixed_range(self) -> tuple[float, float]:
        """The logarithm of a probability."""
        return -np.inf, 0.0

    def lower(self, ctx: Lowering) -> IntOp:
        """Tables and factors such that no row leaves int32, with as many fraction bits as fit.

        Raises ModelError where the output's range is too narrow for the operand's.
        """
        source, target = ctx.inputs[0], ctx.output.qparams
        n = source.shape[-1]
        if ctx.operand_bits == 16:
            return softmax_s16.lower_log_softmax(ctx, exp_bits(n))
        step = source.qparams.scale / target.scale
        log2 = np.log(2.0) / target.scale
        worst = 256.0 * step + (np.log2(n) + 1.0) * log2 + 256.0
        shift = min(MAX_LOG_SHIFT, int(np.floor(30.0 - np.log2(worst))))
        if shift < 1:
            msg = f"{ctx.where}: output range is too narrow for this layer; calibrate on real data"
            raise ModelError(msg)
        bits = exp_bits(n)
        return LogSoftmaxS8(
            exp=exp_table(source.qparams.scale, bits),
            exp_bits=bits,
            factor=half_up(step * 2.0**shift),
            log2_factor=half_up(log2 * 2.0**shift),
            bias=(target.zero_point << shift) + (1 << (shift - 1)),
            shift=shift,
            low=target.low,
            high=target.high,
        )


def exp_bits(n: int) -> int:
    """Fraction bits of the exponentials for which a sum of n stays within 2^31."""
    return 31 - (n - 1).bit_length()


def exp_table(scale: float, bits: int) -> IntArray:
    """round(2^bits exp(-scale d)) for d in [0, 255]: int64 [256] in uint32 range."""
    return round_half_up(np.exp(-scale * np.arange(256.0)) * 2.0**bits)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _RowSums:
    """What a row's exponentials come to; each int64 [..., 1] except `distance` [..., n]."""

    distance: IntArray  # max(x) - x
    shift: IntArray  # h
    mantissa: IntArray  # m = floor(S / 2^h), in [2^15, 2^16)


def _row_sums(x: IntArray, exp: IntArray) -> _RowSums:
    distance = x.max(axis=-1, keepdims=True) - x
    total = exp[distance].sum(axis=-1, keepdims=True)
    # frexp: total = f * 2^e with f in [1/2, 1), so e is its length in bits; exact below 2^53
    shift = np.frexp(total.astype(np.float64))[1].astype(np.int64) - 16
    return _RowSums(distance=distance, shift=shift, mantissa=total >> shift)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class SoftmaxS8(IntOp):
    """The formula of this module's head. exp: int64 [256] in uint32 range."""

    kind: ClassVar[str] = "softmax"
    exp: IntArray

    def reference(self, inputs: Sequence[IntArray]) -> IntArray:
        """Row by row along the last axis."""
        sums = _row_sums(inputs[0], self.exp)
        reciprocal = (1 << 31) // sums.mantissa
        parts = (self.exp[sums.distance] >> sums.shift) * reciprocal
        y: IntArray = np.minimum(((parts + (1 << 22)) >> 23) - 128, 127)
        return y

    def implementations(
        self, inputs: Sequence[Shape], output: Shape, target: Target
    ) -> tuple[Kernel, ...]:
        """The portable kernel: passes over each row, and what surrounds them."""
        rows = int(np.prod(output[:-1]))
        unrolled = output[-1] <= UNROLLED
        if mve.FEATURE in target.features:  # which estimates instructions
            value, around = (7.0, 80.0) if unrolled else (23.0, 65.0)
        else:
            value, around = by_core(
                target,
                armv6m=(34.0, 230.0) if unrolled else (51.0, 230.0),
                armv7m=(9.5, 112.0) if unrolled else (37.0, 95.0),
                riscv=(17.5, 140.0) if unrolled else (37.0, 110.0),
            )
        cycles = rows * (around + value * output[-1])
        return (replace(self.portable(inputs, output), cycles=cycles),)

    def in_place_operands(self, inputs: Sequence[Shape], output: Shape) -> tuple[int, ...]:
        """A value is read for the last time when its own result is written."""
        return (0,)

    def kernels(self, inputs: Sequence[Shape], output: Shape) -> tuple[KernelCall, ...]:
        """One call over all rows."""
        call = KernelCall(
            function="mcugen_softmax_s8",
            header="mcugen_softmax.h",
            fields=(*row_fields(output), ("exp_table", "exp")),
            tables=(_exp_const(self.exp),),
        )
        return (call,)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class LogSoftmaxS8(IntOp):
    """The formula of this module's head. exp: int64 [256] in uint32 range.

    `exp_bits` is k, `factor` A, `log2_factor` L, `bias` B and `shift` t.
    """

    kind: ClassVar[str] = "log_softmax"
    exp: IntArray
    exp_bits: int
    factor: int
    log2_factor: int
    bias: int
    shift: int
    low: int
    high: int

    def reference(self, inputs: Sequence[IntArray]) -> IntArray:
        """Row by row along the last axis."""
        sums = _row_sums(inputs[0], self.exp)
        whole = (sums.shift + 15 - self.exp_bits) << LOG2_BITS
        log2 = whole + log2_fraction(sums.mantissa)
        row = self.bias - ((log2 * self.log2_factor) >> LOG2_BITS)
        y: IntArray = (row - sums.distance * self.factor) >> self.shift
        return np.clip(y, self.low, self.high)

    def in_place_operands(self, inputs: Sequence[Shape], output: Shape) -> tuple[int, ...]:
        """A value is read for the last time when its own result is written."""
        return (0,)

    def kernels(self, inputs: Sequence[Shape], output: Shape) -> tuple[KernelCall, ...]:
        """One call over all rows."""
        call = KernelCall(
            function="mcugen_log_softmax_s8",
            header="mcugen_softmax.h",
            fields=(
                *row_fields(output),
                ("exp_table", "exp"),
                ("exp_bits", self.exp_bits),
                ("factor", self.factor),
                ("log2_factor", self.log2_factor),
                ("bias", self.bias),
                ("shift", self.shift),
                ("low", self.low),
                ("high", self.high),
            ),
            tables=(_exp_const(self.exp),),
        )
        return (call,)


def _exp_const(exp: IntArray) -> ConstTable:
    return ConstTable(suffix="exp", values=exp.astype(np.uint32), comment="[max(x) - x]")
