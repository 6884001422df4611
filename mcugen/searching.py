# SPDX-License-Identifier: Apache-2.0
"""`mcugen search`: bits, zeros, patterns and kernels of every layer together, in one folder.

The folder holds the measured losses from the first of them on, so that the same command goes on
after an interruption; at the end the chosen network as a file that `mcugen build` takes, its C, and
what was found as JSON and as pictures.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mcugen.boards import Board, load_board
from mcugen.compiler import build
from mcugen.config import BuildOptions, InputLayout, Optimize, Requant, Samples
from mcugen.data import load_calibration, load_eval
from mcugen.errors import BudgetError, MissingToolError, OptionError, OutputError
from mcugen.evaluate import stored_inputs
from mcugen.files import replacing
from mcugen.finetuning import FinetuneOptions, finetune
from mcugen.folder import profile_folder
from mcugen.frontend.export import input_shapes
from mcugen.frontend.load import LoadOptions
from mcugen.ops.base import Target
from mcugen.pipeline import CompileOptions, prepared
from mcugen.quantize.options import QuantOptions
from mcugen.report.search import search_values
from mcugen.report.search_html import check_pictures, write_search
from mcugen.source import Model, Source, open_model
from mcugen.tradeoff.allocate import kernels_within
from mcugen.tradeoff.cuts import search as find
from mcugen.tradeoff.found import Found, Point
from mcugen.tradeoff.problem import Problem, SearchOptions
from mcugen.tradeoff.solve import Bounds
from mcugen.tradeoff.sweep import SweepOptions, check_engine, sweep
from mcugen.train.loop import TrainOptions
from mcugen.train.objective import Distill
from mcugen.tuned import TunedNetwork

Status = Callable[[str], None]
Progress = Callable[[int, int, str], None]

FOUND, LOSSES, TRIALS = "search.json", "losses.json", "trials.log"


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class SearchRun:
    """One search on one board. `calibration`, `evaluation` and `train` are paths or arrays.

    train: samples that the chosen network is trained on, its zeros held and its float parent as
        teacher; None for no training.
    report: an HTML page and pictures as well.
    trials: searches with other settings before the last one, 0 for none; `storage` keeps them, a
        database or a journal file, one in the folder by default.
    """

    board: str
    calibration: Samples
    out: Path
    search: SearchOptions = field(default_factory=SearchOptions)
    evaluation: Samples | tuple[Any, Any] | None = None
    train: Samples | tuple[Any, Any] | None = None
    epochs: int = 5
    report: bool = False
    trials: int = 0
    storage: str | None = None
    name: str | None = None
    input_shapes: tuple[tuple[int, ...], ...] | None = None
    arch: str | None = None
    trust_pickle: bool = False
    input_layout: InputLayout = "nhwc"
    requant: Requant = "single"
    quant: QuantOptions = field(default_factory=QuantOptions)
    optimize: Optimize = "balanced"
    simulate: int = 16

    def __post_init__(self) -> None:
        """Raise OptionError that lists every choice which is not possible."""
        problems = []
        if self.search.budget is None and self.search.max_drop is None:
            problems.append("a search needs a budget (--budget), a drop (--max-drop), or both")
        if self.quant.weights:
            problems.append(
                f"--weights {','.join(self.quant.weights)}: the search chooses the bits; "
                "--bits says among which"
            )
        if self.trials < 0:
            problems.append(f"trials is {self.trials}; expected 0 or more")
        if self.storage is not None and not self.trials:
            problems.append("--storage keeps trials: say how many with --trials")
        if self.epochs < 1:
            problems.append(f"epochs is {self.epochs}; expected 1 or more")
        if problems:
            raise OptionError("\n".join(problems))


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class SearchResult:
    """A finished search: plain values as in search.json, the network, and the folder of its C."""

    values: dict[str, Any]
    network: TunedNetwork
    folder: Path
    pictures: tuple[Path, ...]


def search(
    model: Model,
    run: SearchRun,
    status: Status = lambda _: None,
    progress: Progress = lambda _done, _total, _text: None,
) -> SearchResult:
    """Look for the best network, build it, and write all that was found to `run.out`.

    Raises McugenError for everything a user can mend.
    """
    if run.report:
        check_pictures()
    if run.trials:
        check_engine()
    check_folder(run.out)
    board = load_board(run.board)
    status("reading the model")
    loading = LoadOptions(
        input_shapes=run.input_shapes, arch=run.arch, trust_pickle=run.trust_pickle
    )
    source = open_model(model, loading, name=run.name, layout=run.input_layout)
    source.check_choice(run.quant)
    problem = problem_of(source, run, board, progress)
    options = replace(run.search, cache=run.search.cache or run.out / LOSSES)
    trials: list[dict[str, Any]] = []
    if run.trials:
        sweeping = SweepOptions(trials=run.trials, storage=run.storage or str(run.out / TRIALS))
        problem, options, trials = sweep(problem, options, sweeping, status, progress)
    found = find(problem, options, status, progress)
    network = found.chosen.network
    tuned = TunedNetwork(graph=network.graph, quantization=network.quantization)
    chosen = found.chosen
    if run.train is not None:
        status("training the chosen network")
        tuned = trained(tuned, found, run, progress)
        chosen = _chosen_again(tuned, problem, options, chosen, status)
    values = {"name": source.graph.name, "board": board.name} | search_values(found)
    values["trials"] = trials
    file = run.out / f"{source.graph.name}.mcugen"
    tuned.save(file)
    folder = run.out / source.graph.name
    status("building the chosen network")
    wanted = _build_options(run, chosen, found.bounds, folder, source)
    built = build(tuned, wanted, status, progress).report
    values["built"] = {
        "flash": built["flash_bytes"],
        "ram": built["arena_bytes"],
        "cycles": _cycles(folder, run, board),
        "accuracy": built["accuracy"],
        "trained": run.train is not None,
    }
    with replacing(run.out / FOUND) as temporary:
        temporary.write_text(json.dumps(values, indent=1) + "\n", encoding="utf-8")
    pictures = write_search(values, run.out) if run.report else ()
    _check(values, found.bounds, folder)
    return SearchResult(values=values, network=tuned, folder=folder, pictures=tuple(pictures))


def problem_of(source: Source, run: SearchRun, board: Board, progress: Progress) -> Problem:
    """What is searched, with its data read."""
    shapes = input_shapes(source.graph)
    samples = load_calibration(run.calibration, shapes)
    source.check(samples)
    calibration = stored_inputs(source.graph, samples)
    evaluation: tuple[list[NDArray[np.float32]], NDArray[np.generic]] | None = None
    if run.evaluation is not None:
        x, y = load_eval(run.evaluation, shapes)
        evaluation = stored_inputs(source.graph, x), y
    compiling = CompileOptions(
        requant=run.requant,
        quant=run.quant,
        target=Target(core=board.core.name, features=board.core.features, optimize=run.optimize),
        ram_bytes=board.ram_bytes,
    )
    graph, quantization = source.graph, source.quantization
    if quantization is None:
        graph, quantization = prepared(graph, calibration, compiling, progress)
    return Problem(
        graph=graph,
        calibration=calibration,
        evaluation=evaluation,
        board=board,
        compiling=compiling,
        quantization=quantization,
    )


def trained(
    network: TunedNetwork, found: Found, run: SearchRun, progress: Progress
) -> TunedNetwork:
    """The network trained for its rounding, what is zero staying zero."""
    assert run.train is not None
    forms = found.chosen.choice.forms
    cut = found.chosen.cut < 1.0  # then what is left of the channels is all zeros
    held = {
        name: network.quantization.weights[name].ints != 0
        for name, form in forms.items()
        if form.sparsity or cut
    }
    options = FinetuneOptions(
        train=run.train,
        evaluation=run.evaluation,
        training=TrainOptions(epochs=run.epochs),
        distill=Distill(),
        masks=held,
    )
    return finetune(network, options, progress=progress).network


def _chosen_again(
    network: TunedNetwork, problem: Problem, options: SearchOptions, chosen: Point, status: Status
) -> Point:
    """With kernels for the trained weights, among which there may be other zeros.

    As it was where none are within the budget: what is built is measured, and that is told of.
    """
    if options.budget is None:
        return chosen
    settled = replace(problem, graph=network.graph, quantization=network.quantization, parent=None)
    try:
        return kernels_within(settled, options.budget, status).chosen
    except BudgetError:
        return chosen


def _cycles(folder: Path, run: SearchRun, board: Board) -> int | None:
    """Of what was built, counted on the simulated core; None where that cannot be done."""
    try:
        return int(profile_folder(folder, run.board)[board.core.cost_unit])
    except MissingToolError:
        return None


def _build_options(
    run: SearchRun, chosen: Point, bounds: Bounds, folder: Path, source: Source
) -> BuildOptions:
    return BuildOptions(
        board=run.board,
        out=folder,
        name=source.graph.name,
        calibration=run.calibration,
        evaluation=run.evaluation,
        requant=run.requant,
        optimize="ram" if chosen.loose else run.optimize,
        kernels=() if chosen.loose else chosen.choice.kernels,
        ram=int(bounds.ram or 0) or None,
        simulate=run.simulate,
    )


def _check(values: dict[str, Any], bounds: Bounds, folder: Path) -> None:
    """Raise BudgetError where what was built at last is not within the budget."""
    built = values["built"]
    missed = [
        f"{name}: {built[name]:,} is needed, {bound:,.0f} allowed"
        for name, bound in bounds.items().items()
        if (built[name] or 0) > bound
    ]
    if missed:
        trained = " as it was trained" if built["trained"] else ""
        head = f"{folder} is finished, but{trained} it is not within the budget:"
        msg = "\n  ".join([head, *missed])
        raise BudgetError(msg)


def check_folder(out: Path) -> None:
    """Raise OutputError unless `out` is free, empty, or of an earlier search."""
    if out.exists() and not out.is_dir():
        msg = f"output {out} exists and is no folder; choose another one with --out"
        raise OutputError(msg)
    present = {path.name for path in out.iterdir()} if out.exists() else set()
    if present and not present & {FOUND, LOSSES, TRIALS}:
        shown = ", ".join(sorted(present)[:5])
        msg = (
            f"output folder {out} holds files that no search wrote ({shown}); nothing was changed: "
            "choose another folder with --out"
        )
        raise OutputError(msg)
