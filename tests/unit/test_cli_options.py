# SPDX-License-Identifier: Apache-2.0
"""Progress bars: on a terminal only, one for each piece of work."""

from __future__ import annotations

import io
import sys

import pytest

from mcugen.cli_options import progress_bars


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def shown(stream: io.StringIO, monkeypatch: pytest.MonkeyPatch, silent: bool = False) -> str:
    monkeypatch.setattr(sys, "stderr", stream)
    with progress_bars(silent) as progress:
        for total in (3, 4):
            for done in range(1, total + 1):
                progress(done, total, f"work {total} at {done}")
    return stream.getvalue()


def test_each_piece_of_work_has_its_bar(monkeypatch: pytest.MonkeyPatch) -> None:
    text = shown(Terminal(), monkeypatch)
    assert "work 3 at 3" in text and "work 4 at 4" in text
    assert text.count("100%") >= 2


def test_nothing_is_shown_where_nobody_looks(monkeypatch: pytest.MonkeyPatch) -> None:
    assert shown(io.StringIO(), monkeypatch) == ""
    assert shown(Terminal(), monkeypatch, silent=True) == ""
