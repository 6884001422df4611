# SPDX-License-Identifier: Apache-2.0
"""What a model's own quantization says: of its tensors, and of its constants wherever they move."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch

from mcugen.errors import ModelError
from mcugen.frontend.aten_safety import QUANTIZED
from mcugen.ir.graph import QParams
from mcugen.ir.quantization import WeightGrid

# integers of the model's type -> ours, which are int8
OFFSETS = {torch.int8: 0, torch.uint8: -128}
# operators that give their operand's elements, in another order or shape
MOVES = {
    "alias",
    "clone",
    "contiguous",
    "detach",
    "expand",
    "flatten",
    "lift_fresh_copy",
    "permute",
    "reshape",
    "squeeze",
    "t",
    "transpose",
    "unsqueeze",
    "view",
    "_unsafe_view",
}


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Rounding:
    """A constant is scale * (integer - zero_point), both in its shape; integers in [low, high]."""

    scale: torch.Tensor  # float64
    zero_point: torch.Tensor  # int64
    low: int
    high: int
    dtype: torch.dtype

    def moved(self, move: Callable[[torch.Tensor], torch.Tensor]) -> Rounding:
        """That of the constant after a move of its elements."""
        return replace(self, scale=move(self.scale), zero_point=move(self.zero_point))

    def qparams(self) -> QParams | None:
        """One quantization for all elements, None where there is none that operands can have."""
        scale, zero_point = self.scale.reshape(-1), self.zero_point.reshape(-1)
        if bool((scale != scale[0]).any() | (zero_point != zero_point[0]).any()):
            return None
        if self.dtype not in OFFSETS:
            return None
        return qparams(float(scale[0]), int(zero_point[0]), self.low, self.high, self.dtype)

    def grid(self) -> WeightGrid:
        """That of a weight [out_ch, ...]. Raises ModelError where it is not by output channel."""
        rows = self.scale.reshape(len(self.scale), -1)
        if bool((rows != rows[:, :1]).any()):
            msg = (
                "the weight is quantized along another axis than that of its output channels; "
                "quantize it per tensor, or per channel along axis 0"
            )
            raise ModelError(msg)
        high = self.high - int(self.zero_point.min())
        return WeightGrid(scales=rows[:, 0].numpy().copy(), high=high)


class Roundings:
    """Which constants of the model were rounded, and how."""

    def __init__(self) -> None:
        """None yet."""
        self._held: dict[int, tuple[torch.Tensor, Rounding]] = {}  # by id, with what keeps it alive

    def of(self, constant: object) -> Rounding | None:
        """How a constant was rounded, None where nothing is known."""
        held = self._held.get(id(constant))
        return None if held is None else held[1]

    def moved(
        self, constant: torch.Tensor, move: Callable[[torch.Tensor], torch.Tensor]
    ) -> torch.Tensor:
        """The constant after a move of its elements, its rounding with it."""
        result = move(constant)
        rounding = self.of(constant)
        if rounding is not None:
            self._note(result, rounding.moved(move))
        return result

    def follow(self, target: Any, args: Sequence[Any], result: object) -> None:
        """Take note of an operator that made the constant `result` of constants."""
        if not args or not isinstance(result, torch.Tensor):
            return
        namespace, name = _names(target)
        if namespace == QUANTIZED and name.startswith("dequantize_per_"):
            self._note(result, _dequantized(name, args, result))
        elif namespace == "aten" and name in MOVES and (rounding := self.of(args[0])) is not None:
            self._note(result, rounding.moved(lambda x: target(x, *args[1:])))

    def _note(self, constant: torch.Tensor, rounding: Rounding | None) -> None:
        if rounding is not None:
            self._held[id(constant)] = (constant, rounding)


def qparams(scale: float, zero_point: int, low: int, high: int, dtype: torch.dtype) -> QParams:
    """A quantization of the model as one of int8; uint8 is 128 above it.

    Raises ModelError where it is none of 8 bits.
    """
    offset = OFFSETS.get(dtype)
    if offset is None:
        kind = str(dtype).removeprefix("torch.")
        msg = f"quantization to {kind} is not supported; quantize to int8 or uint8"
        raise ModelError(msg)
    if not (math.isfinite(scale) and scale > 0.0 and low < high and low <= zero_point <= high):
        msg = (
            f"scale {scale:g}, zero point {zero_point}, integers from {low} to {high}: that is no "
            "quantization; the scale has to be positive and the zero point one of the integers"
        )
        raise ModelError(msg)
    return QParams(
        scale=float(torch.tensor(scale, dtype=torch.float32)),
        zero_point=zero_point + offset,
        low=low + offset,
        high=high + offset,
    )


def _names(target: Any) -> tuple[str, str]:
    """Namespace and name of an operator, empty where it is none of torch's."""
    parts = str(target).split(".")
    return (parts[0], parts[1]) if len(parts) > 1 else ("", "")


def _dequantized(name: str, args: Sequence[Any], result: torch.Tensor) -> Rounding | None:
    """How the integers that an operator turned back into numbers were rounded."""
    if name == "dequantize_per_tensor":
        scale, zero_point, low, high, dtype = args[1:6]
        shape = [1] * result.dim()
    elif name == "dequantize_per_channel":
        scale, zero_point, axis, low, high, dtype = args[1:7]
        shape = [-1 if k == axis % result.dim() else 1 for k in range(result.dim())]
    else:
        return None
    zero_point = torch.zeros(1) if zero_point is None else torch.as_tensor(zero_point)
    return Rounding(
        scale=torch.as_tensor(scale).double().reshape(shape).expand(result.shape),
        zero_point=zero_point.long()
        .reshape(-1)
        .expand(_size(scale))
        .reshape(shape)
        .expand(result.shape),
        low=int(low),
        high=int(high),
        dtype=dtype,
    )


def _size(scale: Any) -> int:
    return torch.as_tensor(scale).numel()
