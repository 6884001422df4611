# SPDX-License-Identifier: Apache-2.0
"""The comparison of ways to prune: what the document shows is what was measured."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from benchmarks import pruned
from benchmarks.pruning import NETWORKS, SEEDS, SHARES, Case, Row, cases, load, row_from
from benchmarks.pruning_tables import (
    DOCUMENT,
    PICTURE,
    Group,
    draw,
    grouped,
    tables,
    with_tables,
)
from benchmarks.words import WORDS, words

ROWS = load()


def test_the_document_shows_the_results() -> None:
    text = DOCUMENT.read_text("utf-8")
    assert with_tables(text, ROWS) == text, "run `python -m benchmarks.pruning --render`"


def test_the_picture_shows_the_results(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    draw(ROWS, tmp_path / "again.svg")
    again, shown = ((folder).read_text("utf-8") for folder in (tmp_path / "again.svg", PICTURE))
    assert again.count("<use") == shown.count("<use") > 20


def test_every_network_is_compared_at_the_first_share_with_every_seed() -> None:
    wanted = {case for case in cases() if case.share == SHARES[0]}
    assert wanted <= set(ROWS)
    assert len({case.network for case in wanted}) == len(NETWORKS) == 2


def test_rows_are_grouped_over_all_seeds() -> None:
    def row(seed: int, trained: float) -> Row:
        case = Case(network="a", seed=seed, share=0.75, pattern="n:m", criterion="obs")
        return Row(case=case, dense=97.0, at_once=10.0, refitted=90.0, trained=trained)

    some = [row(seed, value) for seed, value in zip(SEEDS, (91.0, 92.0, 95.0), strict=True)]
    assert row_from(some[0].values()) == some[0]
    [found] = grouped({r.case: r for r in some}).items()
    assert found[0] == Group("a", 0.75, "n:m", "obs")
    assert str(found[1]["trained"]) == "92.7 ± 2.0"
    assert grouped({r.case: r for r in some[1:]}) == {}


def test_the_document_needs_its_markers() -> None:
    assert "| `obs` |" in tables(ROWS)
    with pytest.raises(ValueError, match="lacks"):
        with_tables("no table", ROWS)


def test_what_is_left_after_training_is_shown_as_it_was_measured() -> None:
    rows = pruned.load()
    assert pruned.with_table(DOCUMENT.read_text("utf-8"), rows) == DOCUMENT.read_text("utf-8")
    assert set(rows) == set(pruned.cases())
    with pytest.raises(ValueError, match="lacks"):
        pruned.with_table("no table", rows)


def test_samples_that_choose_settings_are_neither_trained_nor_tested_on() -> None:
    train, chosen = pruned.held_back("ds_cnn")
    seen = {x.tobytes() for x in (*train[0], *words(2000, 2)[0])}
    assert not any(x.tobytes() in seen for x in chosen[0])


def test_words_are_the_same_every_time_and_of_every_kind() -> None:
    x, y = words(200, 3)
    again = words(200, 3)
    np.testing.assert_array_equal(x, again[0])
    assert x.shape == (200, 1, 49, 10) and set(y.tolist()) == set(range(WORDS))
    assert not np.array_equal(x, words(200, 4)[0])
