# SPDX-License-Identifier: Apache-2.0
"""Convolutions of int16 with int8 weights on the DSP extension: mcugen_conv_s16_dsp.h."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from mcugen.ir.graph import Shape
from mcugen.ops.base import ConstTable, Kernel, KernelCall, Target
from mcugen.ops.dsp import FEATURE, QUAD
from mcugen.ops.weights import bias_classes, requantize_tables
from mcugen.ops.window import as_image

if TYPE_CHECKING:
    from mcugen.ops.conv import ConvS8

VARIANT = "dsp_4x1"
_EXCHANGED = [0, 2, 1, 3]  # the order of four weights in a word


def conv_kernels(
    op: ConvS8, inputs: Sequence[Shape], output: Shape, target: Target
) -> list[Kernel]:
    """The kernel of a layer, none where it does not apply."""
    in_ch = inputs[0][-1]
    fits = in_ch % 4 == 0 and op.groups == 1 and op.window.dilation[1] == 1 and op.weight_bits == 8
    if FEATURE not in target.features or op.operand_bits == 8 or op.has_wide_sums or not fits:
        return []
    (in_h, in_w, _), (out_h, out_w, out_ch) = as_image(inputs[0]), as_image(output)
    bias_fields, bias_tables = bias_classes(op.bias)
    requant_fields, requant_tables = requantize_tables(op.requantize)
    packed = ConstTable(
        suffix="weight",
        values=pack_words(op.weight),
        comment="[out_ch / 4, kernel_h, kernel_w, in_ch / 4, 4]",
    )
    geometry = [pair for pair in op.window.fields() if pair[0] != "dilation_w"]
    call = KernelCall(
        function="mcugen_conv_s16_dsp" if op.result_bits == 16 else "mcugen_conv_s16_s8_dsp",
        header="mcugen_conv_s16_dsp.h",
        fields=(
            *(("in_h", in_h), ("in_w", in_w), ("in_ch", in_ch)),
            *(("out_h", out_h), ("out_w", out_w), ("out_ch", out_ch)),
            *geometry,
            ("weight", "weight"),
            *bias_fields,
            *(field for field in requant_fields if field[0] != "double_rounding"),
        ),
        tables=(packed, *bias_tables, *requant_tables),
    )
    overlaps = op.portable_overlaps(inputs, output)
    cycles = _cycles(op, output)
    return [Kernel(variant=VARIANT, calls=(call,), cycles=cycles, overlaps=overlaps)]


def pack_words(weight: NDArray[np.int8]) -> NDArray[np.uint32]:
    """Words of four weights, those of four output channels one after the other.

    weight: int8 [out_ch, kernel_h, kernel_w, in_ch], in_ch a multiple of 4; missing channels of the
    last four are zero.
    """
    full = np.pad(weight, ((0, -len(weight) % QUAD), (0, 0), (0, 0), (0, 0)))
    fours = full.reshape(-1, QUAD, *full.shape[1:3], full.shape[3] // 4, 4)[..., _EXCHANGED]
    by_place = np.ascontiguousarray(fours.transpose(0, 2, 3, 4, 1, 5))
    words: NDArray[np.uint32] = by_place.view("<u4")[..., 0].astype(np.uint32)
    return words


def _cycles(op: ConvS8, output: Shape) -> float:
    """Of windows that lie within the image: four channels take every row of four values."""
    quads = -(-output[-1] // QUAD)
    rows, row_fours = op.weight.shape[1], float(op.weight.shape[2] * op.weight.shape[3]) / 4.0
    window: float = 110.0 + rows * (40.0 + 36.0 * row_fours)
    return math.prod(output[:-1]) * (30.0 + quads * window)
