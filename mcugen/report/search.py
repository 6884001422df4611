# SPDX-License-Identifier: Apache-2.0
"""What a search found, as plain values and as text; prints nothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from mcugen.report.table import columns

if TYPE_CHECKING:
    from mcugen.tradeoff.found import Found, Point
    from mcugen.tradeoff.options import Choice

QUANTITIES = ("flash", "ram", "cycles")


def search_values(found: Found) -> dict[str, Any]:
    """Plain values, for JSON: the schema is in docs/SEARCH.md."""
    return {
        "loss": found.measure.title,
        "judged_by": found.judged_by,
        "bounds": {n: b for n, b in found.bounds.items().items() if n in QUANTITIES},
        "options": found.options,
        "seconds": {name: round(seconds, 2) for name, seconds in found.seconds.items()},
        "chosen": _point(found.chosen),
        "most": _point(found.most),
        "front": [_point(point) for point in found.front],
        "losses": {name: dict(each) for name, each in found.losses.items()},
    }


def _point(point: Point) -> dict[str, Any]:
    choice, made, judged = point.choice, point.figures, point.accuracy
    return {
        "cut": point.cut,
        "predicted": {"loss": point.predicted} | {n: round(getattr(choice, n)) for n in QUANTITIES},
        "measured": {"loss": point.loss}
        | ({} if made is None else {n: round(getattr(made, n)) for n in QUANTITIES})
        | (
            {} if made is None else {"counted": made.cycles_measured, "linked": made.flash_measured}
        ),
        "accuracy": None
        if judged is None
        else {"metric": judged.metric, "float": judged.float_value, "int8": judged.int8_value},
        "layers": _layers(choice, dict(made.kernels) if made is not None else {}),
    }


def _layers(choice: Choice, kernels: Mapping[str, str]) -> list[dict[str, Any]]:
    return [
        {
            "name": option.layer,
            "form": None if option.form is None else option.form.text(),
            "kernel": kernels.get(option.layer, option.kernel),
            "loss": option.loss,
            "flash": option.flash,
            "cycles": round(option.cycles),
        }
        for option in choice.options
    ]


def search_text(found: Mapping[str, Any], name: str) -> str:
    """The chosen network beside the one with most bits, its layers, and the front."""
    bounds = ", ".join(f"{n} {bound:,.0f}" for n, bound in found["bounds"].items())
    seconds = found["seconds"]
    lines = [
        f"{name}: {found['options']} options; within {bounds}",
        f"sensitivity {seconds['sensitivity']:.1f} s, solver {seconds['solver']:.1f} s, front "
        f"{seconds['front']:.1f} s; loss is {found['loss']}",
        "",
        *columns(point_rows(found), right=range(1, 9)),
        "",
        *columns(layer_rows(found["chosen"]["layers"]), right=(3, 4, 5)),
    ]
    return "\n".join(lines)


def point_rows(found: Mapping[str, Any]) -> list[tuple[str, ...]]:
    """Head, the chosen network, the one with most bits, and the front, as measured."""
    accuracy = found["chosen"]["accuracy"]
    metric = () if accuracy is None else (f"int8 {accuracy['metric']}",)
    head = ("", "flash", "reckoned", "RAM", "reckoned", "cycles", "reckoned", "loss", "reckoned")
    named = [("chosen", found["chosen"]), ("most bits", found["most"])]
    named += [(f"front {k + 1}", point) for k, point in enumerate(found["front"])]
    return [(*head, *metric), *(_point_row(_titled(t, point), point) for t, point in named)]


def _titled(title: str, point: Mapping[str, Any]) -> str:
    return title if point["cut"] == 1.0 else f"{title}, cut to {100 * point['cut']:g} %"


def _point_row(title: str, point: Mapping[str, Any]) -> tuple[str, ...]:
    measured, predicted, judged = point["measured"], point["predicted"], point["accuracy"]
    costs = [f"{side[n]:,}" for n in QUANTITIES for side in (measured, predicted)]
    losses = [f"{side['loss']:.3g}" for side in (measured, predicted)]
    return (title, *costs, *losses, *(() if judged is None else (_judged_text(judged),)))


def _judged_text(judged: Mapping[str, Any]) -> str:
    if judged["metric"] == "top-1":
        return f"{judged['int8']:.2f} % (float {judged['float']:.2f} %)"
    return f"{judged['int8']:.4g} (float {judged['float']:.4g})"


def layer_rows(layers: Sequence[Mapping[str, Any]]) -> list[tuple[str, ...]]:
    """Head and one row for each layer of the chosen network."""
    rows = [
        (
            layer["name"],
            layer["form"] or "",
            layer["kernel"],
            f"{layer['flash']:,}",
            f"{layer['cycles']:,}",
            f"{layer['loss']:.3g}" if layer["form"] else "",
        )
        for layer in layers
    ]
    return [("layer", "weights", "kernel", "tables", "cycles", "loss"), *rows]
