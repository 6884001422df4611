# SPDX-License-Identifier: Apache-2.0
"""ATen's concatenations, slices, paddings and repeats: values move, none is computed."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace

import torch
from torch.nn import functional

from mcugen.errors import ModelError
from mcugen.frontend.aten_arith import common_perm
from mcugen.frontend.aten_shape import reshape, squeeze, unsqueeze
from mcugen.frontend.builder import Builder, Value
from mcugen.ops import Concat, Gather, Pad, Slice

Tensor = Value | torch.Tensor


def take(b: Builder, value: Value, positions: Mapping[int, Sequence[int]]) -> Value:
    """The named positions of each torch dimension, all of those that are not named.

    A range along one axis is a slice. Raises ModelError for the batch axis and for no positions.
    """
    sizes = value.torch_shape
    wanted = {d: p for d, p in positions.items() if list(p) != list(range(sizes[d]))}
    if any(len(p) == 0 for p in wanted.values()):
        msg = f"a part of a tensor of shape {sizes} is empty"
        raise ModelError(msg)
    axes = {value.axis(dim): chosen for dim, chosen in wanted.items()}
    shape = tuple(len(axes.get(axis, range(n))) for axis, n in enumerate(value.shape))
    if len(axes) == 1:
        [(axis, chosen)] = axes.items()
        if isinstance(chosen, range) and chosen.step > 0:
            part = Slice(axis=value.perm.index(axis), **_part(chosen))
            return b.apply(part, value, shape)
    indices = tuple(tuple(axes[a]) if a in axes else None for a in value.perm)
    return b.apply(Gather(indices=indices), value, shape) if axes else value


def _part(chosen: range) -> dict[str, int]:
    return {"start": chosen.start, "count": len(chosen), "step": chosen.step}


def _cat(b: Builder, tensors: Sequence[Tensor], dim: int = 0) -> Value:
    [first, *_] = [t for t in tensors if isinstance(t, Value)]
    axis = first.axis(dim)
    operands = [_operand(b, t, first.batched) for t in tensors]
    perm = common_perm(operands)
    nodes = [b.with_perm(value, perm).node for value in operands]
    total = sum(value.shape[axis] for value in operands)
    shape = (*first.shape[:axis], total, *first.shape[axis + 1 :])
    node = b.emit(Concat(axis=perm.index(axis)), nodes)
    return replace(first, node=node, shape=shape, perm=perm)


def _operand(b: Builder, tensor: Tensor, batched: bool) -> Value:
    """A tensor as a value with a batch axis, or without one."""
    if isinstance(tensor, torch.Tensor):
        return b.constant(tensor, batched)
    if tensor.batched == batched:
        return tensor
    shape = tensor.torch_shape[1:] if batched else tensor.torch_shape
    return b.reshape(tensor, shape, batched)


def _stack(b: Builder, tensors: Sequence[Tensor], dim: int = 0) -> Value:
    whole = [unsqueeze(b, t, dim) if isinstance(t, Value) else t.unsqueeze(dim) for t in tensors]
    return _cat(b, whole, dim)


def _slice(
    b: Builder,
    value: Value,
    dim: int = 0,
    start: int | None = None,
    end: int | None = None,
    step: int = 1,
) -> Value:
    size = value.torch_shape[dim]
    return take(b, value, {dim: range(*slice(start, end, step).indices(size))})


def _narrow(b: Builder, value: Value, dim: int, start: int, length: int) -> Value:
    first = start % value.torch_shape[dim]
    return take(b, value, {dim: range(first, first + length)})


def _select(b: Builder, value: Value, dim: int, index: int) -> Value:
    return squeeze(b, _narrow(b, value, dim, index, 1), dim)


def _unbind(b: Builder, value: Value, dim: int = 0) -> tuple[Value, ...]:
    return tuple(_select(b, value, dim, i) for i in range(value.torch_shape[dim]))


def _split_sizes(b: Builder, value: Value, sizes: Iterable[int], dim: int = 0) -> tuple[Value, ...]:
    parts = []
    start = 0
    for size in sizes:
        parts.append(take(b, value, {dim: range(start, start + size)}))
        start += size
    return tuple(parts)


def _split(b: Builder, value: Value, size: int, dim: int = 0) -> tuple[Value, ...]:
    total = value.torch_shape[dim]
    sizes = [min(size, total - start) for start in range(0, total, size)]
    return _split_sizes(b, value, sizes, dim)


def _chunk(b: Builder, value: Value, chunks: int, dim: int = 0) -> tuple[Value, ...]:
    return _split(b, value, -(-value.torch_shape[dim] // chunks), dim)


def _tensor_split(b: Builder, value: Value, parts: int, dim: int = 0) -> tuple[Value, ...]:
    small, larger = divmod(value.torch_shape[dim], parts)
    sizes = [small + 1] * larger + [small] * (parts - larger)
    return _split_sizes(b, value, sizes, dim)


def _index_select(b: Builder, value: Value, dim: int, index: Tensor) -> Value:
    if not isinstance(index, torch.Tensor) or index.dim() != 1:
        msg = "indexing is supported with a constant list of positions along one axis only"
        raise ModelError(msg)
    if index.dtype == torch.bool:
        index = index.nonzero()[:, 0]
    size = value.torch_shape[dim]
    return take(b, value, {dim: [int(i) % size for i in index]})


def _index(b: Builder, value: Value, indices: Sequence[Tensor | None]) -> Value:
    given = [(dim, index) for dim, index in enumerate(indices) if index is not None]
    if len(given) != 1:
        msg = "indexing is supported with a constant list of positions along one axis only"
        raise ModelError(msg)
    return _index_select(b, value, *given[0])


def _flip(b: Builder, value: Value, dims: Sequence[int]) -> Value:
    sizes = value.torch_shape
    return take(b, value, {d: tuple(reversed(range(sizes[d]))) for d in dims})


def _roll(
    b: Builder, value: Value, shifts: int | Sequence[int], dims: int | Sequence[int] = ()
) -> Value:
    pairs = _pairs(shifts, dims)
    if not pairs:
        msg = "roll is supported with the axes named only"
        raise ModelError(msg)
    sizes = value.torch_shape
    return take(b, value, {d: [(i - s) % sizes[d] for i in range(sizes[d])] for s, d in pairs})


def _pairs(shifts: int | Sequence[int], dims: int | Sequence[int]) -> list[tuple[int, int]]:
    both = [[x] if isinstance(x, int) else list(x) for x in (shifts, dims)]
    return list(zip(*both, strict=False))


def _with_rank(b: Builder, value: Value, rank: int) -> Value:
    """Axes of size 1 in front, as many as are missing to `rank`."""
    missing = rank - len(value.torch_shape)
    return reshape(b, value, (1,) * missing + value.torch_shape) if missing > 0 else value


def _expand(b: Builder, value: Value, sizes: Sequence[int], *, implicit: bool = False) -> Value:
    value = _with_rank(b, value, len(sizes))
    grown = {d: [0] * n for d, n in enumerate(sizes) if n not in (-1, value.torch_shape[d])}
    return take(b, value, grown)


def _repeat(b: Builder, value: Value, repeats: Sequence[int]) -> Value:
    value = _with_rank(b, value, len(repeats))
    counts = (1,) * (len(value.torch_shape) - len(repeats)) + tuple(repeats)
    sizes = value.torch_shape
    return take(b, value, {d: [*range(sizes[d])] * n for d, n in enumerate(counts) if n != 1})


def _repeat_interleave(
    b: Builder,
    value: Value,
    repeats: int,
    dim: int | None = None,
    *,
    output_size: object = None,
) -> Value:
    if dim is None:
        msg = "repeat_interleave is supported along a named axis only"
        raise ModelError(msg)
    return take(b, value, {dim: [i for i in range(value.torch_shape[dim]) for _ in range(repeats)]})


def _pad(
    b: Builder,
    value: Value,
    pads: Sequence[int],
    mode: str = "constant",
    fill: float | None = None,
) -> Value:
    """Pads come in pairs, the last axis first; negative ones crop."""
    rank = len(value.torch_shape)
    pairs = {rank - 1 - k: (pads[2 * k], pads[2 * k + 1]) for k in range(len(pads) // 2)}
    if mode != "constant":
        return take(
            b, value, {d: _mirrored(value.torch_shape[d], p, mode) for d, p in pairs.items()}
        )
    for dim, (before, after) in pairs.items():
        size = value.torch_shape[dim]
        value = take(b, value, {dim: range(max(0, -before), size + min(0, after))})
    grown = {value.axis(d): (max(0, p[0]), max(0, p[1])) for d, p in pairs.items() if max(p) > 0}
    if not grown:
        return value
    margins = tuple(grown.get(axis, (0, 0)) for axis in value.perm)
    shape = tuple(n + sum(grown.get(axis, (0, 0))) for axis, n in enumerate(value.shape))
    return b.apply(Pad(margins=margins, value=float(fill or 0.0)), value, shape)


def _mirrored(size: int, pair: tuple[int, int], mode: str) -> list[int]:
    """Which positions torch's padding of one axis repeats."""
    padded = functional.pad(torch.arange(size, dtype=torch.float32)[None, None], pair, mode=mode)
    return [int(i) for i in padded[0, 0]]


