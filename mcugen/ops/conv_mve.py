# SPDX-License-Identifier: Apache-2.0
"""Dense convolution on the M-profile Vector Extension: packed weights, columns, overlap, cost."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from mcugen.fixed_point import INT32_MAX, IntArray, Requantize
from mcugen.ir.graph import Shape
from mcugen.ops import mve
from mcugen.ops.base import ConstTable, Kernel, KernelCall, Overlap
from mcugen.ops.depthwise_mve import depthwise_kernels
from mcugen.ops.overlap import forward_distance
from mcugen.ops.weights import accumulator_bound, bias_classes
from mcugen.ops.window import Window, as_image

if TYPE_CHECKING:
    from mcugen.ops.conv import ConvS8

TILE = 3  # pixels of one pass over the weights: MCUGEN_CONV_MVE_TILE
WIDEST_SPREAD = 255  # place of a byte in a column: uint8


class Layer(NamedTuple):
    """weight: int8 [out_ch, kernel_h, kernel_w, in_ch]; bias as in ConvS8."""

    weight: NDArray[np.int8]
    bias: IntArray
    requantize: Requantize
    pad_value: int = 0
    bits: int = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Geometry:
    """Sizes of one convolution, as the kernel walks it."""

    in_h: int
    in_w: int
    in_ch: int
    out_h: int
    out_w: int
    out_ch: int
    window: Window

    @property
    def direct(self) -> bool:
        """Windows are runs of the input."""
        return self.window.kernel[0] == 1 and not any(self.window.pads)

    @property
    def column_len(self) -> int:
        """Bytes of one input column within a window."""
        return self.window.kernel[0] * self.in_ch

    @property
    def columns(self) -> int:
        """Input columns, padding included, that a row of windows covers."""
        return (self.out_w - 1) * self.window.stride[1] + self.window.kernel[1]

    @property
    def steps(self) -> int:
        """Vectors in a window."""
        return -(-self.window.kernel[1] * self.column_len // mve.VECTOR)

    @property
    def fours(self) -> int:
        """Groups of four output channels."""
        return -(-self.out_ch // mve.LANES)

    @property
    def tiles(self) -> int:
        """Passes over the weights, where all pixels share their biases."""
        return self.out_h * -(-self.out_w // TILE)

    @property
    def once(self) -> int:
        """Input pixels that are laid into columns by one store."""
        pixels = mve.VECTOR // self.in_ch
        fits = pixels >= 2 and pixels * self.column_len <= WIDEST_SPREAD
        return pixels if fits else 1

    @property
    def scratch_bytes(self) -> int:
        """Sums of a tile, then columns, or the windows at the end of the input."""
        sums = 4 * mve.LANES * TILE * self.fours
        vectors = mve.VECTOR * self.steps
        if self.direct:
            copied = vectors != self.window.kernel[1] * self.column_len
            return sums + TILE * vectors * int(copied)
        return sums + mve.round_up(self.columns * self.column_len + mve.VECTOR, 4)


def conv_kernels(op: ConvS8, inputs: Sequence[Shape], output: Shape) -> tuple[Kernel, ...]:
    """The kernel, or nothing where it does not apply: groups, dilated width, large multipliers."""
    window = op.window
    if op.depthwise:
        return depthwise_kernels(op, inputs, output)
    dilated = window.kernel[1] > 1 and window.dilation[1] > 1
    layer = widened(Layer(op.weight, op.bias, op.requantize, op.pad_value, op.weight_bits))
    if op.groups > 1 or dilated or layer is None or not mve.applies(layer.requantize):
        return ()
    of = _geometry(inputs[0], output, window, flat=op.bias.ndim == 1)
    return (dense_kernel(of, layer),)


def widened(layer: Layer) -> Layer | None:
    """The layer with biases and shifts for weights that stand in the upper bits of a byte.

    None where an accumulator could leave int32. The same where weights have 8 bits.
    """
    if layer.bits == 8:
        return layer
    up = 8 - layer.bits
    bound = accumulator_bound(layer.weight, layer.bias)
    if np.any(bound << up > INT32_MAX):
        return None
    return layer._replace(
        bias=layer.bias << up, requantize=mve.shifted(layer.requantize, bound, up)
    )


def _geometry(source: Shape, output: Shape, window: Window, flat: bool) -> Geometry:
    """Images whose windows are pixels are one row, which leaves the fewest tiles unfilled."""
    (in_h, in_w, in_ch), (out_h, out_w, out_ch) = as_image(source), as_image(output)
    plain = window.kernel == (1, 1) and window.stride == (1, 1) and not any(window.pads)
    if plain and flat:
        in_h, in_w, out_h, out_w = 1, in_h * in_w, 1, out_h * out_w
    return Geometry(
        in_h=in_h,
        in_w=in_w,
        in_ch=in_ch,
        out_h=out_h,
        out_w=out_w,
        out_ch=out_ch,
        window=window,
    )


def pack_weights(weight: NDArray[np.int8], bits: int) -> NDArray[np.int8]:
    """[out_ch, kernel_h, kernel_w, in_ch] as [fours, steps, 4, 16], columns of a window outside.

    Of fewer bits 2 or 4 channels share a byte, the first one lowest: [fours, steps, bits / 2, 16].
    """
    windows = weight.transpose(0, 2, 1, 3).reshape(len(weight), -1)
    rows = mve.round_up(len(windows), mve.LANES) - len(windows)
    behind = mve.round_up(windows.shape[1], mve.VECTOR) - windows.shape[1]
    full = np.pad(windows, ((0, rows), (0, behind)))
    lanes = full.reshape(-1, mve.LANES, full.shape[1] // mve.VECTOR, mve.VECTOR).swapaxes(1, 2)
    if bits == 8:
        return lanes
    share = 8 // bits
    codes = lanes.astype(np.uint8) & ((1 << bits) - 1)
    apart = codes.reshape(*codes.shape[:2], mve.LANES // share, share, mve.VECTOR)
    places = np.arange(0, 8, bits, dtype=np.uint8)[:, None]
    together: NDArray[np.uint8] = (apart << places).sum(axis=3, dtype=np.uint8)
    return together.view(np.int8)


def _spread(of: Geometry) -> tuple[ConstTable, ...]:
    """Where the bytes of a vector of narrow pixels go: pixels are a column apart."""
    if of.direct or of.once == 1:
        return ()
    byte = np.arange(mve.VECTOR)
    places = byte // of.in_ch * of.column_len + byte % of.in_ch
    values = np.where(byte < of.once * of.in_ch, places, 0).astype(np.uint8)
    return (ConstTable(suffix="spread", values=values, comment="[16]"),)


def dense_kernel(of: Geometry, layer: Layer) -> Kernel:
    """The kernel of any layer that multiplies windows with a matrix."""
    bias_fields, bias_tables = bias_classes(mve.fill_up(layer.bias))
    requant_fields, requant_tables = mve.requantize_fields(layer.requantize, of.out_ch)
    spread = _spread(of)
    suffix = "" if layer.bits == 8 else f"_w{layer.bits}"
    call = KernelCall(
        function=f"mcugen_conv_mve_s8{suffix}",
        header="mcugen_conv_mve.h",
        fields=(
            ("in_h", of.in_h),
            ("in_w", of.in_w),
            ("in_ch", of.in_ch),
            ("out_h", of.out_h),
            ("out_w", of.out_w),
            ("out_ch", of.out_ch),
            *(field for field in of.window.fields() if field[0] != "dilation_w"),
            ("pad_value", layer.pad_value),
            ("direct", int(of.direct)),
            ("steps", of.steps),
            ("fours", of.fours),
            ("weight", "weight"),
            *bias_fields,
            ("spread", "spread" if spread else None),
            *requant_fields,
        ),
        tables=(
            ConstTable(
                suffix="weight",
                values=pack_weights(layer.weight, layer.bits),
                comment=f"[out_ch / 4, k, {layer.bits // 2}, 16]",
            ),
            *bias_tables,
            *spread,
            *requant_tables,
        ),
        scratch_bytes=of.scratch_bytes,
    )
    tile = TILE if layer.bias.ndim == 1 else 1
    return Kernel(
        variant=f"mve_2x3{suffix}",
        calls=(call,),
        cycles=instructions(of, layer.bits),
        overlaps=(Overlap(operand=0, distance=distance(of, tile)),),
    )


def distance(of: Geometry, tile: int) -> int:
    """See `Overlap`. Nothing of a tile, or of a row with columns, is stored before all is read."""
    stride_h, stride_w = of.window.stride
    step = tile if of.direct else of.out_w
    starts = np.arange(0, of.out_w, step)
    ends = np.minimum(starts + step, of.out_w)
    rows = np.arange(of.out_h)[:, None]
    tops = np.clip(rows * stride_h - of.window.pads[0], 0, of.in_h)
    reads = (tops * of.in_w + starts * stride_w) * of.in_ch
    writes = (rows * of.out_w + ends) * of.out_ch
    later = np.append(reads.ravel()[1:], of.in_h * of.in_w * of.in_ch)
    return forward_distance(writes.ravel(), later)


def instructions(of: Geometry, bits: int) -> float:
    """Executed instructions of the kernel, as counted on the simulated core."""
    sums = {1: 28.0, 2: 44.0}.get(of.steps, 20.0 + 24.0 * of.steps)
    if bits < 8:
        sums = 20.0 + (26.0 if bits == 4 else 28.0) * of.steps
    computed = of.tiles * (of.fours * (sums + 28.0) + 73.0)
    return 60.0 + computed + (0.0 if of.direct else of.out_h * _laying(of))


def _laying(of: Geometry) -> float:
    """Instructions for the columns of one row of windows."""
    pixels = min(of.in_w, of.columns - of.window.pads[1])
    if of.once > 1:
        row = 45.0 + 6.0 * (pixels // of.once)
    else:
        row = 20.0 + -(-of.in_ch // mve.VECTOR) * (20.0 + 6.0 * pixels)
    return 30.0 + of.window.kernel[0] * row
