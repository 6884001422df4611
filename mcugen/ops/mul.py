# SPDX-License-Identifier: Apache-2.0
"""Product of two tensors with broadcasting: gates such as those of squeeze and excitation."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from mcugen.errors import ModelError
from mcugen.fixed_point import IntArray, Requantize, requantize_for
from mcugen.ir.graph import Shape
from mcugen.ops.base import (
    NO_CLAMP,
    Clamp,
    Interval,
    IntOp,
    KernelCall,
    Lowering,
    Op,
    Striped,
    by_element,
)
from mcugen.ops.broadcast import (
    broadcast_fields,
    broadcast_links,
    broadcast_shape,
    full_size_operands,
    same_rank,
    same_rank_int,
)
from mcugen.ops.channels import ChannelLinks, Kept
from mcugen.ops.weights import prove_accumulator

if TYPE_CHECKING:
    import torch

# two values, their zero points subtracted
MAX_PRODUCT = {8: 255 * 255, 16: 32768 * 32768}


@dataclass(frozen=True, slots=True, kw_only=True)
class Mul(Op):
    """y = left * right."""

    kind: ClassVar[str] = "mul"
    clamp: Clamp = NO_CLAMP

    def infer(self, inputs: Sequence[Shape]) -> Shape:
        """The broadcast shape."""
        return broadcast_shape(inputs)

    def forward(self, inputs: Sequence[torch.Tensor]) -> torch.Tensor:
        """Source: torch.mul."""
        left, right = same_rank(inputs)
        return self.clamp.apply(left * right)

    def macs(self, inputs: Sequence[Shape], output: Shape) -> int:
        """One product for each element."""
        return int(np.prod(output))

    def with_clamp(self, clamp: Clamp) -> Mul:
        """The same product, clamped."""
        return replace(self, clamp=self.clamp.intersect(clamp))

    def lower(self, ctx: Lowering) -> MulS8:
        """The product of both scales goes into the requantization."""
        left, right = (operand.qparams for operand in ctx.inputs)
        target = ctx.output.qparams
        real = np.array([left.scale * right.scale / target.scale])
        if real[0] >= 2.0**30:
            msg = f"{ctx.where}: output range is too narrow for its operands"
            raise ModelError(msg)
        low, high = self.clamp.to_int(target)
        requantize = requantize_for(real, target.zero_point, low, high, ctx.requant)
        prove_accumulator(np.array([MAX_PRODUCT[ctx.operand_bits]]), requantize, ctx)
        return MulS8(zero_points=(left.zero_point, right.zero_point), requantize=requantize)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class MulS8(IntOp):
    """y = requantize((left - zero_points[0]) * (right - zero_points[1]))."""

    kind: ClassVar[str] = "mul"
    zero_points: tuple[int, int]
    requantize: Requantize

    def reference(self, inputs: Sequence[IntArray]) -> IntArray:
        """The product of broadcast operands."""
        left, right = same_rank_int(inputs)
        return self.requantize((left - self.zero_points[0]) * (right - self.zero_points[1]))

    def macs(self, inputs: Sequence[Shape], output: Shape) -> int:
        """One product for each element."""
        return int(np.prod(output))

    def striped(self, inputs: Sequence[Shape], output: Shape, rows: int) -> Striped | None:
        """Element by element."""
        return by_element(self, inputs, output)

    def in_place_operands(self, inputs: Sequence[Shape], output: Shape) -> tuple[int, ...]:
        """Operands of the output's size."""
        return full_size_operands(inputs, output)

    def bounds(self, inputs: Sequence[Interval], output: Shape) -> Interval:
        """Exact for independent operands: extremes of a product lie at corners."""
        left, right = (
            tuple(end - zero for end in interval)
            for interval, zero in zip(inputs, self.zero_points, strict=True)
        )
        products = [x * y for x in left for y in right]
        low, high = np.minimum.reduce(products), np.maximum.reduce(products)
        return self.requantize(low), self.requantize(high)

    def channel_links(self, inputs: Sequence[Shape], output: Shape) -> ChannelLinks | None:
        """Channel by channel."""
        return broadcast_links(inputs, output)

    def take_channels(self, kept: Kept) -> MulS8:
        """One requantization serves every channel."""
        return self

    def kernels(self, inputs: Sequence[Shape], output: Shape) -> tuple[KernelCall, ...]:
        """One pass over the output."""
        function, header = self.typed("mcugen_mul")
        call = KernelCall(
            function=function,
            header=header,
            fields=(
                *broadcast_fields(inputs, output),
                ("left_zero_point", self.zero_points[0]),
                ("right_zero_point", self.zero_points[1]),
                ("multiplier", int(self.requantize.multiplier[0])),
                ("shift", int(self.requantize.shift[0])),
                ("zero_point", self.requantize.zero_point),
                ("low", self.requantize.low),
                ("high", self.requantize.high),
                ("double_rounding", int(self.requantize.mode == "double")),
            ),
            operands=(0, 1),
        )
        return (call,)
