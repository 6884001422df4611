# SPDX-License-Identifier: Apache-2.0
"""Depthwise convolution on the M-profile Vector Extension: strips, patches, overlap, cost."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from mcugen.fixed_point import IntArray, Requantize
from mcugen.ir.graph import Shape
from mcugen.ops import mve
from mcugen.ops.base import ConstTable, Kernel, KernelCall, Overlap
from mcugen.ops.overlap import forward_distance
from mcugen.ops.window import Window, as_image

if TYPE_CHECKING:
    from mcugen.ops.conv import ConvS8

PATCH = 4  # rows and columns of a patch: MCUGEN_DEPTHWISE_MVE_ROWS
COLUMN_LEN = mve.VECTOR * PATCH  # bytes: MCUGEN_DEPTHWISE_MVE_COLUMN
MAX_COLUMNS = 16  # of the patch of a strip: images of few channels are large, and the peak there
MAX_COPIED_COLUMNS = 32
COPIED_ROWS = 3
LARGEST_SHIFT = 55  # with a larger one the zero point would leave 32 bits


@dataclass(frozen=True, slots=True, kw_only=True)
class Geometry:
    """Sizes of one depthwise convolution, as the kernel walks it."""

    in_h: int
    in_w: int
    ch: int
    out_h: int
    out_w: int
    window: Window

    @property
    def square(self) -> bool:
        """2x2 outputs come from one patch."""
        fits = self.window.stride == (1, 1) and max(self.window.kernel) < PATCH
        return fits and min(self.out_h, self.out_w) > 1

    @property
    def copied(self) -> bool:
        """Rows are copied, so that the output may lie upon the input.

        Up to 16 channels are laid into the patch at once, which is nearly as good.
        """
        return self.square and self.ch > mve.VECTOR

    @property
    def rows(self) -> int:
        """Output rows of a strip."""
        return 2 if self.square else 1

    @property
    def strip(self) -> int:
        """Output columns of a strip, whole patches of input columns."""
        if self.square:
            columns = MAX_COPIED_COLUMNS if self.copied else MAX_COLUMNS
            strips = -(-self.out_w // (columns - 2))
            return mve.round_up(-(-self.out_w // strips), 2)
        return min((MAX_COLUMNS - PATCH) // self.window.stride[1] + 1, self.out_w)

    @property
    def patch_columns(self) -> int:
        """Columns that the patch of a strip reads, some of them under no weight."""
        if self.square:
            return self.strip + 2
        return (self.strip - 1) * self.window.stride[1] + PATCH

    @property
    def copies_place(self) -> int:
        """Where in the scratch rows are copied to: behind a vector of padding and the patch."""
        return mve.VECTOR + self.patch_columns * COLUMN_LEN

    @property
    def scratch_bytes(self) -> int:
        """All that the kernel needs while it runs."""
        return self.copies_place + int(self.copied) * COPIED_ROWS * self.in_w * self.ch


def depthwise_kernels(op: ConvS8, inputs: Sequence[Shape], output: Shape) -> tuple[Kernel, ...]:
    """The kernel, or nothing where it does not apply."""
    requantize = op.requantize
    full = (requantize.low, requantize.high) == (-128, 127)
    small = max(op.window.kernel) <= PATCH and op.window.stride[1] <= MAX_COLUMNS - PATCH
    fits = mve.applies(requantize) and bool(np.all(_shifts(requantize) <= LARGEST_SHIFT))
    if not (full and small and fits) or op.window.dilation != (1, 1) or op.bias.ndim > 1:
        return ()
    (in_h, in_w, ch), (out_h, out_w, _) = as_image(inputs[0]), as_image(output)
    of = Geometry(in_h=in_h, in_w=in_w, ch=ch, out_h=out_h, out_w=out_w, window=op.window)
    return (_kernel(of, op),)


def _shifts(requantize: Requantize) -> IntArray:
    """Of each channel; that of a multiplier of 0 is of no account."""
    return np.where(requantize.multiplier == 0, mve.LEAST_SHIFT, requantize.shift)


def _taps(kernel: tuple[int, int]) -> tuple[int, IntArray]:
    """Which bytes [column, row] of a patch have a weight, as a mask, and which weight: [16]."""
    column, row = np.divmod(np.arange(mve.VECTOR), PATCH)
    inside = (column < kernel[1]) & (row < kernel[0])
    # bytes right of those are the taps of a window that is one column on: one tap earlier each
    return int(np.sum(inside << np.arange(mve.VECTOR))), row * kernel[1] + column


def _kernel(of: Geometry, op: ConvS8) -> Kernel:
    tap_mask, taps = _taps(of.window.kernel)
    shift = 31 - np.broadcast_to(_shifts(op.requantize), (of.ch,))
    multiplier = np.broadcast_to(op.requantize.multiplier, (of.ch,))
    geometry = (f for f in of.window.fields() if not f[0].startswith("dilation"))
    tables = (
        ConstTable(suffix="taps", values=taps.astype(np.uint8), comment="[16]"),
        ConstTable(
            suffix="weight",
            values=np.ascontiguousarray(op.weight[..., 0], np.int8),
            comment="[ch, kernel_h, kernel_w]",
        ),
        ConstTable(suffix="bias", values=op.bias.astype(np.int32), comment="[ch]"),
        ConstTable(suffix="multiplier", values=multiplier.astype(np.int32), comment="[ch]"),
        ConstTable(suffix="shift", values=shift.astype(np.int8), comment="31 - t, [ch]"),
    )
    call = KernelCall(
        function="mcugen_depthwise_mve_s8",
        header="mcugen_depthwise_mve.h",
        fields=(
            ("in_h", of.in_h),
            ("in_w", of.in_w),
            ("ch", of.ch),
            ("out_h", of.out_h),
            ("out_w", of.out_w),
            *geometry,
            ("pad_value", op.pad_value),
            ("square", int(of.square)),
            ("strip", of.strip),
            ("copies", of.copies_place if of.copied else 0),
            ("tap_mask", tap_mask),
            *((table.suffix, table.suffix) for table in tables),
            ("zero_point", op.requantize.zero_point),
        ),
        tables=tables,
        scratch_bytes=of.scratch_bytes,
    )
    return Kernel(
        variant="mve_patch",
        calls=(call,),
        cycles=instructions(of),
        overlaps=(Overlap(operand=0, distance=distance(of)),),
    )


def distance(of: Geometry) -> int:
    """See `Overlap`. Sixteen channels of a strip are read before they are stored.

    Where rows are copied, all but the last are before any output is stored.
    """
    stride_h, stride_w = of.window.stride
    if of.copied:
        tops = np.arange(0, of.out_h, of.rows)
        last_read = np.clip(tops - of.window.pads[0] + COPIED_ROWS, 0, of.in_h)
        written = np.minimum(tops + of.rows, of.out_h) * of.out_w
        return forward_distance(written * of.ch, last_read * of.in_w * of.ch)
    rows = np.arange(0, of.out_h, of.rows)[:, None]
    starts = np.arange(0, of.out_w, of.strip)
    tops = np.clip(rows * stride_h - of.window.pads[0], 0, of.in_h)
    lefts = np.clip(starts * stride_w - of.window.pads[1], 0, of.in_w)
    reads = ((tops * of.in_w + lefts) * of.ch).ravel()
    last_rows = np.minimum(rows + of.rows, of.out_h) - 1
    ends = np.minimum(starts + of.strip, of.out_w)
    writes = ((last_rows * of.out_w + ends) * of.ch).ravel()
    if of.ch <= mve.VECTOR:
        reads = np.append(reads[1:], of.in_h * of.in_w * of.ch)
    return forward_distance(writes, reads)


def instructions(of: Geometry) -> float:
    """Executed instructions of the kernel, as counted on the simulated core."""
    strips = -(-of.out_w // of.strip)
    pixels = of.out_w / strips
    at_once = 2 if of.square else PATCH
    steps = -(-pixels // at_once) * (16.0 if of.square else 23.0)
    rest = 6.0 if of.out_w % at_once else 0.0
    columns = (pixels - 1) * of.window.stride[1] + of.window.kernel[1]
    laid = -(-of.ch // mve.VECTOR) * (100.0 + 14.0 * columns)
    copied = of.rows * (20.0 + of.in_w * of.ch * 3.0 / mve.VECTOR) if of.copied else 0.0
    group = strips * (of.ch * (42.0 + steps + rest) + laid + 60.0) + copied
    return 40.0 + -(-of.out_h // of.rows) * group
