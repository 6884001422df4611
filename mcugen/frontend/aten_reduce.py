# SPDX-License-Identifier: Apache-2.0
"""ATen's functions along whole axes: mean, sum, maximum and softmax."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from math import prod

import torch

from mcugen.errors import ModelError
from mcugen.frontend.builder import Builder, Unavailable, Value
from mcugen.ops import LogSoftmax, MaxPool, Mean, Reshape, Softmax, Sum, Window
from mcugen.ops.softmax import RowFunction

Dims = int | Sequence[int] | None
# makes the node over a stored tensor whose axes from `first` up to `last` vanish
Reducer = Callable[[Builder, str, int, int], str]
NO_INDICES = "the positions of the maximum are used, and only its values are supported"


def mean_node(b: Builder, node: str, first: int, last: int) -> str:
    """The mean over neighbouring stored axes."""
    return b.emit(Mean(first=first, last=last), [node])


def _sum_node(b: Builder, node: str, first: int, last: int) -> str:
    return b.emit(Sum(first=first, last=last), [node])


def _max_node(b: Builder, node: str, first: int, last: int) -> str:
    """Pooling over [outer, count, inner], whose windows are as wide as the image."""
    shape = b.shapes[node]
    count = prod(shape[first:last])
    image = (prod(shape[:first]), count, prod(shape[last:]))
    rows = b.emit(Reshape(shape=image), [node])
    pooled = b.emit(MaxPool(window=Window(kernel=(1, count))), [rows])
    return b.emit(Reshape(shape=(*shape[:first], *shape[last:])), [pooled])


def reduce_axes(b: Builder, value: Value, dims: Dims, keepdim: bool, make: Reducer) -> Value:
    """Let torch dimensions vanish, or keep size 1; None and an empty list mean all of them.

    Raises ModelError where the batch axis is named.
    """
    everything = dims is None or dims == []
    if everything:
        axes = set(range(len(value.shape)))
    else:
        axes = {value.axis(d) for d in ([dims] if isinstance(dims, int) else dims or ())}
    reduced = _reduce_stored(b, value, axes, make) if axes else value
    if not keepdim:
        return replace(reduced, batched=value.batched and not everything)
    shape = tuple(1 if a in axes else size for a, size in enumerate(value.shape))
    return b.reshape(reduced, shape, value.batched)


def _reduce_stored(b: Builder, value: Value, axes: set[int], make: Reducer) -> Value:
    """Without those axes; they are brought together where others lie between them."""
    kept = sorted(set(value.perm) - axes)
    places = [place for place, axis in enumerate(value.perm) if axis in axes]
    if places[-1] - places[0] >= len(places):
        outer = [axis for axis in value.perm if axis not in axes]
        value = b.with_perm(value, (*outer, *sorted(axes)))
        places = list(range(len(kept), len(value.perm)))
    return replace(
        value,
        node=make(b, value.node, places[0], places[-1] + 1),
        shape=tuple(value.shape[axis] for axis in kept),
        perm=tuple(kept.index(axis) for axis in value.perm if axis not in axes),
    )


def _reduction(make: Reducer) -> Callable[..., Value]:
    """A handler with ATen's arguments of mean and sum."""

    def handler(
        b: Builder,
        value: Value,
        dims: Dims = None,
        keepdim: bool = False,
        *,
        dtype: torch.dtype | None = None,
    ) -> Value:
        if dtype is not None and not dtype.is_floating_point:
            msg = f"dtype {dtype} is not supported; supported: floating point"
            raise ModelError(msg)
        return reduce_axes(b, value, dims, keepdim, make)

    return handler


def with_indices(handler: Callable[..., Value]) -> Callable[..., tuple[Value, Unavailable]]:
    """The handler of an operator that returns the positions of its maxima as well."""
    return lambda *args, **kwargs: (handler(*args, **kwargs), Unavailable(why=NO_INDICES))


_amax = _reduction(_max_node)


def _softmax(op: RowFunction) -> Callable[..., Value]:
    """A handler; the argument after the dimension is a dtype or concerns half precision."""

    def handler(b: Builder, value: Value, dim: int, _dtype: object = None) -> Value:
        return b.apply(op, b.last_axis(value, dim))

    return handler


HANDLERS: dict[str, Callable[..., Value | tuple[Value | Unavailable, ...]]] = {
    "mean.default": _reduction(mean_node),
    "mean.dim": _reduction(mean_node),
    "sum.default": _reduction(_sum_node),
    "sum.dim_IntList": _reduction(_sum_node),
    "amax.default": _amax,
    "max.default": _amax,
    "max.dim": with_indices(_amax),
    "softmax.int": _softmax(Softmax()),
    "_softmax.default": _softmax(Softmax()),
    "log_softmax.int": _softmax(LogSoftmax()),
    "_log_softmax.default": _softmax(LogSoftmax()),
}
