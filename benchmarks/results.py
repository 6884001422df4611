# SPDX-License-Identifier: Apache-2.0
"""The measured figures as files: JSON, a table beside the run before, the README's table."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks import documents
from benchmarks.measure import Case, Row
from benchmarks.networks import BUNDLED, REFERENCE, ROOT
from mcugen.boards import core_named

FOLDER = Path(__file__).resolve().parent / "results"
RESULTS = FOLDER / "results.json"
TABLE = FOLDER / "results.md"
README = ROOT / "README.md"
BEGIN, END = "<!-- benchmarks: begin -->", "<!-- benchmarks: end -->"
CORES = ("cortex-m0plus", "cortex-m3", "cortex-m4", "cortex-m55", "riscv32imc")
COMPARED = ("instructions", "cycles", "arena_bytes", "stack_bytes", "flash_bytes")
ORDER = [network.name for network in (*BUNDLED, *REFERENCE)]

Previous = Mapping[str, int] | None
Results = dict[Case, tuple[Row, Previous]]


def load(path: Path = RESULTS) -> Results:
    """The rows of a results file with what they were before; empty where there is no file."""
    if not path.exists():
        return {}
    results: Results = {}
    for held in json.loads(path.read_text("utf-8")):
        row = row_from(held)
        results[row.case] = (row, held["previous"])
    return results


def row_from(values: Mapping[str, Any]) -> Row:
    """A row as JSON holds it."""
    return Row(**{key: values[key] for key in Row.__dataclass_fields__})


def renewed(results: Results, row: Row) -> Results:
    """With a row that was measured again, or for the first time, in the order of the tables."""
    before = results.get(row.case)
    previous = None if before is None else {key: getattr(before[0], key) for key in COMPARED}
    return dict(sorted((results | {row.case: (row, previous)}).items(), key=_place))


def _place(item: tuple[Case, object]) -> tuple[int, int, str]:
    case = item[0]
    return ORDER.index(case.network), CORES.index(case.core), case.optimize


def save(results: Results) -> None:
    """Write both files."""
    FOLDER.mkdir(exist_ok=True)
    held = [row.values() | {"previous": previous} for row, previous in results.values()]
    RESULTS.write_text(json.dumps(held, indent=1) + "\n", encoding="utf-8")
    TABLE.write_text(markdown(results), encoding="utf-8")


def markdown(results: Results) -> str:
    """The whole table; in brackets the change against the run before, where there is one."""
    titles = {network.name: network.title for network in (*BUNDLED, *REFERENCE)}
    tools = sorted({f"{row.compiler}, {row.engine}" for row, _ in results.values()})
    head = ("network", "core", "optimize", "MACs", "instructions", "cycles", "cycles/MAC")
    lines = [
        "# Benchmarks",
        "",
        "One inference on the simulated core, written by `python -m benchmarks`. In brackets:",
        "the change against the run before. Cycles are those of an in-order core with zero-wait",
        "memory; for the Cortex-M55, which has no such table, read instructions. Build seconds,",
        "of compiling and verifying on the host, are all that depends on the machine.",
        "",
        *(f"* `{name}`: {titles[name]}" for name in ORDER if _holds(results, name)),
        "",
        *_table(
            (*head, "arena", "stack", "flash", "build s"),
            [_line(*held) for held in results.values()],
            texts=3,
        ),
        "",
        "Counted with:",
        "",
        *(f"* {tool}" for tool in tools),
        "",
    ]
    return "\n".join(lines)


def _holds(results: Results, name: str) -> bool:
    return any(case.network == name for case in results)


def _line(row: Row, previous: Previous) -> tuple[str, ...]:
    return (
        row.network,
        row.core,
        row.optimize,
        f"{row.macs:,}",
        *(_changed(row, previous, key) for key in ("instructions", "cycles")),
        f"{row.cycles_per_mac:.2f}",
        *(_changed(row, previous, key) for key in ("arena_bytes", "stack_bytes", "flash_bytes")),
        f"{row.build_seconds:.1f}",
    )


def _changed(row: Row, previous: Previous, key: str) -> str:
    value = int(getattr(row, key))
    if previous is None or previous[key] == value:
        return f"{value:,}"
    if previous[key] == 0:
        return f"{value:,} (was 0)"
    return f"{value:,} ({100 * (value / previous[key] - 1):+.1f} %)"


def _table(head: Sequence[str], rows: Iterable[Sequence[str]], texts: int) -> list[str]:
    """A Markdown table whose first `texts` columns are text, the others numbers."""
    rule = ["---"] * texts + ["---:"] * (len(head) - texts)
    return [f"| {' | '.join(cells)} |" for cells in (head, rule, *rows)]


def readme_block(results: Results) -> str:
    """The README's table, from marker to marker."""
    balanced = {
        (case.network, case.core): row
        for case, (row, _) in results.items()
        if case.optimize == "balanced"
    }
    names = [name for name in ORDER if (name, "cortex-m4") in balanced]
    units = {core: core_named(core).core.cost_unit for core in CORES}
    head = ("network", "MACs", *(f"{c}, {units[c]}" for c in CORES), "arena", "flash")
    rows = []
    for name in names:
        on_m4 = balanced[name, "cortex-m4"]
        costs = [_cost(balanced.get((name, core)), units[core]) for core in CORES]
        sizes = (f"{on_m4.arena_bytes:,}", f"{on_m4.flash_bytes:,}")
        rows.append((name, f"{on_m4.macs:,}", *costs, *sizes))
    return "\n".join([BEGIN, *_table(head, rows, texts=1), END])


def _cost(row: Row | None, unit: str) -> str:
    return "" if row is None else f"{getattr(row, unit):,}"


def with_block(text: str, results: Results) -> str:
    """The README's text with the table of these results.

    Raises ValueError where the markers are not there.
    """
    return documents.with_block(text, readme_block(results), "README.md")
