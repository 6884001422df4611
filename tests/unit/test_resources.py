# SPDX-License-Identifier: Apache-2.0
"""The data folders are found in a checkout and in a wheel, and nowhere else."""

from __future__ import annotations

from pathlib import Path

import pytest

from mcugen import resources
from mcugen.errors import InternalError
from mcugen.resources import data_dir


@pytest.mark.parametrize("name", ["templates", "runtime_c", "boards"])
def test_each_folder_is_found(name: str) -> None:
    assert data_dir(name).is_dir()
    assert data_dir(name).name == name


def test_the_boards_folder_holds_the_boards() -> None:
    assert (data_dir("boards") / "cortex-m4.toml").is_file()


def test_a_wheel_prefers_its_own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = tmp_path / "site-packages" / "mcugen"
    (package / "_data" / "boards").mkdir(parents=True)
    (package.parent / "boards").mkdir()  # some other distribution's folder
    monkeypatch.setattr(resources, "_PACKAGE", package)
    assert data_dir("boards") == package / "_data" / "boards"


def test_a_checkout_has_it_beside_the_package(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "mcugen").mkdir()
    (tmp_path / "boards").mkdir()
    monkeypatch.setattr(resources, "_PACKAGE", tmp_path / "mcugen")
    assert data_dir("boards") == tmp_path / "boards"


def test_a_missing_folder_is_our_bug(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resources, "_PACKAGE", tmp_path / "mcugen")
    with pytest.raises(InternalError, match="'boards' is missing"):
        data_dir("boards")
