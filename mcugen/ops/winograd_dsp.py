# SPDX-License-Identifier: Apache-2.0
"""3x3 convolution by Winograd's minimal filtering on the DSP extension: mcugen_winograd_dsp.h."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from mcugen.ir.graph import Shape
from mcugen.ops.base import ConstTable, Kernel, KernelCall, Overlap
from mcugen.ops.dsp import clamp_fields, high_word_scale, pair_order
from mcugen.ops.overlap import forward_distance
from mcugen.ops.weights import accumulator_bound
from mcugen.ops.window import Window, as_image

if TYPE_CHECKING:
    from mcugen.ops.conv import ConvS8

QUAD = 4  # output channels that are computed at once
ROUND = 16  # input channels of one round of the inner loop
MOST_CHANNELS = 256  # up to which no sum of products can leave int32
TILE_ROWS, GROUP_COLS = 2, 4  # outputs of two tiles side by side
SCALE = 4  # of the transformed weights
SUMS_BYTES = 512
WEIGHT_TRANSFORM = np.array([[2, 0, 0], [1, 1, 1], [1, -1, 1], [0, 0, 2]])
"""Twice the matrix G. Source: Lavin and Gray, "Fast Algorithms for Convolutional Neural Networks",
2015, section 4.1."""


def winograd_kernels(op: ConvS8, inputs: Sequence[Shape], output: Shape) -> list[Kernel]:
    """The kernel of a 3x3 convolution, none where it does not apply."""
    out_ch, _, _, in_ch = op.weight.shape
    plain = op.window == Window(kernel=(3, 3), pads=op.window.pads) and op.bias.ndim == 1
    if not plain or op.groups != 1 or in_ch % ROUND or out_ch % QUAD or in_ch > MOST_CHANNELS:
        return []
    bound = accumulator_bound(op.weight.astype(np.int64).reshape(out_ch, -1), op.bias)
    factors = high_word_scale(bound, np.full(out_ch, SCALE), op.requantize)
    if factors is None:
        return []
    scale = np.stack([SCALE * op.bias, *factors])
    image, result = as_image(inputs[0]), as_image(output)
    top, left, _, _ = op.window.pads
    sizes = ("in_h", "in_w", "in_ch", "out_h", "out_w", "out_ch")
    call = KernelCall(
        function="mcugen_winograd_s8_dsp",
        header="mcugen_winograd_dsp.h",
        fields=(
            *zip(sizes, (*image, *result), strict=True),
            ("pad_top", top),
            ("pad_left", left),
            ("pad_value", op.pad_value),
            ("weight", "winograd"),
            ("scale", "scale"),
            *clamp_fields(op.requantize),
        ),
        tables=(
            ConstTable(
                suffix="winograd",
                values=transformed_weights(op.weight),
                comment="[out_ch / 4, 16, in_ch / 2, 4]",
            ),
            ConstTable(
                suffix="scale",
                values=scale.reshape(3, -1, QUAD).transpose(1, 0, 2).astype(np.int32),
                comment="[out_ch / 4][4 * bias, multiplier, shift - 1]",
            ),
        ),
        scratch_bytes=SUMS_BYTES + 113 * in_ch,
    )
    return [
        Kernel(
            variant="dsp_winograd",
            calls=(call,),
            cycles=_cycles(image, result),
            overlaps=(Overlap(operand=0, distance=_distance(op.window, image, result)),),
        )
    ]


def transformed_weights(weight: NDArray[np.int8]) -> NDArray[np.uint32]:
    """4 G g G^T of each filter, in the kernel's order: uint32 [out_ch / 4, 16, in_ch / 2, 4].

    weight: int8 [out_ch, 3, 3, in_ch].
    """
    in_ch = weight.shape[3]
    g = WEIGHT_TRANSFORM
    u = np.einsum("ia,oabc,jb->oijc", g, weight.astype(np.int64), g)
    pairs = u.reshape(-1, QUAD, 16, in_ch)[..., pair_order(in_ch)]  # [quad, 4, 16, pair, 2]
    halves = np.ascontiguousarray(pairs.transpose(0, 2, 3, 1, 4).astype("<i2"))
    return halves.view("<u4")[..., 0].astype(np.uint32)


def _distance(window: Window, image: tuple[int, int, int], output: tuple[int, int, int]) -> int:
    """Groups of two tiles in order; a patch is read before its outputs are written."""
    (in_h, in_w, in_ch), (out_h, out_w, out_ch) = image, output
    top, left = window.pads[:2]
    rows, cols = np.arange(0, out_h, TILE_ROWS)[:, None], np.arange(0, out_w, GROUP_COLS)[None]
    first_y, first_x = np.clip(rows - top, 0, in_h), np.clip(cols - left, 0, in_w)
    # what a group reads starts in its first row; the next row of groups reads that row from 0 on
    reads = ((first_y * in_w + first_x) * in_ch).ravel()
    last_y, last_x = np.minimum(rows + 1, out_h - 1), np.minimum(cols + GROUP_COLS, out_w)
    ends = ((last_y * out_w + last_x) * out_ch).ravel()
    return forward_distance(ends, np.append(reads[1:], in_h * in_w * in_ch))


def _cycles(image: tuple[int, int, int], output: tuple[int, int, int]) -> float:
    in_ch, out_ch = image[2], output[2]
    groups = -(-output[0] // TILE_ROWS) * -(-output[1] // GROUP_COLS)
    quad = 16 * (25 + 8 * in_ch) + 8 * 106
    return float(groups * (130 * in_ch + quad * math.ceil(out_ch / QUAD)))
