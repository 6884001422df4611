# SPDX-License-Identifier: Apache-2.0
"""Building a channels-last graph from channels-first tensors: values, their layout, node names."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray

from mcugen.errors import ModelError
from mcugen.frontend.roundings import Roundings
from mcugen.ir.graph import Node, Origin, QParams, Shape
from mcugen.ops import Constant, Op, Reshape, Transpose

Perm = tuple[int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Value:
    """A tensor of the model as the graph holds it.

    `shape` is the model's own shape per sample. Axis i of the graph's node is axis `perm[i]` of
    it. `batched` tells whether the model's tensor has a batch axis in front.
    """

    node: str
    shape: Shape
    perm: Perm
    batched: bool = True

    @property
    def stored(self) -> Shape:
        """The node's shape."""
        return tuple(self.shape[axis] for axis in self.perm)

    def axis(self, dim: int) -> int:
        """Index in `shape` of torch dimension `dim`. Raises ModelError for the batch axis."""
        rank = len(self.shape) + self.batched
        axis = dim % rank - self.batched
        if axis < 0:
            msg = "the batch axis can only be passed through"
            raise ModelError(msg)
        return axis

    def stored_axis(self, dim: int) -> int:
        """Axis of the node that holds torch dimension `dim`."""
        return self.perm.index(self.axis(dim))

    @property
    def torch_shape(self) -> Shape:
        """The model's own shape, batch axis included."""
        return (1, *self.shape) if self.batched else self.shape


@dataclass(frozen=True, slots=True, kw_only=True)
class Unavailable:
    """A result that the graph does not hold, such as a maximum's position: using it is wrong."""

    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Quantized:
    """A tensor as the model's integers; `value` is what they mean. Only dequantize may read it."""

    value: Value
    qparams: QParams


def channels_last(rank: int) -> Perm:
    """The layout that puts the model's first axis, the channels, last."""
    return (*range(1, rank), 0)


class Builder:
    """Collects nodes; every method returns the value it made."""

    def __init__(self) -> None:
        """Start with an empty graph."""
        self.nodes: list[Node] = []
        self.shapes: dict[str, Shape] = {}
        self.origin = Origin()
        self.hint = ""
        self.roundings = Roundings()
        self._taken: set[str] = set()

    def emit(self, op: Op, inputs: Sequence[str]) -> str:
        """Append a node and return its name. Raises ModelError where shapes do not fit."""
        try:
            shape = op.infer([self.shapes[name] for name in inputs])
        except ValueError as error:
            raise ModelError(str(error)) from error
        name = self._unique(self.hint or op.kind)
        self.nodes.append(
            Node(name=name, op=op, inputs=tuple(inputs), shape=shape, origin=self.origin)
        )
        self.shapes[name] = shape
        return name

    def apply(self, op: Op, value: Value, shape: Shape | None = None) -> Value:
        """One-operand node in the operand's layout; `shape` is the model's, if it changes."""
        return replace(value, node=self.emit(op, [value.node]), shape=shape or value.shape)

    def apply_channels_last(self, op: Op, value: Value) -> Value:
        """One-operand node on a channels-last operand: convolution, pooling and their kin."""
        operand = self.with_perm(value, channels_last(len(value.shape)))
        name = self.emit(op, [operand.node])
        stored = self.shapes[name]
        return replace(operand, node=name, shape=(stored[-1], *stored[:-1]))

    def constant(self, tensor: torch.Tensor, batched: bool = False) -> Value:
        """A constant tensor as a value; a leading axis of 1 counts as batch where `batched`."""
        shape = tuple(tensor.shape[1:] if batched else tensor.shape)
        rounding = self.roundings.of(tensor)
        op = Constant(
            values=to_numpy(tensor).reshape(shape),
            qparams=None if rounding is None else rounding.qparams(),
        )
        return Value(
            node=self.emit(op, []), shape=shape, perm=tuple(range(len(shape))), batched=batched
        )

    def with_perm(self, value: Value, perm: Perm) -> Value:
        """The same tensor stored in another axis order: a free view where no byte moves."""
        if perm == value.perm:
            return value
        target = replace(value, perm=perm)
        moving = [axis for axis in value.perm if value.shape[axis] > 1]
        if moving == [axis for axis in perm if value.shape[axis] > 1]:
            return replace(target, node=self.emit(Reshape(shape=target.stored), [value.node]))
        order = tuple(value.perm.index(axis) for axis in perm)
        return replace(target, node=self.emit(Transpose(order=order), [value.node]))

    def logical(self, value: Value) -> Value:
        """Stored in the model's own axis order."""
        return self.with_perm(value, tuple(range(len(value.shape))))

    def last_axis(self, value: Value, dim: int) -> Value:
        """Stored with torch dimension `dim` last, the other axes in their present order."""
        axis = value.axis(dim)
        return self.with_perm(value, (*(a for a in value.perm if a != axis), axis))

    def reshape(self, value: Value, shape: Shape, batched: bool) -> Value:
        """Row-major reshape to the per-sample `shape`, moving no byte where axes only split,
        merge in place, or appear with size 1.
        """
        perm = _carried_perm(value, shape)
        if perm is None:
            value = self.with_perm(value, _gathered_perm(value, shape))
            perm = _carried_perm(value, shape)
            assert perm is not None
        target = Value(node=value.node, shape=shape, perm=perm, batched=batched)
        if target.stored == value.stored:
            return target
        return replace(target, node=self.emit(Reshape(shape=target.stored), [value.node]))

    def _unique(self, hint: str) -> str:
        base = re.sub(r"[^a-z0-9]+", "_", hint.lower()).strip("_") or "node"
        base = base if base[0].isalpha() else f"n{base}"
        base = base[:40].rstrip("_")
        name, count = base, 1
        while name in self._taken:
            count += 1
            name = f"{base}_{count}"
        self._taken.add(name)
        return name


