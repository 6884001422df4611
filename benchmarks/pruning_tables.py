# SPDX-License-Identifier: Apache-2.0
"""What `benchmarks.pruning` measured, as tables and as a picture in docs/PRUNING.md."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from benchmarks import documents
from benchmarks.networks import ROOT
from benchmarks.pruning import CRITERIA, NETWORKS, PATTERNS, SEEDS, SHARES, Case, Row

if TYPE_CHECKING:
    from matplotlib.axes import Axes

DOCUMENT = ROOT / "docs" / "PRUNING.md"
PICTURE = ROOT / "docs" / "pruning.svg"
BEGIN, END = "<!-- pruning: begin -->", "<!-- pruning: end -->"
STAGES = ("at_once", "refitted", "trained")
BAR = 0.16


class Group(NamedTuple):
    """Rows that differ in their seed alone."""

    network: str
    share: float
    pattern: str
    criterion: str


class Spread(NamedTuple):
    """Top-1 in percent over the seeds."""

    low: float
    mean: float
    high: float

    def __str__(self) -> str:
        """The mean, and half of what lies between the best seed and the worst."""
        return f"{self.mean:.1f} ± {(self.high - self.low) / 2.0:.1f}"


Found = Mapping[Group, Mapping[str, Spread]]


def grouped(rows: Mapping[Case, Row]) -> Found:
    """What was measured with every seed."""
    held: dict[Group, list[Row]] = {}
    for case, row in rows.items():
        group = Group(case.network, case.share, case.pattern, case.criterion)
        held.setdefault(group, []).append(row)
    return {
        group: {stage: _spread(getattr(row, stage) for row in some) for stage in STAGES}
        for group, some in held.items()
        if {row.case.seed for row in some} == set(SEEDS)
    }


def _spread(values: Iterable[float]) -> Spread:
    some = list(values)
    return Spread(low=min(some), mean=float(np.mean(some)), high=max(some))


def tables(rows: Mapping[Case, Row]) -> str:
    """Tables in Markdown, between markers: for each network criteria by patterns."""
    found = grouped(rows)
    lines = [BEGIN]
    for network in NETWORKS:
        for share in SHARES:
            if any(group[:2] == (network, share) for group in found):
                lines += _table(network, share, found, rows)
    return "\n".join([*lines, END])


def _table(network: str, share: float, found: Found, rows: Mapping[Case, Row]) -> Iterator[str]:
    dense = _spread(row.dense for case, row in rows.items() if case.network == network)
    yield f"\n`{network}`, {100 * share:g} % gone; before {dense} %:\n"
    held = [group for group in found if group[:2] == (network, share)]
    patterns = [pattern for pattern in PATTERNS if any(g.pattern == pattern for g in held)]
    criteria = [criterion for criterion in CRITERIA if any(g.criterion == criterion for g in held)]
    yield f"| criterion | {' | '.join(patterns)} |"
    yield "|---" * (1 + len(patterns)) + "|"
    for criterion in criteria:
        groups = [Group(network, share, pattern, criterion) for pattern in patterns]
        yield f"| `{criterion}` | {' | '.join(_cell(found.get(group)) for group in groups)} |"


def _cell(measured: Mapping[str, Spread] | None) -> str:
    return "" if measured is None else f"{measured['refitted']}, {measured['trained']}"


def with_tables(text: str, rows: Mapping[Case, Row]) -> str:
    """The document's text with these tables. Raises ValueError where it has no markers."""
    return documents.with_block(text, tables(rows), DOCUMENT.name)


def render(rows: Mapping[Case, Row]) -> None:
    """Renew the document and its picture."""
    text = DOCUMENT.read_text("utf-8")
    DOCUMENT.write_text(with_tables(text, rows), encoding="utf-8")
    draw(rows, PICTURE)


def draw(rows: Mapping[Case, Row], path: Path) -> None:
    """Bars: trained, with the spread over the seeds; crosses: refitted only.

    A panel for each network and share of which something was measured of every pattern.
    """
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    found = grouped(rows)
    panels = [
        panel
        for panel in dict.fromkeys(group[:2] for group in found)
        if {group.pattern for group in found if group[:2] == panel} == set(PATTERNS)
    ]
    figure = Figure(figsize=(9, 3.2 * len(panels)), layout="constrained")
    for axes, (network, share) in zip(
        figure.subplots(len(panels), squeeze=False).ravel(), panels, strict=True
    ):
        _draw_panel(axes, network, share, found)
        dense = [row.dense for case, row in rows.items() if case.network == network]
        axes.axhline(float(np.mean(dense)), color="black", linewidth=0.8, linestyle=":")
    handles, labels = figure.axes[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=len(labels), fontsize="small")
    with rc_context({"svg.hashsalt": "mcugen", "svg.fonttype": "none"}):
        figure.savefig(path, format="svg", metadata={"Date": None, "Creator": None})


def _draw_panel(axes: Axes, network: str, share: float, found: Found) -> None:
    places = np.arange(len(PATTERNS))
    for number, criterion in enumerate(CRITERIA):
        held = [found.get(Group(network, share, pattern, criterion)) for pattern in PATTERNS]
        x = places + BAR * (number - (len(CRITERIA) - 1) / 2)
        trained = [None if one is None else one["trained"] for one in held]
        axes.bar(x, _means(trained), BAR, label=criterion, alpha=0.85)
        ends = np.array([(0.0, 0.0) if s is None else (s.low, s.high) for s in trained])
        axes.vlines(x, ends[:, 0], ends[:, 1], color="black", linewidth=1.2)
        refitted = _means([None if one is None else one["refitted"] for one in held])
        label = "refitted only" if criterion == CRITERIA[-1] else None
        axes.plot(x, refitted, "x", color="black", markersize=4, label=label)
    axes.set_xticks(places, PATTERNS)
    axes.set_ylim(40.0, 100.0)
    axes.set_ylabel("top-1, %")
    axes.set_title(f"{network}, {100 * share:g} % gone (dotted: nothing gone)", fontsize="medium")


def _means(spreads: Sequence[Spread | None]) -> list[float]:
    return [float("nan") if spread is None else spread.mean for spread in spreads]
