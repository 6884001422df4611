# SPDX-License-Identifier: Apache-2.0
"""The pairs of quantize and dequantize that torch's quantization (pt2e) leaves in a network."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

from mcugen.errors import ModelError
from mcugen.frontend.aten_safety import QUANTIZED
from mcugen.frontend.builder import Builder, Quantized, Value
from mcugen.frontend.roundings import qparams
from mcugen.ops import FakeQuantize


def _quantize(
    b: Builder,
    value: Value,
    scale: float | torch.Tensor,
    zero_point: int | torch.Tensor,
    low: int | torch.Tensor,
    high: int | torch.Tensor,
    dtype: torch.dtype,
) -> Quantized:
    chosen = qparams(float(scale), int(zero_point), int(low), int(high), dtype)
    return Quantized(value=b.apply(FakeQuantize(qparams=chosen), value), qparams=chosen)


def _dequantize(
    b: Builder,
    quantized: Quantized,
    scale: float | torch.Tensor,
    zero_point: int | torch.Tensor,
    low: int | torch.Tensor,
    high: int | torch.Tensor,
    dtype: torch.dtype,
    *,
    out_dtype: torch.dtype | None = None,
) -> Value:
    chosen = qparams(float(scale), int(zero_point), int(low), int(high), dtype)
    if chosen != quantized.qparams:
        msg = f"{chosen} reads a tensor that was quantized with {quantized.qparams}"
        raise ModelError(msg)
    return quantized.value


def _per_channel(b: Builder, *_args: Any, **_kwargs: Any) -> Value:
    msg = (
        "a tensor that depends on the input is quantized per channel; only weights can be: "
        "quantize activations per tensor"
    )
    raise ModelError(msg)


def _dynamic(b: Builder, *_args: Any, **_kwargs: Any) -> Value:
    msg = (
        "the scale is computed from the input at run time (dynamic quantization); quantize "
        "statically, with scales from calibration (is_dynamic=False)"
    )
    raise ModelError(msg)


_NAMES: dict[str, Callable[..., Value | Quantized]] = {
    "quantize_per_tensor.default": _quantize,
    "quantize_per_tensor.tensor": _quantize,
    "quantize_per_tensor.tensor2": _quantize,
    "dequantize_per_tensor.default": _dequantize,
    "dequantize_per_tensor.tensor": _dequantize,
    "dequantize_per_tensor.tensor2": _dequantize,
    "quantize_per_channel.default": _per_channel,
    "dequantize_per_channel.default": _per_channel,
    "choose_qparams.tensor": _dynamic,
    "choose_qparams_symmetric.tensor": _dynamic,
}
HANDLERS = {f"{QUANTIZED}.{name}": handler for name, handler in _NAMES.items()}
