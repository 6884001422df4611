# SPDX-License-Identifier: Apache-2.0
"""Layers with weights of 4 and 2 bits, as the tests of all cores use them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from mcugen.fixed_point import requantize_for
from mcugen.ir.graph import Shape
from mcugen.ops.base import Kernel, Target
from mcugen.ops.conv import ConvS8
from mcugen.ops.linear import LinearS8
from mcugen.ops.window import Window
from tests.ops.on_core import Case


class FastConv(ConvS8):
    """A convolution that the portable kernel computes only where there is no other."""

    __slots__ = ()

    def implementations(
        self, inputs: Sequence[Shape], output: Shape, target: Target
    ) -> tuple[Kernel, ...]:
        """The others, or the portable one."""
        portable, *others = super().implementations(inputs, output, target)
        return tuple(others) or (portable,)


class FastLinear(LinearS8):
    """A fully connected layer likewise."""

    __slots__ = ()

    def implementations(
        self, inputs: Sequence[Shape], output: Shape, target: Target
    ) -> tuple[Kernel, ...]:
        """The others, or the portable one."""
        portable, *others = super().implementations(inputs, output, target)
        return tuple(others) or (portable,)


def numbers(seed: int, shape: tuple[int, ...], bits: int, kind: str = "random") -> dict[str, Any]:
    """Weights [out_ch, ...] at the ends of their range or spread over it, a bias, a clamp."""
    rng = np.random.default_rng(seed)
    most = 2 ** (bits - 1) - 1
    weight = {
        "random": rng.integers(-most, most, shape, endpoint=True),
        "ends": rng.choice([-most, most], shape),
        "highest": np.full(shape, most),
        "lowest": np.full(shape, -most),
    }[kind].astype(np.int8)
    spread = np.sqrt(np.prod(shape[1:])) if kind in ("random", "ends") else np.prod(shape[1:])
    scales = rng.uniform(0.5, 2.0, shape[0]) / (most * max(spread, 2.0))
    scales[rng.integers(shape[0])] *= rng.choice([1.0, 2.0**-24, 0.0])
    clamp = [(-128, 127), (-5, 90)][seed % 2]
    return {
        "weight": weight,
        "bias": rng.integers(-3000, 3000, shape[0]),
        "requantize": requantize_for(scales, int(rng.integers(-128, 128)), *clamp, "single"),
        "weight_bits": bits,
    }


def narrow_conv(
    seed: int,
    bits: int,
    channels: tuple[int, int],
    window: Window,
    size: tuple[int, int],
    kind: str = "random",
) -> Case:
    """A dense convolution of images of `size`."""
    op = FastConv(
        **numbers(seed, (channels[1], *window.kernel, channels[0]), bits, kind),
        window=window,
        groups=1,
        pad_value=int(np.random.default_rng(seed).integers(-128, 128)),
    )
    return op, ((*size, channels[0]),), (*window.output_size(size), channels[1])


def narrow_linear(seed: int, bits: int, rows: int, channels: tuple[int, int], kind: str) -> Case:
    """A fully connected layer over one row or several."""
    op = FastLinear(**numbers(seed, (channels[1], channels[0]), bits, kind))
    front: Shape = () if rows == 1 else (rows,)
    return op, ((*front, channels[0]),), (*front, channels[1])
