# SPDX-License-Identifier: Apache-2.0
"""ATen's layers with weights: convolution and linear."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch

from mcugen.errors import ModelError
from mcugen.frontend.builder import Builder, Value, to_numpy
from mcugen.ir.quantization import WeightGrid
from mcugen.ops import Conv, Linear, Window
from mcugen.ops.window import Pads


def pair(values: int | Sequence[int], rank: int, default: int) -> tuple[int, int]:
    """An int or a list of one or `rank` as (h, w); a sequence has the neutral `default` for h."""
    items = [values] if isinstance(values, int) else list(values)
    if len(items) == 1:
        items = items * rank
    return (default, items[0]) if rank == 1 else (items[0], items[1])


def image_rank(value: Value, spatial: int | None = None) -> int:
    """Spatial axes of a channels-first tensor: 1 or 2. Raises ModelError for others."""
    rank = len(value.shape) - 1
    if rank not in (1, 2) or (spatial is not None and rank != spatial):
        batch = "" if value.batched else "; a batch larger than 1 cannot be compiled, export with 1"
        wanted = f"{spatial}" if spatial else "1 or 2"
        msg = f"expected {wanted} spatial axes, got a tensor of shape {value.torch_shape}{batch}"
        raise ModelError(msg)
    return rank


def _same_pads(size: Sequence[int], window: Window) -> Pads:
    """padding="same" of stride 1: the odd one goes to the end."""
    total = [d * (k - 1) for k, d in zip(window.kernel, window.dilation, strict=True)]
    return (total[0] // 2, total[1] // 2, total[0] - total[0] // 2, total[1] - total[1] // 2)


def convolution(
    b: Builder,
    value: Value,
    weight: torch.Tensor,
    bias: torch.Tensor | None = None,
    stride: int | Sequence[int] = 1,
    padding: int | str | Sequence[int] = 0,
    dilation: int | Sequence[int] = 1,
    groups: int = 1,
) -> Value:
    """conv1d and conv2d. weight: [out_ch, in_ch / groups, (h,) w]."""
    rank = image_rank(value, weight.dim() - 2)
    grid = _grid(b, weight)
    if rank == 1:
        weight = weight.unsqueeze(2)
    window = Window(
        kernel=(weight.shape[2], weight.shape[3]),
        stride=pair(stride, rank, 1),
        dilation=pair(dilation, rank, 1),
    )
    if isinstance(padding, str):
        pads = _same_pads(value.shape[1:], window) if padding == "same" else (0, 0, 0, 0)
    else:
        pad_h, pad_w = pair(padding, rank, 0)
        pads = (pad_h, pad_w, pad_h, pad_w)
    op = Conv(
        weight=to_numpy(weight.permute(0, 2, 3, 1)),
        bias=_bias(bias, weight.shape[0]),
        window=Window(
            kernel=window.kernel, stride=window.stride, dilation=window.dilation, pads=pads
        ),
        groups=groups,
        grid=grid,
    )
    return b.apply_channels_last(op, value)


def _core_convolution(
    b: Builder,
    value: Value,
    weight: torch.Tensor,
    bias: torch.Tensor | None,
    stride: Sequence[int],
    padding: Sequence[int],
    dilation: Sequence[int],
    transposed: bool,
    output_padding: Sequence[int],
    groups: int,
) -> Value:
    if transposed:
        msg = "transposed convolution is not supported; use nearest upsampling and a convolution"
        raise ModelError(msg)
    return convolution(b, value, weight, bias, stride, padding, dilation, groups)


def linear(
    b: Builder, value: Value, weight: torch.Tensor, bias: torch.Tensor | None = None
) -> Value:
    """Linear. weight: [out_features, in_features]."""
    op = Linear(weight=to_numpy(weight), bias=_bias(bias, weight.shape[0]), grid=_grid(b, weight))
    operand = b.last_axis(value, -1)
    return b.apply(op, operand, (*value.shape[:-1], weight.shape[0]))


def _addmm(
    b: Builder,
    bias: torch.Tensor,
    value: Value,
    weight: torch.Tensor,
    *,
    beta: float = 1,
    alpha: float = 1,
) -> Value:
    rows = b.roundings.moved(weight, torch.t)
    rows = rows if alpha == 1 else rows * alpha
    return linear(b, value, rows, bias.expand(weight.shape[1]) * beta)


def _matmul(b: Builder, value: Value, weight: Any) -> Value:
    if not isinstance(weight, torch.Tensor) or weight.dim() != 2:
        msg = "matrix product is supported with a constant matrix on the right only"
        raise ModelError(msg)
    return linear(b, value, b.roundings.moved(weight, torch.t))


def _grid(b: Builder, weight: torch.Tensor) -> WeightGrid | None:
    """What the model itself rounded a weight to, None where it did not."""
    rounding = b.roundings.of(weight)
    return None if rounding is None else rounding.grid()


def _bias(bias: torch.Tensor | None, channels: int) -> np.ndarray[Any, np.dtype[np.float32]]:
    return np.zeros(channels, np.float32) if bias is None else to_numpy(bias)


HANDLERS: dict[str, Callable[..., Value | tuple[Value, ...]]] = {
    "conv1d.default": convolution,
    "conv1d.padding": convolution,
    "conv2d.default": convolution,
    "conv2d.padding": convolution,
    "convolution.default": _core_convolution,
    "linear.default": linear,
    "addmm.default": _addmm,
    "mm.default": _matmul,
    "matmul.default": _matmul,
}
