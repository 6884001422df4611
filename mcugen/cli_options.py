# SPDX-License-Identifier: Apache-2.0
"""What the commands share: options that say the same everywhere, errors to exit codes. No torch.

Exit codes: 0 success, 1 a bug of mcugen (a mismatch included), 2 a mistake that the user can mend.
"""

from __future__ import annotations

import contextlib
import functools
import sys
import traceback
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

import click

from mcugen.config import FastRam, parse_fast_ram, parse_shape
from mcugen.errors import InternalError, McugenError, MismatchError, OptionError
from mcugen.pruning.options import ALLOCATIONS, CRITERIA, DENSE, PATTERNS, PruneOptions
from mcugen.quantize.options import DEFAULT_METHOD, METHODS, QuantOptions
from mcugen.quantize.widths import KEPT, split_list
from mcugen.tradeoff.budget import EXAMPLE, Budget, parse_budget

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


class FastRamSize(click.ParamType):  # type: ignore[type-arg] # generic from click 8.3 on only
    """A number of bytes, or `all`."""

    name = "size"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> FastRam:
        """As `parse_fast_ram` does."""
        try:
            return parse_fast_ram(str(value))
        except ValueError:
            self.fail(
                f"{value!r} is no size; expected bytes as in 16384 or 16K, or all", param, ctx
            )


def guarded(function: F) -> F:
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


_SHAPE_HELP = "Shape of an input, batch axis included; once for each input."


def model_options(function: F) -> F:
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


def quant_options(function: F) -> F:
    """Options that say how numbers become integers; `taken_quant` takes them together."""
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
        click.option(
            "--equalize",
            is_flag=True,
            help="Scale channels of neighbouring layers to like weights first.",
        ),
        click.option("--per-tensor", is_flag=True, help="One scale for all of a layer's weights."),
        click.option("--symmetric", is_flag=True, help="Activations with zero point 0."),
        click.option("--power-of-two", is_flag=True, help="Scales that are powers of two."),
        click.option(
            "--weights",
            multiple=True,
            metavar="WIDTHS",
            help="Bits of the weights: int8, int4, int2, or PATTERN=int4 for some layers, with "
            "commas between; later ones win.",
        ),
        click.option(
            "--keep-int8",
            multiple=True,
            default=KEPT,
            metavar="LAYERS",
            help="Layers that --weights exempts: first, last, depthwise, patterns, or none.  "
            f"[default: {','.join(KEPT)}]",
        ),
        click.option(
            "--activations",
            multiple=True,
            metavar="WIDTHS",
            help="Bits of the tensors: int8, int16, or PATTERN=int16 for some layers and inputs, "
            "with commas between; later ones win.",
        ),
    )
    for option in reversed(options):
        function = option(function)
    return function


def taken_quant(choices: dict[str, Any]) -> QuantOptions:
    """The options of `quant_options`, taken out of all that a command was given."""
    flags = ("bias_correction", "equalize", "per_tensor", "symmetric", "power_of_two")
    return QuantOptions(
        **{name: choices.pop(name) for name in ("method", "ranges", *flags)},
        weights=split_list(choices.pop("weights")),
        keep_int8=split_list(choices.pop("keep_int8")),
        activations=split_list(choices.pop("activations")),
    )


