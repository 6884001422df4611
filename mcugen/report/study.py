# SPDX-License-Identifier: Apache-2.0
"""What `mcugen quantize` found, as text; prints nothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from mcugen.report.table import columns


def study_text(found: Mapping[str, Any]) -> str:
    """The choices side by side, and the layers under the first of them."""
    lines = [
        f"{found['name']}: calibrated on {found['calibration_samples']} samples, measured with the "
        f"integer reference on {found['evaluated_samples']} samples of the {found['evaluated_on']}",
        "",
        *columns(choice_rows(found["choices"]), right=(2, 3, 4, 5)),
        "",
        f"tensors under {found['choices'][0]['options']}:",
        *columns(layer_rows(found["layers"]), right=(2, 3, 4, 5, 6)),
    ]
    return "\n".join(lines)


def choice_rows(choices: Sequence[Mapping[str, Any]]) -> list[tuple[str, ...]]:
    """Head and one row for each choice."""
    metric = choices[0]["metric"]
    head = ("method", "options", "output SQNR", *_measures(metric), "seconds")
    rows = [
        (
            choice["title"],
            choice["options"],
            db_text(choice["output_sqnr_db"]),
            *_measured(choice),
            f"{choice['seconds']:.1f}",
        )
        for choice in choices
    ]
    return [head, *rows]


def _measures(metric: str | None) -> tuple[str, ...]:
    return () if metric is None else (f"float {metric}", f"quantized {metric}")


def _measured(choice: Mapping[str, Any]) -> tuple[str, ...]:
    if choice["metric"] is None:
        return ()
    form = "{:.2f} %" if choice["metric"] == "top-1" else "{:.4g}"
    return form.format(choice["float"]), form.format(choice["int8"])


def layer_rows(layers: Sequence[Mapping[str, Any]]) -> list[tuple[str, ...]]:
    """Head and one row for each tensor."""
    head = ("tensor", "op", "min", "max", "range of the integers", "saturated", "enters", "SQNR")
    rows = [
        (
            layer["name"],
            layer["op"],
            f"{layer['min']:.4g}",
            f"{layer['max']:.4g}",
            f"{layer['range'][0]:.4g} .. {layer['range'][1]:.4g}",
            f"{100 * layer['saturated']:.2g} %",
            db_text(layer["own_db"]),
            db_text(layer["sqnr_db"]),
        )
        for layer in layers
    ]
    return [head, *rows]


def db_text(value: float | None) -> str:
    """`31.4 dB`, or `exact`."""
    return "exact" if value is None else f"{value:.1f} dB"


def statistics_text(found: Mapping[str, Any]) -> str:
    """Minimum, maximum, mean and deviation of every tensor and of each of its channels."""
    rows: list[tuple[str, ...]] = [("tensor", "channel", "min", "max", "mean", "std")]
    for layer in found["layers"]:
        whole = (layer["min"], layer["max"], layer["mean"], layer["std"])
        rows.append((layer["name"], "all", *(f"{value:.5g}" for value in whole)))
        for number, channel in enumerate(layer["channels"]):
            rows.append(("", str(number), *(f"{value:.5g}" for value in channel)))
    return "\n".join(columns(rows, right=(1, 2, 3, 4, 5)))
