# SPDX-License-Identifier: Apache-2.0
"""y = scale * x + shift, per channel or one for all: batch norm at inference, and constants."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, ClassVar

import numpy as np
from numpy.typing import NDArray

from mcugen.fixed_point import Affine, IntArray
from mcugen.ir.graph import Shape
from mcugen.ops.affine import affine_bounds, channel_table, lower_affine
from mcugen.ops.base import (
    NO_CLAMP,
    Clamp,
    FloatArray,
    Interval,
    IntOp,
    KernelCall,
    Lowering,
    Moments,
    Op,
    ScaleShiftArrays,
    Striped,
    by_element,
)
from mcugen.ops.channels import ChannelLinks, Kept, linked
from mcugen.ops.tabulate import CurveS16, TableS8, tabulate

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ScaleShift(Op):
    """scale, shift: float32 [C] over the last axis, or [1] each."""

    kind: ClassVar[str] = "scale_shift"
    scale: FloatArray
    shift: FloatArray
    clamp: Clamp = NO_CLAMP
    moments: Moments | None = None  # of the operand in training

    def infer(self, inputs: Sequence[Shape]) -> Shape:
        """The shape of the operand."""
        channels = inputs[0][-1] if inputs[0] else 1
        for array in (self.scale, self.shift):
            if array.shape not in ((1,), (channels,)):
                msg = f"{array.size} factors do not fit the {channels} channels of {inputs[0]}"
                raise ValueError(msg)
        return inputs[0]

    def forward(self, inputs: Sequence[torch.Tensor]) -> torch.Tensor:
        """Source: Ioffe and Szegedy, "Batch Normalization", 2015, algorithm 2, line 11."""
        import torch

        return self.clamp.apply(
            inputs[0] * torch.as_tensor(self.scale) + torch.as_tensor(self.shift)
        )

    def with_clamp(self, clamp: Clamp) -> ScaleShift:
        """The same, clamped."""
        return replace(self, clamp=self.clamp.intersect(clamp))

    @property
    def scale_shift_only(self) -> ScaleShiftArrays | None:
        """The whole operator, unless it clamps."""
        return (self.scale, self.shift) if self.clamp == NO_CLAMP else None

    @property
    def input_moments(self) -> Moments | None:
        """A batch norm's running statistics."""
        return self.moments

    def absorb_scale_shift(self, scale: FloatArray, shift: FloatArray) -> ScaleShift | None:
        """(a x + b) s + t = (a s) x + (b s + t)."""
        if self.clamp != NO_CLAMP:
            return None
        return replace(self, scale=self.scale * scale, shift=self.shift * scale + shift)

    def absorb_input_scale_shift(self, scale: FloatArray, shift: FloatArray) -> ScaleShift:
        """a (s x + t) + b = (a s) x + (a t + b)."""
        return replace(
            self,
            scale=self.scale * scale,
            shift=self.scale * shift + self.shift,
            moments=None,
        )

    def lower(self, ctx: Lowering) -> TableS8 | CurveS16 | ScaleShiftS8:
        """One table where all channels are alike and int8, else a linear form for each channel."""
        if self.scale.size == 1 and self.shift.size == 1 and not ctx.has_int16:
            return tabulate(self, ctx)
        scale, shift = np.broadcast_arrays(self.scale, self.shift)
        return scaled_and_shifted(
            scale.astype(np.float64), shift.astype(np.float64), self.clamp, ctx
        )


def scaled_and_shifted(
    scale: NDArray[np.float64], shift: NDArray[np.float64], clamp: Clamp, ctx: Lowering
) -> ScaleShiftS8:
    """clamp(scale * x + shift); float64 [C] or [1] each."""
    return ScaleShiftS8(affine=lower_affine(scale[None], shift, clamp, ctx))


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ScaleShiftS8(IntOp):
    """y = affine(x), a linear form for each channel or one for all."""

    kind: ClassVar[str] = "scale_shift"
    affine: Affine

    @property
    def has_wide_sums(self) -> bool:
        """Where an int16 result keeps all figures of int16 operands."""
        return self.operand_bits == self.result_bits == 16

    def reference(self, inputs: Sequence[IntArray]) -> IntArray:
        """The linear form."""
        return self.affine(inputs[0])

    def striped(self, inputs: Sequence[Shape], output: Shape, rows: int) -> Striped | None:
        """Element by element."""
        return by_element(self, inputs, output)

    def in_place_operands(self, inputs: Sequence[Shape], output: Shape) -> tuple[int, ...]:
        """Channel after channel, so only where no value changes its place."""
        return (0,) if self.operand_bits == self.result_bits else ()

    def bounds(self, inputs: Sequence[Interval], output: Shape) -> Interval:
        """Exact: a linear form is monotone."""
        return affine_bounds(self.affine, inputs)

    def channel_links(self, inputs: Sequence[Shape], output: Shape) -> ChannelLinks | None:
        """Channel by channel."""
        return linked(1, output[-1])

    def take_channels(self, kept: Kept) -> ScaleShiftS8:
        """The kept channels' linear forms."""
        return replace(self, affine=self.affine.take(kept.output))

    def kernels(self, inputs: Sequence[Shape], output: Shape) -> tuple[KernelCall, ...]:
        """One pass over the tensor."""
        function, header = self.typed("mcugen_scale_shift", "mcugen_affine")
        ch = self.affine.bias.size
        call = KernelCall(
            function=function,
            header=header,
            fields=(
                ("pixels", int(np.prod(output)) // ch),
                ("ch", ch),
                ("factor", "factor"),
                ("bias", "bias"),
                ("shift", "shift"),
                ("low", self.affine.low),
                ("high", self.affine.high),
            ),
            tables=(
                channel_table("factor", self.affine.factors[0]),
                channel_table("bias", self.affine.bias, wide=self.has_wide_sums),
                channel_table("shift", self.affine.shift),
            ),
        )
        return (call,)
