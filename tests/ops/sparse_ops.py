# SPDX-License-Identifier: Apache-2.0
"""Layers with zeros among their weights, for the tests of the kernels that skip them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mcugen.fixed_point import requantize_for
from mcugen.ir.graph import Shape
from mcugen.ops import sparse_dsp, sparse_linear, sparse_linear_dsp, sparse_pair
from mcugen.ops.base import Kernel, Target
from mcugen.ops.conv import ConvS8
from mcugen.ops.linear import LinearS8
from mcugen.ops.scalar import is_scalar
from mcugen.ops.weights import SHORT_ZEROS
from mcugen.ops.window import Window

MASKS = ("random", "blocks", "empty rows", "one", "none", "dense")


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class OneKernelConv(ConvS8):
    """A convolution that must be computed by one kernel, be it slow; by none if it cannot."""

    variant: str

    def implementations(
        self, inputs: Sequence[Shape], output: Shape, target: Target
    ) -> tuple[Kernel, ...]:
        """The one kernel."""
        if is_scalar(target):
            found = sparse_pair.conv_kernels(self, inputs, output, target)
        else:
            found = sparse_dsp.conv_kernels(self, inputs, output, target)
        return tuple(kernel for kernel in found if kernel.variant == self.variant)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class OneKernelLinear(LinearS8):
    """The same of a fully connected layer."""

    variant: str

    def implementations(
        self, inputs: Sequence[Shape], output: Shape, target: Target
    ) -> tuple[Kernel, ...]:
        """The one kernel."""
        if is_scalar(target):
            found = sparse_linear.linear_kernels(self, output, target)
        else:
            found = sparse_linear_dsp.linear_kernels(self, output, target)
        return tuple(kernel for kernel in found if kernel.variant == self.variant)


def plain(op: OneKernelConv) -> ConvS8:
    """The same convolution, free to choose."""
    names = ("weight", "bias", "requantize", "window", "groups", "pad_value")
    return ConvS8(**{name: getattr(op, name) for name in names})


def masked(rng: np.random.Generator, shape: Shape, mask: str) -> NDArray[np.int8]:
    """Extreme weights int8 [out_ch, ..., in_ch], zeros as `mask` names them."""
    weight = rng.choice([-127, -1, 1, 127, 64], size=shape)
    out_ch, *middle, in_ch = shape
    if mask == "blocks":
        kept = rng.random((-(-out_ch // 2), *middle, -(-in_ch // 4))) < 0.3
        weight *= np.repeat(np.repeat(kept, 2, axis=0), 4, axis=-1)[:out_ch, ..., :in_ch]
    elif mask == "empty rows":
        weight *= (rng.random((out_ch, *(1 for _ in shape[1:]))) < 0.4) & (rng.random(shape) < 0.5)
    elif mask == "one":
        weight *= np.arange(weight.size).reshape(shape) == rng.integers(weight.size)
    elif mask == "none":
        weight *= 0
    elif mask == "random":
        weight *= rng.random(shape) < 0.3
    return weight.astype(np.int8)


def random_blocks(
    rng: np.random.Generator, shape: Shape, block: tuple[int, int], zeros: float
) -> NDArray[np.bool_]:
    """Which weights [out_ch, h, w, in_ch] are kept: whole blocks of outputs times channels."""
    outs, ins = block
    places = (shape[0] // outs, *shape[1:3], shape[3] // ins)
    kept = rng.permutation(math.prod(places)) >= round(zeros * math.prod(places))
    return np.repeat(np.repeat(kept.reshape(places), outs, axis=0), ins, axis=3)


def sparse_conv(
    seed: int, channels: tuple[int, int], window: Window, mask: str, variant: str
) -> OneKernelConv:
    """A convolution whose outputs spread over int8."""
    rng = np.random.default_rng(seed)
    weight = masked(rng, (channels[1], *window.kernel, channels[0]), mask)
    scales = rng.uniform(0.5, 2.0, channels[1]) / (60.0 * np.sqrt(weight[0].size))
    low, high = ((-128, 127), (-5, 90))[seed % 2]
    return OneKernelConv(
        weight=weight,
        bias=rng.integers(-3000, 3000, channels[1]),
        requantize=requantize_for(
            scales, int(rng.integers(-128, 128)), low, high, "single", zeros=SHORT_ZEROS
        ),
        window=window,
        groups=1,
        pad_value=int(rng.integers(-128, 128)),
        variant=variant,
    )


def sparse_rows(
    seed: int, channels: tuple[int, int], mask: str, variant: str = "sparse"
) -> OneKernelLinear:
    """A fully connected layer whose outputs spread over int8."""
    conv = sparse_conv(seed, channels, Window(kernel=(1, 1)), mask, variant)
    weight = conv.weight[:, 0, 0]
    return OneKernelLinear(
        weight=weight, bias=conv.bias, requantize=conv.requantize, variant=variant
    )
