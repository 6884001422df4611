# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mcugen.ops.overlap import window_overlap
from mcugen.ops.window import Window


def survives(
    window: Window,
    shape: tuple[int, int, int],
    out_ch: int,
    distance: int,
    group: int,
    copied: bool,
) -> bool:
    """Run the reads and writes of a kernel on one memory: is every byte read as it was?"""
    in_h, in_w, in_ch = shape
    rows, cols = window.along(0, in_h), window.along(1, in_w)
    pixels = [(y, x) for y in range(rows.out_len) for x in range(cols.out_len)]
    base = max(0, distance) + 1000  # of the operand; the output starts `distance` below
    memory = np.full(base + in_h * in_w * in_ch + 4000, -1)
    memory[base : base + in_h * in_w * in_ch] = np.arange(in_h * in_w * in_ch)

    def window_is_whole(y: int, x: int) -> bool:
        for i in range(rows.starts()[y], rows.ends()[y]):
            for j in range(cols.starts()[x], cols.ends()[x]):
                if 0 <= i < in_h and 0 <= j < in_w:
                    at = (i * in_w + j) * in_ch
                    if not np.array_equal(
                        memory[base + at : base + at + in_ch], at + np.arange(in_ch)
                    ):
                        return False
        return True

    for start in range(0, len(pixels), group):
        chosen = pixels[start : start + group]
        if not all(window_is_whole(*pixel) for pixel in chosen):
            return False
        first = base - distance + start * out_ch
        for k in range(len(chosen) * out_ch):
            # without a copy, the windows are read again for every value but the last
            memory[first + k] = -2
            last = k == len(chosen) * out_ch - 1
            if not copied and not last and not all(window_is_whole(*pixel) for pixel in chosen):
                return False
    return True


@settings(max_examples=120, deadline=None)
@given(
    st.integers(1, 3),
    st.integers(1, 2),
    st.integers(0, 2),
    st.tuples(st.integers(3, 5), st.integers(3, 5), st.integers(1, 3)),
    st.integers(1, 4),
    st.sampled_from([(1, False), (1, True), (4, True)]),
)
def test_the_distance_is_safe(
    kernel: int,
    stride: int,
    pad: int,
    shape: tuple[int, int, int],
    out_ch: int,
    order: tuple[int, bool],
) -> None:
    pads = (min(pad, kernel - 1),) * 4
    window = Window(kernel=(kernel, kernel), stride=(stride, stride), pads=pads)
    rows, cols = window.along(0, shape[0]), window.along(1, shape[1])
    group, copied = order
    distance = window_overlap(rows, cols, shape[2], out_ch, group=group, copied=copied).distance
    assert survives(window, shape, out_ch, distance, group, copied)


@pytest.mark.parametrize(("group", "copied"), [(1, True), (4, True)])
def test_the_distance_is_tight_for_pointwise_layers(group: int, copied: bool) -> None:
    window, shape = Window(kernel=(1, 1)), (4, 4, 2)
    rows, cols = window.along(0, 4), window.along(1, 4)
    for out_ch in (1, 2, 5):
        found = window_overlap(rows, cols, 2, out_ch, group=group, copied=copied).distance
        assert found == max(16 * out_ch - 32, group * out_ch - group * 2)
        assert survives(window, shape, out_ch, found, group, copied)
        # output and operand end together where the output is larger: one byte less is too much
        assert not survives(window, shape, out_ch, found - 1, group, copied) or out_ch > 2
