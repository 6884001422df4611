# SPDX-License-Identifier: Apache-2.0
"""The command line: options to `mcugen.api`, errors to exit codes, reports to text. No torch here.

Exit codes: 0 success, 1 a bug of mcugen (a mismatch included), 2 a mistake that the user can mend.
"""

from __future__ import annotations

import contextlib
import functools
import json
import signal
import sys
import threading
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from mcugen import __version__
from mcugen.config import parse_shape
from mcugen.errors import InternalError, McugenError, MismatchError
from mcugen.quantize.options import DEFAULT_METHOD, METHODS, QuantOptions

F = TypeVar("F", bound=Callable[..., Any])

REPORT_BUG = "this is a bug of mcugen; please report it with the output of --debug"


class _Shape(click.ParamType):  # type: ignore[type-arg] # generic from click 8.3 on only
    name = "shape"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[int, ...]:
        try:
            return parse_shape(str(value))
        except ValueError:
            self.fail(f"{value!r} is not a shape; expected sizes as in 1,1,28,28", param, ctx)


def _guarded(function: F) -> F:
    """Errors to messages and exit codes; adds --debug, which shows the traceback too."""

    @click.option("--debug", is_flag=True, help="Show the traceback of an error.")
    @functools.wraps(function)
    def run(*args: Any, debug: bool, **kwargs: Any) -> None:
        try:
            function(*args, **kwargs)
        except (click.ClickException, click.exceptions.Exit, click.Abort, BrokenPipeError):
            raise  # click knows what to do, also where the reader of a pipe has gone
        except KeyboardInterrupt:
            click.echo("interrupted; nothing was changed", err=True)
            sys.exit(130)
        except Exception as error:
            if debug:
                traceback.print_exc()
            sys.exit(_explain(error))

    return run  # type: ignore[return-value]


def _explain(error: Exception) -> int:
    """Print one message for an error; the exit code."""
    if isinstance(error, McugenError) and not isinstance(error, MismatchError):
        click.echo(f"error: {error}", err=True)
        return 2
    if isinstance(error, OSError):  # a full disk, a folder that is gone
        place = f"{error.filename}: " if error.filename else ""
        click.echo(f"error: {place}{error.strerror or error}", err=True)
        return 2
    if isinstance(error, MemoryError):
        click.echo("error: there is not enough memory", err=True)
        return 2
    kind = "" if isinstance(error, (MismatchError, InternalError)) else f"{type(error).__name__}: "
    doubt = "unless a generated file was changed, " if isinstance(error, MismatchError) else ""
    click.echo(f"internal error: {kind}{error}\n{doubt}{REPORT_BUG}", err=True)
    return 1


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, prog_name="mcugen")
def main() -> None:
    """Compile a trained PyTorch network to int8 C99 for a microcontroller, verified bit for bit."""
    # A process that is told to end removes its temporary files, as on an error.
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))


_SHAPE_HELP = "Shape of an input, batch axis included; once for each input."


def _model_options(function: F) -> F:
    """Options that say how a model file is read."""
    options = (
        click.option("--input-shape", "shapes", type=_Shape(), multiple=True, help=_SHAPE_HELP),
        click.option("--arch", metavar="FILE.py:NAME", help="Class or factory of a state dict."),
        click.option(
            "--trust-pickle",
            is_flag=True,
            help="Load a pickled module, which can run any code in the file.",
        ),
        click.option(
            "--input-layout",
            type=click.Choice(["nhwc", "nchw"]),
            default="nhwc",
            show_default=True,
            help="Axis order of image tensors in the C API.",
        ),
    )
    for option in reversed(options):
        function = option(function)
    return function


