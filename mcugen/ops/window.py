# SPDX-License-Identifier: Apache-2.0
"""Geometry of everything that slides over images [H, W, C] and sequences [L, C]."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from mcugen.ir.graph import Shape

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
