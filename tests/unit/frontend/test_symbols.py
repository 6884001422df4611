# SPDX-License-Identifier: Apache-2.0
"""Sizes as text: what torch.export writes is computed, everything else is refused."""

from __future__ import annotations

from typing import Any

import pytest

from mcugen.errors import ModelError
from mcugen.frontend.symbols import size_value, symbol_of


def size(text: Any) -> dict[str, Any]:
    return {"as_expr": {"expr_str": text, "hint": None}}


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("s0", 3),
        ("Symbol('s0', positive=True, integer=True)", 3),
        ("Mul(Integer(784), Symbol('s0', positive=True, integer=True))", 2352),
        ("4*s0 + 2", 14),
        ("s0 - 5", -2),
        ("-s0", -3),
        ("Add(Integer(-1), s0)", 2),
        ("FloorDiv(s0 + 4, 2)", 3),
        ("CeilDiv(7, 2)", 4),
        ("s0 // 2 + s0 % 2", 2),
        ("Max(1, s0, 2)", 3),
        ("PythonMod(s0, 2)", 1),
    ],
)
def test_expressions(text: str, value: int) -> None:
    assert size_value(size(text), {"s0": 3}) == value


@pytest.mark.parametrize(
    "text",
    [
        "s1", "__import__('os')", "s0.real", "(lambda: 1)()", "[1][0]", "'a'", "1.5", "True",
        "s0 ** 9", "FloorDiv(s0, 0)", "FloorDiv(s0)", "Max()", "Mul(*[1])", "Integer(x=1)", "",
        "1 +", "a" * 3000, "2000000*2000000", None, 7, "-" * 1500 + "1", "\0",
    ],
)  # fmt: skip
def test_refused(text: Any) -> None:
    with pytest.raises(ModelError):
        size_value(size(text), {"s0": 3})


@pytest.mark.parametrize("value", [True, 1.5, "1", None, 1 << 50])
def test_numbers_that_are_no_size(value: Any) -> None:
    with pytest.raises(ModelError, match="where a size is expected"):
        size_value({"as_int": value}, {})


def test_lone_symbols() -> None:
    assert symbol_of(size("Symbol('s77', integer=True)")) == "s77"
    assert symbol_of(size("2*s0")) is None
    assert symbol_of({"as_int": 4}) is None
