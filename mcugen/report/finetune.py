# SPDX-License-Identifier: Apache-2.0
"""What a training run looks like in the terminal, as text; prints nothing."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mcugen.report.table import columns


def finetune_text(found: Mapping[str, Any]) -> str:
    """The epochs as a table, the best of them, and what to do with the file."""
    metric = found["metric"]
    head = ("epoch", "loss", *((metric,) if metric else ()))
    rows = [
        (
            str(row["epoch"]) if row["epoch"] else "before",
            "" if row["loss"] is None else f"{row['loss']:.4g}",
            *((_score(row["score"], metric),) if metric else ()),
        )
        for row in found["epochs"]
    ]
    lines = columns([head, *rows], right=(0, 1, 2))
    if metric:
        before, best = found["epochs"][0], found["epochs"][found["best_epoch"]]
        lines.append(
            f"{metric} float {_score(found['float'], metric)}, "
            f"quantized {_score(before['score'], metric)}, "
            f"tuned {_score(best['score'], metric)} (epoch {best['epoch']})"
        )
        if not best["epoch"]:
            lines.append(
                "no epoch was better than the network before, which is what is written: "
                "try a lower --learning-rate, --distill, or more samples"
            )
    else:
        lines.append("the last epoch's network is kept: without --eval none is known to be better")
    lines += _zeros(found.get("zeros", {}))
    if found.get("budget") and found["budget"]["measured"]:
        lines.append(outcome_text(found["budget"]))
    if found["out"]:
        lines.append(f"wrote {found['out']}: mcugen build {found['out']} --board BOARD")
    return "\n".join(lines)


def outcome_text(outcome: Mapping[str, Any]) -> str:
    """What the network costs with the best kernels for it, beside what it may."""
    bounds, measured = outcome["bounds"], outcome["measured"]
    costs = [
        f"{name} {value:,}" + (f" of {bounds[name]:,}" if name in bounds else "")
        for name, value in measured.items()
    ]
    return f"on {outcome['board']}: {', '.join(costs)}"


def _zeros(shares: Mapping[str, float]) -> list[str]:
    """Layers with zeros worth telling of."""
    told = [f"{name} {100 * share:.0f} %" for name, share in shares.items() if share >= 0.1]
    return [f"zeros: {', '.join(told)}"] if told else []


def _score(value: float, metric: str) -> str:
    return f"{value:.2f} %" if metric == "top-1" else f"{value:.4g}"