def _carried_perm(value: Value, shape: Shape) -> Perm | None:
    """The layout of the reshaped tensor if its bytes can stay where they are, else None."""
    perm: list[int] = []
    runs = _runs(value.shape, shape)
    first_axis = {old[0]: (old, new) for old, new in runs if old}
    rest = list(value.perm)
    while rest:
        axis = rest[0]
        if axis not in first_axis:
            return None
        old, new = first_axis[axis]
        if rest[: len(old)] != old:
            return None
        rest = rest[len(old) :]
        perm.extend(new)
    placed = set(perm)
    return (*(axis for axis in range(len(shape)) if axis not in placed), *perm)


def _gathered_perm(value: Value, shape: Shape) -> Perm:
    """The layout in which every group of axes that `shape` merges or splits lies together.

    Groups keep the order of their last axes, so that channels stay last where they were.
    """
    groups = [old for old, _ in _runs(value.shape, shape) if old]

    def place(group: list[int]) -> int:
        # an axis of size 1 holds no place of its own
        telling = [axis for axis in group if value.shape[axis] > 1] or group
        return max(value.perm.index(axis) for axis in telling)

    groups.sort(key=place)
    return tuple(axis for group in groups for axis in group)


def _runs(old: Shape, new: Shape) -> list[tuple[list[int], list[int]]]:
    """Smallest groups of old and new axes that hold the same number of elements, in order."""
    runs: list[tuple[list[int], list[int]]] = []
    i = j = 0
    while i < len(old) or j < len(new):
        left: list[int] = []
        right: list[int] = []
        count_old = count_new = 1
        while not left or not right or count_old != count_new:
            behind = not left or (right and count_old < count_new)
            if i < len(old) and (behind or j == len(new)):
                count_old *= old[i]
                left.append(i)
                i += 1
            elif j < len(new):
                count_new *= new[j]
                right.append(j)
                j += 1
            else:
                break
        runs.append((left, right))
    return runs


def to_numpy(tensor: torch.Tensor) -> NDArray[np.float32]:
    """A constant of the model as contiguous float32."""
    array = tensor.detach().to(torch.float32).numpy()
    return np.ascontiguousarray(array)
