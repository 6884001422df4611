# SPDX-License-Identifier: Apache-2.0
"""Rounding that training can see through: the steps of the C forward, learned scales backward."""

from __future__ import annotations

from typing import Any, cast

import torch


class _FakeQuantize(torch.autograd.Function):
    """y = scale * clamp(floor(x / scale + 1/2), low, high).

    Backward, the rounding counts as the identity where it does not saturate (straight-through), and
    the scale has the gradient of learned step sizes: round(v) - v inside, the bound outside, for
    v = x / scale, divided by sqrt(values that share the scale * high).
    Source: Esser et al., "Learned Step Size Quantization", 2020, equations 3 and section 2.2.
    """

    @staticmethod
    def forward(
        ctx: Any, x: torch.Tensor, scale: torch.Tensor, low: int, high: int
    ) -> torch.Tensor:
        v = x / scale
        steps = (v + 0.5).floor_()
        clamped = steps.clamp(low, high)
        inside = clamped == steps
        wanted = [inside]
        if ctx.needs_input_grad[1]:
            shared = x.numel() / scale.numel()
            slope = clamped - v.mul_(inside)
            wanted.append(slope.div_((shared * max(high, 1)) ** 0.5))
        ctx.save_for_backward(*wanted)
        ctx.scale_shape = scale.shape
        return clamped.mul_(scale)

    @staticmethod
    def backward(ctx: Any, *grads: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        inside, *slopes = ctx.saved_tensors
        to_x = grads[0] * inside if ctx.needs_input_grad[0] else None
        to_scale = (grads[0] * slopes[0]).sum_to_size(ctx.scale_shape) if slopes else None
        return to_x, to_scale, None, None


def fake_quantize(x: torch.Tensor, scale: torch.Tensor, low: int, high: int) -> torch.Tensor:
    """x on the grid of `scale`, float32: a whole number of steps in [low, high] times the scale.

    scale: positive, of a shape that broadcasts to x's. For a tensor with a zero point pass the
    bounds minus the zero point.
    """
    return cast(torch.Tensor, _FakeQuantize.apply(x, scale, low, high))  # type: ignore[no-untyped-call]


class _RoundBias(torch.autograd.Function):
    """floor(b / step + 1/2) * step; the gradient passes unchanged."""

    @staticmethod
    def forward(_ctx: Any, bias: torch.Tensor, step: torch.Tensor) -> torch.Tensor:
        # in float64: an int32 has more digits than a float32
        steps = torch.floor(bias.double() / step + 0.5)
        return (steps * step).float()

    @staticmethod
    def backward(_ctx: Any, *grads: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        return grads[0], None


def round_bias(bias: torch.Tensor, step: torch.Tensor) -> torch.Tensor:
    """A bias [C] in whole accumulator steps [C], float64 each."""
    return cast(torch.Tensor, _RoundBias.apply(bias, step))  # type: ignore[no-untyped-call]
