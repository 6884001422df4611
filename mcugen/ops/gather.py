# SPDX-License-Identifier: Apache-2.0
"""Constant positions of each axis: nearest resizing, mirrored padding, flips, repeats."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, ClassVar

import numpy as np
from numpy.typing import NDArray

from mcugen.fixed_point import IntArray
from mcugen.ir.graph import Shape
from mcugen.ops.base import ConstTable, Interval, IntOp, KernelCall, Lowering, Op
from mcugen.ops.channels import ChannelLinks, Kept

if TYPE_CHECKING:
    import torch

Indices = tuple[tuple[int, ...] | None, ...]
MAX_POSITIONS = 1 << 16  # the tables are uint16


@dataclass(frozen=True, slots=True, kw_only=True)
class Gather(Op):
    """Position i of an axis is position indices[axis][i] of the operand; None is all in order."""

    kind: ClassVar[str] = "gather"
    keeps_scale: ClassVar[bool] = True
    indices: Indices

    def infer(self, inputs: Sequence[Shape]) -> Shape:
        """As many positions as there are indices."""
        shape = inputs[0]
        for size, index in zip(shape, self.indices, strict=True):
            if index is not None and not all(0 <= i < size for i in index):
                msg = f"positions {index} are not all within an axis of {size}"
                raise ValueError(msg)
        if self._last() >= 0 and int(np.prod(shape[: self._last() + 1])) > MAX_POSITIONS:
            msg = f"{shape} has too many positions, at most {MAX_POSITIONS}"
            raise ValueError(msg)
        pairs = zip(shape, self.indices, strict=True)
        return tuple(size if index is None else len(index) for size, index in pairs)

    def _last(self) -> int:
        """The last axis with indices, -1 where there is none."""
        return max(
            (axis for axis, index in enumerate(self.indices) if index is not None), default=-1
        )

    def forward(self, inputs: Sequence[torch.Tensor]) -> torch.Tensor:
        """Source: torch.index_select, axis by axis."""
        import torch

        x = inputs[0]
        for axis, index in enumerate(self.indices):
            if index is not None:
                x = x.index_select(axis + 1, torch.tensor(index))
        return x

    def lower(self, ctx: Lowering) -> GatherS8:
        """The same positions."""
        return GatherS8(indices=self.indices)

    def is_identity(self, inputs: Sequence[Shape]) -> bool:
        """Every axis in its own order."""
        pairs = zip(inputs[0], self.indices, strict=True)
        return all(index is None or index == tuple(range(size)) for size, index in pairs)


@dataclass(frozen=True, slots=True, kw_only=True)
class GatherS8(IntOp):
    """Position i of an axis is position indices[axis][i] of the operand; None is all in order."""

    kind: ClassVar[str] = "gather"
    indices: Indices

    def reference(self, inputs: Sequence[IntArray]) -> IntArray:
        """The same values, axis by axis."""
        x = inputs[0]
        for axis, index in enumerate(self.indices):
            if index is not None:
                x = np.take(x, index, axis + 1)
        return x

    def bounds(self, inputs: Sequence[Interval], output: Shape) -> Interval:
        """Those of the operand."""
        low, high = (self.reference([end[None]])[0] for end in inputs[0])
        return low, high

    def channel_links(self, inputs: Sequence[Shape], output: Shape) -> ChannelLinks | None:
        """A channel goes with all its copies."""
        ids = np.arange(inputs[0][-1])
        index = self.indices[-1]
        output_ids = ids if index is None else ids[list(index)]
        return ChannelLinks(inputs=(ids,), output=output_ids, reads=(None,))

    def take_channels(self, kept: Kept) -> GatherS8:
        """The kept channels under their new numbers."""
        index = self.indices[-1]
        if index is None:
            return self
        numbers = np.searchsorted(kept.inputs[0], np.array(index)[kept.output])
        return replace(self, indices=(*self.indices[:-1], tuple(numbers.tolist())))

    def kernels(self, inputs: Sequence[Shape], output: Shape) -> tuple[KernelCall, ...]:
        """The last axis with indices is the columns, all axes before it are the rows."""
        indices, shape = self.indices, inputs[0]
        split = max((a for a, index in enumerate(indices) if index is not None), default=0)
        row = _flat_index(shape[:split], indices[:split])
        tables = (*_table("row", row), *_table("col", indices[split]))
        given = {table.suffix for table in tables}
        function, header = self.typed("mcugen_gather")
        call = KernelCall(
            function=function,
            header=header,
            fields=(
                ("in_cols", shape[split]),
                ("out_rows", int(np.prod(output[:split]))),
                ("out_cols", output[split]),
                ("len", int(np.prod(output[split + 1 :]))),
                *((name, name if name in given else None) for name in ("row", "col")),
            ),
            tables=tables,
        )
        return (call,)


def _flat_index(shape: Shape, indices: Indices) -> NDArray[np.int64] | None:
    """Row-major numbers of the chosen positions over several axes, None where that is all."""
    if all(index is None for index in indices):
        return None
    grid = np.arange(int(np.prod(shape))).reshape(shape)
    for axis, index in enumerate(indices):
        if index is not None:
            grid = np.take(grid, index, axis)
    return grid.ravel()


def _table(suffix: str, index: Sequence[int] | NDArray[np.int64] | None) -> tuple[ConstTable, ...]:
    if index is None:
        return ()
    return (ConstTable(suffix=suffix, values=np.array(index, np.uint16), comment="[output]"),)
