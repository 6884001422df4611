# SPDX-License-Identifier: Apache-2.0
"""The mean of each window, over images [H, W, C] and sequences [L, C]."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, ClassVar

import numpy as np
from numpy.typing import NDArray

from mcugen.errors import ModelError
from mcugen.fixed_point import IntArray, Requantize
from mcugen.ir.graph import Shape
from mcugen.ops import dsp, mve
from mcugen.ops.base import (
    NO_CLAMP,
    Clamp,
    ConstTable,
    Interval,
    IntOp,
    Kernel,
    KernelCall,
    Lowering,
    Op,
    Overlap,
    Padding,
    Striped,
    Target,
)
from mcugen.ops.channels import ChannelLinks, Kept, linked
from mcugen.ops.overlap import window_overlap
from mcugen.ops.weights import proved_requantize, requantize_tables, swing
from mcugen.ops.window import (
    AxisWindows,
    Pair,
    Window,
    as_image,
    like_input,
    pool_nchw,
    reduce_windows,
)

if TYPE_CHECKING:
    import torch

MAX_CLASSES = 256  # of divisors along one axis: the tables hold them as uint8


@dataclass(frozen=True, slots=True, kw_only=True)
class AvgPool(Op):
    """Sum of each window, padding counting as zero, over the window's divisor.

    The divisor is `divisor` where given, else the number of the window's positions: with
    `count_include_pad` those within the padded input, without it those within the input. Of the
    bottom and right padding the last `overhang` (h, w) only lets ceil mode's windows fit: it never
    counts.
    """

    kind: ClassVar[str] = "avg_pool"
    window: Window
    overhang: Pair = (0, 0)
    count_include_pad: bool = True
    divisor: int | None = None
    clamp: Clamp = NO_CLAMP

    def infer(self, inputs: Sequence[Shape]) -> Shape:
        """[H, W, C] to [out_h, out_w, C], or the same without H."""
        h, w, c = as_image(inputs[0])
        for axis, length in enumerate((h, w)):
            self.window.along(axis, length).slices()
        return like_input((*self.window.output_size((h, w)), c), inputs[0])

    def divisors(self, size: Pair) -> tuple[IntArray, IntArray]:
        """What every row and column of windows contributes to the divisor, by multiplication.

        Source: ATen/native/cpu/AvgPoolKernel.cpp.
        """
        if self.divisor is not None:
            out_h, out_w = self.window.output_size(size)
            return np.full(out_h, self.divisor, np.int64), np.ones(out_w, np.int64)
        rows, cols = (self._counted(axis, size[axis]) for axis in (0, 1))
        return rows, cols

    def _counted(self, axis: int, length: int) -> IntArray:
        windows = self.window.along(axis, length)
        if not self.count_include_pad:
            return windows.counts()
        padded = length + self.window.pads[axis + 2] - self.overhang[axis]
        return np.minimum(windows.ends(), padded) - windows.starts()

    def forward(self, inputs: Sequence[torch.Tensor]) -> torch.Tensor:
        """Source: torch.nn.functional.avg_pool2d, on channels-last data."""
        import torch
        from torch.nn import functional

        top, left, bottom, right = self.window.pads

        def pool(x: torch.Tensor) -> torch.Tensor:
            divisors = np.outer(*self.divisors((x.shape[2], x.shape[3]))).astype(np.float32)
            padded = functional.pad(x, (left, right, top, bottom))
            kernel, stride = self.window.kernel, self.window.stride
            sums = functional.avg_pool2d(padded, kernel, stride, divisor_override=1)
            return sums / torch.from_numpy(divisors)

        return self.clamp.apply(pool_nchw(inputs[0], pool))

    def absorb_padding(self, padding: Padding) -> AvgPool | None:
        """Zeros, where the divisor does not tell them from the input."""
        counts = self.count_include_pad or self.divisor is not None
        window = self.window.within(padding) if padding.value == 0.0 and counts else None
        return None if window is None else replace(self, window=window)

    def with_clamp(self, clamp: Clamp) -> AvgPool:
        """The same pooling, clamped."""
        return replace(self, clamp=self.clamp.intersect(clamp))

    def lower(self, ctx: Lowering) -> AvgPoolS8:
        """One multiplier for each divisor that occurs."""
        h, w, _ = as_image(ctx.inputs[0].shape)
        rows, cols = self.window.along(0, h), self.window.along(1, w)
        return _lower(rows, cols, self.divisors((h, w)), self.clamp, ctx)


@dataclass(frozen=True, slots=True, kw_only=True)
class AdaptiveAvgPool(Op):
    """Mean of windows that share the input evenly among `size` (h, w) outputs."""

    kind: ClassVar[str] = "avg_pool"
    size: Pair
    clamp: Clamp = NO_CLAMP

    def infer(self, inputs: Sequence[Shape]) -> Shape:
        """[H, W, C] to [*size, C], or the same without H."""
        h, w, c = as_image(inputs[0])
        for length, out in zip((h, w), self.size, strict=True):
            AxisWindows.adaptive(length, out)
        return like_input((*self.size, c), inputs[0])

    def forward(self, inputs: Sequence[torch.Tensor]) -> torch.Tensor:
        """Source: torch.nn.functional.adaptive_avg_pool2d, on channels-last data."""
        from torch.nn import functional

        y = pool_nchw(inputs[0], lambda x: functional.adaptive_avg_pool2d(x, self.size))
        return self.clamp.apply(y)

    def with_clamp(self, clamp: Clamp) -> AdaptiveAvgPool:
        """The same pooling, clamped."""
        return replace(self, clamp=self.clamp.intersect(clamp))

    def lower(self, ctx: Lowering) -> AvgPoolS8:
        """The divisor is the number of positions."""
        h, w, _ = as_image(ctx.inputs[0].shape)
        rows, cols = AxisWindows.adaptive(h, self.size[0]), AxisWindows.adaptive(w, self.size[1])
        return _lower(rows, cols, (rows.counts(), cols.counts()), self.clamp, ctx)


def _lower(
    rows: AxisWindows,
    cols: AxisWindows,
    divisors: tuple[IntArray, IntArray],
    clamp: Clamp,
    ctx: Lowering,
) -> AvgPoolS8:
    source, target = ctx.inputs[0].qparams, ctx.output.qparams
    by_row, row_class = np.unique(divisors[0], return_inverse=True)
    by_col, col_class = np.unique(divisors[1], return_inverse=True)
    if max(len(by_row), len(by_col)) > MAX_CLASSES:
        msg = f"{ctx.where}: windows of more than {MAX_CLASSES} sizes along one axis; pad less"
        raise ModelError(msg)
    products = np.outer(by_row, by_col).ravel().astype(np.float64)
    largest = int(rows.counts().max() * cols.counts().max())
    return AvgPoolS8(
        rows=rows,
        cols=cols,
        zero_point=source.zero_point,
        row_class=row_class.astype(np.int64),
        col_class=col_class.astype(np.int64),
        requantize=proved_requantize(
            source.scale / (target.scale * products),
            np.full(products.shape, swing(ctx) * largest, np.int64),
            clamp,
            ctx,
        ),
    )


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class AvgPoolS8(IntOp):
    """y = requantize(sum of (x - zero_point) over the window's positions within the input).

    row_class: int64 [out_h], col_class: int64 [out_w]; `requantize` holds one multiplier and shift
    for each pair of a row and a column class, rows outside.
    """

    kind: ClassVar[str] = "avg_pool"
    rows: AxisWindows
    cols: AxisWindows
    zero_point: int
    row_class: IntArray
    col_class: IntArray
    requantize: Requantize

    def reference(self, inputs: Sequence[IntArray]) -> IntArray:
        """Rows first, then columns, and one rounding."""
        x = inputs[0]
        image = (x if x.ndim == 4 else x[:, None]) - self.zero_point
        acc = reduce_windows(image, self.rows, self.cols, np.sum)
        y = self._by_place()(acc)
        return y if x.ndim == 4 else y[:, 0]

    def _by_place(self) -> Requantize:
        """The requantization spread over the output: multiplier and shift [out_h, out_w, 1]."""
        col_classes = int(self.col_class.max()) + 1
        place = self.row_class[:, None, None] * col_classes + self.col_class[:, None]
        of = self.requantize
        return replace(of, multiplier=of.multiplier[place], shift=of.shift[place])

    def bounds(self, inputs: Sequence[Interval], output: Shape) -> Interval:
        """Exact: the mean grows with every value."""
        low, high = (self.reference([x[None]])[0] for x in inputs[0])
        return low, high

    def channel_links(self, inputs: Sequence[Shape], output: Shape) -> ChannelLinks | None:
        """Channel by channel."""
        return linked(1, output[-1])

    def take_channels(self, kept: Kept) -> AvgPoolS8:
        """Windows know no channels."""
        return self

    def implementations(
        self, inputs: Sequence[Shape], output: Shape, target: Target
    ) -> tuple[Kernel, ...]:
        """The portable kernel and those of the core's extensions."""
        found = [self.portable(inputs, output)]
        if self.has_int16:
            return tuple(found)
        single = self.requantize.mode == "single"
        if single and mve.FEATURE in target.features:
            found.append(mve.twin(found[0], self._instructions(output)))
        if single and output[-1] >= dsp.QUAD and dsp.FEATURE in target.features:
            found.append(dsp.twin(found[0], self._cycles(output)))
        return tuple(found)

    def _cycles(self, output: Shape) -> float:
        """Of the kernel that sums four channels in two words."""
        pixels = float(np.sum(self.rows.counts()) * np.sum(self.cols.counts()))
        windows = self.rows.out_len * self.cols.out_len
        return -(-output[-1] // dsp.QUAD) * (9.0 * pixels + 170.0 * windows) + 80.0 * windows

    def _instructions(self, output: Shape) -> float:
        """Of the vector kernel: each four channels take every pixel of their window."""
        pixels = float(np.sum(self.rows.counts()) * np.sum(self.cols.counts()))
        rows = float(np.sum(self.rows.counts()) * self.cols.out_len)
        windows = self.rows.out_len * self.cols.out_len
        vectors = -(-output[-1] // mve.LANES)
        return vectors * (5.0 * pixels + 7.0 * rows + 28.0 * windows) + 46.0 * windows

    def striped(self, inputs: Sequence[Shape], output: Shape, rows: int) -> Striped | None:
        """Where all rows of windows are of one size: nothing outside is counted."""
        starts, ends = self.rows.starts(), self.rows.ends()
        outside = starts.min() < 0 or ends.max() > self.rows.in_len
        if self.rows.parts != 1 or outside or self.row_class.any():
            return None
        op = replace(self, rows=self.rows.stripe(rows), row_class=np.zeros(rows, np.int64))
        return Striped(op=op, step=self.rows.step, span=self.rows.span)

    def portable_overlaps(self, inputs: Sequence[Shape], output: Shape) -> tuple[Overlap, ...]:
        """Pixel after pixel, all channels of one before the next."""
        widths = (output[-1] * bits // 8 for bits in (self.operand_bits, self.result_bits))
        return (window_overlap(self.rows, self.cols, *widths),)

    def kernels(self, inputs: Sequence[Shape], output: Shape) -> tuple[KernelCall, ...]:
        """One call over all windows."""
        requant_fields, requant_tables = requantize_tables(
            self.requantize, "[row class, col class]"
        )
        classes = (
            *_class_table("row_class", self.row_class),
            *_class_table("col_class", self.col_class),
        )
        given = {table.suffix for table in classes}
        function, header = self.typed("mcugen_avg_pool", "mcugen_pool")
        call = KernelCall(
            function=function,
            header=header,
            fields=(
                *self.rows.fields("rows"),
                *self.cols.fields("cols"),
                ("ch", output[-1]),
                ("in_zero_point", self.zero_point),
                *((name, name if name in given else None) for name in ("row_class", "col_class")),
                ("col_classes", int(self.col_class.max()) + 1),
                *requant_fields,
            ),
            tables=(*classes, *requant_tables),
        )
        return (call,)


def _class_table(suffix: str, classes: NDArray[np.int64]) -> tuple[ConstTable, ...]:
    """The classes as a table, or nothing where there is only one."""
    if not classes.any():
        return ()
    return (ConstTable(suffix=suffix, values=classes.astype(np.uint8), comment="[output]"),)
