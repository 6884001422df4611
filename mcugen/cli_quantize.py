# SPDX-License-Identifier: Apache-2.0
"""`mcugen quantize` on the command line. No torch here until it runs."""

from __future__ import annotations

import contextlib
import json
import sys
from pathlib import Path
from typing import Any

import click

from mcugen.cli_options import (
    guarded,
    model_options,
    progress_bars,
    quant_options,
    status_lines,
    taken_quant,
)
from mcugen.quantize.options import METHODS
from mcugen.quantize.widths import split_list


@click.command()
@click.argument("model", type=click.Path(path_type=Path))
@click.option("--calib", required=True, type=click.Path(), help="Samples that set the ranges.")
@click.option("--eval", "evaluation", type=click.Path(), help="Labelled samples, .npz (x, y).")
@click.option(
    "--compare",
    multiple=True,
    default=tuple(METHODS),
    show_default=", ".join(METHODS),
    help="Methods to set beside the chosen one; several times or with commas.",
)
@click.option(
    "--samples", default=500, show_default=True, help="Evaluate on so many samples at most."
)
@model_options
@quant_options
@click.option("--report", is_flag=True, help="Write an HTML page with pictures, and these as PNG.")
@click.option(
    "--out", type=click.Path(path_type=Path), help="The page.  [default: NAME_quantization.html]"
)
@click.option("--statistics", is_flag=True, help="Print statistics of every tensor and channel.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON instead of the table.")
@guarded
def quantize(model: Path, **choices: Any) -> None:
    """Show what each choice of quantization does to MODEL; generate no code."""
    from mcugen.report.study import statistics_text, study_text
    from mcugen.report.study_html import check_pictures, write_study
    from mcugen.study import StudyOptions, study

    report, out = choices.pop("report"), choices.pop("out")
    if report or out is not None:
        check_pictures()
    as_json, statistics = choices.pop("as_json"), choices.pop("statistics")
    options = StudyOptions(
        calibration=choices.pop("calib"),
        quant=taken_quant(choices),
        methods=split_list(choices.pop("compare")),
        input_shapes=choices.pop("shapes") or None,
        **choices,
    )
    with contextlib.redirect_stdout(sys.stderr), progress_bars(as_json) as progress:
        found = study(model, options, status_lines(as_json), progress)
    values = found.values()
    if as_json:
        click.echo(json.dumps(values, indent=2))
    else:
        click.echo(statistics_text(values) if statistics else study_text(values))
    if report or out is not None:
        path = out or Path(f"{found.name}_quantization.html")
        click.echo(f"wrote {', '.join(map(str, write_study(found, path)))}", err=as_json)
