# SPDX-License-Identifier: Apache-2.0
"""How far below its operand an output may lie when windows are computed pixel after pixel."""

from __future__ import annotations

import numpy as np

from mcugen.fixed_point import IntArray
from mcugen.ops.base import Overlap
from mcugen.ops.window import AxisWindows


def forward_distance(write_end: IntArray, first_read: IntArray) -> int:
    """Least distance of a kernel that runs in steps, as in `Overlap`.

    At step g it writes the output's bytes up to, not including, write_end[g], while step g and
    those after it may still read the operand's bytes from first_read[g] on: int64 [steps] both.
    """
    still_read = np.minimum.accumulate(first_read[::-1])[::-1]
    return int(np.max(write_end - still_read))


def window_overlap(
    rows: AxisWindows,
    cols: AxisWindows,
    in_ch: int,
    out_ch: int,
    *,
    group: int = 1,
    copied: bool = False,
) -> Overlap:
    """The overlap of a kernel that computes output pixels in row-major order, `group` at a time.

    `copied`: a group's windows are copied before the first of its results is written, so that a
    step needs no byte of its own any more.
    """
    tops = np.clip(rows.starts(), 0, rows.in_len)
    lefts = np.clip(cols.starts(), 0, cols.in_len)
    reads = ((tops[:, None] * cols.in_len + lefts) * in_ch).ravel()
    pixels = len(reads)
    firsts = np.minimum.reduceat(reads, np.arange(0, pixels, group))
    ends = np.minimum(np.arange(group, pixels + group, group), pixels) * out_ch
    if copied:
        in_bytes = rows.in_len * cols.in_len * in_ch
        firsts = np.append(firsts[1:], in_bytes)
    return Overlap(operand=0, distance=forward_distance(ends, firsts))