def prune_options(flag: str, default: str = "") -> Callable[[F], F]:
    """Options that say what becomes zero, the criterion's being `flag`; see `taken_prune`."""
    shown = f"  [default: {default}]" if default else ""
    options = (
        click.option(
            flag,
            "criterion",
            metavar="CRITERION",
            help="What scores the weights: "
            + "; ".join(f"{name} ({', '.join(forms)})" for name, forms in CRITERIA.items())
            + f".{shown}",
        ),
        click.option("--pattern", help=f"Which weights go together: {', '.join(PATTERNS)}."),
        click.option("--sparsity", type=float, help="Share of zeros, above 0 and below 1."),
        click.option("--threshold", type=float, help="Instead: the score up to which weights go."),
        click.option(
            "--macs", type=float, help="With channel: share of all products that is left."
        ),
        click.option(
            "--round-to",
            type=int,
            help="With channel: what the channels that stay are a multiple of.  [default: 4]",
        ),
        click.option(
            "--allocation", help=f"How layers share the sparsity: {', '.join(ALLOCATIONS)}."
        ),
        click.option(
            "--keep-dense",
            multiple=True,
            metavar="LAYERS",
            help="Layers that are left alone: first, last, depthwise, patterns, or none.  "
            f"[default: {','.join(DENSE)}]",
        ),
        click.option(
            "--reconstruct/--no-reconstruct",
            default=None,
            help="Refit what stays to the samples.  [default: with obs, and before training]",
        ),
        click.option("--rounds", type=int, help="Of pruning and refitting.  [default: 8]"),
        click.option("--allow-empty", is_flag=True, help="Layers may lose all of their weights."),
    )

    def add(function: F) -> F:
        for option in reversed(options):
            function = option(function)
        return function

    return add


def taken_prune(
    choices: dict[str, Any], default: str | None = None, seed: int = 0
) -> PruneOptions | None:
    """The options of `prune_options`, taken out of all that a command was given.

    None where no criterion is given and there is no default. Raises OptionError for options that
    then mean nothing.
    """
    names = (
        *("pattern", "sparsity", "threshold", "macs", "allocation", "keep_dense"),
        *("reconstruct", "rounds", "round_to"),
    )
    given = {name: choices.pop(name) for name in names}
    given = {name: x for name, x in given.items() if x not in (None, ())}
    if choices.pop("allow_empty"):
        given["allow_empty"] = True
    criterion = choices.pop("criterion") or default
    if criterion is None:
        if given:
            flags = ", ".join(f"--{name.replace('_', '-')}" for name in given)
            msg = f"{flags}: this is about pruning; add --prune CRITERION"
            raise OptionError(msg)
        return None
    if "keep_dense" in given:
        given["keep_dense"] = split_list(given["keep_dense"])
    return PruneOptions(criterion=criterion, seed=seed, **given)


def search_options(function: F) -> F:
    """Options that say what a choice of bits and kernels is looked for by; see `taken_budget`."""
    options = (
        click.option(
            "--budget",
            metavar="BOUNDS",
            help=f"Choose bits and kernels of least loss within these: {EXAMPLE}, or some of them.",
        ),
        click.option(
            "--max-drop",
            type=float,
            metavar="POINTS",
            help="Choose those of least flash (with --optimize speed, of fewest cycles) that lose "
            "so many points of accuracy at most.",
        ),
    )
    for option in reversed(options):
        function = option(function)
    return function


def taken_budget(choices: dict[str, Any]) -> Budget | None:
    """The budget, taken out of all that a command was given. Raises OptionError."""
    text = choices.pop("budget")
    return None if text is None else parse_budget(text)


def status_lines(silent: bool) -> Callable[[str], None]:
    """Status lines on an interactive terminal only."""
    if silent or not sys.stderr.isatty():
        return lambda _: None
    return lambda text: click.echo(f"{text} ...", err=True)


@contextlib.contextmanager
def progress_bars(silent: bool) -> Iterator[Callable[[int, int, str], None]]:
    """What long work calls with steps done, steps in all and a few words; shown as a bar.

    On an interactive terminal only, from the first step on. Work of another length has a bar of
    its own, below the one before.
    """
    bars: list[Any] = []

    def show(done: int, total: int, text: str) -> None:
        if silent or not sys.stderr.isatty():
            return
        if not bars or bars[-1].length != total or done < bars[-1].pos:
            bar = click.progressbar(
                length=total, file=sys.stderr, item_show_func=lambda text: text or ""
            )
            stack.close()  # ends the line of the bar before
            bars.append(stack.enter_context(bar))
        bars[-1].update(done - bars[-1].pos, text)

    with contextlib.ExitStack() as stack:
        yield show
