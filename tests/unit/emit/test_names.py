# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import pytest

from mcugen.emit.names import check_name, default_name
from mcugen.errors import OutputError


@pytest.mark.parametrize("name", ["mnist", "a", "kws_2", "net_v2", "x" * 48])
def test_plain_names_pass(name: str) -> None:
    assert check_name(name) == name


@pytest.mark.parametrize(
    "name",
    [
        *("", "int", "class", "main", "a b", 'a"b', "../x", "x/y", "é", "名", "A", "1a", "_a"),
        *(
            "a-b",
            "a\n",
            "mcugen",
            "mcugen_conv",
            "stdint",
            "test",
            "x" * 49,
            "x" * 200,
            "a.b",
            "a;b",
            "a\0b",
        ),
    ],
)
def test_names_that_could_break_c_or_the_folder_are_refused(name: str) -> None:
    with pytest.raises(OutputError, match="--name"):
        check_name(name)


@pytest.mark.parametrize(
    ("stem", "name"),
    [
        ("My-Net.v2", "my_net_v2"),
        ("ResNet8", "res_net8"),
        ("2nd", "net_2nd"),
        ("a" * 200, "a" * 48),
        ("model", "model"),
    ],
)
def test_default_names_come_from_the_file(stem: str, name: str) -> None:
    assert default_name(stem) == name


@pytest.mark.parametrize("stem", ["", "名", "int", "..."])
def test_a_stem_without_a_usable_name_asks_for_one(stem: str) -> None:
    with pytest.raises(OutputError, match="--name"):
        default_name(stem)
