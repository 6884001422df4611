# SPDX-License-Identifier: Apache-2.0
"""Functions of one number as integers: a table of all int8 values, a curve through int16 ones."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from mcugen.fixed_point import IntArray, round_half_up
from mcugen.ir.graph import Shape
from mcugen.ops import mve
from mcugen.ops.base import (
    ConstTable,
    Interval,
    IntOp,
    Kernel,
    KernelCall,
    Lowering,
    Op,
    Striped,
    Target,
    by_element,
    limits,
)
from mcugen.ops.channels import ChannelLinks, Kept, linked

CURVE_BITS = 7  # of entries below a step of an int8 result
ENOUGH = {8: 0.31, 16: 0.6}  # steps; rounding alone is off by 0.29, rounded entries add to it


def tabulate(op: Op, ctx: Lowering) -> TableS8 | CurveS16:
    """A function of one number: all 256 values of an int8 operand, a curve through int16 ones."""
    target = ctx.output.qparams
    if ctx.operand_bits == 16:
        return fit_curve(op, ctx)
    out = round_half_up(exact_steps(op, ctx, np.arange(-128, 128)))
    return TableS8(table=np.clip(out, target.low, target.high).astype(target.dtype))


def exact_steps(op: Op, ctx: Lowering, steps: NDArray[np.int64]) -> NDArray[np.float64]:
    """What the function makes of integer operands, in steps of the output; float64, not rounded."""
    import torch

    source, target = ctx.inputs[0].qparams, ctx.output.qparams
    real = (steps - source.zero_point) * source.scale
    with torch.no_grad():
        image = op.forward((torch.from_numpy(real),)).numpy()
    # what is far outside the output's range saturates; infinity has no integer
    out: NDArray[np.float64] = np.clip(image / target.scale, -(2.0**31), 2.0**31)
    return out + target.zero_point


def fit_curve(op: Op, ctx: Lowering) -> CurveS16:
    """The smallest table, of 2^8 to 2^12 lines, that is right within ENOUGH steps on average.

    Where none is, the largest. On average is the root of the mean square over all operands.
    """
    target = ctx.output.qparams
    value_bits = 0 if target.bits == 16 else CURVE_BITS
    steps = np.arange(-(1 << 15), 1 << 15)
    exact = np.clip(exact_steps(op, ctx, steps), target.low, target.high)
    low, high = limits(16)
    for lines in (8, 9, 10, 11, 12):
        ends = np.arange(-(1 << 15), (1 << 15) + 1, 1 << (16 - lines))
        nodes = round_half_up(
            np.clip(exact_steps(op, ctx, ends), target.low, target.high) * 2.0**value_bits
        )
        curve = CurveS16(
            table=np.clip(nodes, low, high).astype(np.int16),
            value_bits=value_bits,
            low=target.low,
            high=target.high,
        )
        error = np.sqrt(np.mean((curve.reference([steps]) - exact) ** 2))
        if error <= ENOUGH[target.bits]:
            break
    return curve


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class TableS8(IntOp):
    """y = table[x + 128]. table: int8 or int16 [256]."""

    kind: ClassVar[str] = "table"
    table: NDArray[np.signedinteger[Any]]

    def reference(self, inputs: Sequence[IntArray]) -> IntArray:
        """One look-up per element."""
        return self.table[inputs[0] + 128].astype(np.int64)

    def striped(self, inputs: Sequence[Shape], output: Shape, rows: int) -> Striped | None:
        """Element by element."""
        return by_element(self, inputs, output)

    def in_place_operands(self, inputs: Sequence[Shape], output: Shape) -> tuple[int, ...]:
        """Element by element."""
        return (0,)

    def bounds(self, inputs: Sequence[Interval], output: Shape) -> Interval:
        """Exact: least and largest table entry between the ends of the interval."""
        least, largest = _range_tables(self.table)
        low, high = inputs[0][0] + 128, inputs[0][1] + 128
        return least[low, high], largest[low, high]

    def channel_links(self, inputs: Sequence[Shape], output: Shape) -> ChannelLinks | None:
        """Channel by channel."""
        return linked(len(inputs), output[-1])

    def take_channels(self, kept: Kept) -> TableS8:
        """One table serves every channel."""
        return self

    def implementations(
        self, inputs: Sequence[Shape], output: Shape, target: Target
    ) -> tuple[Kernel, ...]:
        """The portable kernel and those of the core's extensions."""
        found = [self.portable(inputs, output)]
        if mve.FEATURE in target.features and not self.has_int16:
            found.append(mve.twin(found[0], 30.0 + 1.12 * math.prod(output)))
        return tuple(found)

    def kernels(self, inputs: Sequence[Shape], output: Shape) -> tuple[KernelCall, ...]:
        """One pass over the tensor."""
        function, header = self.typed("mcugen_table")
        call = KernelCall(
            function=function,
            header=header,
            fields=(("len", int(np.prod(output))), ("table", "table")),
            tables=(ConstTable(suffix="table", values=self.table, comment="[x + 128]"),),
        )
        return (call,)


