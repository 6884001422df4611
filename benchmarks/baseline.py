# SPDX-License-Identifier: Apache-2.0
"""What may not get worse: exact counts of a few cases, committed beside this file."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from pathlib import Path

from benchmarks.measure import Case, Row
from benchmarks.results import row_from

BASELINE = Path(__file__).resolve().parent / "baseline.json"
CASES = (
    Case(network="mnist", core="cortex-m4"),
    Case(network="dscnn", core="cortex-m4"),
    Case(network="dscnn", core="cortex-m0plus"),
    Case(network="resnet", core="cortex-m4", optimize="ram"),
)
GUARDED = ("cycles", "flash_bytes", "arena_bytes", "stack_bytes")
TOLERANCE = 0.01
REMEDY = (
    "find what made it worse, or, where that is worth it, take the new figures over with "
    "`python -m benchmarks --update-baseline` and give the reason in the commit"
)


def load() -> dict[Case, Row]:
    """The committed rows."""
    rows = [row_from(values) for values in json.loads(BASELINE.read_text("utf-8"))]
    return {row.case: row for row in rows}


def save(rows: Iterable[Row]) -> None:
    """Take rows over as the baseline."""
    held = [{**row.values(), "build_seconds": 0.0} for row in rows]
    BASELINE.write_text(json.dumps(held, indent=1) + "\n", encoding="utf-8")


def regressions(before: Row, now: Row) -> Sequence[str]:
    """One sentence for each guarded figure that is more than the tolerance worse."""
    found = []
    for key in GUARDED:
        old, new = int(getattr(before, key)), int(getattr(now, key))
        if new > old * (1 + TOLERANCE):
            found.append(
                f"{now.case}: {key} {new:,}, {100 * (new / old - 1):.1f} % more than the "
                f"baseline's {old:,} (allowed: {100 * TOLERANCE:g} %)"
            )
    return found
