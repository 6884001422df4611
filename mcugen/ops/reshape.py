# SPDX-License-Identifier: Apache-2.0
"""Another shape over the same values in the same order: flatten, view, squeeze. No code."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from mcugen.fixed_point import IntArray
from mcugen.ir.graph import Shape
from mcugen.ops.base import Interval, IntOp, KernelCall, Lowering, Op
from mcugen.ops.channels import ChannelLinks, Kept

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True, slots=True, kw_only=True)
class Reshape(Op):
    """The same values in row-major order under another shape."""

    kind: ClassVar[str] = "reshape"
    computes: ClassVar[bool] = False
    keeps_scale: ClassVar[bool] = True
    shape: Shape

    def infer(self, inputs: Sequence[Shape]) -> Shape:
        """The declared shape."""
        if np.prod(inputs[0]) != np.prod(self.shape):
            msg = f"cannot reshape {inputs[0]} to {self.shape}"
            raise ValueError(msg)
        return self.shape

    def forward(self, inputs: Sequence[torch.Tensor]) -> torch.Tensor:
        """Source: torch.reshape."""
        return inputs[0].reshape(inputs[0].shape[0], *self.shape)

    def lower(self, ctx: Lowering) -> ReshapeS8:
        """Nothing but the shape."""
        return ReshapeS8(shape=ctx.output.shape)

    def is_identity(self, inputs: Sequence[Shape]) -> bool:
        """The shape is there already."""
        return inputs[0] == self.shape

    def after(self, first: Op) -> Op | None:
        """The shape in between does not matter."""
        return self if isinstance(first, Reshape) else None

    def element_order(self, shape: Shape) -> IntArray:
        """As they are."""
        return np.arange(int(np.prod(shape)))


@dataclass(frozen=True, slots=True, kw_only=True)
class ReshapeS8(IntOp):
    """A view of operand 0."""

    kind: ClassVar[str] = "reshape"
    computes: ClassVar[bool] = False
    is_view: ClassVar[bool] = True
    shape: Shape

    def reference(self, inputs: Sequence[IntArray]) -> IntArray:
        """The same values."""
        return inputs[0].reshape(inputs[0].shape[0], *self.shape)

    def bounds(self, inputs: Sequence[Interval], output: Shape) -> Interval:
        """Those of the operand."""
        return inputs[0][0].reshape(output), inputs[0][1].reshape(output)

    def channel_links(self, inputs: Sequence[Shape], output: Shape) -> ChannelLinks | None:
        """Flattening [.., C] to [n * C] ties channel c to every feature f with f mod C = c."""
        if not inputs[0] or not output:
            return None
        channels = inputs[0][-1]
        if len(output) != 1 and output[-1] != channels:
            return None
        return ChannelLinks(
            inputs=(np.arange(channels),), output=np.arange(output[-1]) % channels, reads=(None,)
        )

    def take_channels(self, kept: Kept) -> ReshapeS8:
        """The same view with the axis shortened."""
        return replace(self, shape=(*self.shape[:-1], len(kept.output)))

    def kernels(self, inputs: Sequence[Shape], output: Shape) -> tuple[KernelCall, ...]:
        """A view has no code."""
        return ()
