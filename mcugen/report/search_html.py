# SPDX-License-Identifier: Apache-2.0
"""What `mcugen search` found, as one HTML page that needs no other file, and as pictures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mcugen.report.search import layer_rows, point_rows
from mcugen.report.study_html import STYLE, check_pictures, svg, table

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["check_pictures", "write_search"]

CURVES_IN_A_ROW = 3
LEAST_LOSS = 1e-9  # what a logarithmic axis shows of none
TITLES = {
    "front": "The front: what a smaller network loses",
    "sensitivity": "What each layer loses alone, in each form",
}


def write_search(values: Mapping[str, Any], folder: Path) -> list[Path]:
    """The page and each picture, as SVG and as PNG, in the folder; all that was written."""
    figures = draw(values)
    written = []
    for name, figure in figures.items():
        picture = folder / f"{name}.png"
        figure.savefig(picture, dpi=110, metadata={"Software": None})
        vector = folder / f"{name}.svg"
        vector.write_text(svg(figure), encoding="utf-8")
        written += [picture, vector]
    path = folder / "search.html"
    path.write_text(page(values, figures), encoding="utf-8")
    return [path, *written]


def draw(values: Mapping[str, Any]) -> dict[str, Figure]:
    """All pictures by name; without a front or losses there are none of these."""
    from matplotlib.figure import Figure

    figures: dict[str, Figure] = {}
    if values["front"]:
        front = Figure(figsize=(9, 4), layout="constrained")
        _draw_front(front.subplots(1, 2, squeeze=False)[0].tolist(), values)
        figures["front"] = front
    losses: Mapping[str, Mapping[str, float]] = values["losses"]
    if losses:
        rows = -(-len(losses) // CURVES_IN_A_ROW)
        curves = Figure(figsize=(9, 2.0 * rows), layout="constrained")
        places = curves.subplots(rows, CURVES_IN_A_ROW, squeeze=False, sharey=True).ravel()
        for axes in places[len(losses) :]:
            axes.set_axis_off()
        for axes, (name, own) in zip(places, losses.items(), strict=False):
            _draw_layer(axes, name, own)
        figures["sensitivity"] = curves
    return figures


def _draw_front(places: Sequence[Axes], values: Mapping[str, Any]) -> None:
    """Loss, measured and reckoned, over flash and over cycles."""
    for axes, cost in zip(places, ("flash", "cycles"), strict=True):
        for side, style in (("measured", "o-"), ("predicted", "x:")):
            points = sorted((p[side][cost], p[side]["loss"]) for p in values["front"])
            label = "measured" if side == "measured" else "reckoned"
            axes.plot(*zip(*points, strict=True), style, label=label)
        chosen = values["chosen"]["measured"]
        axes.plot(chosen[cost], chosen["loss"], "*", color="tab:red", ms=12, label="chosen")
        if cost in values["bounds"] and values["bounds"][cost] < 2 * chosen[cost]:
            axes.axvline(values["bounds"][cost], color="tab:gray", label="budget")
        axes.set_yscale("log")
        axes.set_xlabel("flash, bytes" if cost == "flash" else "cycles")
        axes.set_ylabel(values["loss"])
        axes.grid(alpha=0.3)
        axes.legend(fontsize=8)


def _draw_layer(axes: Axes, name: str, losses: Mapping[str, float]) -> None:
    """Loss over zeros, one line for each width and pattern; forms without zeros at 0 %."""
    lines: dict[str, list[tuple[float, float]]] = {}
    for text, loss in losses.items():
        width, _, zeros = text.partition(" ")
        pattern, _, share = zeros.removesuffix(" %").partition(" ")
        title = f"{width} {pattern}".strip()
        lines.setdefault(title, []).append((float(share or 0.0), max(loss, LEAST_LOSS)))
    for title, points in sorted(lines.items(), reverse=True):
        axes.plot(*zip(*sorted(points), strict=True), marker="o", ms=3, lw=1, label=title)
    axes.set_yscale("log")
    axes.set_title(name, fontsize=8)
    axes.tick_params(labelsize=6)
    axes.legend(fontsize=5)


def page(values: Mapping[str, Any], figures: Mapping[str, Figure]) -> str:
    """One HTML document, pictures inside it."""
    name = escape(str(values["name"]))
    bounds = ", ".join(f"{n} {bound:,.0f}" for n, bound in values["bounds"].items())
    parts = [
        f"<!doctype html><html lang='en'><meta charset='utf-8'><title>{name}</title>",
        f"<style>{STYLE}</style><h1>Search for {name} on {escape(str(values['board']))}</h1>",
        f"<p>{values['options']} options of all layers; within {bounds}. Loss is "
        f"{escape(values['loss'])}.</p>",
        table(point_rows(values)),
        *(f"<h2>{TITLES[key]}</h2>{svg(figure)}" for key, figure in figures.items()),
        "<h2>Layers of the chosen network</h2>",
        table(layer_rows(values["chosen"]["layers"])),
        "</html>\n",
    ]
    return "\n".join(parts)
