# SPDX-License-Identifier: Apache-2.0
"""ATen's functions of one number, and those that do nothing at inference."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch

from mcugen.errors import ModelError
from mcugen.frontend.builder import Builder, Value
from mcugen.ops import (
    ELU,
    GELU,
    Clip,
    HardSigmoid,
    HardSwish,
    LeakyReLU,
    Op,
    Sigmoid,
    SiLU,
    Tanh,
)

Handler = Callable[..., Value]


def _plain(make: Callable[[], Op]) -> Handler:
    """A handler for an activation without attributes."""
    return lambda b, value: b.apply(make(), value)


def identity(b: Builder, value: Value, *_args: Any, **_kwargs: Any) -> Value:
    """Copies, detaches, dtype casts among floats, dropout in evaluation: the tensor itself."""
    return value


def _cast(b: Builder, value: Value, *args: Any, **kwargs: Any) -> Value:
    """`to` another float type, device or layout: the numbers stay what they are."""
    others = [x for x in (*args, kwargs.get("dtype")) if isinstance(x, torch.dtype)]
    if any(not dtype.is_floating_point for dtype in others):
        msg = f"a cast to {others[0]} cannot be compiled; keep the network in float"
        raise ModelError(msg)
    return value


def _dropout(b: Builder, value: Value, p: float = 0.5, train: bool = False) -> Value:
    if train and p > 0:
        msg = "dropout is in training mode; call model.eval() before exporting"
        raise ModelError(msg)
    return value


def _clamp(b: Builder, value: Value, low: float | None = None, high: float | None = None) -> Value:
    op = Clip(low=-np.inf if low is None else low, high=np.inf if high is None else high)
    return b.apply(op, value)


def _leaky_relu(b: Builder, value: Value, slope: float = 0.01) -> Value:
    return b.apply(LeakyReLU(slope=slope), value)


def _gelu(b: Builder, value: Value, *, approximate: str = "none") -> Value:
    return b.apply(GELU(approximate=approximate), value)


def _elu(
    b: Builder, value: Value, alpha: float = 1.0, scale: float = 1.0, input_scale: float = 1.0
) -> Value:
    return b.apply(ELU(alpha=alpha, scale=scale, input_scale=input_scale), value)


def _hardtanh(b: Builder, value: Value, low: float = -1.0, high: float = 1.0) -> Value:
    return _clamp(b, value, low, high)


_relu = _plain(lambda: Clip(low=0.0))
_relu6 = _plain(lambda: Clip(low=0.0, high=6.0))

HANDLERS: dict[str, Handler] = {
    "relu.default": _relu,
    "relu_.default": _relu,
    "relu6.default": _relu6,
    "hardtanh.default": _hardtanh,
    "hardtanh_.default": _hardtanh,
    "clamp.default": _clamp,
    "clamp_min.default": _clamp,
    "clamp_max.default": lambda b, value, high: _clamp(b, value, None, high),
    "leaky_relu.default": _leaky_relu,
    "leaky_relu_.default": _leaky_relu,
    "sigmoid.default": _plain(Sigmoid),
    "sigmoid_.default": _plain(Sigmoid),
    "tanh.default": _plain(Tanh),
    "tanh_.default": _plain(Tanh),
    "silu.default": _plain(SiLU),
    "silu_.default": _plain(SiLU),
    "hardswish.default": _plain(HardSwish),
    "hardswish_.default": _plain(HardSwish),
    "hardsigmoid.default": _plain(HardSigmoid),
    "hardsigmoid_.default": _plain(HardSigmoid),
    "gelu.default": _gelu,
    "elu.default": _elu,
    "elu_.default": _elu,
    "selu.default": lambda b, value: _elu(b, value, 1.6732632423543772, 1.0507009873554805),
    "dropout.default": _dropout,
    "dropout_.default": _dropout,
    "feature_dropout.default": _dropout,
    "alias.default": identity,
    "clone.default": identity,
    "contiguous.default": identity,
    "detach.default": identity,
    "detach_.default": identity,
    "lift_fresh_copy.default": identity,
    "to.dtype": _cast,
    "to.dtype_layout": _cast,
    "to.device": _cast,
    "_to_copy.default": _cast,
}