def _range_tables(table: NDArray[np.signedinteger[Any]]) -> tuple[IntArray, IntArray]:
    """Minimum and maximum of table[i..j] for every i <= j: int64 [n, n]."""
    size = len(table)
    grid = np.broadcast_to(table.astype(np.int64), (size, size))
    after = np.triu(np.ones((size, size), bool))
    least = np.minimum.accumulate(np.where(after, grid, grid.max()), axis=1)
    largest = np.maximum.accumulate(np.where(after, grid, grid.min()), axis=1)
    return least, largest


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class CurveS16(IntOp):
    """A line from each entry of a table to the next, over int16 operands.

    table: int16 [2^n + 1], in steps of 2^-v of the result's, v being `value_bits`. With b = 16 - n,
    i = (x + 2^15) >> b and f = (x + 2^15) mod 2^b,

        y = clamp((table[i] (2^b - f) + table[i + 1] f + 2^(b + v - 1)) >> (b + v), low, high)
    """

    kind: ClassVar[str] = "curve"
    table: NDArray[np.int16]
    value_bits: int
    low: int
    high: int

    @property
    def fraction_bits(self) -> int:
        """b."""
        return 17 - len(self.table).bit_length()

    def reference(self, inputs: Sequence[IntArray]) -> IntArray:
        """Element by element."""
        bits, shift = self.fraction_bits, self.fraction_bits + self.value_bits
        x, table = inputs[0] + (1 << 15), self.table.astype(np.int64)
        place, far = x >> bits, x & ((1 << bits) - 1)
        y = table[place] * ((1 << bits) - far) + table[place + 1] * far
        rounded: IntArray = np.clip((y + (1 << (shift - 1))) >> shift, self.low, self.high)
        return rounded

    def striped(self, inputs: Sequence[Shape], output: Shape, rows: int) -> Striped | None:
        """Element by element."""
        return by_element(self, inputs, output)

    def in_place_operands(self, inputs: Sequence[Shape], output: Shape) -> tuple[int, ...]:
        """Element by element."""
        return (0,)

    def bounds(self, inputs: Sequence[Interval], output: Shape) -> Interval:
        """Exact where the function is monotone; else as wide as all that the function gives."""
        low, high = inputs[0]
        first, last = self.reference([low]), self.reference([high])
        steps = np.diff(self.table.astype(np.int64))
        if np.all(steps >= 0) or np.all(steps <= 0):
            return np.minimum(first, last), np.maximum(first, last)
        values = self.reference([np.arange(-(1 << 15), 1 << 15)])
        constant = low == high
        least = np.where(constant, first, values.min())
        return least, np.where(constant, first, values.max())

    def channel_links(self, inputs: Sequence[Shape], output: Shape) -> ChannelLinks | None:
        """Channel by channel."""
        return linked(len(inputs), output[-1])

    def take_channels(self, kept: Kept) -> CurveS16:
        """One table serves every channel."""
        return self

    def kernels(self, inputs: Sequence[Shape], output: Shape) -> tuple[KernelCall, ...]:
        """One pass over the tensor."""
        function, header = self.typed("mcugen_curve", "mcugen_table")
        call = KernelCall(
            function=function,
            header=header,
            fields=(
                ("len", int(np.prod(output))),
                ("table", "table"),
                ("fraction_bits", self.fraction_bits),
                ("value_bits", self.value_bits),
                ("low", self.low),
                ("high", self.high),
            ),
            tables=(ConstTable(suffix="table", values=self.table, comment="ends of lines"),),
        )
        return (call,)
