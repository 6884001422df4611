# SPDX-License-Identifier: Apache-2.0
"""ATen's resizings of images and sequences, and the shuffles between channels and pixels."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch

from mcugen.errors import ModelError
from mcugen.frontend.aten_conv import image_rank
from mcugen.frontend.aten_move import take
from mcugen.frontend.aten_shape import reorder
from mcugen.frontend.builder import Builder, Value
from mcugen.ops import LinearResize, Taps

# resizes lines [1, ch, length] as the network does spatial axis k: torch itself says which
# positions it takes, rounding of the scale included
Line = Callable[[torch.Tensor, int], torch.Tensor]
Sizes = Sequence[int] | None
Factors = Sequence[float] | None
ONE_ROW = Taps(first=(0,), weight=(0.0,))


def _vec(op: Any, sizes: Sizes, factors: Factors, *flags: bool) -> Line:
    """By ATen's `.vec` overload, which takes sizes or factors."""

    def line(x: torch.Tensor, k: int) -> torch.Tensor:
        size = None if sizes is None else [sizes[k]]
        factor = [factors[k]] if sizes is None and factors is not None else None
        resized: torch.Tensor = op.vec(x, size, *flags, factor)
        return resized

    return line


def _default(op: Any, sizes: Sequence[int], factors: Sequence[float | None], *flags: bool) -> Line:
    """By ATen's default overload, which takes sizes, and factors where they were given."""

    def line(x: torch.Tensor, k: int) -> torch.Tensor:
        factor = factors[k] if k < len(factors) else None
        resized: torch.Tensor = op.default(x, [sizes[k]], *flags, factor)
        return resized

    return line


def _nearest(b: Builder, value: Value, spatial: int, line: Line) -> Value:
    image_rank(value, spatial)
    positions = {}
    for k, size in enumerate(value.shape[1:]):
        numbers = torch.arange(size, dtype=torch.float32)[None, None]
        positions[1 + k + value.batched] = [int(i) for i in line(numbers, k)[0, 0]]
    return take(b, value, positions)


def _linear(b: Builder, value: Value, spatial: int, line: Line) -> Value:
    image_rank(value, spatial)
    taps = [_taps(size, k, line) for k, size in enumerate(value.shape[1:])]
    rows = taps[0] if spatial == 2 else ONE_ROW
    return b.apply_channels_last(LinearResize(rows=rows, cols=taps[-1]), value)


def _taps(size: int, k: int, line: Line) -> Taps:
    """What each output position takes: resizing the unit vectors shows it."""
    shares = line(torch.eye(size, dtype=torch.float64)[None], k)[0].numpy()
    first = np.argmax(shares != 0.0, axis=0)
    second = np.minimum(first + 1, size - 1)
    weight = np.where(first == second, 0.0, shares[second, np.arange(len(first))])
    return Taps(first=tuple(first.tolist()), weight=tuple(weight.tolist()))


def _nearest_handlers(name: str, spatial: int) -> dict[str, Callable[..., Value]]:
    op = getattr(torch.ops.aten, f"{name}1d")

    def vec(b: Builder, value: Value, sizes: Sizes, factors: Factors) -> Value:
        return _nearest(b, value, spatial, _vec(op, sizes, factors))

    def default(b: Builder, value: Value, sizes: Sequence[int], *factors: float | None) -> Value:
        return _nearest(b, value, spatial, _default(op, sizes, factors))

    return {f"{name}{spatial}d.vec": vec, f"{name}{spatial}d.default": default}


def _linear_handlers(name: str, spatial: int) -> dict[str, Callable[..., Value]]:
    op = torch.ops.aten.upsample_linear1d

    def vec(b: Builder, value: Value, sizes: Sizes, corners: bool, factors: Factors) -> Value:
        return _linear(b, value, spatial, _vec(op, sizes, factors, corners))

    def default(
        b: Builder, value: Value, sizes: Sequence[int], corners: bool, *factors: float | None
    ) -> Value:
        return _linear(b, value, spatial, _default(op, sizes, factors, corners))

    return {f"{name}.vec": vec, f"{name}.default": default}


def _image(value: Value) -> tuple[int, int, int]:
    """(channels, h, w). Raises ModelError for anything else."""
    image_rank(value, 2)
    channels, h, w = value.shape
    return channels, h, w


def _pixel_shuffle(b: Builder, value: Value, factor: int) -> Value:
    channels, h, w = _image(value)
    split = (channels // factor**2, factor, factor, h, w)
    parts = reorder(b.reshape(value, split, value.batched), (0, 3, 1, 4, 2))
    # channels last before the axes merge: the pixels' axes are then brought together alone
    stored = b.with_perm(parts, (1, 2, 3, 4, 0))
    return b.reshape(stored, (split[0], h * factor, w * factor), value.batched)


def _pixel_unshuffle(b: Builder, value: Value, factor: int) -> Value:
    channels, h, w = _image(value)
    split = (channels, h // factor, factor, w // factor, factor)
    parts = reorder(b.reshape(value, split, value.batched), (0, 2, 4, 1, 3))
    return b.reshape(parts, (channels * factor**2, split[1], split[3]), value.batched)


def _channel_shuffle(b: Builder, value: Value, groups: int) -> Value:
    if not value.batched:
        msg = "channel_shuffle needs a batch axis of 1 in front"
        raise ModelError(msg)
    channels, *rest = value.shape
    split = b.reshape(value, (groups, channels // groups, *rest), True)
    swapped = reorder(split, (1, 0, *range(2, len(split.shape))))
    return b.reshape(swapped, value.shape, True)


HANDLERS: dict[str, Callable[..., Value | tuple[Value, ...]]] = {
    **_nearest_handlers("upsample_nearest", 1),
    **_nearest_handlers("upsample_nearest", 2),
    **_nearest_handlers("_upsample_nearest_exact", 1),
    **_nearest_handlers("_upsample_nearest_exact", 2),
    **_linear_handlers("upsample_linear1d", 1),
    **_linear_handlers("upsample_bilinear2d", 2),
    "pixel_shuffle.default": _pixel_shuffle,
    "pixel_unshuffle.default": _pixel_unshuffle,
    "channel_shuffle.default": _channel_shuffle,
}
