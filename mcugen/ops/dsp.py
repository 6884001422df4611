# SPDX-License-Identifier: Apache-2.0
"""Weights and requantization in the order of the DSP extension's kernels: mcugen_dsp.h."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from mcugen.fixed_point import INT32_MAX, IntArray, Requantize
from mcugen.ops.base import Kernel, Target
from mcugen.ops.weights import accumulator_bound

Fields = tuple[tuple[str, int | str | None], ...]
QUAD = 4  # output channels that are computed at once
MIXED = 256  # what the second of two channels that share a word is multiplied by
FEATURE = "dsp"
_HIGH_WORD = 33  # shift that keeps the high word of the product, and one bit of it for rounding


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Quads:
    """Layer data in the kernels' order.

    packed: uint32 [quads, words of a quad]; bias: int32 [..., quads, 4], the biases in `packed`
    or, where they depend on the place, all of them; bits: of a weight.
    """

    packed: NDArray[np.uint32]
    bias: NDArray[np.int32]
    pairs: int
    bits: int = 8

    @property
    def suffix(self) -> str:
        """What the names of the kernels for these weights end with."""
        return "" if self.bits == 8 else f"_w{self.bits}"


def twin(portable: Kernel, cycles: float) -> Kernel:
    """The kernel for these cores that has the portable one's parameters, tables and overlaps."""
    (call,) = portable.calls
    own = replace(call, function=f"{call.function}_dsp", header=call.header.replace(".h", "_dsp.h"))
    return replace(portable, variant="dsp", calls=(own,), cycles=cycles)


def serves(target: Target, requantize: Requantize) -> bool:
    """The target has the instructions, and the layer the rounding, of these kernels."""
    return FEATURE in target.features and requantize.mode == "single"


def clamp_fields(requantize: Requantize) -> Fields:
    """What `packed` does not hold of a requantization."""
    return (
        ("zero_point", requantize.zero_point),
        ("low", requantize.low),
        ("high", requantize.high),
    )


def pair_order(length: int, rows: int = 1) -> IntArray:
    """Which of rows of `length` values share a word: int64 [pairs, 2], -1 for none.

    SXTB16 makes of four bytes the pairs (0, 2) and (1, 3). Each row's rest makes pairs of its own.
    """
    fours = np.arange(length // 4 * 4).reshape(-1, 2, 2).transpose(0, 2, 1).reshape(-1, 2)
    rest = [[], [(0, -1)], [(0, 1)], [(0, 2), (1, -1)]][length % 4]
    tail = np.array([[length // 4 * 4 + k if k >= 0 else k for k in pair] for pair in rest])
    row = np.concatenate([fours, tail.astype(np.int64).reshape(-1, 2)])
    return np.concatenate([np.where(row >= 0, row + k * length, -1) for k in range(rows)])


def pack_quads(
    weight: NDArray[np.int8], bias: IntArray, requantize: Requantize, order: IntArray
) -> Quads | None:
    """The layer in quads of output channels, None where the kernels would not be exact.

    weight: int8 [out_ch, values]; bias: int64 [..., out_ch]; order: int64 [pairs, 2], which
    values share a word, -1 for none.
    """
    missing = -len(weight) % QUAD
    rows = np.pad(weight.astype(np.int64), ((0, missing), (0, 1)))
    pairs = rows[:, order]  # -1 takes the zero that was appended
    field = np.pad(bias, ((0, 0),) * (bias.ndim - 1) + ((0, missing),))
    mixed_by = np.where(np.arange(len(rows)) % 2 == 1, MIXED, 1)
    scale = high_word_scale(accumulator_bound(rows, field), mixed_by, requantize)
    if scale is None:
        return None
    multiplier, shift = scale
    field = _mix(field.reshape(*field.shape[:-1], -1, QUAD), -1)
    mixed = _mix(pairs.reshape(-1, QUAD, *pairs.shape[1:]), 1)[:, 1::2].transpose(0, 2, 1, 3)
    words = [
        _words(field.reshape(-1, *field.shape[-2:])[0]),
        np.ascontiguousarray(mixed.astype("<i2")).view("<u4").reshape(len(mixed), -1),
        _words(multiplier.reshape(-1, QUAD)),
        np.ascontiguousarray(shift.reshape(-1, QUAD).astype(np.uint8)).view("<u4"),
    ]
    return Quads(
        packed=np.concatenate(words, axis=1).astype(np.uint32),
        bias=_words(field).view(np.int32),
        pairs=len(order),
    )


def _mix(values: IntArray, axis: int) -> IntArray:
    """To every second channel along `axis`, times 256, the one before it is added."""
    channels = np.moveaxis(values.copy(), axis, 0)
    channels[1::2] = channels[1::2] * MIXED + channels[::2]
    return np.moveaxis(channels, 0, axis)


def _words(values: IntArray) -> NDArray[np.uint32]:
    """Modulo 2^32, as the accumulators count."""
    return (values & 0xFFFFFFFF).astype(np.uint32)


def high_word_scale(
    bound: IntArray, factor: IntArray, requantize: Requantize
) -> tuple[IntArray, IntArray] | None:
    """Multipliers and shifts of the high word, less one, for accumulators times `factor`.

    bound: int64 [C], their largest absolute values; factor: int64 [C], powers of two. There may be
    more channels than `requantize` has, for filling up. Two arrays int64 [C], None where an
    accumulator or a high word could leave int32, or where the high word would lose bits.
    """
    given = max(requantize.multiplier.size, 1)
    missing = len(bound) - given if given > 1 else 0
    own = len(bound) - missing
    multiplier = np.pad(np.broadcast_to(requantize.multiplier, own), (0, missing))
    shift = np.pad(np.broadcast_to(requantize.shift, own), (0, missing), constant_values=62)
    # what rounds to zero whatever the input is needs no more than a factor of zero
    pairs = zip(bound.tolist(), multiplier.tolist(), shift.tolist(), strict=True)
    silent = np.array([b * m < 1 << (t - 1) for b, m, t in pairs])
    drop = np.where(silent, 0, shift + np.log2(factor).astype(np.int64) - _HIGH_WORD)
    multiplier = np.where(silent, 0, multiplier)
    rounding = abs(2 * requantize.zero_point + 1) << np.clip(drop, 0, 31)
    high = (bound * factor >> 1) + 1 + rounding
    fits = (drop >= 0) & (drop < 31) & (bound * factor <= INT32_MAX) & (high <= INT32_MAX)
    return (multiplier, drop) if bool(np.all(fits)) else None


def aligned(size: int) -> int:
    """Bytes up to the next word."""
    return -(-size // 4) * 4
