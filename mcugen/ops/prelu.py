# SPDX-License-Identifier: Apache-2.0
"""PReLU: the negative side has a slope, one for all channels or one for each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from mcugen.fixed_point import Affine, IntArray
from mcugen.ir.graph import Shape
from mcugen.ops.affine import channel_table, lower_affine
from mcugen.ops.base import (
    NO_CLAMP,
    Clamp,
    FloatArray,
    Interval,
    IntOp,
    KernelCall,
    Lowering,
    Op,
    Striped,
    by_element,
)
from mcugen.ops.channels import ChannelLinks, Kept, linked
from mcugen.ops.tabulate import CurveS16, TableS8, tabulate

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class PReLU(Op):
    """y = x for x >= 0, slope * x below. slope: float32 [C] over the last axis, or [1]."""

    kind: ClassVar[str] = "prelu"
    slope: FloatArray
    clamp: Clamp = NO_CLAMP

    def infer(self, inputs: Sequence[Shape]) -> Shape:
        """The shape of the operand."""
        channels = inputs[0][-1] if inputs[0] else 1
        if self.slope.shape not in ((1,), (channels,)):
            msg = f"{self.slope.size} slopes do not fit the {channels} channels of {inputs[0]}"
            raise ValueError(msg)
        return inputs[0]

    def forward(self, inputs: Sequence[torch.Tensor]) -> torch.Tensor:
        """Source: He et al., "Delving Deep into Rectifiers", 2015, equation 1."""
        import torch

        x = inputs[0]
        return self.clamp.apply(torch.where(x >= 0, x, x * torch.as_tensor(self.slope)))

    def with_clamp(self, clamp: Clamp) -> PReLU:
        """The same, clamped."""
        return replace(self, clamp=self.clamp.intersect(clamp))

    def lower(self, ctx: Lowering) -> TableS8 | CurveS16 | PReLUS8:
        """One table where all channels are alike and int8, else a linear form for each side."""
        if self.slope.size == 1 and not ctx.has_int16:
            return tabulate(self, ctx)
        return two_sided(self.slope, self.clamp, ctx)


def two_sided(slope: FloatArray, clamp: Clamp, ctx: Lowering) -> PReLUS8:
    """x from zero on, slope * x below, clamped; slope: float32 [C] or [1]."""
    slopes = slope.astype(np.float64)[None]
    return PReLUS8(
        zero_point=ctx.inputs[0].qparams.zero_point,
        positive=lower_affine(np.ones((1, 1)), np.zeros(1), clamp, ctx),
        negative=lower_affine(slopes, np.zeros(slopes.size), clamp, ctx),
    )


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class PReLUS8(IntOp):
    """y = positive(x) for x >= zero_point, negative(x) below; `positive` serves all channels."""

    kind: ClassVar[str] = "prelu"
    zero_point: int
    positive: Affine
    negative: Affine

    @property
    def has_wide_sums(self) -> bool:
        """Where an int16 result keeps all figures of int16 operands."""
        return self.operand_bits == self.result_bits == 16

    def reference(self, inputs: Sequence[IntArray]) -> IntArray:
        """One linear form for each side."""
        x = inputs[0]
        return np.where(x >= self.zero_point, self.positive(x), self.negative(x))

    def striped(self, inputs: Sequence[Shape], output: Shape, rows: int) -> Striped | None:
        """Element by element."""
        return by_element(self, inputs, output)

    def in_place_operands(self, inputs: Sequence[Shape], output: Shape) -> tuple[int, ...]:
        """Channel after channel, so only where no value changes its place."""
        return (0,) if self.operand_bits == self.result_bits else ()

    def bounds(self, inputs: Sequence[Interval], output: Shape) -> Interval:
        """Exact: each side is monotone, so its extremes lie at its ends."""
        low, high = inputs[0]
        corner = np.clip(self.zero_point, low, high)
        before = np.clip(self.zero_point - 1, low, high)
        ends = [self.reference((x,)) for x in (low, before, corner, high)]
        return np.minimum.reduce(ends), np.maximum.reduce(ends)

    def channel_links(self, inputs: Sequence[Shape], output: Shape) -> ChannelLinks | None:
        """Channel by channel."""
        return linked(1, output[-1])

    def take_channels(self, kept: Kept) -> PReLUS8:
        """The kept channels' slopes."""
        return replace(self, negative=self.negative.take(kept.output))

    def kernels(self, inputs: Sequence[Shape], output: Shape) -> tuple[KernelCall, ...]:
        """One pass over the tensor."""
        function, header = self.typed("mcugen_prelu", "mcugen_affine")
        ch = self.negative.bias.size
        call = KernelCall(
            function=function,
            header=header,
            fields=(
                ("pixels", int(np.prod(output)) // ch),
                ("ch", ch),
                ("zero_point", self.zero_point),
                ("positive_factor", int(self.positive.factors[0, 0])),
                ("positive_bias", int(self.positive.bias[0])),
                ("positive_shift", int(self.positive.shift[0])),
                ("factor", "factor"),
                ("bias", "bias"),
                ("shift", "shift"),
                ("low", self.negative.low),
                ("high", self.negative.high),
            ),
            tables=(
                channel_table("factor", self.negative.factors[0]),
                channel_table("bias", self.negative.bias, wide=self.has_wide_sums),
                channel_table("shift", self.negative.shift),
            ),
        )
        return (call,)
