# SPDX-License-Identifier: Apache-2.0
"""Geometry of everything that slides over images [H, W, C] and sequences [L, C]."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from mcugen.fixed_point import INT32_MAX, IntArray
from mcugen.ir.graph import Shape

if TYPE_CHECKING:
    import torch

    from mcugen.ops.base import Padding

Pair = tuple[int, int]
Pads = tuple[int, int, int, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """Geometry shared by everything that slides: kernel, stride, dilation and padding, (h, w)."""

    kernel: Pair
    stride: Pair = (1, 1)
    dilation: Pair = (1, 1)
    pads: Pads = (0, 0, 0, 0)  # top, left, bottom, right

    def output_size(self, size: Pair) -> Pair:
        """Output (h, w) for an input (h, w). Raises ValueError where the kernel does not fit."""
        return self._steps(size, 0), self._steps(size, 1)

    def _steps(self, size: Pair, axis: int) -> int:
        span = (self.kernel[axis] - 1) * self.dilation[axis] + 1
        room = size[axis] + self.pads[axis] + self.pads[axis + 2] - span
        if room < 0:
            padded = size[axis] + self.pads[axis] + self.pads[axis + 2]
            msg = f"kernel spans {span} but the padded input has only {padded}"
            raise ValueError(msg)
        return room // self.stride[axis] + 1

    def within(self, padding: Padding) -> Window | None:
        """The same windows over the input without `padding`; None where that is of channels too."""
        *margins, channels = padding.margins
        if any(channels) or len(margins) not in (1, 2):
            return None
        (left, right), (top, bottom) = margins[-1], margins[0] if len(margins) == 2 else (0, 0)
        outer = zip(self.pads, (top, left, bottom, right), strict=True)
        above, before, below, behind = (own + more for own, more in outer)
        return replace(self, pads=(above, before, below, behind))

    def along(self, axis: int, length: int) -> AxisWindows:
        """The same windows along axis 0 (h) or 1 (w) of an input of that length."""
        dilation = self.dilation[axis]
        return AxisWindows(
            in_len=length,
            out_len=self._steps((length, length), axis),
            step=self.stride[axis],
            span=(self.kernel[axis] - 1) * dilation + 1,
            pad=self.pads[axis],
            dilation=dilation,
        )

    def fields(self) -> tuple[tuple[str, int], ...]:
        """The geometry as members of a kernel's parameter struct."""
        return (
            ("kernel_h", self.kernel[0]),
            ("kernel_w", self.kernel[1]),
            ("stride_h", self.stride[0]),
            ("stride_w", self.stride[1]),
            ("dilation_h", self.dilation[0]),
            ("dilation_w", self.dilation[1]),
            ("pad_top", self.pads[0]),
            ("pad_left", self.pads[1]),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class AxisWindows:
    """Which positions of one axis each pooling window covers; what lies outside is skipped.

    Window i covers every `dilation`-th position from floor(i * step / parts) - pad up to, not
    including, floor((i * step + span) / parts) - pad, as far as it is in [0, in_len). With
    parts = 1 this is an ordinary window of stride `step`; adaptive pooling needs the fraction.
    """

    in_len: int
    out_len: int
    step: int
    span: int
    parts: int = 1
    pad: int = 0
    dilation: int = 1

    @classmethod
    def adaptive(cls, in_len: int, out_len: int) -> AxisWindows:
        """Window i from floor(i * in / out) to ceil((i + 1) * in / out).

        Raises ValueError where i * in can leave int32.
        Source: torch.nn.functional.adaptive_avg_pool2d, start_index and end_index.
        """
        if (out_len + 1) * in_len + out_len > INT32_MAX:
            msg = f"adaptive pooling from {in_len} to {out_len} positions is out of range"
            raise ValueError(msg)
        if in_len % out_len == 0:
            step = in_len // out_len
            return cls(in_len=in_len, out_len=out_len, step=step, span=step)
        return cls(
            in_len=in_len,
            out_len=out_len,
            step=in_len,
            span=in_len + out_len - 1,
            parts=out_len,
        )

    def starts(self) -> IntArray:
        """First position of every window, which may lie before the axis: int64 [out_len]."""
        return np.arange(self.out_len) * self.step // self.parts - self.pad

    def ends(self) -> IntArray:
        """Position after the last of every window, which may lie behind the axis: [out_len]."""
        return (np.arange(self.out_len) * self.step + self.span) // self.parts - self.pad

    def slices(self) -> list[slice]:
        """The positions that each window reads. Raises ValueError where a window has none."""
        found = []
        for start, end in zip(self.starts().tolist(), self.ends().tolist(), strict=True):
            first = start if start >= 0 else start % self.dilation
            found.append(slice(first, min(end, self.in_len), self.dilation))
        if any(s.start >= s.stop for s in found):
            msg = f"a window over {self.in_len} positions lies in the padding altogether"
            raise ValueError(msg)
        return found

    def counts(self) -> IntArray:
        """How many positions each window reads: int64 [out_len]."""
        return np.array([len(range(s.start, s.stop, s.step)) for s in self.slices()], np.int64)

    def stripe(self, rows: int) -> AxisWindows:
        """`rows` of these windows over positions that all lie within the axis."""
        length = (rows - 1) * self.step + self.span
        return replace(self, in_len=length, out_len=rows, pad=0)

    def fields(self, member: str) -> tuple[tuple[str, int], ...]:
        """The members of a `mcugen_axis_windows_t` within a parameter struct."""
        names = ("in_len", "out_len", "step", "span", "parts", "pad", "dilation")
        return tuple((f"{member}.{name}", getattr(self, name)) for name in names)


def reduce_windows(
    images: IntArray, rows: AxisWindows, cols: AxisWindows, reduce: Callable[..., IntArray]
) -> IntArray:
    """np.max or np.sum over the windows of [N, H, W, C]: [N, out_h, out_w, C]."""
    tall = np.stack([reduce(images[:, s], axis=1) for s in rows.slices()], axis=1)
    return np.stack([reduce(tall[:, :, s], axis=2) for s in cols.slices()], axis=2)


def as_image(shape: Shape) -> tuple[int, int, int]:
    """[L, C] as [1, L, C]; [H, W, C] as it is. Raises ValueError for any other rank."""
    if len(shape) == 2:
        return (1, shape[0], shape[1])
    if len(shape) == 3:
        return (shape[0], shape[1], shape[2])
    msg = f"expected an image [H, W, C] or a sequence [L, C], got {len(shape)} axes {shape}"
    raise ValueError(msg)


def like_input(image: tuple[int, int, int], shape: Shape) -> Shape:
    """`image` with as many axes as `shape`."""
    return image if len(shape) == 3 else image[1:]


def windows(images: NDArray[np.generic], window: Window, fill: int) -> NDArray[np.generic]:
    """All windows of [N, H, W, C] as a view [N, out_h, out_w, C, kernel_h, kernel_w]."""
    top, left, bottom, right = window.pads
    if any(window.pads):
        margins = ((0, 0), (top, bottom), (left, right), (0, 0))
        images = np.pad(images, margins, constant_values=fill)
    span = tuple((k - 1) * d + 1 for k, d in zip(window.kernel, window.dilation, strict=True))
    view = sliding_window_view(images, span, axis=(1, 2))
    (stride_h, stride_w), (step_h, step_w) = window.stride, window.dilation
    return view[:, ::stride_h, ::stride_w, :, ::step_h, ::step_w]


def pool_nchw(x: torch.Tensor, pool: Callable[[torch.Tensor], torch.Tensor]) -> torch.Tensor:
    """Apply a channels-first 2d pooling to [N, H, W, C] or [N, L, C]."""
    image = x if x.dim() == 4 else x.unsqueeze(1)
    y = pool(image.permute(0, 3, 1, 2)).permute(0, 2, 3, 1)
    return y if x.dim() == 4 else y.squeeze(1)
