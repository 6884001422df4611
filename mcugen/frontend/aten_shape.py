# SPDX-License-Identifier: Apache-2.0
"""ATen's changes of shape and axis order: mostly relabelling, code only where bytes must move."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np

from mcugen.errors import ModelError
from mcugen.frontend.builder import Builder, Value


def _reshape(b: Builder, value: Value, shape: Sequence[int]) -> Value:
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
    return _reshape(b, value, (*shape[:first], merged, *shape[last + 1 :]))


def _unflatten(b: Builder, value: Value, dim: int, sizes: Sequence[int]) -> Value:
    shape = value.torch_shape
    at = dim % len(shape)
    known = int(np.prod([s for s in sizes if s != -1]))
    full = [shape[at] // known if s == -1 else s for s in sizes]
    return _reshape(b, value, (*shape[:at], *full, *shape[at + 1 :]))


def _squeeze(b: Builder, value: Value, dims: int | Sequence[int] | None = None) -> Value:
    shape = value.torch_shape
    chosen = range(len(shape)) if dims is None else [dims] if isinstance(dims, int) else dims
    gone = {d % len(shape) for d in chosen if shape[d] == 1}
    kept = tuple(size for at, size in enumerate(shape) if at not in gone)
    batched = value.batched and 0 not in gone
    return b.reshape(value, kept[1:] if batched else kept, batched)


def _unsqueeze(b: Builder, value: Value, dim: int) -> Value:
    shape = list(value.torch_shape)
    at = dim % (len(shape) + 1)
    shape.insert(at, 1)
    if at == 0 and value.batched:
        # the old batch axis becomes an ordinary axis of size 1
        return b.reshape(value, tuple(shape[1:]), True)
    if at == 0:
        return replace(value, batched=True)
    return b.reshape(value, tuple(shape[1:] if value.batched else shape), value.batched)


def _permute(b: Builder, value: Value, dims: Sequence[int]) -> Value:  # noqa: ARG001
    """Relabel the axes; nothing moves."""
    rank = len(value.torch_shape)
    order = [d % rank for d in dims]
    if value.batched and order[0] != 0:
        msg = "an axis order that moves the batch axis is not supported; keep it first"
        raise ModelError(msg)
    axes = [d - value.batched for d in order if d >= value.batched]
    return replace(
        value,
        shape=tuple(value.shape[axis] for axis in axes),
        perm=tuple(axes.index(axis) for axis in value.perm),
    )


def _transpose(b: Builder, value: Value, first: int, second: int) -> Value:
    order = list(range(len(value.torch_shape)))
    order[first], order[second] = order[second], order[first]
    return _permute(b, value, order)


HANDLERS: dict[str, Callable[..., Value | tuple[Value, ...]]] = {
    "view.default": _reshape,
    "reshape.default": _reshape,
    "_unsafe_view.default": _reshape,
    "flatten.using_ints": _flatten,
    "unflatten.int": _unflatten,
    "squeeze.default": _squeeze,
    "squeeze.dim": _squeeze,
    "squeeze.dims": _squeeze,
    "unsqueeze.default": _unsqueeze,
    "permute.default": _permute,
    "transpose.int": _transpose,
    "t.default": lambda b, value: _transpose(b, value, 0, 1),
}
