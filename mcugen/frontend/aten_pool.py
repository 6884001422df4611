# SPDX-License-Identifier: Apache-2.0
"""ATen's pooling: maximum and average, windows of one size and adaptive ones."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from mcugen.frontend.aten_conv import image_rank, pair
from mcugen.frontend.aten_reduce import mean_node, reduce_axes, with_indices
from mcugen.frontend.builder import Builder, Unavailable, Value
from mcugen.ops import AdaptiveAvgPool, AdaptiveMaxPool, AvgPool, MaxPool, Window
from mcugen.ops.window import Pair

Sizes = int | Sequence[int]


def _image_size(value: Value) -> Pair:
    """(h, w) of a channels-first tensor; a sequence is an image of one row."""
    sizes = (1, *value.shape[1:])
    return sizes[-2], sizes[-1]


def _overhang(length: int, span: int, stride: int, padding: int) -> int:
    """How far ceil mode's last window reaches behind the padded axis.

    A last window that would start behind the input and its left padding is left out.
    Source: ATen/native/Pool.h, pooling_output_shape.
    """
    count = -(-(length + 2 * padding - span) // stride) + 1
    if (count - 1) * stride >= length + padding:
        count -= 1
    return max(0, (count - 1) * stride + span - (length + 2 * padding))


def _window(
    value: Value,
    kernel: Sizes,
    stride: Sizes | None,
    padding: Sizes,
    dilation: Sizes,
    ceil_mode: bool,
) -> tuple[Window, Pair]:
    """The window, and how much of its bottom and right padding is there for ceil mode alone."""
    rank = image_rank(value)
    size, pads = _image_size(value), pair(padding, rank, 0)
    plain = Window(
        kernel=pair(kernel, rank, 1),
        stride=pair(stride or kernel, rank, 1),
        dilation=pair(dilation, rank, 1),
        pads=(*pads, *pads),
    )
    if not ceil_mode:
        return plain, (0, 0)
    over_h, over_w = (
        _overhang(
            size[axis],
            (plain.kernel[axis] - 1) * plain.dilation[axis] + 1,
            plain.stride[axis],
            pads[axis],
        )
        for axis in (0, 1)
    )
    padded = (*pads, pads[0] + over_h, pads[1] + over_w)
    window = Window(kernel=plain.kernel, stride=plain.stride, dilation=plain.dilation, pads=padded)
    return window, (over_h, over_w)


def _max_pool(
    b: Builder,
    value: Value,
    kernel: Sizes,
    stride: Sizes | None = None,
    padding: Sizes = 0,
    dilation: Sizes = 1,
    ceil_mode: bool = False,
) -> Value:
    window, _ = _window(value, kernel, stride, padding, dilation, ceil_mode)
    return b.apply_channels_last(MaxPool(window=window), value)


def _avg_pool(
    b: Builder,
    value: Value,
    kernel: Sizes,
    stride: Sizes | None = None,
    padding: Sizes = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
    divisor_override: int | None = None,
) -> Value:
    window, overhang = _window(value, kernel, stride, padding, 1, ceil_mode)
    whole = window.kernel == _image_size(value) and not any(window.pads)
    if whole and divisor_override is None:
        return _global_mean(b, value)
    op = AvgPool(
        window=window,
        overhang=overhang,
        count_include_pad=count_include_pad,
        divisor=divisor_override,
    )
    return b.apply_channels_last(op, value)


def _global_mean(b: Builder, value: Value) -> Value:
    rank = len(value.shape)
    return reduce_axes(b, value, list(range(1 - rank, 0)), True, mean_node)


def _adaptive_size(value: Value, size: int | Sequence[int | None]) -> Pair:
    rank = image_rank(value)
    wanted = [size] * rank if isinstance(size, int) else list(size)
    given = [n if s is None else s for n, s in zip(value.shape[1:], wanted, strict=True)]
    return pair(given, rank, 1)


def _adaptive_avg_pool(b: Builder, value: Value, size: int | Sequence[int | None]) -> Value:
    target = _adaptive_size(value, size)
    if target == (1, 1):
        return _global_mean(b, value)
    return b.apply_channels_last(AdaptiveAvgPool(size=target), value)


def _adaptive_max_pool(b: Builder, value: Value, size: int | Sequence[int | None]) -> Value:
    return b.apply_channels_last(AdaptiveMaxPool(size=_adaptive_size(value, size)), value)


HANDLERS: dict[str, Callable[..., Value | tuple[Value | Unavailable, ...]]] = {
    "max_pool1d.default": _max_pool,
    "max_pool2d.default": _max_pool,
    "max_pool1d_with_indices.default": with_indices(_max_pool),
    "max_pool2d_with_indices.default": with_indices(_max_pool),
    "avg_pool1d.default": _avg_pool,
    "avg_pool2d.default": _avg_pool,
    "adaptive_avg_pool1d.default": _adaptive_avg_pool,
    "adaptive_avg_pool2d.default": _adaptive_avg_pool,
    "_adaptive_avg_pool2d.default": _adaptive_avg_pool,
    "adaptive_max_pool1d.default": with_indices(_adaptive_max_pool),
    "adaptive_max_pool2d.default": with_indices(_adaptive_max_pool),
}
