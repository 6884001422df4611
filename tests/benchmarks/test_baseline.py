# SPDX-License-Identifier: Apache-2.0
"""No change makes code slower or larger without saying so: exact counts against a baseline."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks import baseline
from benchmarks.measure import Case, Meter, Row
from benchmarks.networks import BUNDLED
from mcugen.boards import core_named
from mcugen.errors import MissingToolError
from mcugen.toolchains import cross_compiler

NETWORKS = {network.name: network for network in BUNDLED}
BASELINE = baseline.load()
each_case = pytest.mark.parametrize("case", baseline.CASES, ids=str)


@pytest.fixture(scope="module")
def meter() -> Meter:
    return Meter()


@pytest.mark.slow
@each_case
def test_nothing_is_worse_than_the_baseline(case: Case, meter: Meter, tmp_path: Path) -> None:
    before = BASELINE[case]
    try:
        compiler = cross_compiler(core_named(case.core).core).title
        if compiler != before.compiler:
            pytest.skip(f"the baseline was compiled by {before.compiler}, here is {compiler}")
        now = meter.measure(NETWORKS[case.network], case, tmp_path / case.network)
    except MissingToolError as error:
        pytest.skip(str(error))
    worse = baseline.regressions(before, now)
    assert not worse, "\n".join([*worse, baseline.REMEDY])


def test_the_baseline_is_of_these_cases() -> None:
    assert list(BASELINE) == list(baseline.CASES)
    assert {case.network for case in baseline.CASES} <= set(NETWORKS)


@pytest.mark.parametrize("key", baseline.GUARDED)
def test_more_than_a_hundredth_worse_is_found(key: str) -> None:
    before = next(iter(BASELINE.values()))
    old = int(getattr(before, key))

    def found(value: int) -> list[str]:
        return list(baseline.regressions(before, _with(before, key, value)))

    assert found(old + old // 100) == found(old - 1) == []
    [message] = found(old + old // 100 + 1)
    assert message.startswith(f"{before.case}: {key} ")
    assert f"{old:,}" in message


def _with(row: Row, key: str, value: int) -> Row:
    changes = {key: value}
    return replace(row, **changes)  # type: ignore[arg-type]
