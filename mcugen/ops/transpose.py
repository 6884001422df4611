# SPDX-License-Identifier: Apache-2.0
"""Another axis order, bytes moved."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from mcugen.fixed_point import IntArray
from mcugen.ir.graph import Shape
from mcugen.ops.base import IntOp, Interval, KernelCall, Lowering, Op

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True, slots=True, kw_only=True)
class Transpose(Op):
    """Axis i of the output is axis order[i] of the operand (batch axis left out)."""

    kind: ClassVar[str] = "transpose"
    keeps_scale: ClassVar[bool] = True
    order: tuple[int, ...]

    def infer(self, inputs: Sequence[Shape]) -> Shape:
        """The operand's axes, reordered."""
        return tuple(inputs[0][axis] for axis in self.order)

    def forward(self, inputs: Sequence[torch.Tensor]) -> torch.Tensor:
        """Source: torch.permute."""
        return inputs[0].permute(0, *(axis + 1 for axis in self.order))

    def lower(self, ctx: Lowering) -> TransposeS8:  # noqa: ARG002
        """The same order."""
        return TransposeS8(order=self.order)


@dataclass(frozen=True, slots=True, kw_only=True)
class TransposeS8(IntOp):
    """Axis i of the output is axis order[i] of the operand."""

    kind: ClassVar[str] = "transpose"
    order: tuple[int, ...]

    def reference(self, inputs: Sequence[IntArray]) -> IntArray:
        """The same values in another order."""
        return inputs[0].transpose(0, *(axis + 1 for axis in self.order))

    def bounds(self, inputs: Sequence[Interval], output: Shape) -> Interval:  # noqa: ARG002
        """Those of the operand."""
        return inputs[0][0].transpose(self.order), inputs[0][1].transpose(self.order)

    def kernels(self, inputs: Sequence[Shape], output: Shape) -> tuple[KernelCall, ...]:
        """Adjacent axes that stay together count as one; at most six remain."""
        raise NotImplementedError
