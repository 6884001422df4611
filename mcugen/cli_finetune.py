# SPDX-License-Identifier: Apache-2.0
"""`mcugen finetune` and `mcugen prune` on the command line. No torch here until it runs."""

from __future__ import annotations

import contextlib
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from mcugen.cli_options import (
    guarded,
    model_options,
    progress_bars,
    prune_options,
    quant_options,
    status_lines,
    taken_prune,
    taken_quant,
)
from mcugen.errors import BudgetError, OptionError
from mcugen.pruning.options import WHEN_TRAINED
from mcugen.tradeoff.budget import EXAMPLE

if TYPE_CHECKING:
    from mcugen.finetuning import FinetuneOptions
    from mcugen.train.objective import Distill

_DISTILL = {"distill_weight": "weight", "temperature": "temperature", "feature_weight": "features"}
_TRAINING = ("epochs", "learning_rate", "warmup", "gradual", "patience")


F = TypeVar("F", bound=Callable[..., Any])


def training_options(suffix: str, epochs: int, learning_rate: float) -> Callable[[F], F]:
    """Options that say what is trained on and how; `run_training` takes them."""
    options = (
        click.option(
            "--train",
            required=True,
            type=click.Path(),
            help="Samples x and labels y to learn, .npz.",
        ),
        click.option(
            "--eval", "evaluation", type=click.Path(), help="Samples that pick the best epoch."
        ),
        click.option(
            "--calib",
            "calibration",
            type=click.Path(),
            help="Samples that set the ranges to begin with.",
        ),
        click.option(
            "--out",
            type=click.Path(path_type=Path),
            help=f"File to write.  [default: NAME_{suffix}.mcugen]",
        ),
        click.option(
            "--epochs", default=epochs, show_default=True, help="How often all samples are seen."
        ),
        click.option("--batch-size", default=64, show_default=True, help="Samples in a step."),
        click.option(
            "--learning-rate",
            default=learning_rate,
            show_default=True,
            help="Of Adam, at its peak.",
        ),
        click.option(
            "--warmup", default=0.1, show_default=True, help="Share of the steps in which it rises."
        ),
        click.option(
            "--gradual",
            default=0.0,
            show_default=True,
            help="Share of the steps that blend rounding in.",
        ),
        click.option(
            "--patience",
            default=0,
            help="Stop after so many epochs without a better score.  [0: never]",
        ),
        click.option("--seed", default=0, show_default=True, help="Of the order of the samples."),
        click.option("--fixed-scales", is_flag=True, help="Train weights and biases only."),
        click.option("--distill", is_flag=True, help="Learn from the float network as well."),
        click.option("--distill-weight", type=float, help="Its share of the loss.  [default: 0.5]"),
        click.option(
            "--temperature", type=float, help="Class scores are divided by it.  [default: 2]"
        ),
        click.option(
            "--feature-weight", type=float, help="Of the loss between layers.  [default: 0]"
        ),
        click.option(
            "--loss",
            type=click.Choice(["auto", "reconstruct"]),
            default="auto",
            show_default=True,
            help="auto: cross entropy for classes, square error for real targets.",
        ),
        click.option("--resume", is_flag=True, help="Go on where an interrupted run stopped."),
        click.option("--name", help="Name of the network in C.  [default: from the file name]"),
    )

    def add(function: F) -> F:
        for option in reversed(options):
            function = option(function)
        return function

    return add


@click.command()
@click.argument("model", type=click.Path(path_type=Path))
@training_options("tuned", epochs=5, learning_rate=1e-3)
@model_options
@quant_options
@click.option("--json", "as_json", is_flag=True, help="Print JSON instead of the table.")
@click.option("--quiet", is_flag=True, help="Print errors only.")
@guarded
def finetune(model: Path, as_json: bool, quiet: bool, **choices: Any) -> None:
    """Train MODEL for the rounding of its C; write a file that `mcugen build` takes."""
    run_training(model, choices, "tuned", as_json=as_json, quiet=quiet)


