# SPDX-License-Identifier: Apache-2.0
"""A constant tensor that takes part in the network as an operand; it lies in flash."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from mcugen.fixed_point import IntArray, round_half_up
from mcugen.ir.graph import QParams, Shape
from mcugen.ops.base import FloatArray, Interval, IntOp, KernelCall, Lowering, Op
from mcugen.ops.channels import Kept

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Constant(Op):
    """values: float32 [*shape]. qparams: what the model itself rounded them to, if it did."""

    kind: ClassVar[str] = "constant"
    computes: ClassVar[bool] = False
    values: FloatArray
    qparams: QParams | None = None

    def fixed_qparams(self, bits: int = 8) -> QParams | None:
        """The model's own."""
        return self.qparams

    def infer(self, inputs: Sequence[Shape]) -> Shape:
        """The array's shape."""
        return self.values.shape

    def forward(self, inputs: Sequence[torch.Tensor]) -> torch.Tensor:
        """The values with a batch axis of 1."""
        import torch

        return torch.as_tensor(self.values).unsqueeze(0)

    def lower(self, ctx: Lowering) -> ConstantS8:
        """Quantize the values to the nearest step."""
        q = ctx.output.qparams
        steps = round_half_up(self.values.astype(np.float64) / q.scale) + q.zero_point
        return ConstantS8(values=np.clip(steps, q.low, q.high))


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ConstantS8(IntOp):
    """values: int64 [*shape] in the range of the tensor's integers."""

    kind: ClassVar[str] = "constant"
    computes: ClassVar[bool] = False
    values: IntArray

    @property
    def flash_values(self) -> IntArray:
        """The tensor itself: it is read where it lies, in flash."""
        return self.values

    def reference(self, inputs: Sequence[IntArray]) -> IntArray:
        """The values with a batch axis of 1."""
        return self.values[None]

    def bounds(self, inputs: Sequence[Interval], output: Shape) -> Interval:
        """The values themselves."""
        return self.values, self.values

    def take_channels(self, kept: Kept) -> ConstantS8:
        """The kept channels' values."""
        return replace(self, values=np.ascontiguousarray(self.values[..., kept.output]))

    def kernels(self, inputs: Sequence[Shape], output: Shape) -> tuple[KernelCall, ...]:
        """A constant has no code."""
        return ()
