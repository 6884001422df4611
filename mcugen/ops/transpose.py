# SPDX-License-Identifier: Apache-2.0
"""Another axis order, bytes moved."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from mcugen.fixed_point import IntArray
from mcugen.ir.graph import Shape
from mcugen.ops.base import Interval, IntOp, KernelCall, Lowering, Op
from mcugen.ops.channels import ChannelLinks, Kept, linked
from mcugen.ops.reshape import Reshape

if TYPE_CHECKING:
    import torch

MAX_AXES = 6  # that the kernel loops over


@dataclass(frozen=True, slots=True, kw_only=True)
class Transpose(Op):
    """Axis i of the output is axis order[i] of the operand (batch axis left out)."""

    kind: ClassVar[str] = "transpose"
    keeps_scale: ClassVar[bool] = True
    order: tuple[int, ...]

    def infer(self, inputs: Sequence[Shape]) -> Shape:
        """The operand's axes, reordered."""
        if sorted(self.order) != list(range(len(inputs[0]))):
            msg = f"{self.order} is no order of the axes of {inputs[0]}"
            raise ValueError(msg)
        if len(merged_axes(inputs[0], self.order)) > MAX_AXES:
            msg = f"transposing {inputs[0]} to the order {self.order} moves more than 6 axes"
            raise ValueError(msg)
        return tuple(inputs[0][axis] for axis in self.order)

    def forward(self, inputs: Sequence[torch.Tensor]) -> torch.Tensor:
        """Source: torch.permute."""
        return inputs[0].permute(0, *(axis + 1 for axis in self.order))

    def lower(self, ctx: Lowering) -> TransposeS8:
        """The same order."""
        return TransposeS8(order=self.order)

    def simplified(self, inputs: Sequence[Shape]) -> Op:
        """A reshape where no axis longer than 1 overtakes another."""
        if len(merged_axes(inputs[0], self.order)) > 1:
            return self
        return Reshape(shape=self.infer(inputs))

    def after(self, first: Op) -> Op | None:
        """Two axis orders make one."""
        if not isinstance(first, Transpose):
            return None
        return Transpose(order=tuple(first.order[axis] for axis in self.order))

    def element_order(self, shape: Shape) -> IntArray:
        """The elements in the new order of axes."""
        return np.arange(int(np.prod(shape))).reshape(shape).transpose(self.order).ravel()


@dataclass(frozen=True, slots=True, kw_only=True)
class TransposeS8(IntOp):
    """Axis i of the output is axis order[i] of the operand."""

    kind: ClassVar[str] = "transpose"
    order: tuple[int, ...]

    def reference(self, inputs: Sequence[IntArray]) -> IntArray:
        """The same values in another order."""
        return inputs[0].transpose(0, *(axis + 1 for axis in self.order))

    def bounds(self, inputs: Sequence[Interval], output: Shape) -> Interval:
        """Those of the operand."""
        return inputs[0][0].transpose(self.order), inputs[0][1].transpose(self.order)

    def channel_links(self, inputs: Sequence[Shape], output: Shape) -> ChannelLinks | None:
        """Channel by channel where the last axis stays last."""
        stays = self.order[-1] == len(self.order) - 1
        return linked(1, output[-1]) if stays else None

    def take_channels(self, kept: Kept) -> TransposeS8:
        """The order knows no sizes."""
        return self

    def kernels(self, inputs: Sequence[Shape], output: Shape) -> tuple[KernelCall, ...]:
        """A matrix has a kernel of its own; all else is loops over sizes and strides."""
        axes = merged_axes(inputs[0], self.order)
        if len(axes) == 2:
            (cols, _), (rows, _) = axes
            return (self._call("mcugen_transpose_2d", (("rows", rows), ("cols", cols))),)
        axes = [(1, 0)] * (MAX_AXES - len(axes)) + axes
        sizes = tuple((f"size{i}", size) for i, (size, _) in enumerate(axes))
        strides = tuple((f"stride{i}", stride) for i, (_, stride) in enumerate(axes))
        return (self._call("mcugen_transpose", (*sizes, *strides)),)

    def _call(self, kernel: str, fields: tuple[tuple[str, int], ...]) -> KernelCall:
        function, header = self.typed(kernel, "mcugen_transpose")
        return KernelCall(function=function, header=header, fields=fields)


def merged_axes(shape: Shape, order: Sequence[int]) -> list[tuple[int, int]]:
    """Size and stride in the operand of each output axis, axes that stay together as one."""
    strides = [int(np.prod(shape[axis + 1 :])) for axis in range(len(shape))]
    merged: list[tuple[int, int]] = []
    for size, stride in ((shape[axis], strides[axis]) for axis in order if shape[axis] > 1):
        if merged and merged[-1][1] == size * stride:
            merged[-1] = (merged[-1][0] * size, stride)
        else:
            merged.append((size, stride))
    return merged or [(1, 1)]
