# SPDX-License-Identifier: Apache-2.0
"""What the kernels for the Arm M-profile Vector Extension share: sizes, requantization tables."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from mcugen.fixed_point import IntArray, Requantize
from mcugen.ops.base import ConstTable, Kernel

VECTOR = 16  # bytes
LANES = 4  # 32-bit words
FEATURE = "mve"
LEAST_SHIFT = 33  # of a requantization that needs the high word of the product alone

Fields = tuple[tuple[str, int | str | None], ...]


def round_up(size: int, step: int) -> int:
    """The next multiple of `step`."""
    return -(-size // step) * step


def fill_up(values: IntArray, step: int = LANES) -> IntArray:
    """Zeros behind the last axis [..., C] up to a multiple of `step`."""
    missing = round_up(values.shape[-1], step) - values.shape[-1]
    return np.pad(values, [(0, 0)] * (values.ndim - 1) + [(0, missing)])


def applies(requantize: Requantize) -> bool:
    """The high word of the product holds all that a single rounding needs."""
    return requantize.mode == "single" and bool(np.all(requantize.shift >= LEAST_SHIFT))


def shifted(requantize: Requantize, bound: IntArray, up: int) -> Requantize:
    """The same results of accumulators times 2^up.

    bound: int64 [C], the largest accumulators. A factor that rounds all of them to zero becomes
    zero, as its shift could be too large otherwise.
    """
    multiplier = np.broadcast_to(requantize.multiplier, len(bound))
    shift = np.broadcast_to(requantize.shift, len(bound))
    products = zip(bound.tolist(), multiplier.tolist(), shift.tolist(), strict=True)
    silent = np.array([b * m < 1 << (t - 1) for b, m, t in products])
    return replace(
        requantize,
        multiplier=np.where(silent, 0, multiplier),
        shift=np.where(silent, LEAST_SHIFT, shift + up),
    )


def requantize_fields(
    requantize: Requantize, channels: int
) -> tuple[Fields, tuple[ConstTable, ...]]:
    """Members and tables of a `mcugen_mve_requantize_t` for that many channels.

    With h the high word of acc * M, y = (h + 2^(t-33)) >> (t-32): a rounding shift by 32 - t.
    """
    multiplier = fill_up(np.broadcast_to(requantize.multiplier, (channels,)))
    shift = fill_up(32 - np.broadcast_to(requantize.shift, (channels,)))
    fields: Fields = (
        ("requantize.multiplier", "multiplier"),
        ("requantize.shift", "shift"),
        ("requantize.zero_point", requantize.zero_point),
        ("requantize.low", requantize.low),
        ("requantize.high", requantize.high),
    )
    tables = (
        ConstTable(suffix="multiplier", values=multiplier.astype(np.int32), comment="[ch]"),
        ConstTable(suffix="shift", values=shift.astype(np.int8), comment="32 - t, [ch]"),
    )
    return fields, tables


def twin(portable: Kernel, instructions: float) -> Kernel:
    """The vector kernel with the portable one's parameters, tables and overlaps."""
    (call,) = portable.calls
    own = replace(
        call,
        function=f"{call.function.removesuffix('_s8')}_mve_s8",
        header=call.header.replace(".h", "_mve.h"),
    )
    return replace(portable, variant="mve", calls=(own,), cycles=instructions)
