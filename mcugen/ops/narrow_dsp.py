# SPDX-License-Identifier: Apache-2.0
"""Weights of 4 and 2 bits in the order of the DSP extension's kernels: mcugen_narrow_dsp.h."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from mcugen.fixed_point import IntArray, Requantize
from mcugen.ops.dsp import QUAD, Quads, high_word_scale
from mcugen.ops.weights import accumulator_bound

MIXED_BY = {4: (16, 16, 256, 16), 2: (64, 64, 64, 64)}
"""What the accumulators of a quad are multiplied by when their high word is taken."""
OFFSETS = {4: (8, 0, 8, 0), 2: (2, 2, 2, 2)}  # added to the weights of a quad's channels
MOST_BIAS = 2**23  # a word holds bias * 256 + shift


def pack_narrow(
    weight: NDArray[np.int8], bias: IntArray, requantize: Requantize, order: IntArray, bits: int
) -> Quads | None:
    """The layer in quads of output channels, None where the kernels would not be exact.

    weight: int8 [out_ch, values], within +-(2^(bits - 1) - 1); bias: int64 [..., out_ch]; order:
    int64 [pairs, 2], which values share a word, -1 for none. With 2 bits pairs are even in number.
    """
    missing = -len(weight) % QUAD
    rows = np.pad(weight.astype(np.int64), ((0, missing), (0, 1)))
    field = np.pad(bias, ((0, 0),) * (bias.ndim - 1) + ((0, missing),))
    mixed_by = np.tile(MIXED_BY[bits], len(rows) // QUAD)
    scale = high_word_scale(accumulator_bound(rows, field), mixed_by, requantize)
    if scale is None or np.any(np.abs(field) >= MOST_BIAS):
        return None
    multiplier, shift = scale
    if bits == 2 and len(order) % 2:
        order = np.concatenate([order, [[-1, -1]]])
    own = field.reshape(-1, len(rows))[0]
    columns = (
        _words(own * 256 + shift),
        _weight_words(rows[:, order].reshape(-1, QUAD, len(order), 2), bits),
        _words(multiplier),
    )
    quads = len(rows) // QUAD
    return Quads(
        packed=np.concatenate([c.reshape(quads, -1) for c in columns], axis=1),
        bias=_words(field * 256).view(np.int32).reshape(*field.shape[:-1], quads, QUAD),
        pairs=len(order),
        bits=bits,
    )


def _weight_words(pairs: IntArray, bits: int) -> NDArray[np.uint32]:
    """[quads, 4, pairs, 2] as words, [quads, words]."""
    codes = (pairs + np.reshape(OFFSETS[bits], (QUAD, 1, 1))) & ((1 << bits) - 1)
    places = bits * np.arange(QUAD).reshape(QUAD, 1, 1) + np.array([0, 16])
    words = (codes << places).sum(axis=(1, 3))
    if bits == 2:
        words = words[:, ::2] | words[:, 1::2] << 8
    return _words(words)


def _words(values: IntArray) -> NDArray[np.uint32]:
    return (values & 0xFFFFFFFF).astype(np.uint32)