@click.command()
@click.argument("model", type=click.Path(path_type=Path))
@training_options("pruned", epochs=20, learning_rate=4e-3)
@prune_options("--criterion", f"{WHEN_TRAINED}; magnitude with --threshold")
@click.option("--board", help="With --allocation budget: what the network is to run on.")
@click.option(
    "--budget",
    metavar="BOUNDS",
    help=f"With --allocation budget: what it may cost there, {EXAMPLE}, or some of them.",
)
@click.option("--schedule", help="When: oneshot (the default), iterative or cubic.")
@click.option("--ramp", type=float, help="Share of the steps with rising sparsity.  [default: 0.5]")
@model_options
@quant_options
@click.option("--json", "as_json", is_flag=True, help="Print JSON instead of the table.")
@click.option("--quiet", is_flag=True, help="Print errors only.")
@guarded
def prune(model: Path, as_json: bool, quiet: bool, **choices: Any) -> None:
    """Set weights of MODEL to zero, train the others; write a file that `mcugen build` takes."""
    from mcugen.pruning.training import PruneTraining

    given = {name: choices.pop(name) for name in ("schedule", "ramp")}
    default = WHEN_TRAINED if choices["threshold"] is None else "magnitude"
    options = taken_prune(choices, default=default, seed=choices["seed"])
    assert options is not None
    given = {name: x for name, x in given.items() if x is not None}
    choices["pruning"] = PruneTraining(options=options, **given)
    run_training(model, choices, "pruned", as_json=as_json, quiet=quiet)


def run_training(
    model: Path, choices: dict[str, Any], suffix: str, *, as_json: bool, quiet: bool
) -> None:
    """Train, and print what it brought."""
    from mcugen.finetuning import finetune as run
    from mcugen.report.finetune import finetune_text

    options = _options(model, choices, suffix)
    silent = quiet or as_json
    with contextlib.redirect_stdout(sys.stderr), progress_bars(silent) as progress:
        try:
            found = run(model, options, status_lines(silent), progress).values()
        except KeyboardInterrupt:
            click.echo(f"interrupted; {_how_to_go_on(options)}", err=True)
            sys.exit(130)
    if as_json:
        click.echo(json.dumps(found, indent=2))
    elif not quiet:
        click.echo(finetune_text(found))
    if found["budget"] and found["budget"]["missed"]:
        msg = f"{found['out']} is finished, but not within the budget:\n{found['budget']['missed']}"
        raise BudgetError(msg)


def _how_to_go_on(options: FinetuneOptions) -> str:
    if options.checkpoint is None or not options.checkpoint.exists():
        return "training had not begun: the same command goes on"
    return "--resume goes on from the last whole epoch"


def _options(model: Path, choices: dict[str, Any], suffix: str) -> FinetuneOptions:
    from mcugen.allocating import Limits
    from mcugen.finetuning import FinetuneOptions
    from mcugen.train.loop import TrainOptions

    out, shapes = choices.pop("out"), choices.pop("shapes")
    out = out or Path(f"{model.stem}_{suffix}.mcugen")
    return FinetuneOptions(
        out=out,
        limits=Limits.of(choices.pop("board", None), choices.pop("budget", None), out),
        input_shapes=shapes or None,
        quant=taken_quant(choices),
        distill=_distill(choices),
        train_scales=not choices.pop("fixed_scales"),
        training=TrainOptions(**{name: choices.pop(name) for name in _TRAINING}),
        **choices,
    )


def _distill(choices: dict[str, Any]) -> Distill | None:
    from mcugen.train.objective import Distill

    wanted = choices.pop("distill")
    given = {_DISTILL[name]: choices.pop(name) for name in _DISTILL}
    given = {name: value for name, value in given.items() if value is not None}
    if wanted:
        return Distill(**given)
    if given:
        flags = [f"--{k.replace('_', '-')}" for k, name in _DISTILL.items() if name in given]
        msg = f"{', '.join(flags)} is about learning from the float network: add --distill"
        raise OptionError(msg)
    return None
