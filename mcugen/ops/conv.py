# SPDX-License-Identifier: Apache-2.0
"""Convolution over images [H, W, C] and sequences [L, C]: dense, grouped, dilated and depthwise."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from mcugen.fixed_point import INT32_MAX, IntArray, Requantize
from mcugen.ir.graph import Shape
from mcugen.ir.quantization import WeightGrid
from mcugen.ops import (
    conv_dsp,
    conv_mve,
    conv_s16_dsp,
    depthwise_dsp,
    dsp,
    mve,
    packed,
    sparse,
    sparse_dsp,
    sparse_pair,
    winograd_dsp,
)
from mcugen.ops.base import (
    NO_CLAMP,
    Clamp,
    ConstTable,
    FloatArray,
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
    WeightArrays,
)
from mcugen.ops.channels import ChannelLinks, Kept, dense, linked
from mcugen.ops.conv_pair import conv_pair_kernels
from mcugen.ops.depthwise_pair import depthwise_pair_kernels
from mcugen.ops.overlap import window_overlap
from mcugen.ops.scalar import ScalarCosts, is_scalar
from mcugen.ops.weights import accumulator_bound, bias_classes, integer_layer, requantize_tables
from mcugen.ops.window import Window, as_image, like_input, windows

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Conv(Op):
    """Convolution. weight: float32 [out_ch, kernel_h, kernel_w, in_ch / groups], bias: [out_ch]."""

    kind: ClassVar[str] = "conv"
    weight_widths: ClassVar[tuple[int, ...]] = packed.WIDTHS
    weight: FloatArray
    bias: FloatArray
    window: Window
    groups: int = 1
    clamp: Clamp = NO_CLAMP
    grid: WeightGrid | None = None  # of the weight, where the model rounded it

    def infer(self, inputs: Sequence[Shape]) -> Shape:
        """[H, W, C] to [out_h, out_w, out_ch], or the same without H."""
        h, w, c = as_image(inputs[0])
        if c != self.weight.shape[3] * self.groups:
            msg = f"weights take {self.weight.shape[3] * self.groups} channels, input has {c}"
            raise ValueError(msg)
        size = self.window.output_size((h, w))
        return like_input((*size, self.weight.shape[0]), inputs[0])

    def forward(self, inputs: Sequence[torch.Tensor]) -> torch.Tensor:
        """Source: torch.nn.functional.conv2d, on channels-last data."""
        import torch
        from torch.nn import functional

        x = inputs[0]
        image = x if x.dim() == 4 else x.unsqueeze(1)
        top, left, bottom, right = self.window.pads
        nchw = functional.pad(image.permute(0, 3, 1, 2), (left, right, top, bottom))
        weight = torch.as_tensor(self.weight).permute(0, 3, 1, 2)
        y = functional.conv2d(
            nchw,
            weight,
            torch.as_tensor(self.bias),
            stride=self.window.stride,
            dilation=self.window.dilation,
            groups=self.groups,
        ).permute(0, 2, 3, 1)
        return self.clamp.apply(y if x.dim() == 4 else y.squeeze(1))

    def macs(self, inputs: Sequence[Shape], output: Shape) -> int:
        """Every output value takes kernel_h * kernel_w * in_ch / groups."""
        return int(np.prod(output)) * int(np.prod(self.weight.shape[1:]))

    @property
    def input_magnitudes(self) -> FloatArray:
        """Over the filters of each input channel's group."""
        by_group = np.abs(self.weight).reshape(self.groups, -1, *self.weight.shape[1:])
        largest: FloatArray = by_group.max(axis=(1, 2, 3)).ravel()
        return largest

    def scale_outputs(self, factors: FloatArray) -> Conv | None:
        """c max(w * x + b, 0) = max((c w) * x + c b, 0)."""
        plain = self.without_clamp().absorb_scale_shift(factors, np.zeros_like(factors))
        if plain is None or not self.clamp.is_homogeneous:
            return None
        return replace(plain, clamp=self.clamp)

    def without_clamp(self) -> Conv:
        """The same convolution, not clamped."""
        return replace(self, clamp=NO_CLAMP)

    @property
    def depthwise(self) -> bool:
        """Each output channel reads the input channel of the same number alone."""
        return _is_depthwise(self.weight.shape, self.groups)

    @property
    def weight_arrays(self) -> WeightArrays:
        """Weight and bias."""
        return self.weight, self.bias

    @property
    def weight_grid(self) -> WeightGrid | None:
        """What the model itself rounded the weight to."""
        return self.grid

    def with_weight_arrays(self, weight: FloatArray, bias: FloatArray) -> Conv:
        """The same convolution over another weight and bias."""
        return replace(self, weight=weight, bias=bias, grid=None)

    def with_clamp(self, clamp: Clamp) -> Conv:
        """The same convolution, clamped."""
        return replace(self, clamp=self.clamp.intersect(clamp))

    def absorb_padding(self, padding: Padding) -> Conv | None:
        """More of the zeros that the window pads with already."""
        window = self.window.within(padding) if padding.value == 0.0 else None
        return None if window is None else replace(self, window=window)

    def absorb_scale_shift(self, scale: FloatArray, shift: FloatArray) -> Conv | None:
        """s (w * x + b) + t = (s w) * x + (s b + t), per output channel."""
        if self.clamp != NO_CLAMP:
            return None
        weight = self.weight * scale.reshape(-1, 1, 1, 1)
        grid = self.grid and self.grid.scaled(scale)
        return replace(self, weight=weight, bias=self.bias * scale + shift, grid=grid)

    def absorb_input_scale_shift(self, scale: FloatArray, shift: FloatArray) -> Conv | None:
        """w * (s x + t) + b = (w s) * x + (b + sum w t), per input channel.

        Only without padding, or without shift: padding puts 0 where s x + t would be t. And only
        where weights that are on a grid stay on one.
        """
        taps = self._per_tap(scale)
        grid = self.grid and self.grid.scaled_within(taps[:, 0, 0])
        if (any(self.window.pads) and np.any(shift != 0)) or (self.grid and not grid):
            return None
        added = (self.weight * self._per_tap(shift)).sum(axis=(1, 2, 3), dtype=np.float64)
        return replace(
            self,
            weight=self.weight * taps,
            bias=(self.bias + added).astype(np.float32),
            grid=grid,
        )

    def _per_tap(self, values: FloatArray) -> FloatArray:
        """Values of the input channels, [in_ch] or [1], as each filter sees them."""
        out_ch, group_in_ch = self.weight.shape[0], self.weight.shape[3]
        by_group = np.broadcast_to(values, (self.groups * group_in_ch,))
        by_filter = np.repeat(by_group.reshape(self.groups, -1), out_ch // self.groups, axis=0)
        return by_filter.reshape(out_ch, 1, 1, group_in_ch)

    def lower(self, ctx: Lowering) -> ConvS8:
        """Symmetric weights; the input's zero point goes into the bias."""
        layer = integer_layer(self.clamp, ctx)
        return ConvS8(
            weight=layer.weight,
            bias=layer.bias,
            requantize=layer.requantize,
            window=self.window,
            groups=self.groups,
            pad_value=ctx.inputs[0].qparams.zero_point,
            weight_bits=layer.weight_bits,
        )


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ConvS8(IntOp):
    """y = requantize(bias + sum w * x), x padded with `pad_value`.

    weight: int8 [out_ch, kernel_h, kernel_w, in_ch / groups], of 8, 4 or 2 bits; bias: int64 in
    int32 range, [out_ch] or, where removed constant channels make it depend on the place,
    [out_h, out_w, out_ch].
    """

    kind: ClassVar[str] = "conv"
    weight: NDArray[np.int8]
    bias: IntArray
    requantize: Requantize
    window: Window
    groups: int
    pad_value: int
    weight_bits: int = 8

    def __post_init__(self) -> None:
        """Raise ValueError where the weights need more bits."""
        packed.check_width(self.weight, self.weight_bits)

    @property
    def bits_per_weight(self) -> int:
        """8, 4 or 2."""
        return self.weight_bits

    @property
    def zero_share(self) -> float:
        """Of all weights."""
        return sparse.zero_share(self.weight)

    @property
    def depthwise(self) -> bool:
        """Each output channel reads the input channel of the same number alone."""
        return _is_depthwise(self.weight.shape, self.groups)

    @property
    def has_wide_sums(self) -> bool:
        """Where int16 operands can take a sum out of int32."""
        if self.operand_bits == 8:
            return False
        bound = accumulator_bound(self.weight, self.bias, self.operand_bits)
        return bool(np.any(bound > INT32_MAX))

    def reference(self, inputs: Sequence[IntArray]) -> IntArray:
        """Exact: products are summed as floats that hold every sum."""
        x = inputs[0]
        image = x if x.ndim == 4 else x[:, None]
        y = self.requantize(self.accumulate(image, self.weight) + self.bias)
        return y if x.ndim == 4 else y[:, 0]

    def accumulate(self, images: IntArray, weight: NDArray[np.generic]) -> IntArray:
        """sum w * x for images [N, H, W, C]: int64 [N, out_h, out_w, out_ch]."""
        exact = _exact_float(images, weight, self.pad_value)
        taps = windows(images.astype(exact), self.window, self.pad_value)
        factors = weight.astype(exact)
        if self.depthwise:
            acc = _channel_products(taps, factors[..., 0])
        else:
            parts = zip(
                np.split(taps, self.groups, axis=3), np.split(factors, self.groups), strict=True
            )
            acc = np.concatenate([_products(t, w) for t, w in parts], axis=3)
        return acc.astype(np.int64)

    def macs(self, inputs: Sequence[Shape], output: Shape) -> int:
        """Every output value takes kernel_h * kernel_w * in_ch / groups."""
        return int(np.prod(output)) * int(np.prod(self.weight.shape[1:]))

    def bounds(self, inputs: Sequence[Interval], output: Shape) -> Interval:
        """Exact: positive weights take the far end of the input interval, negative the near."""
        low, high = (x.reshape(1, *as_image(x.shape)) for x in inputs[0])
        positive, negative = np.maximum(self.weight, 0), np.minimum(self.weight, 0)
        top = self.accumulate(high, positive) + self.accumulate(low, negative)
        bottom = self.accumulate(low, positive) + self.accumulate(high, negative)
        # both halves pad with the same value, so the padding's share is exact
        return (
            self.requantize(bottom + self.bias).reshape(output),
            self.requantize(top + self.bias).reshape(output),
        )

    def channel_links(self, inputs: Sequence[Shape], output: Shape) -> ChannelLinks | None:
        """Depthwise ties input to output channel by channel; grouped is pinned; dense is free."""
        if self.depthwise:
            return linked(1, self.weight.shape[0])
        if self.groups > 1:
            return None
        blocks = sparse.blocks_of(self.weight) if self._may_skip_zeros else (1, 1)
        return dense(np.any(self.weight != 0, axis=(1, 2)), blocks)

    def take_channels(self, kept: Kept) -> ConvS8:
        """Cut the weights; what constant inputs add goes into the bias, exact at the borders."""
        if self.depthwise:
            return replace(
                self,
                weight=self.weight[kept.output],
                bias=self.bias[..., kept.output],
                requantize=self.requantize.take(kept.output),
                groups=len(kept.output),
            )
        return replace(
            self,
            weight=self.weight[kept.output][..., kept.inputs[0]],
            bias=self._bias_with_constants(kept),
            requantize=self.requantize.take(kept.output),
        )

    @property
    def _may_skip_zeros(self) -> bool:
        """The layer is mostly zero and of the kind that kernels for that serve."""
        kind = self.groups == 1 and self.weight_bits == 8 and self.requantize.mode == "single"
        return kind and not self.has_int16 and sparse.mostly_zero(self.weight)

    def spares(self, values: IntArray) -> NDArray[np.bool_]:
        """All, but those that would make a mostly zero layer's bias depend on the place.

        Kernels that skip zeros have one bias for each output.
        """
        if not self._may_skip_zeros:
            return np.ones(values.shape[-1], np.bool_)
        unread = ~np.any(self.weight, axis=(0, 1, 2))
        places = values.reshape(-1, values.shape[-1])
        around = self.pad_value if any(self.window.pads) else places[0]
        uniform: NDArray[np.bool_] = unread | np.all(places == around, axis=0)
        return uniform

    def _bias_with_constants(self, kept: Kept) -> IntArray:
        removed = np.setdiff1d(np.arange(self.weight.shape[3]), kept.inputs[0])
        weight = self.weight[kept.output][..., removed]
        bias = self.bias[..., kept.output]
        if not np.any(weight):
            return bias
        values = kept.values[0].reshape(1, *as_image(kept.shapes[0]))[..., removed]
        field = bias + self.accumulate(values, weight)[0]
        first: IntArray = field[0, 0]
        return first if np.all(field == first) else field

    def implementations(
        self, inputs: Sequence[Shape], output: Shape, target: Target
    ) -> tuple[Kernel, ...]:
        """The portable kernel and those of the core's extensions."""
        found = [self.portable(inputs, output)]
        if self.has_int16:
            found += conv_s16_dsp.conv_kernels(self, inputs, output, target)
            return tuple(found)
        if self.weight_bits < 8:
            return (*found, *self._narrow_implementations(inputs, output, target))
        if mve.FEATURE in target.features:
            found += conv_mve.conv_kernels(self, inputs, output)
        if dsp.serves(target, self.requantize):
            found += conv_dsp.conv_kernels(self, inputs, output)
            if self.depthwise:
                found += depthwise_dsp.depthwise_kernels(self, inputs, output)
            found += winograd_dsp.winograd_kernels(self, inputs, output)
            if sparse.has_zeros(self.weight):
                own = sparse_dsp.conv_kernels(self, inputs, output, target)
                found += sparse.that_pay(own, found, target)
        if is_scalar(target):
            found = [ScalarCosts.of(target).portable(found[0], self.macs(inputs, output), output)]
            fast = depthwise_pair_kernels if self.depthwise else conv_pair_kernels
            found += fast(self, inputs, output, target)
            if sparse.has_zeros(self.weight):
                own = sparse_pair.conv_kernels(self, inputs, output, target)
                found += sparse.that_pay(own, found, target)
        return tuple(found)

    def reads(self, inputs: Sequence[Shape], output: Shape) -> tuple[int, ...]:
        """A window for each pixel, all of whose channels are computed from it at once."""
        return (math.prod(output[:-1]) * math.prod(self.window.kernel) * inputs[0][-1],)

    def _narrow_implementations(
        self, inputs: Sequence[Shape], output: Shape, target: Target
    ) -> tuple[Kernel, ...]:
        """Those for packed weights; of depthwise layers those that hold them as bytes."""
        if self.depthwise:
            return replace(self, weight_bits=8).implementations(inputs, output, target)
        found: list[Kernel] = []
        if mve.FEATURE in target.features:
            found += conv_mve.conv_kernels(self, inputs, output)
        if dsp.serves(target, self.requantize):
            found += conv_dsp.conv_kernels(self, inputs, output)
        if is_scalar(target):
            found += conv_pair_kernels(self, inputs, output, target)
        return tuple(found)

    def striped(self, inputs: Sequence[Shape], output: Shape, rows: int) -> Striped | None:
        """The same windows without padding above and below; the bias must not tell rows apart."""
        top, left, _, right = self.window.pads
        bias = self.bias
        if bias.ndim == 3:
            if np.any(bias != bias[:1]):
                return None
            bias = np.repeat(bias[:1], rows, axis=0)
        if top < 0:
            return None
        axis = self.window.along(0, inputs[0][0])
        return Striped(
            op=replace(self, bias=bias, window=replace(self.window, pads=(0, left, 0, right))),
            step=axis.step,
            span=axis.span,
            pad=top,
            pad_value=self.pad_value if any(self.window.pads) else None,
        )

    def portable_overlaps(self, inputs: Sequence[Shape], output: Shape) -> tuple[Overlap, ...]:
        """Pixel after pixel, all channels of one before the next."""
        in_h, in_w, in_ch = as_image(inputs[0])
        rows, cols = self.window.along(0, in_h), self.window.along(1, in_w)
        widths = in_ch * self.operand_bits // 8, output[-1] * self.result_bits // 8
        return (window_overlap(rows, cols, *widths),)

    def kernels(self, inputs: Sequence[Shape], output: Shape) -> tuple[KernelCall, ...]:
        """Depthwise weights are stored [kernel_h, kernel_w, ch], dense ones with out_ch first."""
        if self.weight_bits < 8:
            return (packed.conv_call(self, inputs[0], output),)
        (in_h, in_w, in_ch), (out_h, out_w, out_ch) = as_image(inputs[0]), as_image(output)
        weight = self.weight[..., 0].transpose(1, 2, 0) if self.depthwise else self.weight
        bias_fields, bias_tables = bias_classes(self.bias, wide=self.has_wide_sums)
        requant_fields, requant_tables = requantize_tables(self.requantize)
        name = "mcugen_depthwise" if self.depthwise else "mcugen_conv"
        function, header = self.typed(name, "mcugen_conv")
        groups = () if self.depthwise else (("group_in_ch", self.weight.shape[3]),)
        outs = () if self.depthwise else (("group_out_ch", out_ch // self.groups),)
        call = KernelCall(
            function=function,
            header=header,
            fields=(
                ("in_h", in_h),
                ("in_w", in_w),
                ("in_ch", in_ch),
                ("out_h", out_h),
                ("out_w", out_w),
                ("out_ch", out_ch),
                *groups,
                *outs,
                *self.window.fields(),
                ("pad_value", self.pad_value),
                ("weight", "weight"),
                *bias_fields,
                *requant_fields,
            ),
            tables=(
                ConstTable(
                    suffix="weight",
                    values=np.ascontiguousarray(weight, np.int8),
                    comment="[kernel_h, kernel_w, ch]"
                    if self.depthwise
                    else "[out_ch, kernel_h, kernel_w, in_ch]",
                ),
                *bias_tables,
                *requant_tables,
            ),
        )
        return (call,)


def _is_depthwise(weight: Shape, groups: int) -> bool:
    return groups > 1 and groups == weight[0] and weight[3] == 1


def _exact_float(images: IntArray, weight: NDArray[np.generic], fill: int) -> np.dtype[Any]:
    """A float type in which no sum of products is rounded, in whatever order it is computed."""
    largest = max(int(np.max(np.abs(images), initial=0)), abs(fill))
    most = np.abs(weight.astype(np.int64)).reshape(len(weight), -1).sum(axis=1).max()
    return np.dtype(np.float32 if largest * int(most) <= 1 << 24 else np.float64)


def _channel_products(taps: NDArray[Any], weight: NDArray[Any]) -> NDArray[Any]:
    """taps [N, h, w, C, i, j] times weight [C, i, j], summed over the window."""
    _, kernel_h, kernel_w = weight.shape
    acc: NDArray[Any] = np.zeros(taps.shape[:4], taps.dtype)
    for i in range(kernel_h):
        for j in range(kernel_w):
            acc += taps[..., i, j] * weight[:, i, j]
    return acc


def _products(taps: NDArray[Any], weight: NDArray[Any]) -> NDArray[Any]:
    """taps [N, h, w, C, i, j] times weight [O, i, j, C] as one matrix product."""
    columns = taps.transpose(0, 1, 2, 4, 5, 3)
    rows = columns.reshape(-1, int(np.prod(columns.shape[3:])))
    products: NDArray[Any] = rows @ weight.reshape(len(weight), -1).T
    return products.reshape(*taps.shape[:3], len(weight))
