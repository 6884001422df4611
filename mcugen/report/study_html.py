# SPDX-License-Identifier: Apache-2.0
"""What `mcugen quantize` found, as one HTML page that needs no other file, and as pictures."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from mcugen.errors import MissingToolError
from mcugen.report.study import choice_rows, layer_rows

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from mcugen.study import Study

HISTOGRAMS_IN_A_ROW = 3
STYLE = (
    "body{font:15px/1.5 sans-serif;margin:2em auto;max-width:70em;padding:0 1em}"
    "table{border-collapse:collapse}td,th{padding:.2em .8em;text-align:right;"
    "border-bottom:1px solid #ddd}td:first-child,th:first-child{text-align:left}"
    "svg{max-width:100%;height:auto}"
)


def write_study(study: Study, path: Path) -> list[Path]:
    """The page at `path` and each picture beside it as PNG; returns all that was written."""
    figures = draw(study)
    pictures = []
    for name, figure in figures.items():
        picture = path.with_name(f"{path.stem}_{name}.png")
        figure.savefig(picture, dpi=110, metadata={"Software": None})
        pictures.append(picture)
    path.write_text(page(study.values(), figures), encoding="utf-8")
    return [path, *pictures]


def check_pictures() -> None:
    """Raise MissingToolError without matplotlib, before any work is done."""
    try:
        import matplotlib  # noqa: F401 # the question is whether it is there
    except ImportError as missing:
        msg = "pictures need matplotlib: pip install 'mcugen[report]', or leave out --report"
        raise MissingToolError(msg) from missing


def draw(study: Study) -> dict[str, Figure]:
    """All pictures by name."""
    from matplotlib.figure import Figure

    layers = study.values()["layers"]
    height = 1.5 + 0.25 * len(layers)
    error = Figure(figsize=(9, height), layout="constrained")
    _draw_error(error.subplots(), layers)
    clipped = Figure(figsize=(9, height), layout="constrained")
    _draw_saturation(clipped.subplots(), layers)
    rows = -(-len(layers) // HISTOGRAMS_IN_A_ROW)
    spread = Figure(figsize=(9, 1.6 * rows), layout="constrained")
    places = spread.subplots(rows, HISTOGRAMS_IN_A_ROW, squeeze=False).ravel()
    for axes in places[len(layers) :]:
        axes.set_axis_off()
    for axes, layer in zip(places, layers, strict=False):
        _draw_histogram(axes, layer, study)
    return {"error": error, "saturation": clipped, "ranges": spread}


def _draw_error(axes: Axes, layers: Sequence[Mapping[str, Any]]) -> None:
    rows = np.arange(len(layers))
    own = [np.nan if layer["own_db"] is None else layer["own_db"] for layer in layers]
    total = [np.nan if layer["sqnr_db"] is None else layer["sqnr_db"] for layer in layers]
    axes.plot(total, rows, marker="o", label="with all before it: how the error travels")
    axes.scatter(own, rows, marker="x", color="tab:red", label="this layer alone: what enters")
    axes.set_yticks(rows, [layer["name"] for layer in layers])
    axes.invert_yaxis()
    axes.set_xlabel("signal to quantization noise, dB")
    axes.grid(axis="x", alpha=0.3)
    axes.legend()


def _draw_saturation(axes: Axes, layers: Sequence[Mapping[str, Any]]) -> None:
    rows = np.arange(len(layers))
    axes.barh(rows, [100 * layer["saturated"] for layer in layers])
    axes.set_yticks(rows, [layer["name"] for layer in layers])
    axes.invert_yaxis()
    axes.set_xlabel("values outside the range of the integers, percent")


def _draw_histogram(axes: Axes, layer: Mapping[str, Any], study: Study) -> None:
    histogram = study.statistics[layer["name"]].histogram
    low, high = histogram.extremes
    edges, counts = histogram.edges[::16], histogram.counts.reshape(-1, 16).sum(axis=1)
    axes.stairs(counts, edges, fill=True)
    axes.set_yscale("symlog")
    for end in layer["range"]:
        axes.axvline(end, color="tab:red", linewidth=1)
    ends = (low, high, *layer["range"])
    margin = 0.03 * max(max(ends) - min(ends), 1e-12)
    axes.set_xlim(min(ends) - margin, max(ends) + margin)
    axes.set_title(layer["name"], fontsize=8)
    axes.tick_params(labelsize=6)


TITLES = {
    "error": "Where the error enters, and how it travels",
    "saturation": "Saturation",
    "ranges": "Values, and the ends of the integers' range (red)",
}


def page(found: Mapping[str, Any], figures: Mapping[str, Figure]) -> str:
    """One HTML document, pictures inside it."""
    name = escape(str(found["name"]))
    parts = [
        f"<!doctype html><html lang='en'><meta charset='utf-8'><title>{name}</title>",
        f"<style>{STYLE}</style><h1>Quantization of {name}</h1>",
        f"<p>Calibrated on {found['calibration_samples']} samples; measured with the integer "
        f"reference on {found['evaluated_samples']} samples of the {found['evaluated_on']}.</p>",
        table(choice_rows(found["choices"])),
        f"<h2>Tensors under {escape(found['choices'][0]['options'])}</h2>",
        *(f"<h3>{TITLES[key]}</h3>{svg(figure)}" for key, figure in figures.items()),
        table(layer_rows(found["layers"])),
        "</html>\n",
    ]
    return "\n".join(parts)


def table(rows: Sequence[Sequence[str]]) -> str:
    """Rows as an HTML table, the first one being its head."""

    def line(cells: Sequence[str], tag: str) -> str:
        return "<tr>" + "".join(f"<{tag}>{escape(cell)}</{tag}>" for cell in cells) + "</tr>"

    return f"<table>{line(rows[0], 'th')}{''.join(line(row, 'td') for row in rows[1:])}</table>"


def svg(figure: Figure) -> str:
    """The picture as an SVG element, the same bytes each time."""
    from matplotlib import rc_context

    text = io.StringIO()
    with rc_context({"svg.hashsalt": "mcugen", "svg.fonttype": "none"}):
        figure.savefig(text, format="svg", metadata={"Date": None, "Creator": None})
    whole = text.getvalue()
    return whole[whole.index("<svg") :]
