# SPDX-License-Identifier: Apache-2.0
"""A constant value around a tensor."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from mcugen.fixed_point import IntArray
from mcugen.ir.graph import Shape
from mcugen.ops.base import Interval, IntOp, KernelCall, Lowering, Op, Padding
from mcugen.ops.channels import ChannelLinks, Kept

if TYPE_CHECKING:
    import torch

Margins = tuple[tuple[int, int], ...]
MAX_AXES = 3  # that the kernel loops over


@dataclass(frozen=True, slots=True, kw_only=True)
class Pad(Op):
    """`value`, as often as `margins` say before and after each axis."""

    kind: ClassVar[str] = "pad"
    keeps_scale: ClassVar[bool] = True
    margins: Margins
    value: float = 0.0

    def infer(self, inputs: Sequence[Shape]) -> Shape:
        """Every axis longer by its margins."""
        shape = inputs[0]
        if len(self.margins) != len(shape) or min(m for pair in self.margins for m in pair) < 0:
            msg = f"margins {self.margins} do not suit a tensor of shape {shape}"
            raise ValueError(msg)
        if len(_padded_axes(shape, self.margins)) > MAX_AXES:
            msg = f"padding more than {MAX_AXES} axes at once is not supported, got {self.margins}"
            raise ValueError(msg)
        return tuple(n + sum(pair) for n, pair in zip(shape, self.margins, strict=True))

    def forward(self, inputs: Sequence[torch.Tensor]) -> torch.Tensor:
        """Source: torch.nn.functional.pad, which counts axes from the last."""
        from torch.nn import functional

        flat = [m for pair in reversed(self.margins) for m in pair]
        return functional.pad(inputs[0], flat, value=self.value)

    def lower(self, ctx: Lowering) -> PadS8:
        """The value to the nearest step of the output."""
        q = ctx.output.qparams
        step = np.floor(self.value / q.scale + 0.5) + q.zero_point
        return PadS8(margins=self.margins, value=int(np.clip(step, q.low, q.high)))

    @property
    def pad_only(self) -> Padding:
        """The whole operator is a padding."""
        return Padding(margins=self.margins, value=self.value)

    def absorb_padding(self, padding: Padding) -> Pad | None:
        """Two paddings of one value are one."""
        if padding.value != self.value:
            return None
        pairs = zip(self.margins, padding.margins, strict=True)
        return replace(self, margins=tuple((a + c, b + d) for (a, b), (c, d) in pairs))

    def is_identity(self, inputs: Sequence[Shape]) -> bool:
        """No margin at all."""
        return not any(m for pair in self.margins for m in pair)


@dataclass(frozen=True, slots=True, kw_only=True)
class PadS8(IntOp):
    """`value`, as often as `margins` say before and after each axis."""

    kind: ClassVar[str] = "pad"
    margins: Margins
    value: int

    def reference(self, inputs: Sequence[IntArray]) -> IntArray:
        """The operand in the middle."""
        return np.pad(inputs[0], ((0, 0), *self.margins), constant_values=self.value)

    def bounds(self, inputs: Sequence[Interval], output: Shape) -> Interval:
        """Those of the operand, and the value itself."""
        low, high = (self.reference([end[None]])[0] for end in inputs[0])
        return low, high

    def channel_links(self, inputs: Sequence[Shape], output: Shape) -> ChannelLinks | None:
        """The operand's channels in the middle; channels of padding are free."""
        ids = np.arange(output[-1])
        own = ids[self.margins[-1][0] :][: inputs[0][-1]]
        return ChannelLinks(inputs=(own,), output=ids, reads=(None,))

    def take_channels(self, kept: Kept) -> PadS8:
        """The margin of channels shrinks to those that are kept."""
        first = self.margins[-1][0]
        before = int(np.sum(kept.output < first))
        after = int(np.sum(kept.output >= first + kept.shapes[0][-1]))
        return replace(self, margins=(*self.margins[:-1], (before, after)))

    def kernels(self, inputs: Sequence[Shape], output: Shape) -> tuple[KernelCall, ...]:
        """One pass over the output, from front to back."""
        axes = _padded_axes(inputs[0], self.margins)
        axes = [(1, 0, 0)] * (MAX_AXES - len(axes)) + axes
        (planes, above, _), (rows, top, _), (length, left, _) = axes
        _, padded_rows, padded_len = (sum(axis) for axis in axes)
        plane, used_plane = padded_rows * padded_len, (rows - 1) * padded_len + length
        head = above * plane + top * padded_len + left
        used = (planes - 1) * plane + used_plane
        function, header = self.typed("mcugen_pad")
        call = KernelCall(
            function=function,
            header=header,
            fields=(
                ("planes", planes),
                ("rows", rows),
                ("len", length),
                ("head", head),
                ("row_gap", padded_len - length),
                ("plane_gap", plane - used_plane),
                ("tail", int(np.prod(output)) - head - used),
                ("value", self.value),
            ),
        )
        return (call,)


def _padded_axes(shape: Shape, margins: Margins) -> list[tuple[int, int, int]]:
    """Size and margins of each axis, those without margins merged into the one before."""
    merged: list[tuple[int, int, int]] = []
    for size, (before, after) in zip(shape, margins, strict=True):
        if merged and not before and not after:
            whole, first, last = merged[-1]
            merged[-1] = (whole * size, first * size, last * size)
        else:
            merged.append((size, before, after))
    return merged
