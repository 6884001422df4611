# SPDX-License-Identifier: Apache-2.0
"""Fully connected layer over the last axis."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, ClassVar

import numpy as np
from numpy.typing import NDArray

from mcugen.fixed_point import INT32_MAX, IntArray, Requantize
from mcugen.ir.graph import Shape
from mcugen.ir.quantization import WeightGrid
from mcugen.ops import (
    conv_s16_dsp,
    dsp,
    linear_dsp,
    linear_mve,
    linear_scalar,
    mve,
    packed,
    sparse,
    sparse_linear,
    sparse_linear_dsp,
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
    Target,
    WeightArrays,
)
from mcugen.ops.channels import ChannelLinks, Kept, dense
from mcugen.ops.conv import ConvS8
from mcugen.ops.scalar import ScalarCosts, is_scalar
from mcugen.ops.weights import accumulator_bound, bias_table, integer_layer, requantize_tables
from mcugen.ops.window import Window

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Linear(Op):
    """y = W x + b over the last axis. weight: float32 [out_ch, in_ch], bias: [out_ch]."""

    kind: ClassVar[str] = "linear"
    weight_widths: ClassVar[tuple[int, ...]] = packed.WIDTHS
    weight: FloatArray
    bias: FloatArray
    clamp: Clamp = NO_CLAMP
    grid: WeightGrid | None = None  # of the weight, where the model rounded it

    def infer(self, inputs: Sequence[Shape]) -> Shape:
        """[..., in_ch] to [..., out_ch]."""
        if not inputs[0] or inputs[0][-1] != self.weight.shape[1]:
            msg = f"weights take {self.weight.shape[1]} features, input has shape {inputs[0]}"
            raise ValueError(msg)
        return (*inputs[0][:-1], self.weight.shape[0])

    def forward(self, inputs: Sequence[torch.Tensor]) -> torch.Tensor:
        """Source: torch.nn.functional.linear."""
        import torch
        from torch.nn import functional

        weight, bias = torch.as_tensor(self.weight), torch.as_tensor(self.bias)
        return self.clamp.apply(functional.linear(inputs[0], weight, bias))

    def macs(self, inputs: Sequence[Shape], output: Shape) -> int:
        """Every output value takes in_ch."""
        return int(np.prod(output)) * int(self.weight.shape[1])

    @property
    def input_magnitudes(self) -> FloatArray:
        """Over the rows of each column."""
        largest: FloatArray = np.abs(self.weight).max(axis=0)
        return largest

    def scale_outputs(self, factors: FloatArray) -> Linear | None:
        """c max(W x + b, 0) = max((c W) x + c b, 0)."""
        plain = self.without_clamp().absorb_scale_shift(factors, np.zeros_like(factors))
        if plain is None or not self.clamp.is_homogeneous:
            return None
        return replace(plain, clamp=self.clamp)

    def without_clamp(self) -> Linear:
        """The same layer, not clamped."""
        return replace(self, clamp=NO_CLAMP)

    @property
    def weight_arrays(self) -> WeightArrays:
        """Weight and bias."""
        return self.weight, self.bias

    @property
    def weight_grid(self) -> WeightGrid | None:
        """What the model itself rounded the weight to."""
        return self.grid

    def with_weight_arrays(self, weight: FloatArray, bias: FloatArray) -> Linear:
        """The same layer over another weight and bias."""
        return replace(self, weight=weight, bias=bias, grid=None)

    def with_clamp(self, clamp: Clamp) -> Linear:
        """The same layer, clamped."""
        return replace(self, clamp=self.clamp.intersect(clamp))

    def absorb_scale_shift(self, scale: FloatArray, shift: FloatArray) -> Linear | None:
        """s (W x + b) + t = (s W) x + (s b + t), per output."""
        if self.clamp != NO_CLAMP:
            return None
        return replace(
            self,
            weight=self.weight * scale.reshape(-1, 1),
            bias=self.bias * scale + shift,
            grid=self.grid and self.grid.scaled(scale),
        )

    def absorb_input_scale_shift(self, scale: FloatArray, shift: FloatArray) -> Linear | None:
        """W (s x + t) + b = (W s) x + (b + W t), per input.

        Only where weights that are on a grid stay on one.
        """
        grid = self.grid and self.grid.scaled_within(np.broadcast_to(scale, self.weight.shape))
        if self.grid and not grid:
            return None
        added = (self.weight * shift).sum(axis=1, dtype=np.float64)
        return replace(
            self,
            weight=self.weight * scale,
            bias=(self.bias + added).astype(np.float32),
            grid=grid,
        )

    def permute_inputs(self, order: IntArray) -> Linear:
        """The columns of the weights go where their features are."""
        weight = np.empty_like(self.weight)
        weight[:, order] = self.weight
        return replace(self, weight=weight)

    def permute_outputs(self, order: IntArray) -> Linear:
        """Rows of the weights in that order."""
        grid = self.grid and self.grid.take(order)
        return replace(self, weight=self.weight[order], bias=self.bias[order], grid=grid)

    def lower(self, ctx: Lowering) -> LinearS8:
        """Symmetric weights; the input's zero point goes into the bias."""
        layer = integer_layer(self.clamp, ctx)
        return LinearS8(
            weight=layer.weight,
            bias=layer.bias,
            requantize=layer.requantize,
            weight_bits=layer.weight_bits,
        )


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class LinearS8(IntOp):
    """y = requantize(bias + W x).

    weight: int8 [out_ch, in_ch], of 8, 4 or 2 bits; bias: int64 [out_ch].
    """

    kind: ClassVar[str] = "linear"
    weight: NDArray[np.int8]
    bias: IntArray
    requantize: Requantize
    weight_bits: int = 8

    def __post_init__(self) -> None:
        """Raise ValueError where the weights need more bits."""
        packed.check_width(self.weight, self.weight_bits)

    @property
    def bits_per_weight(self) -> int:
        """8, 4 or 2."""
        return self.weight_bits

    @property
    def as_conv(self) -> ConvS8:
        """The same layer over several rows: the 1x1 convolution whose pixels they are."""
        return ConvS8(
            weight=self.weight[:, None, None],
            bias=self.bias,
            requantize=self.requantize,
            window=Window(kernel=(1, 1)),
            groups=1,
            pad_value=0,
            weight_bits=self.weight_bits,
            operand_bits=self.operand_bits,
            result_bits=self.result_bits,
        )

    @property
    def zero_share(self) -> float:
        """Of all weights."""
        return sparse.zero_share(self.weight)

    @property
    def has_wide_sums(self) -> bool:
        """Where int16 operands can take a sum out of int32."""
        if self.operand_bits == 8:
            return False
        bound = accumulator_bound(self.weight, self.bias, self.operand_bits)
        return bool(np.any(bound > INT32_MAX))

    def reference(self, inputs: Sequence[IntArray]) -> IntArray:
        """Exact: float64 sums stay far below 2^53."""
        return self.requantize(self._products(inputs[0], self.weight) + self.bias)

    @staticmethod
    def _products(x: IntArray, weight: NDArray[np.generic]) -> IntArray:
        acc = x.astype(np.float64) @ weight.astype(np.float64).T
        return np.rint(acc).astype(np.int64)

    def macs(self, inputs: Sequence[Shape], output: Shape) -> int:
        """Every output value takes in_ch."""
        return int(np.prod(output)) * int(self.weight.shape[1])

    def reads(self, inputs: Sequence[Shape], output: Shape) -> tuple[int, ...]:
        """All values for every four outputs."""
        return (math.prod(inputs[0]) * -(-output[-1] // 4),)

    def bounds(self, inputs: Sequence[Interval], output: Shape) -> Interval:
        """Exact: positive weights take the far end of the input interval, negative the near."""
        low, high = inputs[0]
        positive, negative = np.maximum(self.weight, 0), np.minimum(self.weight, 0)
        bottom = self._products(low, positive) + self._products(high, negative)
        top = self._products(high, positive) + self._products(low, negative)
        return self.requantize(bottom + self.bias), self.requantize(top + self.bias)

    def channel_links(self, inputs: Sequence[Shape], output: Shape) -> ChannelLinks | None:
        """Inputs and outputs are free of each other; rows that share weights are pinned."""
        return dense(self.weight != 0) if len(output) == 1 else None

    def take_channels(self, kept: Kept) -> LinearS8:
        """Cut the weights; what constant inputs add goes into the bias."""
        removed = np.setdiff1d(np.arange(self.weight.shape[1]), kept.inputs[0])
        weight = self.weight[kept.output]
        return replace(
            self,
            weight=np.ascontiguousarray(weight[:, kept.inputs[0]]),
            bias=self.bias[kept.output]
            + self._products(kept.values[0][removed], weight[:, removed]),
            requantize=self.requantize.take(kept.output),
        )

    def implementations(
        self, inputs: Sequence[Shape], output: Shape, target: Target
    ) -> tuple[Kernel, ...]:
        """The portable kernel and those of the core's extensions."""
        found = [self.portable(inputs, output)]
        if self.has_int16:
            rows, (out_ch, in_ch) = math.prod(output[:-1]), self.weight.shape
            shapes = (rows, in_ch), (rows, out_ch)
            found += conv_s16_dsp.conv_kernels(self.as_conv, shapes[:1], shapes[1], target)
            return tuple(found)
        if self.weight_bits < 8:
            if mve.FEATURE in target.features:
                found += linear_mve.linear_kernels(self, output)
            if dsp.serves(target, self.requantize):
                found += linear_dsp.linear_kernels(self, output)
            if is_scalar(target):
                found += linear_scalar.linear_kernels(self, inputs, output, target)
            if self.weight_bits == 8 and sparse.has_zeros(self.weight):
                own = sparse_linear.linear_kernels(self, output, target)
                found += sparse.that_pay(own, found, target)
            return tuple(found)
        if mve.FEATURE in target.features:
            found += linear_mve.linear_kernels(self, output)
        if dsp.serves(target, self.requantize):
            found += linear_dsp.linear_kernels(self, output)
            if sparse.has_zeros(self.weight):
                own = sparse_linear_dsp.linear_kernels(self, output, target)
                found += sparse.that_pay(own, found, target)
        if is_scalar(target):
            found = [ScalarCosts.of(target).portable(found[0], self.macs(inputs, output), output)]
            found += linear_scalar.linear_kernels(self, inputs, output, target)
            if self.weight_bits == 8 and sparse.has_zeros(self.weight):
                own = sparse_linear.linear_kernels(self, output, target)
                found += sparse.that_pay(own, found, target)
        return tuple(found)

    def kernels(self, inputs: Sequence[Shape], output: Shape) -> tuple[KernelCall, ...]:
        """One call over all rows."""
        if self.weight_bits < 8:
            return (packed.linear_call(self, output),)
        out_ch, in_ch = self.weight.shape
        requant_fields, requant_tables = requantize_tables(self.requantize)
        function, header = self.typed("mcugen_linear")
        call = KernelCall(
            function=function,
            header=header,
            fields=(
                ("rows", int(np.prod(output[:-1]))),
                ("in_ch", in_ch),
                ("out_ch", out_ch),
                ("weight", "weight"),
                ("bias", "bias"),
                *requant_fields,
            ),
            tables=(
                ConstTable(suffix="weight", values=self.weight, comment="[out_ch, in_ch]"),
                bias_table(self.bias, "[out_ch]", wide=self.has_wide_sums),
                *requant_tables,
            ),
        )
        return (call,)
