# SPDX-License-Identifier: Apache-2.0
"""Fully connected layers for cores without the DSP extension: four outputs, or pairs of rows."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from mcugen.ir.graph import Shape
from mcugen.ops.base import ConstTable, Kernel, KernelCall, Target
from mcugen.ops.conv_pair import conv_pair_kernels
from mcugen.ops.scalar import ScalarCosts, scalar_requantize_tables
from mcugen.ops.weights import accumulator_bound

if TYPE_CHECKING:
    from mcugen.ops.linear import LinearS8

EIGHT = 8  # outputs with weights of 4 or 2 bits in a word
OUTPUTS = 4  # computed at once, with a word of weights for each input
OFFSET = 128  # what makes all but a word's highest byte unsigned


def linear_kernels(
    op: LinearS8, inputs: Sequence[Shape], output: Shape, target: Target
) -> tuple[Kernel, ...]:
    """One row by quads of outputs; several as the pixels of a 1x1 convolution."""
    rows = math.prod(output[:-1])
    if rows == 1:
        return _quad_kernels(op, target) if op.weight_bits == 8 else _narrow_kernels(op, target)
    out_ch, in_ch = op.weight.shape
    return conv_pair_kernels(op.as_conv, ((rows, in_ch),), (rows, out_ch), target)


def _quad_kernels(op: LinearS8, target: Target) -> tuple[Kernel, ...]:
    out_ch, in_ch = op.weight.shape
    bound = accumulator_bound(op.weight, op.bias)
    requantize = scalar_requantize_tables(op.requantize, bound, multiple=1)
    if requantize is None or in_ch < 2:
        return ()
    requant_fields, requant_tables = requantize
    words = packed_weights(op.weight)
    call = KernelCall(
        function="mcugen_linear_quad_s8",
        header="mcugen_linear_quad.h",
        fields=(
            ("in_ch", in_ch),
            ("out_ch", out_ch),
            ("weight", "weight"),
            ("bias", "bias"),
            *requant_fields,
        ),
        tables=(
            ConstTable(suffix="weight", values=words, comment="[out_ch / 4, in_ch]"),
            ConstTable(suffix="bias", values=op.bias.astype(np.int32), comment="[out_ch]"),
            *requant_tables,
        ),
    )
    costs = ScalarCosts.of(target)
    cycles = (
        costs.quad_input * in_ch
        + costs.quad * len(words)
        + costs.quad_output * out_ch
        + costs.quad_word * words.size
    )
    return (Kernel(variant="quad", calls=(call,), cycles=cycles),)


def _narrow_kernels(op: LinearS8, target: Target) -> tuple[Kernel, ...]:
    """Eight outputs at once, weights of 4 or 2 bits."""
    (out_ch, in_ch), bits = op.weight.shape, op.weight_bits
    bound = accumulator_bound(op.weight, op.bias)
    requantize = scalar_requantize_tables(op.requantize, bound, 1, widened=True)
    if requantize is None or in_ch < 2:
        return ()
    requant_fields, requant_tables = requantize
    words = narrow_weights(op.weight, bits)
    call = KernelCall(
        function=f"mcugen_linear_narrow_s8_w{bits}",
        header="mcugen_linear_narrow.h",
        fields=(
            ("in_ch", in_ch),
            ("out_ch", out_ch),
            ("weight", "weight"),
            ("bias", "bias"),
            *requant_fields,
        ),
        tables=(
            ConstTable(
                suffix="weight",
                values=words,
                comment=f"[out_ch / 8, in_ch / {4 // bits}], from the top [inputs, 8 out_ch]",
            ),
            ConstTable(suffix="bias", values=op.bias.astype(np.int32), comment="[out_ch]"),
            *requant_tables,
        ),
    )
    costs = ScalarCosts.of(target)
    cycles = (
        costs.quad_input * in_ch + costs.eight * len(words) + costs.eight_word[bits] * words.size
    )
    return (Kernel(variant=f"eight_w{bits}", calls=(call,), cycles=cycles),)


def narrow_weights(weight: NDArray[np.int8], bits: int) -> NDArray[np.uint32]:
    """int8 [out_ch, in_ch] as words uint32 [out_ch / 8, in_ch / 1 or 2], rounded up.

    From the top, the inputs of a word, and of each eight outputs: the first in two's complement,
    the others with 2^(bits - 1) added. See mcugen_linear_narrow.h.
    """
    each = 4 // bits
    margins = [(0, -size % to) for size, to in zip(weight.shape, (EIGHT, each), strict=True)]
    full = np.pad(weight.astype(np.int64), margins)
    eights = full.reshape(-1, EIGHT, full.shape[1] // each, each).transpose(0, 2, 3, 1)
    offset = np.where(np.arange(EIGHT) == 0, 0, 1 << (bits - 1))
    codes = (eights + offset) & ((1 << bits) - 1)
    places = np.arange(32 - bits, -1, -bits).reshape(each, EIGHT)
    words: NDArray[np.uint32] = (codes << places).sum(axis=(2, 3)).astype(np.uint32)
    return words


def packed_weights(weight: NDArray[np.int8]) -> NDArray[np.uint32]:
    """int8 [out_ch, in_ch] as words uint32 [out_ch / 4, in_ch], rounded up and filled with 0.

    The bytes of a word are the weights of four outputs; the lower three have 128 added.
    """
    out_ch, in_ch = weight.shape
    full = np.zeros((-(-out_ch // OUTPUTS) * OUTPUTS, in_ch), np.int64)
    full[:out_ch] = weight
    quads = full.reshape(-1, OUTPUTS, in_ch).transpose(0, 2, 1)
    quads = quads + np.array([OFFSET, OFFSET, OFFSET, 0])
    return np.ascontiguousarray(quads.astype(np.uint8)).view("<u4")[..., 0].astype(np.uint32)
