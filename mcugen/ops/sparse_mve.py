# SPDX-License-Identifier: Apache-2.0
"""1x1 convolution by weights that are mostly zero, on the M-profile Vector Extension."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from mcugen.ops import mve
from mcugen.ops.base import ConstTable, Kernel, KernelCall
from mcugen.ops.sparse import STRIP, Image, Tiles, as_row, encode
from mcugen.ops.window import Window

if TYPE_CHECKING:
    from mcugen.ops.conv import ConvS8

MAX_CHANNELS = 2**16 // 8  # places of eight pixels are halves of words
# executed instructions, fitted to simulated counts: a tile of 16 pixels, then what is within
LAYER, TILE, CHANNEL, ROW, ENTRY = 37.0, 68.0, 13.0, 47.0, 12.0


def conv_kernels(op: ConvS8, image: Image, output: Image) -> list[Kernel]:
    """The kernel, none where it does not apply: one of larger windows has no such layout."""
    window = op.window
    if window != Window(kernel=(1, 1)) or not mve.applies(op.requantize):
        return []
    (_, pixels, in_ch), out_ch = as_row(op, image), output[2]
    if max(in_ch, out_ch) > MAX_CHANNELS:
        return []
    entries = encode(op.weight.reshape(out_ch, in_ch, 1).astype(np.uint8), np.arange(in_ch))
    if entries is None:
        return []
    fields, tables = mve.requantize_fields(op.requantize, out_ch)
    call = KernelCall(
        function="mcugen_sparse_mve_conv_s8",
        header="mcugen_sparse_mve.h",
        fields=(
            ("pixels", pixels),
            ("in_ch", in_ch),
            ("out_ch", out_ch),
            ("entries", "entries"),
            ("bias", "bias"),
            *fields,
        ),
        tables=(
            ConstTable(
                suffix="entries", values=entries.stream, comment="rows [2 length, [delta, weight]]"
            ),
            ConstTable(suffix="bias", values=op.bias.astype(np.int32), comment="[ch]"),
            *tables,
        ),
        scratch_bytes=mve.VECTOR * in_ch,
    )
    tiles = Tiles(out_h=1, out_w=pixels, strips=mve.VECTOR // STRIP)
    rows, cols = (window.along(axis, (1, pixels)[axis]) for axis in (0, 1))
    tile = TILE + CHANNEL * in_ch + ROW * out_ch + ENTRY * entries.total
    overlap = tiles.overlap(rows, cols, (in_ch, out_ch))
    return [
        Kernel(
            variant="sparse_mve",
            calls=(call,),
            cycles=LAYER + tiles.count * tile,
            overlaps=(overlap,),
            skips_zeros=True,
        )
    ]
