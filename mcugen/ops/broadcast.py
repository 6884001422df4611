# SPDX-License-Identifier: Apache-2.0
"""Two operands of unlike shapes, as NumPy broadcasts them: shapes, strides and channel links."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from mcugen.fixed_point import IntArray
from mcugen.ir.graph import Shape
from mcugen.ops.channels import PINNED, ChannelLinks

if TYPE_CHECKING:
    import torch

MAX_AXES = 4  # axes that the kernels walk, after merging


@dataclass(frozen=True, slots=True)
class _Axis:
    """One axis of the output and whether each operand has it."""

    size: int
    present: tuple[bool, bool]


def broadcast_shape(inputs: Sequence[Shape]) -> Shape:
    """Output shape per sample. Raises ValueError where shapes do not fit or alternate too often."""
    output = np.broadcast_shapes(*inputs)
    axes = _merged_axes(inputs, output)
    if len(axes) > MAX_AXES:
        msg = (
            f"shapes {inputs[0]} and {inputs[1]} alternate over {len(axes)} axes, limit {MAX_AXES}"
        )
        raise ValueError(msg)
    return output


def _full_rank(shape: Shape, rank: int) -> Shape:
    return (1,) * (rank - len(shape)) + shape


def _merged_axes(inputs: Sequence[Shape], output: Shape) -> list[_Axis]:
    """Axes of the output, those of size 1 left out and neighbours walked alike merged."""
    left, right = (_full_rank(shape, len(output)) for shape in inputs)
    merged: list[_Axis] = []
    for size, own_left, own_right in zip(output, left, right, strict=True):
        present = (own_left == size, own_right == size)
        if size == 1:
            continue
        if merged and merged[-1].present == present:
            merged[-1] = _Axis(merged[-1].size * size, present)
        else:
            merged.append(_Axis(size, present))
    return merged


def broadcast_fields(inputs: Sequence[Shape], output: Shape) -> tuple[tuple[str, int], ...]:
    """The members of mcugen_broadcast_t that walk both operands, outermost axis first."""
    axes = _merged_axes(inputs, output)
    axes = [_Axis(1, (False, False))] * (MAX_AXES - len(axes)) + axes
    sizes = zip(("size0", "size1", "size2", "row_len"), (axis.size for axis in axes), strict=True)
    fields = [(f"axes.{name}", size) for name, size in sizes]
    for operand, side in enumerate(("left", "right")):
        names = (f"{side}_step0", f"{side}_step1", f"{side}_step2", f"{side}_step")
        steps = _steps(axes, operand)
        fields += [(f"axes.{name}", step) for name, step in zip(names, steps, strict=True)]
    return tuple(fields)


def _steps(axes: Sequence[_Axis], operand: int) -> list[int]:
    """Bytes between neighbours along each axis, 0 where the operand is broadcast."""
    steps = []
    stride = 1
    for axis in reversed(axes):
        present = axis.present[operand]
        steps.append(stride if present else 0)
        stride *= axis.size if present else 1
    return steps[::-1]


def same_rank(tensors: Sequence[torch.Tensor]) -> list[torch.Tensor]:
    """Float tensors [N, *shape] with axes of 1 after the batch axis, so that they broadcast."""
    rank = max(x.dim() for x in tensors)
    return [x.reshape(x.shape[0], *(1,) * (rank - x.dim()), *x.shape[1:]) for x in tensors]


def same_rank_int(arrays: Sequence[IntArray]) -> list[IntArray]:
    """Integer arrays [N, *shape], likewise."""
    rank = max(x.ndim for x in arrays)
    return [x.reshape(x.shape[0], *(1,) * (rank - x.ndim), *x.shape[1:]) for x in arrays]


def full_size_operands(inputs: Sequence[Shape], output: Shape) -> tuple[int, ...]:
    """Operands that are read element by element as the output is written."""
    size = np.prod(output)
    return tuple(i for i, shape in enumerate(inputs) if np.prod(shape) == size)


def broadcast_links(inputs: Sequence[Shape], output: Shape) -> ChannelLinks:
    """Channel by channel; an operand with one channel for all is read by each and stays."""
    channels = output[-1] if output else 1
    ids = np.arange(channels)
    own = [shape[-1] if shape else 1 for shape in inputs]
    return ChannelLinks(
        inputs=tuple(ids if size == channels else np.full(1, PINNED) for size in own),
        output=ids,
        reads=tuple(None if size == channels else np.ones((channels, 1), bool) for size in own),
    )
