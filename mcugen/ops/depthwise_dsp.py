# SPDX-License-Identifier: Apache-2.0
"""Depthwise convolution for cores with the DSP extension: runtime_c/mcugen_depthwise_dsp.h."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from mcugen.fixed_point import INT32_MAX, IntArray
from mcugen.ir.graph import Shape
from mcugen.ops.base import ConstTable, Kernel, KernelCall, Overlap
from mcugen.ops.weights import requantize_tables
from mcugen.ops.window import Window, as_image

if TYPE_CHECKING:
    from mcugen.ops.conv import ConvS8

FAST_SHIFT = 44  # MCUGEN_DEPTHWISE_SHIFT + 32
FAST_BITS = 8  # an int8 weight times 2^8 fits int16
SIX, FOUR = 6, 4  # columns of a strip
# Planes of two channels may take so much of the arena, or what one output row needs: more of it
# leaves fewer chunks.
SCRATCH_BYTES = (4096, 1024, 512)


@dataclass(frozen=True, slots=True, kw_only=True)
class Grid:
    """The layer as the kernel walks it: image rows as rows, or image columns as rows (`turned`).

    `in_row` and `in_col` are the bytes from one input row or column to the next, likewise of the
    output.
    """

    in_h: int
    in_w: int
    in_row: int
    in_col: int
    out_h: int
    out_w: int
    out_row: int
    out_col: int
    ch: int
    window: Window
    turned: bool = False

    def turn(self) -> Grid:
        """Rows for columns."""
        window = self.window
        top, left, bottom, right = window.pads
        return Grid(
            in_h=self.in_w,
            in_w=self.in_h,
            in_row=self.in_col,
            in_col=self.in_row,
            out_h=self.out_w,
            out_w=self.out_h,
            out_row=self.out_col,
            out_col=self.out_row,
            ch=self.ch,
            window=replace(
                window,
                kernel=window.kernel[::-1],
                stride=window.stride[::-1],
                pads=(left, top, right, bottom),
            ),
            turned=not self.turned,
        )

    @property
    def block(self) -> str | None:
        """The kernel with an inner block for this window, None where there is none."""
        if self.window.kernel != (3, 3) or self.out_w < 3:
            return None
        names = {
            (1, 1): "mcugen_depthwise_3x3_s8_dsp",
            (2, 2): "mcugen_depthwise_3x3_stride2_s8_dsp",
        }
        return names.get(self.window.stride)


@dataclass(frozen=True, slots=True, kw_only=True)
class Strips:
    """How output columns are cut: strips of six, then of four, the last with `spare` too many."""

    sixes: int = 0
    fours: int = 0
    spare: int = 0

    @property
    def columns(self) -> int:
        """Columns that are computed."""
        return SIX * self.sixes + FOUR * self.fours


@dataclass(frozen=True, slots=True, kw_only=True)
class Planes:
    """The scratch: rows of `row_words` pairs, enough for `chunk` output rows at a time."""

    chunk: int
    rows: int
    row_words: int
    weight_words: int

    @property
    def scratch_bytes(self) -> int:
        """Planes of two channels, and the weights of one in pairs."""
        return 4 * (2 * self.rows * self.row_words + self.weight_words)


def depthwise_kernels(op: ConvS8, inputs: Sequence[Shape], output: Shape) -> tuple[Kernel, ...]:
    """The kernel with more or less scratch; none where the layer is dilated or rounds twice."""
    window = op.window
    dilated = any(k > 1 and d > 1 for k, d in zip(window.kernel, window.dilation, strict=True))
    cropped = any(pad < 0 for pad in window.pads)
    if op.bias.ndim != 1 or dilated or cropped or op.requantize.mode != "single":
        return ()
    straight = grid_of(window, as_image(inputs[0]), as_image(output))
    found: dict[int, Kernel] = {}
    for limit in SCRATCH_BYTES:
        kernels = [_kernel(op, grid, limit) for grid in (straight, straight.turn())]
        best = min(kernels, key=lambda kernel: (not kernel.overlaps, kernel.cycles))
        found.setdefault(best.scratch_bytes, best)
    return tuple(found.values())


def grid_of(window: Window, size: tuple[int, int, int], output: tuple[int, int, int]) -> Grid:
    """Rows as rows; both sizes are (h, w, channels)."""
    (in_h, in_w, ch), (out_h, out_w, _) = size, output
    return Grid(
        in_h=in_h,
        in_w=in_w,
        in_row=in_w * ch,
        in_col=ch,
        out_h=out_h,
        out_w=out_w,
        out_row=out_w * ch,
        out_col=ch,
        ch=ch,
        window=window,
    )


def _kernel(op: ConvS8, grid: Grid, limit_bytes: int) -> Kernel:
    block = grid.block if _scales(op) else None
    strips = cut_columns(grid.out_w) if block else Strips()
    general = not block or not bool(np.all(_fast(op)))
    planes = fit_planes(grid, strips, general, limit_bytes)
    function = block or "mcugen_depthwise_s8_dsp"
    return Kernel(
        variant="dsp_3x3" if block else "dsp_planes",
        calls=(_call(op, grid, strips, planes, function),),
        cycles=_cycles(op, grid, strips, planes),
        overlaps=(Overlap(operand=0, distance=0),) if in_place(grid, planes) else (),
    )


def _bound(op: ConvS8) -> IntArray:
    """The largest accumulator of each channel: int64 [ch]."""
    weight = np.abs(op.weight.astype(np.int64)).reshape(len(op.weight), -1).sum(axis=1)
    bound: IntArray = np.abs(op.bias) + 128 * weight
    return bound


def _fast(op: ConvS8) -> NDArray[np.bool_]:
    """Channels whose weights can be scaled so that the shift is FAST_SHIFT: bool [ch]."""
    shift = np.broadcast_to(op.requantize.shift, op.bias.shape)
    return np.asarray((shift <= FAST_SHIFT) & (shift >= FAST_SHIFT - FAST_BITS))


def _scales(op: ConvS8) -> bool:
    """No scaled accumulator can leave int32."""
    bits = np.where(_fast(op), FAST_SHIFT - op.requantize.shift, 0)
    return bool(np.all(_bound(op) << bits <= INT32_MAX))


def cut_columns(out_w: int) -> Strips:
    """The cheapest strips that cover at least 3 columns with at most one too many."""
    choices = [
        Strips(sixes=(out_w + spare - FOUR * fours) // SIX, fours=fours, spare=spare)
        for spare in (0, 1)
        for fours in range(4)
        if out_w + spare >= FOUR * fours and (out_w + spare - FOUR * fours) % SIX == 0
    ]
    return min(choices, key=lambda s: s.sixes * CYCLES_SIX[1] + s.fours * CYCLES_FOUR[1])


def fit_planes(grid: Grid, strips: Strips, general: bool, limit_bytes: int) -> Planes:
    """As many rows as `limit_bytes` hold, in chunks of one size; at least one output row.

    `general`: not all channels are computed by the blocks for strips.
    """
    (kernel_h, kernel_w), (stride_h, stride_w) = grid.window.kernel, grid.window.stride
    taps = kernel_w // 2 + 1
    # the general code computes four outputs at a time: `stride_w` words for two of them
    read = (-(-grid.out_w // 4) * 2 - 1) * stride_w + stride_w // 2 + taps if general else 0
    copied = (grid.window.pads[1] + grid.in_w + 1) // 2
    row_words = max(read, copied, strips.columns * stride_w // 2 + 1)

    def of_chunk(chunk: int) -> Planes:
        return Planes(
            chunk=chunk,
            rows=(chunk - 1) * stride_h + kernel_h,
            row_words=row_words,
            weight_words=2 * kernel_h * taps if general else 0,
        )

    fitting = [c for c in range(1, grid.out_h + 1) if of_chunk(c).scratch_bytes <= limit_bytes]
    chunks = -(-grid.out_h // max(fitting, default=1))
    return of_chunk(-(-grid.out_h // chunks))


def in_place(grid: Grid, planes: Planes) -> bool:
    """No chunk writes what a later chunk of the same channel copies, output upon input."""
    for written in range(planes.chunk, grid.out_h, planes.chunk):
        copied = (written - 1) * grid.window.stride[0] + grid.window.kernel[0] - grid.window.pads[0]
        if copied >= grid.in_h:
            return True
        if grid.turned and (grid.in_col != grid.out_col or written > copied):
            return False
        if written * grid.out_row > max(copied, 0) * grid.in_row:
            return False
    return True


def _call(op: ConvS8, grid: Grid, strips: Strips, planes: Planes, function: str) -> KernelCall:
    weight = op.weight[..., 0].transpose(0, 2, 1) if grid.turned else op.weight[..., 0]
    # a channel that is always 0 before the zero point may have any shift
    requantize = op.requantize.take(np.arange(grid.ch))
    shift = np.where(_bound(op) == 0, FAST_SHIFT, requantize.shift)
    fields, tables = requantize_tables(replace(requantize, shift=shift))
    window = dict(grid.window.fields())
    names = ("kernel_h", "kernel_w", "stride_h", "stride_w", "pad_top", "pad_left")
    sizes = ("in_h", "in_w", "in_row", "in_col", "out_h", "out_w", "out_row", "out_col", "ch")
    return KernelCall(
        function=function,
        header="mcugen_depthwise_dsp.h",
        fields=(
            *((name, getattr(grid, name)) for name in sizes),
            *((name, window[name]) for name in names),
            ("pad_value", op.pad_value),
            ("chunk", planes.chunk),
            ("row_words", planes.row_words),
            ("sixes", strips.sixes),
            ("fours", strips.fours),
            ("spare", strips.spare),
            ("weight", "weight"),
            ("bias", "bias"),
            *(field for field in fields if field[0] != "double_rounding"),
        ),
        tables=(
            ConstTable(
                suffix="weight",
                values=np.ascontiguousarray(weight, np.int8),
                comment="[ch, kernel_w, kernel_h]" if grid.turned else "[ch, kernel_h, kernel_w]",
            ),
            ConstTable(suffix="bias", values=op.bias.astype(np.int32), comment="[ch]"),
            *tables,
        ),
        scratch_bytes=planes.scratch_bytes,
    )


# Cycles on a Cortex-M4 with zero-wait memory, from counts of the inner blocks: of a strip's row by
# stride, and of what surrounds it.
CYCLES_SIX = {1: 96.0, 2: 106.0}
CYCLES_FOUR = {1: 73.0, 2: 79.0}
CYCLES_STRIP = 25.0
CYCLES_MOVE = 3.0  # a word from chunk to chunk
CYCLES_CLAMP = 3.0  # a value


def _cycles(op: ConvS8, grid: Grid, strips: Strips, planes: Planes) -> float:
    """Filling the planes with padding once, then for two channels their rows and their outputs."""
    fast = int(_fast(op).sum()) if strips.columns else 0
    chunks = -(-grid.out_h // planes.chunk)
    pairs = -(-grid.ch // 2)
    padding = 290.0 + 2.9 * planes.rows * 2 * planes.row_words
    work = (grid.ch - fast) * _general_cycles(grid)
    if fast:
        work += fast * _strips_cycles(grid, strips, chunks)
    clamped = (op.requantize.low, op.requantize.high) != (-128, 127)
    clamp = CYCLES_CLAMP * math.prod((grid.out_h, grid.out_w, grid.ch)) if clamped else 0.0
    return padding + pairs * (40.0 + _copy_cycles(grid, planes, chunks)) + work + clamp


def _copy_cycles(grid: Grid, planes: Planes, chunks: int) -> float:
    """Of two channels: every input row is copied once, and moved where two chunks read it."""
    kept = max(grid.window.kernel[0] - grid.window.stride[0], 0)
    moved = (chunks - 1) * kept * 2 * planes.row_words
    return 380.0 * chunks + CYCLES_MOVE * moved + grid.in_h * (32.0 + 4.3 * grid.in_w)


def _strips_cycles(grid: Grid, strips: Strips, chunks: int) -> float:
    """One channel by the blocks for 3x3 kernels: rows of strips, which each chunk begins anew."""
    stride = grid.window.stride[0]
    row = strips.sixes * CYCLES_SIX[stride] + strips.fours * CYCLES_FOUR[stride]
    return grid.out_h * row + chunks * CYCLES_STRIP * (strips.sixes + strips.fours)


def _general_cycles(grid: Grid) -> float:
    """One channel under any kernel: four outputs, and two pairs of taps of each."""
    kernel_h, kernel_w = grid.window.kernel
    fours = grid.out_h * -(-grid.out_w // 4)
    return fours * (240.0 + 26.0 * kernel_h * (kernel_w // 2 + 1))
