# SPDX-License-Identifier: Apache-2.0
"""Random convolutions that must be computed by the kernels for the M-profile Vector Extension."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from mcugen.fixed_point import requantize_for
from mcugen.ir.graph import Shape
from mcugen.ops.base import Kernel, Target
from mcugen.ops.conv import ConvS8
from mcugen.ops.window import Window

MVE = Target(core="cortex-m55", features=frozenset({"mve"}), optimize="speed")
Image = tuple[int, int, int]


class VectorConv(ConvS8):
    """A convolution that must be computed by the vector kernel, however small it is."""

    __slots__ = ()

    def implementations(
        self, inputs: Sequence[Shape], output: Shape, target: Target
    ) -> tuple[Kernel, ...]:
        """None but the vector kernels."""
        found = super().implementations(inputs, output, target)
        return tuple(kernel for kernel in found if kernel.variant.startswith("mve"))


def dense(
    rng: np.random.Generator,
    channels: tuple[int, int],
    window: Window,
    clamp: tuple[int, int] = (-128, 127),
) -> VectorConv:
    """Extreme weights, whose outputs spread over int8."""
    in_ch, out_ch = channels
    shape = (out_ch, *window.kernel, in_ch)
    scales = rng.uniform(0.5, 2.0, out_ch) / (80.0 * np.sqrt(np.prod(shape[1:])))
    return VectorConv(
        weight=rng.choice([-127, -1, 0, 1, 127, 64], size=shape).astype(np.int8),
        bias=rng.integers(-3000, 3000, out_ch),
        requantize=requantize_for(scales, int(rng.integers(-128, 128)), *clamp, "single"),
        window=window,
        groups=1,
        pad_value=-7,
    )


def depthwise(rng: np.random.Generator, ch: int, window: Window) -> VectorConv:
    """The same, each channel by itself; one gives nothing but its zero point."""
    scales = rng.uniform(0.5, 2.0, ch) / (80.0 * np.sqrt(np.prod(window.kernel)))
    scales[rng.integers(ch)] *= rng.choice([1.0, 0.0])
    return VectorConv(
        weight=rng.choice([-127, -1, 0, 1, 127], size=(ch, *window.kernel, 1)).astype(np.int8),
        bias=rng.integers(-3000, 3000, ch),
        requantize=requantize_for(scales, int(rng.integers(-128, 128)), -128, 127, "single"),
        window=window,
        groups=ch,
        pad_value=-7,
    )
