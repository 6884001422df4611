# SPDX-License-Identifier: Apache-2.0
"""Rounding to int8 and back, as a step of the network: what a model's own quantization is.

In a network that torch quantized, such a pair stands behind each tensor that is to be int8. That
tensor takes its quantization, and nothing is left of the pair to compute.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from mcugen.ir.graph import QParams, Shape
from mcugen.ops.base import IntOp, Lowering, Op
from mcugen.ops.rescale import rescale

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True, slots=True, kw_only=True)
class FakeQuantize(Op):
    """y = scale * (clamp(round(x / scale) + zero_point, low, high) - zero_point)."""

    kind: ClassVar[str] = "fake_quantize"
    qparams: QParams

    def infer(self, inputs: Sequence[Shape]) -> Shape:
        """The shape of the operand."""
        return inputs[0]

    def forward(self, inputs: Sequence[torch.Tensor]) -> torch.Tensor:
        """Source: torch.fake_quantize_per_tensor_affine; halves go to even, gradients through."""
        import torch

        q = self.qparams
        return torch.fake_quantize_per_tensor_affine(
            inputs[0], q.scale, q.zero_point, q.low, q.high
        )

    @property
    def rounds_to(self) -> QParams:
        """The whole operator."""
        return self.qparams

    def lower(self, ctx: Lowering) -> IntOp:
        """From the operand's steps to the output's; halves go up."""
        return rescale(ctx.inputs[0].qparams, ctx.output.qparams, ctx.output.shape)
