# SPDX-License-Identifier: Apache-2.0
"""What tests of several folders share: where things lie, and skips that say what is missing."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]


def pytest_addoption(parser: pytest.Parser) -> None:
    """The option of tests/golden."""
    parser.addoption(
        "--update-golden",
        action="store_true",
        help="take over what is generated now as the golden text of tests/golden",
    )


@pytest.fixture(scope="session")
def root() -> Path:
    """The checkout."""
    return ROOT


@pytest.fixture(scope="session")
def mnist() -> Path:
    """The example's folder: model.pt, calibration.npz (x), test.npz (x, y)."""
    return ROOT / "examples" / "mnist"


@pytest.fixture(scope="session")
def shared() -> Path:
    """The public reference networks and data beside the checkout, too large to be part of it."""
    folder = ROOT.parent / "shared"
    if not (folder / "models").is_dir():
        pytest.skip("needs the reference networks in ../shared/models, which are not here")
    return folder


@pytest.fixture(scope="session")
def tool() -> Callable[[str], str]:
    """Call it with a program's name: its path, or a skip that names the missing program."""

    def find(name: str) -> str:
        path = shutil.which(name)
        if path is None:
            pytest.skip(f"needs {name}, which is not installed")
        return path

    return find
