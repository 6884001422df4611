# SPDX-License-Identifier: Apache-2.0
"""The largest value of each window, over images [H, W, C] and sequences [L, C]."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from mcugen.fixed_point import IntArray
from mcugen.ir.graph import Shape
from mcugen.ops import dsp, mve
from mcugen.ops.base import (
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
from mcugen.ops.scalar import by_core
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


@dataclass(frozen=True, slots=True, kw_only=True)
class MaxPool(Op):
    """Maximum of each window; padding counts as minus infinity."""

    kind: ClassVar[str] = "max_pool"
    keeps_scale: ClassVar[bool] = True
    window: Window

    def infer(self, inputs: Sequence[Shape]) -> Shape:
        """[H, W, C] to [out_h, out_w, C], or the same without H."""
        h, w, c = as_image(inputs[0])
        for axis, length in enumerate((h, w)):
            self.window.along(axis, length).slices()
        return like_input((*self.window.output_size((h, w)), c), inputs[0])

    def forward(self, inputs: Sequence[torch.Tensor]) -> torch.Tensor:
        """Source: torch.nn.functional.max_pool2d, on channels-last data."""
        from torch.nn import functional

        top, left, bottom, right = self.window.pads

        def pool(x: torch.Tensor) -> torch.Tensor:
            padded = functional.pad(x, (left, right, top, bottom), value=-np.inf)
            window = self.window
            return functional.max_pool2d(
                padded, window.kernel, window.stride, dilation=window.dilation
            )

        return pool_nchw(inputs[0], pool)

    def absorb_padding(self, padding: Padding) -> MaxPool | None:
        """More of the minus infinity that the window pads with already."""
        window = self.window.within(padding) if padding.value == -np.inf else None
        return None if window is None else replace(self, window=window)

    def lower(self, ctx: Lowering) -> MaxPoolS8:
        """The same windows along both axes."""
        h, w, _ = as_image(ctx.inputs[0].shape)
        return MaxPoolS8(rows=self.window.along(0, h), cols=self.window.along(1, w))


@dataclass(frozen=True, slots=True, kw_only=True)
class AdaptiveMaxPool(Op):
    """Maximum of windows that share the input evenly among `size` (h, w) outputs."""

    kind: ClassVar[str] = "max_pool"
    keeps_scale: ClassVar[bool] = True
    size: Pair

    def infer(self, inputs: Sequence[Shape]) -> Shape:
        """[H, W, C] to [*size, C], or the same without H."""
        h, w, c = as_image(inputs[0])
        for length, out in zip((h, w), self.size, strict=True):
            AxisWindows.adaptive(length, out)
        return like_input((*self.size, c), inputs[0])

    def forward(self, inputs: Sequence[torch.Tensor]) -> torch.Tensor:
        """Source: torch.nn.functional.adaptive_max_pool2d, on channels-last data."""
        from torch.nn import functional

        return pool_nchw(inputs[0], lambda x: functional.adaptive_max_pool2d(x, self.size))

    def lower(self, ctx: Lowering) -> MaxPoolS8:
        """The windows of these sizes along both axes."""
        h, w, _ = as_image(ctx.inputs[0].shape)
        return MaxPoolS8(
            rows=AxisWindows.adaptive(h, self.size[0]), cols=AxisWindows.adaptive(w, self.size[1])
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class MaxPoolS8(IntOp):
    """y = max of x over the window's positions within the input."""

    kind: ClassVar[str] = "max_pool"
    rows: AxisWindows
    cols: AxisWindows

    def reference(self, inputs: Sequence[IntArray]) -> IntArray:
        """Rows first, then columns."""
        x = inputs[0]
        image = x if x.ndim == 4 else x[:, None]
        y = reduce_windows(image, self.rows, self.cols, np.max)
        return y if x.ndim == 4 else y[:, 0]

    def bounds(self, inputs: Sequence[Interval], output: Shape) -> Interval:
        """Exact: the maximum grows with every value."""
        low, high = (self.reference([x[None]])[0] for x in inputs[0])
        return low, high

    def channel_links(self, inputs: Sequence[Shape], output: Shape) -> ChannelLinks | None:
        """Channel by channel."""
        return linked(1, output[-1])

    def take_channels(self, kept: Kept) -> MaxPoolS8:
        """Windows know no channels."""
        return self

    def implementations(
        self, inputs: Sequence[Shape], output: Shape, target: Target
    ) -> tuple[Kernel, ...]:
        """The portable kernel and those of the core's extensions."""
        found = [replace(self.portable(inputs, output), cycles=self._cycles(output, target))]
        if mve.FEATURE in target.features and not self.has_int16:
            found.append(mve.twin(found[0], self._instructions(output)))
        return tuple(found)

    def _cycles(self, output: Shape, target: Target) -> float:
        """Of the portable kernel: passes of four pixels, in which the last maximum is one."""
        counts = np.outer(self.rows.counts(), self.cols.counts())
        passes = float(np.sum(1 + np.maximum(0, -(-(counts - 4) // 3))))
        # with the DSP extension four int8 channels are one word
        if dsp.FEATURE in target.features and not self.has_int16:
            pixel, values = 18.0, output[-1] // 4 * 17.0 + output[-1] % 4 * 22.0
        else:
            pixel, value = by_core(
                target, armv6m=(21.0, 40.0), armv7m=(15.0, 20.0), riscv=(11.0, 33.0)
            )
            values = output[-1] * value
        return passes * values + pixel * float(counts.sum())

    def _instructions(self, output: Shape) -> float:
        """Of the vector kernel: each vector of channels takes every pixel of its window."""
        pixels = float(np.sum(self.rows.counts()) * np.sum(self.cols.counts()))
        rows = float(np.sum(self.rows.counts()) * self.cols.out_len)
        windows = self.rows.out_len * self.cols.out_len
        vectors = -(-output[-1] // mve.VECTOR)
        return vectors * (5.0 * pixels + 21.0 * rows + 9.0 * windows) + 28.0 * windows

    def striped(self, inputs: Sequence[Shape], output: Shape, rows: int) -> Striped | None:
        """What lies outside is as small as can be."""
        if self.rows.parts != 1 or self.rows.pad < 0:
            return None
        return Striped(
            op=replace(self, rows=self.rows.stripe(rows)),
            step=self.rows.step,
            span=self.rows.span,
            pad=self.rows.pad,
            pad_value=self.operand_limits[0],
        )

    def portable_overlaps(self, inputs: Sequence[Shape], output: Shape) -> tuple[Overlap, ...]:
        """Pixel after pixel, all channels of one before the next."""
        width = output[-1] * self.operand_bits // 8
        return (window_overlap(self.rows, self.cols, width, width),)

    def kernels(self, inputs: Sequence[Shape], output: Shape) -> tuple[KernelCall, ...]:
        """One call over all windows."""
        function, header = self.typed("mcugen_max_pool", "mcugen_pool")
        call = KernelCall(
            function=function,
            header=header,
            fields=(*self.rows.fields("rows"), *self.cols.fields("cols"), ("ch", output[-1])),
        )
        return (call,)
