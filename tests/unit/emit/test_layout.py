# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import re

from hypothesis import given
from hypothesis import strategies as st

from mcugen.emit import layout

NAMES = st.text("abcdefgh_0123", min_size=1, max_size=80)


@given(NAMES, st.lists(NAMES, min_size=1, max_size=20))
def test_a_call_of_any_length_stays_within_100_columns(function: str, names: list[str]) -> None:
    text = layout.call(function, names, ";", "    ")
    assert max(map(len, text.splitlines())) <= 100
    assert re.sub(r"\s+", "", text) == f"{function}({','.join(names)});"
    assert text.count("\n") < len(names) + 1


def test_what_fits_stays_on_one_line() -> None:
    assert layout.call("f", ["a", "b"], ";", "    ") == "    f(a, b);"
    exact = "x" * 90
    assert layout.call("f", [exact], ";", "      ") == f"      f({exact});"
    assert len(f"      f({exact});") == 100
    assert layout.call("f", [exact], ";", "       ") == f"       f(\n           {exact});"


def test_a_condition_breaks_behind_its_operator() -> None:
    terms = [f"(argument_{k} == NULL)" for k in range(6)]
    assert layout.condition("if", terms, "{", "    ").splitlines() == [
        "    if ((argument_0 == NULL) || (argument_1 == NULL) || (argument_2 == NULL) ||",
        "        (argument_3 == NULL) || (argument_4 == NULL) || (argument_5 == NULL)) {",
    ]


def test_a_definition_breaks_before_its_name() -> None:
    assert layout.definition("static const int8_t", "a[3]") == "static const int8_t a[3] = {"
    long = "n" * 90
    assert layout.definition("static const int8_t", long) == (
        f"static const int8_t\n    {long} = {{"
    )


@given(st.lists(NAMES, min_size=1, max_size=40))
def test_a_comment_of_any_length_stays_within_100_columns(words: list[str]) -> None:
    lines = layout.comment(" ".join(words), "    ").splitlines()
    assert max(map(len, lines)) <= 100
    assert lines[0].startswith("    /* ")
    assert all(line.startswith("     * ") for line in lines[1:])
    assert " ".join(lines).replace("     * ", "")[7:-3].split() == words
