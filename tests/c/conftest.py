# SPDX-License-Identifier: Apache-2.0
"""The generated folder that all these tests compile."""

from __future__ import annotations

import pytest

from tests.c.networks import Folder, write_both


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Folder:
    """Two networks that between them call every kernel; nobody writes into it."""
    return write_both(tmp_path_factory.mktemp("generated"))
