# SPDX-License-Identifier: Apache-2.0
"""A part of a tensor along one axis."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from mcugen.fixed_point import IntArray
from mcugen.ir.graph import Shape
from mcugen.ops.base import Interval, IntOp, KernelCall, Lowering, Op
from mcugen.ops.channels import ChannelLinks, Kept, linked
from mcugen.ops.concat import copy_call

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True, slots=True, kw_only=True)
class Slice(Op):
    """`count` positions of `axis`, every `step`-th from `start` on."""

    kind: ClassVar[str] = "slice"
    keeps_scale: ClassVar[bool] = True
    axis: int
    start: int
    count: int
    step: int = 1

    def infer(self, inputs: Sequence[Shape]) -> Shape:
        """`count` along the axis. Raises ValueError where that leaves the operand or is nothing."""
        shape = inputs[0]
        last = self.start + (self.count - 1) * self.step
        if self.count < 1 or self.start < 0 or last >= shape[self.axis]:
            wanted = f"{self.count} positions from {self.start}, every {self.step}"
            msg = f"{wanted}, is no part of {shape} along axis {self.axis}"
            raise ValueError(msg)
        return (*shape[: self.axis], self.count, *shape[self.axis + 1 :])

    def forward(self, inputs: Sequence[torch.Tensor]) -> torch.Tensor:
        """Source: Python's indexing."""
        return inputs[0][_window(self.axis, self.start, self.count, self.step)]

    def lower(self, ctx: Lowering) -> SliceS8:
        """The same positions."""
        return SliceS8(axis=self.axis, start=self.start, count=self.count, step=self.step)

    def is_identity(self, inputs: Sequence[Shape]) -> bool:
        """The whole axis."""
        return self.count == inputs[0][self.axis]


@dataclass(frozen=True, slots=True, kw_only=True)
class SliceS8(IntOp):
    """`count` positions of `axis`, every `step`-th from `start` on."""

    kind: ClassVar[str] = "slice"
    axis: int
    start: int
    count: int
    step: int

    def reference(self, inputs: Sequence[IntArray]) -> IntArray:
        """The same values."""
        return inputs[0][_window(self.axis, self.start, self.count, self.step)]

    def bounds(self, inputs: Sequence[Interval], output: Shape) -> Interval:
        """Those of the operand."""
        low, high = (self.reference([end[None]])[0] for end in inputs[0])
        return low, high

    def channel_links(self, inputs: Sequence[Shape], output: Shape) -> ChannelLinks | None:
        """A block of channels is the operand's; every n-th channel is pinned."""
        if self.axis < len(output) - 1:
            return linked(1, output[-1])
        if self.step > 1:
            return None
        ids = np.arange(inputs[0][-1])
        output_ids = ids[self.start : self.start + self.count]
        return ChannelLinks(inputs=(ids,), output=output_ids, reads=(None,))

    def take_channels(self, kept: Kept) -> SliceS8:
        """What is left of a block of channels is a block."""
        if self.axis < len(kept.shapes[0]) - 1:
            return self
        start = int(np.searchsorted(kept.inputs[0], self.start))
        return replace(self, start=start, count=len(kept.output))

    def kernels(self, inputs: Sequence[Shape], output: Shape) -> tuple[KernelCall, ...]:
        """One copy; neighbours along the axis are one block."""
        planes = int(np.prod(output[: self.axis]))
        inner = int(np.prod(output[self.axis + 1 :]))
        start, plane = self.start * inner, inputs[0][self.axis] * inner
        if self.step == 1:
            block = self.count * inner
            call = copy_call(
                self, sizes=(1, planes, block), source=(start, 0, plane), target=(0, 0, block)
            )
        else:
            call = copy_call(
                self,
                sizes=(planes, self.count, inner),
                source=(start, plane, self.step * inner),
                target=(0, self.count * inner, inner),
            )
        return (call,)


def _window(axis: int, start: int, count: int, step: int) -> tuple[slice, ...]:
    """The index of these positions of `axis`, behind a batch axis."""
    return (*(slice(None),) * (axis + 1), slice(start, start + (count - 1) * step + 1, step))
