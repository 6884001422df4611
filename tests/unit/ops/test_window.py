# SPDX-License-Identifier: Apache-2.0
"""Windows along one axis against the loops that define them."""

from __future__ import annotations

import math

import pytest

from mcugen.ops.window import AxisWindows, Window


def positions(windows: AxisWindows) -> list[list[int]]:
    return [list(range(s.start, s.stop, s.step)) for s in windows.slices()]


@pytest.mark.parametrize("in_len", [1, 2, 3, 7, 8, 12])
@pytest.mark.parametrize("out_len", [1, 2, 3, 5, 7, 16])
def test_adaptive_windows(in_len: int, out_len: int) -> None:
    expected = [
        list(range(i * in_len // out_len, math.ceil((i + 1) * in_len / out_len)))
        for i in range(out_len)
    ]
    windows = AxisWindows.adaptive(in_len, out_len)
    assert positions(windows) == expected
    assert windows.counts().tolist() == [len(p) for p in expected]


def test_adaptive_windows_without_remainder_need_no_division() -> None:
    assert AxisWindows.adaptive(12, 4).parts == 1
    assert AxisWindows.adaptive(12, 5).parts == 5


@pytest.mark.parametrize("dilation", [1, 2, 3])
@pytest.mark.parametrize("pad", [0, 1, 2])
@pytest.mark.parametrize("stride", [1, 2])
def test_ordinary_windows(stride: int, pad: int, dilation: int) -> None:
    window = Window(
        kernel=(1, 3), stride=(1, stride), dilation=(1, dilation), pads=(0, pad, 0, pad)
    )
    (_, out_len) = window.output_size((1, 9))
    expected = [
        [p for j in range(3) if 0 <= (p := i * stride - pad + j * dilation) < 9]
        for i in range(out_len)
    ]
    assert positions(window.along(1, 9)) == expected


def test_adaptive_windows_beyond_int32_are_an_error() -> None:
    with pytest.raises(ValueError, match="out of range"):
        AxisWindows.adaptive(50_000, 49_999)
