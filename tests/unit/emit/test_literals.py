# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mcugen.emit.literals import array_rows, array_type, integer, real


@given(st.floats(width=32, allow_nan=False, allow_infinity=False))
def test_a_real_reads_back_as_the_same_float32(value: float) -> None:
    text = real(value)
    assert text.endswith("f")
    assert re.search(r"[.e]", text), "without point or exponent the f suffix is not C"
    assert np.float32(float(text[:-1])) == np.float32(value)


@pytest.mark.parametrize("dtype", ["int8", "uint8", "int16", "uint16", "int32", "uint32"])
def test_rows_hold_every_value_in_at_most_100_columns(dtype: str) -> None:
    info = np.iinfo(dtype)
    rng = np.random.default_rng(1)
    values = rng.integers(info.min, info.max, 999, dtype=dtype, endpoint=True)
    values[:2] = info.min, info.max
    rows = array_rows(values)
    assert max(map(len, rows.splitlines())) <= 100
    texts = rows.replace("INT32_MIN", str(-(2**31))).replace("u", "").split(",")
    assert [int(text) for text in texts if text.strip()] == values.tolist()
    assert array_type(values) == f"{dtype}_t"


def test_the_smallest_int32_has_no_literal_in_c() -> None:
    assert integer(-(2**31)) == "INT32_MIN"
    assert integer(-(2**31) + 1) == "-2147483647"