def _quant_options(function: F) -> F:
    """Options that say how numbers become integers; `_quant` takes them together."""
    options = (
        click.option(
            "--quant",
            "method",
            default=DEFAULT_METHOD,
            show_default=True,
            help=f"Method of quantization: {', '.join(METHODS)}.",
        ),
        click.option(
            "--ranges",
            help="How activation ranges are set: minmax, moving_average[:C], percentile[:P], mse, "
            "entropy, output.  [default: the method's own]",
        ),
        click.option(
            "--bias-correction/--no-bias-correction",
            default=None,
            help="Take each channel's mean error out of its bias.  [default: the method's own]",
        ),
        click.option("--per-tensor", is_flag=True, help="One scale for all of a layer's weights."),
        click.option("--symmetric", is_flag=True, help="Activations with zero point 0."),
        click.option("--power-of-two", is_flag=True, help="Scales that are powers of two."),
    )
    for option in reversed(options):
        function = option(function)
    return function


def _quant(choices: dict[str, Any]) -> QuantOptions:
    """The options of `_quant_options`, taken out of all that a command was given."""
    names = ("method", "ranges", "bias_correction", "per_tensor", "symmetric", "power_of_two")
    return QuantOptions(**{name: choices.pop(name) for name in names})


@main.command()
@click.argument("model", type=click.Path(path_type=Path))
@click.option("--board", required=True, help="Name of `mcugen boards`, part number or board file.")
@click.option(
    "--out", type=click.Path(path_type=Path), help="Output folder.  [default: build/NAME]"
)
@click.option("--name", help="Name of the network in C.  [default: from the file name]")
@click.option("--calib", type=click.Path(), help="Samples that set the ranges, .npz or .npy.")
@click.option("--eval", "evaluation", type=click.Path(), help="Labelled samples, .npz (x, y).")
@_model_options
@click.option(
    "--requant",
    type=click.Choice(["single", "double"]),
    default="single",
    show_default=True,
    help="Rounding: single is faster, double equals TensorFlow Lite's.",
)
@_quant_options
@click.option(
    "--optimize",
    type=click.Choice(["balanced", "speed", "size", "ram"]),
    default="balanced",
    show_default=True,
    help="What kernels and memory plan are chosen for.",
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
@_guarded
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
        quant=_quant(choices),
        **choices,
    )
    with contextlib.redirect_stdout(sys.stderr):  # what the user's own modules print
        result = run(model, options, _progress(quiet or as_json))
    for warning in result.warnings:
        click.echo(f"warning: {warning}", err=True)
    if as_json:
        click.echo(json.dumps(result.report, indent=2))
    elif not quiet:
        click.echo(build_summary(result.report, str(result.folder)))


def _progress(silent: bool) -> Callable[[str], None]:
    """Status lines on an interactive terminal only."""
    if silent or not sys.stderr.isatty():
        return lambda _: None
    return lambda text: click.echo(f"{text} ...", err=True)


@main.command()
@click.argument("model", type=click.Path(path_type=Path))
@_model_options
@click.option("--json", "as_json", is_flag=True, help="Print JSON instead of the table.")
@_guarded
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
@_guarded
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
@_guarded
def run(folder: Path, inputs: tuple[str, ...], output: Path | None) -> None:
    """Run the C of DIR on this machine."""
    from mcugen.folder import run_folder

    click.echo(run_folder(folder, inputs, output))


@main.command()
@click.argument("folder", metavar="DIR", type=click.Path(path_type=Path))
@click.option("--board", help="Another core or board than the one built for.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON instead of the table.")
@_guarded
def profile(folder: Path, board: str | None, as_json: bool) -> None:
    """Instructions and model cycles of every layer of DIR on the simulated core."""
    from mcugen.folder import profile_folder
    from mcugen.report.terminal import profile_text

    found = profile_folder(folder, board)
    click.echo(json.dumps(found, indent=2) if as_json else profile_text(found))


@main.command()
@click.argument("name", required=False)
@_guarded
def boards(name: str | None) -> None:
    """List the boards, or show one with the source of every number."""
    from mcugen.boards import list_boards, load_board
    from mcugen.report.boards import board_details, boards_table

    click.echo(board_details(load_board(name)) if name else boards_table(list_boards()))
