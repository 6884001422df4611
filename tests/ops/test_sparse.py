# SPDX-License-Identifier: Apache-2.0
"""How weights that are mostly zero are written down, and which kernel they choose."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mcugen.ops.sparse import MAX_DELTA, STRIP, Columns, Tiles, encode
from mcugen.ops.window import Window


def decode(stream: np.ndarray, size: int) -> list[dict[int, tuple[int, ...]]]:
    """The rows of a stream: the weights that are not all zero, by where their activations are."""
    rows, at = [], 0
    while length := int(stream[at]) + 256 * int(stream[at + 1]):
        entries = stream[at + 2 : at + 2 + length].reshape(-1, 1 + size)
        places = np.cumsum(entries[:, 0].astype(np.int64)).tolist()
        pairs = zip(places, map(tuple, entries[:, 1:].tolist()), strict=True)
        rows.append({place: own for place, own in pairs if any(own)})
        at += 2 + length
    assert at + 2 == len(stream)
    return rows


@given(st.integers(0, 999), st.sampled_from([1, 4]), st.floats(0.0, 1.0))
def test_every_weight_is_found_again(seed: int, size: int, share: float) -> None:
    rng = np.random.default_rng(seed)
    offsets = np.cumsum(rng.integers(1, 3 * MAX_DELTA, 9)) - 1
    values = rng.integers(0, 256, (5, 9, size)) * (rng.random((5, 9, 1)) < share)
    entries = encode(values.astype(np.uint8), offsets)
    assert entries is not None
    wanted = [
        {int(o): tuple(v) for o, v in zip(offsets, row.tolist(), strict=True) if any(v)}
        for row in values
    ]
    assert decode(entries.stream, size) == wanted
    assert entries.stream.size == 2 * 5 + entries.total * (1 + size) + 2


def test_a_long_way_is_walked_in_steps() -> None:
    values = np.array([[[0], [7]], [[0], [0]]], np.uint8)
    entries = encode(values, np.array([0, 2 * MAX_DELTA + 1]))
    assert entries is not None
    assert entries.counts.tolist() == [3, 1]
    row = [MAX_DELTA, 0, MAX_DELTA, 0, 1, 7]
    assert entries.stream.tolist() == [6, 0, *row, 2, 0, 0, 0, 0, 0]


def test_a_row_that_is_too_long_is_refused() -> None:
    values = np.ones((1, 2**15, 1), np.uint8)
    assert encode(values, np.arange(2**15)) is None


@pytest.mark.parametrize(
    ("window", "offsets", "first"),
    [
        (Window(kernel=(1, 1)), [0, 1, 2, 3], [0]),
        (Window(kernel=(1, 1), stride=(1, 2)), [0, 2, 4, 6], [0]),
        (Window(kernel=(3, 3)), [0, 1, 2, 3, 4, 5], [0, 1, 2]),
        (Window(kernel=(3, 3), stride=(2, 2)), [0, 2, 4, 6, 8, 1, 3, 5, 7], [0, 5, 1]),
        (Window(kernel=(1, 2), dilation=(1, 2)), [0, 1, 2, 3, 4, 5], [0, 2]),
    ],
)
def test_columns_of_one_tap_lie_side_by_side(
    window: Window, offsets: list[int], first: list[int]
) -> None:
    columns = Columns.of(window)
    assert columns.offsets.tolist() == offsets
    assert columns.first.tolist() == first
    stride, dilation = window.stride[1], window.dilation[1]
    for tap, start in enumerate(columns.first):
        wanted = tap * dilation + stride * np.arange(STRIP)
        assert columns.offsets[start : start + STRIP].tolist() == wanted.tolist()


def test_strips_end_with_their_row() -> None:
    assert Tiles(out_h=2, out_w=6, strips=1).ends().tolist() == [4, 6, 10, 12]
    assert Tiles(out_h=3, out_w=6, strips=2).ends().tolist() == [6, 12, 18]
    assert Tiles(out_h=1, out_w=12, strips=2).ends().tolist() == [8, 12]
    assert Tiles(out_h=1, out_w=3, strips=2).ends().tolist() == [3]
    assert [Tiles(out_h=1, out_w=w, strips=2).ragged for w in (8, 12, 6)] == [False, True, True]
