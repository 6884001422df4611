# SPDX-License-Identifier: Apache-2.0
"""What the kernels for cores without the DSP extension share: requantization and its limits."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TypeVar

import numpy as np

from mcugen.fixed_point import IntArray, Requantize
from mcugen.ir.graph import Shape
from mcugen.ops.base import ConstTable, Kernel, Target

Fields = tuple[tuple[str, int | str | None], ...]

MAX_ACCUMULATOR = 2**29  # what the high word of a product takes, made of 16-bit halves
MIN_SHIFT, MAX_SHIFT = 33, 53  # the high word is shifted by 1 bit at least, by 21 at most
FAST_FEATURES = frozenset({"dsp", "mve"})  # cores with kernels of their own


Costs = TypeVar("Costs")
UNROLLED = 16  # rounds of a loop without branches that GCC takes apart at -O3, its limit


def by_core(target: Target, *, armv6m: Costs, armv7m: Costs, riscv: Costs) -> Costs:
    """What holds for plain C on a target's core; Armv7-M stands for all later Arm cores too."""
    if "mul64" not in target.features:
        return armv6m
    return armv7m if "thumb2" in target.features else riscv


def is_scalar(target: Target) -> bool:
    """The core is known, and has no instructions that multiply several values at once."""
    return bool(target.features) and not target.features & FAST_FEATURES


def scalar_requantize_tables(
    requantize: Requantize, bound: IntArray, multiple: int, *, widened: bool = False
) -> tuple[Fields, tuple[ConstTable, ...]] | None:
    """Parameter fields and tables for mcugen_scalar_requantize, None where it does not apply.

    `bound` is the largest |accumulator| of each channel [C]. The tables are filled up with
    zeros to a multiple of `multiple` channels. `widened`: the kernel has a field `wide`, a power of
    two that it multiplies accumulators by, for layers whose shifts are too small otherwise.
    """
    channels = len(bound)
    factors = np.broadcast_to(requantize.multiplier, channels)
    shifts = np.broadcast_to(requantize.shift, channels)
    # what rounds to zero whatever the input is needs no more than a factor of zero
    products = zip(bound.tolist(), factors.tolist(), shifts.tolist(), strict=True)
    silent = np.array([b * m < 1 << (t - 1) for b, m, t in products])
    factors = np.where(silent, 0, factors)
    shifts = np.where(silent, MAX_SHIFT, shifts)
    widen = max(MIN_SHIFT - int(shifts.min(initial=MAX_SHIFT)), 0) if widened else 0
    shifts = np.where(silent, MIN_SHIFT, shifts + widen)
    exact = requantize.mode == "single" and bool(np.all(bound << widen < MAX_ACCUMULATOR))
    if not exact or np.any(shifts < MIN_SHIFT) or np.any(shifts > MAX_SHIFT):
        return None
    filling = (0, -channels % multiple)
    fields: Fields = (
        ("multiplier", "multiplier"),
        ("shift", "shift"),
        ("rounding", 2 * requantize.zero_point + 1),
        ("low", requantize.low),
        ("high", requantize.high),
        *((("wide", 1 << widen),) if widened else ()),
    )
    tables = (
        ConstTable(
            suffix="multiplier", values=np.pad(factors, filling).astype(np.int32), comment="[ch]"
        ),
        ConstTable(
            suffix="shift",
            values=np.pad(shifts - MIN_SHIFT, filling).astype(np.uint8),
            comment="[ch]",
        ),
    )
    return fields, tables


@dataclass(frozen=True, slots=True, kw_only=True)
class ScalarCosts:
    """Cycles of the kernels' parts on one kind of core, fitted to simulated counts."""

    # dense convolution: two pixels, then what is within
    pair: float
    window_row: float
    tap: float
    block: float  # two channels
    group: float  # two taps of two channels
    # depthwise convolution: one channel of a tile, then what is within; words also stand for their
    # products
    strip: float
    strip_output: float  # of both rows
    short_strip_output: float  # with short factors, 0 where there are none
    strip_word: float
    # fully connected layer
    quad_input: float
    quad: float  # four outputs
    quad_output: float
    quad_word: float  # four products
    # with weights of 4 and 2 bits: four channels, and a word of weights of both widths
    narrow_block: float
    narrow_word: Mapping[int, float]
    # a fully connected layer of those: eight outputs, and a word of weights
    eight: float
    eight_word: Mapping[int, float]
    portable_mac: float
    portable_output: float

    @classmethod
    def of(cls, target: Target) -> ScalarCosts:
        """The costs on a target's core."""
        return by_core(target, armv6m=ARMV6M_COSTS, armv7m=ARMV7M_COSTS, riscv=RISCV_COSTS)

    def portable(self, kernel: Kernel, macs: int, output: Shape) -> Kernel:
        """A portable kernel with its cycles on this kind of core."""
        cycles = self.portable_mac * macs + self.portable_output * math.prod(output)
        return replace(kernel, cycles=cycles)


ARMV6M_COSTS = ScalarCosts(
    pair=20.9,
    window_row=173.8,
    tap=9.1,
    block=219.1,
    group=25.1,
    strip=70.5,
    strip_output=152.0,
    short_strip_output=19.0,
    strip_word=35.0,
    quad_input=9.4,
    quad=246.3,
    quad_output=33.3,
    quad_word=15.4,
    narrow_block=600.0,
    narrow_word={4: 39.2, 2: 69.2},
    eight=1000.0,
    eight_word={4: 31.4, 2: 58.4},
    portable_mac=14.0,
    portable_output=150.0,
)
ARMV7M_COSTS = ScalarCosts(
    pair=19.8,
    window_row=92.5,
    tap=8.2,
    block=168.2,
    group=22.0,
    strip=65.3,
    strip_output=82.6,
    short_strip_output=0.0,
    strip_word=19.4,
    quad_input=6.6,
    quad=32.9,
    quad_output=39.3,
    quad_word=17.0,
    narrow_block=335.0,
    narrow_word={4: 35.0, 2: 66.1},
    eight=675.0,
    eight_word={4: 28.4, 2: 76.8},
    portable_mac=7.5,
    portable_output=80.0,
)
RISCV_COSTS = ScalarCosts(
    pair=19.0,
    window_row=71.4,
    tap=10.7,
    block=115.8,
    group=24.9,
    strip=17.1,
    strip_output=65.4,
    short_strip_output=0.0,
    strip_word=20.1,
    quad_input=6.0,
    quad=0.0,
    quad_output=39.3,
    quad_word=15.5,
    narrow_block=258.0,
    narrow_word={4: 41.0, 2: 66.5},
    eight=560.0,
    eight_word={4: 29.5, 2: 60.1},
    portable_mac=9.0,
    portable_output=60.0,
)
