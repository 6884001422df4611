# SPDX-License-Identifier: Apache-2.0
"""The command line: options to `mcugen.api`, errors to exit codes, reports to text. No torch here.

Exit codes: 0 success, 1 a bug of mcugen (a mismatch included), 2 a mistake that the user can mend.
"""

from __future__ import annotations

import contextlib
import json
import signal
import sys
import threading
from pathlib import Path
from typing import Any

import click

from mcugen import __version__
from mcugen.cli_finetune import finetune, prune
from mcugen.cli_options import (
    FastRamSize,
    guarded,
    model_options,
    progress_bars,
    prune_options,
    quant_options,
    search_options,
    status_lines,
    taken_budget,
    taken_prune,
    taken_quant,
)
from mcugen.cli_quantize import quantize
from mcugen.cli_search import search


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, prog_name="mcugen")
def main() -> None:
    """Compile a trained PyTorch network to int8 C99 for a microcontroller, verified bit for bit."""
    # A process that is told to end removes its temporary files, as on an error.
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))


@main.command()
@click.argument("model", type=click.Path(path_type=Path))
@click.option("--board", required=True, help="Name of `mcugen boards`, part number or board file.")
@click.option(
    "--out", type=click.Path(path_type=Path), help="Output folder.  [default: build/NAME]"
)
@click.option("--name", help="Name of the network in C.  [default: from the file name]")
@click.option("--calib", type=click.Path(), help="Samples that set the ranges, .npz or .npy.")
@click.option("--eval", "evaluation", type=click.Path(), help="Labelled samples, .npz (x, y).")
@model_options
@click.option(
    "--requant",
    type=click.Choice(["single", "double"]),
    default="single",
    show_default=True,
    help="Rounding: single is faster, double equals TensorFlow Lite's.",
)
@quant_options
@prune_options("--prune")
@search_options
@click.option(
    "--optimize",
    type=click.Choice(["balanced", "speed", "size", "ram"]),
    default="balanced",
    show_default=True,
    help="What kernels and memory plan are chosen for.",
)
@click.option(
    "--fast-ram",
    type=FastRamSize(),
    default=0,
    metavar="SIZE",
    help="Use so much of the board's fast RAM as a second block: 16K, or all.",
)
@click.option(
    "--row-input",
    is_flag=True,
    help="The C takes the input image row by row: NAME_push_row().",
)
@click.option("--skip-pass", "skip", multiple=True, metavar="PASS", help="Leave out an exact pass.")
@click.option("--sanitize", is_flag=True, help="Verify with address and UB sanitizers too.")
@click.option(
    "--simulate",
    type=click.IntRange(min=0),
    default=16,
    show_default=True,
    help="Inputs compared on the simulated core, 0 for none.",
)
@click.option(
    "--dump-dir",
    type=click.Path(path_type=Path, exists=True, file_okay=False, writable=True),
    help="Write the graph as text after every stage.",
)
@click.option("--json", "as_json", is_flag=True, help="Print report.json instead of the table.")
@click.option("--quiet", is_flag=True, help="Print warnings and errors only.")
@guarded
def build(model: Path, **choices: Any) -> None:
    """Compile MODEL to a folder of C and verify it."""
    from mcugen.compiler import build as run
    from mcugen.config import BuildOptions
    from mcugen.report.terminal import build_summary

    quiet, as_json = choices.pop("quiet"), choices.pop("as_json")
    shapes, skip = choices.pop("shapes"), choices.pop("skip")
    options = BuildOptions(
        calibration=choices.pop("calib"),
        input_shapes=shapes or None,
        skip_passes=frozenset(skip),
        quant=taken_quant(choices),
        prune=taken_prune(choices),
        budget=taken_budget(choices),
        **choices,
    )
    silent = quiet or as_json
    # what the user's own modules print goes the way of the messages
    with contextlib.redirect_stdout(sys.stderr), progress_bars(silent) as steps:
        result = run(model, options, status_lines(silent), steps)
    for warning in result.warnings:
        click.echo(f"warning: {warning}", err=True)
    if as_json:
        click.echo(json.dumps(result.report, indent=2))
    elif not quiet:
        click.echo(build_summary(result.report, str(result.folder)))


@main.command()
@click.argument("model", type=click.Path(path_type=Path))
@model_options
@click.option("--json", "as_json", is_flag=True, help="Print JSON instead of the table.")
@guarded
def inspect(model: Path, as_json: bool, **choices: Any) -> None:
    """Show MODEL's layers, shapes, parameters, MACs and what is not supported; build nothing."""
    from mcugen.inspection import inspect as run
    from mcugen.report.terminal import inspection_text

    choices["input_shapes"] = choices.pop("shapes") or None
    with contextlib.redirect_stdout(sys.stderr):
        found = run(model, **choices)
    click.echo(json.dumps(found, indent=2) if as_json else inspection_text(found))
    if found["problems"]:
        sys.exit(2)


@main.command()
@click.argument("folder", metavar="DIR", type=click.Path(path_type=Path))
@click.option("--calib", type=click.Path(), help="Samples to verify on as well, .npz or .npy.")
@click.option("--sanitize", is_flag=True, help="Verify with address and UB sanitizers too.")
@click.option(
    "--simulate",
    type=click.IntRange(min=0),
    default=16,
    show_default=True,
    help="Inputs compared on the simulated core, 0 for none.",
)
@click.option("--board", help="Another core or board to simulate than the one built for.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON instead of text.")
@guarded
def verify(folder: Path, as_json: bool, **choices: Any) -> None:
    """Compare reference and C of DIR again, layer by layer."""
    from mcugen.folder import verify_folder
    from mcugen.report.terminal import verification_lines

    found = verify_folder(folder, **choices)
    click.echo(json.dumps(found, indent=2) if as_json else "\n".join(verification_lines(found)))


@main.command()
@click.argument("folder", metavar="DIR", type=click.Path(path_type=Path))
@click.option(
    "--input",
    "inputs",
    required=True,
    multiple=True,
    type=click.Path(),
    help="Input array, .npy or .npz: float in the model's shape, or int8; once for each input.",
)
@click.option(
    "--output", type=click.Path(path_type=Path), help="Write the results to this .npy or .npz file."
)
@guarded
def run(folder: Path, inputs: tuple[str, ...], output: Path | None) -> None:
    """Run the C of DIR on this machine."""
    from mcugen.folder import run_folder

    click.echo(run_folder(folder, inputs, output))


@main.command()
@click.argument("folder", metavar="DIR", type=click.Path(path_type=Path))
@click.option("--board", help="Another core or board than the one built for.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON instead of the table.")
@guarded
def profile(folder: Path, board: str | None, as_json: bool) -> None:
    """Instructions and model cycles of every layer of DIR on the simulated core."""
    from mcugen.folder import profile_folder
    from mcugen.report.terminal import profile_text

    found = profile_folder(folder, board)
    click.echo(json.dumps(found, indent=2) if as_json else profile_text(found))


@main.command()
@click.argument("name", required=False)
@guarded
def boards(name: str | None) -> None:
    """List the boards, or show one with the source of every number."""
    from mcugen.boards import list_boards, load_board
    from mcugen.report.boards import board_details, boards_table

    click.echo(board_details(load_board(name)) if name else boards_table(list_boards()))


main.add_command(finetune)
main.add_command(prune)
main.add_command(quantize)
main.add_command(search)
