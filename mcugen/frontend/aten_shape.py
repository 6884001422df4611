# SPDX-License-Identifier: Apache-2.0
"""ATen's changes of shape and axis order: mostly relabelling, code only where bytes must move."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np

from mcugen.errors import ModelError
from mcugen.frontend.builder import Builder, Value


def reshape(b: Builder, value: Value, shape: Sequence[int]) -> Value:
    """view and reshape; -1 is what remains."""
    total = int(np.prod(value.shape))
    known = int(np.prod([s for s in shape if s != -1]))
    full = tuple(total // known if s == -1 else s for s in shape)
    batched = len(full) > 0 and full[0] == 1
    return b.reshape(value, full[1:] if batched else full, batched)


def _flatten(b: Builder, value: Value, start: int = 0, end: int = -1) -> Value:
    shape = value.torch_shape
    first, last = start % len(shape), end % len(shape)
    merged = int(np.prod(shape[first : last + 1]))
    return reshape(b, value, (*shape[:first], merged, *shape[last + 1 :]))


def _unflatten(b: Builder, value: Value, dim: int, sizes: Sequence[int]) -> Value:
    shape = value.torch_shape
    at = dim % len(shape)
    known = int(np.prod([s for s in sizes if s != -1]))
    full = [shape[at] // known if s == -1 else s for s in sizes]
    return reshape(b, value, (*shape[:at], *full, *shape[at + 1 :]))


def squeeze(b: Builder, value: Value, dims: int | Sequence[int] | None = None) -> Value:
    """Drop the named axes of size 1, or all of them."""
    shape = value.torch_shape
    chosen = range(len(shape)) if dims is None else [dims] if isinstance(dims, int) else dims
    gone = {d % len(shape) for d in chosen if shape[d] == 1}
    kept = tuple(size for at, size in enumerate(shape) if at not in gone)
    batched = value.batched and 0 not in gone
    return b.reshape(value, kept[1:] if batched else kept, batched)


def unsqueeze(b: Builder, value: Value, dim: int) -> Value:
    """A new axis of size 1."""
    shape = list(value.torch_shape)
    at = dim % (len(shape) + 1)
    shape.insert(at, 1)
    if at == 0 and value.batched:
        # the old batch axis becomes an ordinary axis of size 1
        return b.reshape(value, tuple(shape[1:]), True)
    if at == 0:
        return replace(value, batched=True)
    return b.reshape(value, tuple(shape[1:] if value.batched else shape), value.batched)


def _permute(b: Builder, value: Value, dims: Sequence[int]) -> Value:
    """Relabel the axes; nothing moves."""
    rank = len(value.torch_shape)
    order = [d % rank for d in dims]
    if value.batched and order[0] != 0:
        msg = "an axis order that moves the batch axis is not supported; keep it first"
        raise ModelError(msg)
    return reorder(value, [d - value.batched for d in order if d >= value.batched])


def reorder(value: Value, axes: Sequence[int]) -> Value:
    """The per-sample axes in another order; nothing moves."""
    return replace(
        value,
        shape=tuple(value.shape[axis] for axis in axes),
        perm=tuple(axes.index(axis) for axis in value.perm),
    )


def _transpose(b: Builder, value: Value, first: int, second: int) -> Value:
    order = list(range(len(value.torch_shape)))
    order[first], order[second] = order[second], order[first]
    return _permute(b, value, order)


def _movedim(b: Builder, value: Value, source: int, target: int) -> Value:
    order = list(range(len(value.torch_shape)))
    axis = order.pop(source)
    order.insert(target % len(value.torch_shape), axis)
    return _permute(b, value, order)


HANDLERS: dict[str, Callable[..., Value | tuple[Value, ...]]] = {
    "view.default": reshape,
    "reshape.default": reshape,
    "_unsafe_view.default": reshape,
    "flatten.using_ints": _flatten,
    "unflatten.int": _unflatten,
    "squeeze.default": squeeze,
    "squeeze.dim": squeeze,
    "squeeze.dims": squeeze,
    "unsqueeze.default": unsqueeze,
    "permute.default": _permute,
    "transpose.int": _transpose,
    "swapaxes.default": _transpose,
    "movedim.int": _movedim,
    "t.default": lambda b, value: _transpose(b, value, 0, 1),
}