def _pad_mode(mode: str) -> Callable[[Builder, Value, Sequence[int]], Value]:
    return lambda b, value, pads: _pad(b, value, pads, mode)


HANDLERS: dict[str, Callable[..., Value | tuple[Value, ...]]] = {
    "cat.default": _cat,
    "concat.default": _cat,
    "concatenate.default": _cat,
    "stack.default": _stack,
    "slice.Tensor": _slice,
    "select.int": _select,
    "narrow.default": _narrow,
    "unbind.int": _unbind,
    "split.Tensor": _split,
    "unsafe_split.Tensor": _split,
    "split_with_sizes.default": _split_sizes,
    "unsafe_split_with_sizes.default": _split_sizes,
    "chunk.default": _chunk,
    "unsafe_chunk.default": _chunk,
    "tensor_split.sections": _tensor_split,
    "index_select.default": _index_select,
    "index.Tensor": _index,
    "flip.default": _flip,
    "roll.default": _roll,
    "expand.default": _expand,
    "broadcast_to.default": _expand,
    "repeat.default": _repeat,
    "tile.default": _repeat,
    "repeat_interleave.self_int": _repeat_interleave,
    "pad.default": _pad,
    "constant_pad_nd.default": lambda b, value, pads, fill=0: _pad(b, value, pads, fill=fill),
    "reflection_pad1d.default": _pad_mode("reflect"),
    "reflection_pad2d.default": _pad_mode("reflect"),
    "replication_pad1d.default": _pad_mode("replicate"),
    "replication_pad2d.default": _pad_mode("replicate"),
}
