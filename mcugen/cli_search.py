# SPDX-License-Identifier: Apache-2.0
"""`mcugen search` on the command line. No torch here until it runs."""

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
    search_options,
    status_lines,
    taken_budget,
    taken_quant,
)
from mcugen.errors import OptionError
from mcugen.pruning.options import BLOCKS
from mcugen.quantize.widths import WIDTHS, split_list


@click.command()
@click.argument("model", type=click.Path(path_type=Path))
@click.option("--board", required=True, help="Name of `mcugen boards`, part number or board file.")
@click.option("--calib", required=True, type=click.Path(), help="Samples that losses are told by.")
@click.option("--eval", "evaluation", type=click.Path(), help="Labelled samples, .npz (x, y).")
@click.option("--out", type=click.Path(path_type=Path), help="Folder.  [default: search/NAME]")
@search_options
@click.option(
    "--bits",
    multiple=True,
    default=tuple(WIDTHS),
    metavar="WIDTHS",
    help=f"Widths of weights to choose from.  [default: {','.join(WIDTHS)}]",
)
@click.option(
    "--patterns",
    multiple=True,
    default=tuple(BLOCKS),
    metavar="PATTERNS",
    help=f"Patterns of zeros to choose from, any n:m too, or none.  [default: {','.join(BLOCKS)}]",
)
@click.option(
    "--sparsities",
    multiple=True,
    default=("0.5", "0.75", "0.9"),
    metavar="SHARES",
    help="Shares of zeros to choose from.  [default: 0.5,0.75,0.9]",
)
@click.option(
    "--channels",
    multiple=True,
    metavar="SHARES",
    help="Search the network cut to these shares of its products as well.  [default: none]",
)
@click.option("--criterion", default="obs", show_default=True, help="What scores the weights.")
@click.option(
    "--keep",
    multiple=True,
    default=("none",),
    metavar="LAYERS",
    help="Layers left as int8 without new zeros: first, last, depthwise, patterns.",
)
@click.option("--samples", default=64, show_default=True, help="To measure losses on, at most.")
@click.option("--points", default=8, show_default=True, help="Of the front, 0 for none.")
@click.option("--runners", default=3, show_default=True, help="Next best choices measured as well.")
@click.option("--train", type=click.Path(), help="Train what was chosen on these samples, .npz.")
@click.option("--epochs", default=5, show_default=True, help="How often training sees them.")
@click.option(
    "--trials",
    default=0,
    help="First try so many settings of method, ranges, criterion and pattern.  [default: none]",
)
@click.option(
    "--storage",
    metavar="PLACE",
    help="Of trials, for several processes: sqlite:///FILE or a file.  [default: in the folder]",
)
@model_options
@quant_options
@click.option("--name", help="Name of the network in C.  [default: from the file name]")
@click.option(
    "--optimize",
    type=click.Choice(["balanced", "speed", "size", "ram"]),
    default="balanced",
    show_default=True,
    help="What counts beside the loss.",
)
@click.option(
    "--simulate",
    type=click.IntRange(min=0),
    default=16,
    show_default=True,
    help="Inputs compared on the simulated core, 0 for none.",
)
@click.option(
    "--report",
    is_flag=True,
    help="Write an HTML page with pictures; measures forms that cannot pay as well.",
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON instead of the table.")
@guarded
def search(model: Path, **choices: Any) -> None:
    """Choose bits, zeros and kernels of every layer of MODEL together, and build that network."""
    from mcugen.report.search import search_text
    from mcugen.searching import SearchRun
    from mcugen.searching import search as run
    from mcugen.tradeoff.forms import FormOptions
    from mcugen.tradeoff.problem import SearchOptions

    as_json, report = choices.pop("as_json"), choices.pop("report")
    patterns = split_list(choices.pop("patterns"))
    options = SearchOptions(
        budget=taken_budget(choices),
        max_drop=choices.pop("max_drop"),
        forms=FormOptions(
            bits=_bits(split_list(choices.pop("bits"))),
            patterns=() if patterns == ("none",) else patterns,
            sparsities=_shares("sparsities", split_list(choices.pop("sparsities"))),
            criterion=choices.pop("criterion"),
        ),
        keep=split_list(choices.pop("keep")),
        channels=_shares("channels", split_list(choices.pop("channels"))),
        complete=report,
        **{name: choices.pop(name) for name in ("samples", "points", "runners")},
    )
    planned = SearchRun(
        calibration=choices.pop("calib"),
        out=choices.pop("out") or Path("search") / model.stem,
        search=options,
        report=report,
        quant=taken_quant(choices),
        input_shapes=choices.pop("shapes") or None,
        **choices,
    )
    with contextlib.redirect_stdout(sys.stderr), progress_bars(as_json) as progress:
        try:
            found = run(model, planned, status_lines(as_json), progress)
        except KeyboardInterrupt:
            click.echo(f"interrupted; the same command goes on from {planned.out}", err=True)
            sys.exit(130)
    if as_json:
        click.echo(json.dumps(found.values, indent=2))
        return
    click.echo(search_text(found.values, found.values["name"]))
    click.echo(f"wrote {planned.out}: the network, its C in {found.folder}, and search.json")
    if found.pictures:
        click.echo(f"wrote {', '.join(map(str, found.pictures))}")


def _bits(texts: tuple[str, ...]) -> tuple[int, ...]:
    unknown = [text for text in texts if text not in WIDTHS]
    if unknown:
        msg = f"bits {', '.join(unknown)}: not known; use {', '.join(WIDTHS)}"
        raise OptionError(msg)
    return tuple(WIDTHS[text] for text in texts)


def _shares(name: str, texts: tuple[str, ...]) -> tuple[float, ...]:
    try:
        return tuple(float(text) for text in texts)
    except ValueError as error:
        msg = f"{name} {','.join(texts)}: {error}; expected shares as in 0.5,0.75"
        raise OptionError(msg) from error
