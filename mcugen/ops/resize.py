# SPDX-License-Identifier: Apache-2.0
"""Linear interpolation of images [H, W, C] and sequences [L, C] to another size."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from mcugen.fixed_point import IntArray, round_half_up
from mcugen.ir.graph import Shape
from mcugen.ops.base import ConstTable, Interval, IntOp, KernelCall, Lowering, Op
from mcugen.ops.channels import ChannelLinks, Kept, linked
from mcugen.ops.window import as_image, like_input

if TYPE_CHECKING:
    import torch

# a weight of 1 is 2^11: sums of products stay below 128 * 2^22 + 2^21 < 2^31
LINEAR_BITS = 11


@dataclass(frozen=True, slots=True, kw_only=True)
class Taps:
    """Output position i of an axis: x[first[i]] * (1 - weight[i]) + x[first[i] + 1] * weight[i].

    The last position is its own second neighbour.
    """

    first: tuple[int, ...]
    weight: tuple[float, ...]

    def steps(self) -> tuple[int, ...]:
        """The weights in steps of 2^-11."""
        return tuple(round_half_up(np.array(self.weight) * 2.0**LINEAR_BITS).tolist())

    def apply(self, x: torch.Tensor, dim: int) -> torch.Tensor:
        """Interpolate float32 along `dim`."""
        import torch

        first = torch.tensor(self.first)
        second = (first + 1).clamp(max=x.shape[dim] - 1)
        weight = torch.tensor(self.weight, dtype=x.dtype)
        weight = weight.reshape(-1, *(1,) * (x.dim() - dim - 1))
        low, high = x.index_select(dim, first), x.index_select(dim, second)
        return low * (1 - weight) + high * weight


@dataclass(frozen=True, slots=True, kw_only=True)
class LinearResize(Op):
    """Interpolation between two neighbours along the rows and the columns."""

    kind: ClassVar[str] = "linear_resize"
    keeps_scale: ClassVar[bool] = True
    rows: Taps
    cols: Taps

    def infer(self, inputs: Sequence[Shape]) -> Shape:
        """[H, W, C] to [len(rows), len(cols), C], or the same without H."""
        h, w, c = as_image(inputs[0])
        row, col = max(self.rows.first), max(self.cols.first)
        if row >= h or col >= w:
            msg = f"an input of {h} rows and {w} columns holds nothing at ({row}, {col})"
            raise ValueError(msg)
        return like_input((len(self.rows.first), len(self.cols.first), c), inputs[0])

    def forward(self, inputs: Sequence[torch.Tensor]) -> torch.Tensor:
        """Source: torch.nn.functional.interpolate, mode bilinear, as two products."""
        x = inputs[0]
        image = x if x.dim() == 4 else x.unsqueeze(1)
        y = self.cols.apply(self.rows.apply(image, 1), 2)
        return y if x.dim() == 4 else y.squeeze(1)

    def lower(self, ctx: Lowering) -> LinearResizeS8:
        """Weights in fixed point."""
        return LinearResizeS8(
            row=self.rows.first,
            row_weight=self.rows.steps(),
            col=self.cols.first,
            col_weight=self.cols.steps(),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class LinearResizeS8(IntOp):
    """y = floor((sum over four neighbours of row weight * column weight * x + 2^21) / 2^22).

    Weights are in [0, 2^11], those of two neighbours sum to 2^11: the zero point stays what it is,
    and no output leaves the range of its four inputs.
    """

    kind: ClassVar[str] = "linear_resize"
    row: tuple[int, ...]
    row_weight: tuple[int, ...]
    col: tuple[int, ...]
    col_weight: tuple[int, ...]

    @property
    def has_wide_sums(self) -> bool:
        """Both weights and an int16 value need 38 bits."""
        return self.has_int16

    def reference(self, inputs: Sequence[IntArray]) -> IntArray:
        """Columns and rows in full precision, one rounding, half up."""
        x = inputs[0]
        image = x if x.ndim == 4 else x[:, None]
        acc = _mix(_mix(image, 2, self.col, self.col_weight), 1, self.row, self.row_weight)
        y = (acc + (1 << (2 * LINEAR_BITS - 1))) >> (2 * LINEAR_BITS)
        return y if x.ndim == 4 else y[:, 0]

    def bounds(self, inputs: Sequence[Interval], output: Shape) -> Interval:
        """Exact: no weight is negative."""
        low, high = (self.reference([end[None]])[0] for end in inputs[0])
        return low, high

    def channel_links(self, inputs: Sequence[Shape], output: Shape) -> ChannelLinks | None:
        """Channel by channel."""
        return linked(1, output[-1])

    def take_channels(self, kept: Kept) -> LinearResizeS8:
        """The tables know no channels."""
        return self

    def kernels(self, inputs: Sequence[Shape], output: Shape) -> tuple[KernelCall, ...]:
        """One call over all pixels."""
        (in_rows, in_cols, ch), (out_rows, out_cols, _) = as_image(inputs[0]), as_image(output)
        names = ("row", "row_weight", "col", "col_weight")
        function, header = self.typed("mcugen_linear_resize", "mcugen_resize")
        call = KernelCall(
            function=function,
            header=header,
            fields=(
                ("in_rows", in_rows),
                ("in_cols", in_cols),
                ("out_rows", out_rows),
                ("out_cols", out_cols),
                ("ch", ch),
                *((name, name) for name in names),
            ),
            tables=tuple(
                ConstTable(
                    suffix=name, values=np.array(getattr(self, name), np.uint16), comment="[output]"
                )
                for name in names
            ),
        )
        return (call,)


def _mix(x: IntArray, axis: int, first: Sequence[int], weight: Sequence[int]) -> IntArray:
    """x[first] * (2^11 - weight) + x[first + 1] * weight along `axis`."""
    low = np.array(first)
    high = np.minimum(low + 1, x.shape[axis] - 1)
    steps = np.array(weight, np.int64).reshape(-1, *(1,) * (x.ndim - axis - 1))
    near, far = np.take(x, low, axis), np.take(x, high, axis)
    mixed: IntArray = near * ((1 << LINEAR_BITS) - steps) + far * steps
    return mixed
