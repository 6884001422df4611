# SPDX-License-Identifier: Apache-2.0
"""One build from model file to verified folder: where the stages meet files and boards."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mcugen.boards import Board, load_board
from mcugen.config import BuildOptions, FastRam
from mcugen.data import load_calibration, load_eval, synthetic_inputs
from mcugen.emit.write import REPORT, check_target, staging, write_files
from mcugen.errors import CalibrationError, MissingToolError, OptionError
from mcugen.evaluate import Accuracy, accuracy, layer_sqnr, pruning_error, stored_inputs
from mcugen.frontend.export import input_shapes
from mcugen.frontend.load import LoadOptions
from mcugen.ir import serialize
from mcugen.network import REFERENCE
from mcugen.ops.base import Target
from mcugen.pipeline import Compilation, CompileOptions, compile_graph, prepared, simplified
from mcugen.plan.budget import check_budget
from mcugen.quantize.stated import Settled, stated_tensors
from mcugen.quantize.stated_weights import sentence
from mcugen.quantize.synthetic import match_moments, spread
from mcugen.quantize.widths import KEPT
from mcugen.report.report import make_report
from mcugen.report.search import search_values
from mcugen.simulate.program import Program, program_of
from mcugen.simulate.size import Size, network_size
from mcugen.source import Model, Source, open_model
from mcugen.tradeoff.allocate import allocate, kernels_within
from mcugen.tradeoff.forms import FormOptions
from mcugen.tradeoff.found import Found, check_found, with_choice
from mcugen.tradeoff.problem import Problem, SearchOptions
from mcugen.tradeoff.search import Search
from mcugen.verify.everywhere import Proof, Targets, verify_everywhere
from mcugen.verify.host import HostNetwork
from mcugen.verify.inputs import quantize_inputs, verification_inputs

Progress = Callable[[str], None]
Steps = Callable[[int, int, str], None]  # steps done, steps in all, what is being done
SYNTHETIC_SAMPLES = 64


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class BuildResult:
    """A finished build: where it lies and what report.json says."""

    folder: Path
    report: dict[str, Any]

    @property
    def warnings(self) -> tuple[str, ...]:
        """What the user should know although the build succeeded."""
        return tuple(self.report["warnings"])


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Data:
    """Stored-layout inputs and where they come from."""

    calibration: list[NDArray[np.float32]]
    synthetic: bool
    evaluation: tuple[list[NDArray[np.float32]], NDArray[np.generic]] | None


def build(
    model: Model,
    options: BuildOptions,
    progress: Progress = lambda _: None,
    steps: Steps = lambda _done, _total, _text: None,
) -> BuildResult:
    """Compile, verify and write a network. Raises McugenError for everything a user can mend."""
    board = load_board(options.board)
    choices = _compile_options(options, board)
    progress("reading the model")
    source = open_model(
        model,
        LoadOptions(
            input_shapes=options.input_shapes,
            arch=options.arch,
            trust_pickle=options.trust_pickle,
        ),
        name=options.name,
        layout=options.input_layout,
    )
    source.check_choice(options.quant)
    if options.prune is not None:
        source.check_prunable()
    out = options.out or Path("build") / source.graph.name
    check_target(out)
    data = _read_data(source, options)
    found = None
    if options.searches:
        choices, found = _search(source, data, choices, options, board, progress, steps)
        choices = with_choice(choices, found)
    progress("compiling")
    compiled = compile_graph(source.graph, data.calibration, choices, source.quantization, steps)
    check_budget(board, compiled.graph, compiled.layers, compiled.plan, compiled.view.weight_bytes)
    with staging(out) as folder:
        report = _write_and_verify(folder, compiled, board, source, data, options, progress, found)
    return BuildResult(folder=out, report=report)


def _search(
    source: Source,
    data: _Data,
    choices: CompileOptions,
    options: BuildOptions,
    board: Board,
    progress: Progress,
    steps: Steps,
) -> tuple[CompileOptions, Found]:
    """The bits and the kernel of each layer, and the options with all else.

    Raises McugenError where there is no such choice.
    """
    if data.synthetic:
        msg = (
            "--budget and --max-drop measure what each layer loses on real samples: pass them "
            "with --calib"
        )
        raise CalibrationError(msg)
    if options.allocates:
        choices = _allocated(source, data, choices, options, board, progress, steps)
    problem = _problem(source, data, choices, board, steps)
    if options.allocates:
        return choices, kernels_within(problem, options.budget, progress)
    keep = options.quant.keep_int8
    wanted = SearchOptions(
        budget=options.budget,
        max_drop=options.max_drop,
        forms=FormOptions(patterns=()),
        keep=("none",) if keep == KEPT else keep,  # what is measured needs no rule of thumb
        points=0,
    )
    return choices, Search(problem, wanted, progress, steps).run()


def _problem(
    source: Source, data: _Data, choices: CompileOptions, board: Board, steps: Steps
) -> Problem:
    graph, quantization = source.graph, source.quantization
    if quantization is None:
        graph, quantization = prepared(graph, data.calibration, choices, steps)
    return Problem(
        graph=graph,
        calibration=data.calibration,
        evaluation=data.evaluation,
        board=board,
        compiling=choices,
        quantization=quantization,
    )


def _allocated(
    source: Source,
    data: _Data,
    choices: CompileOptions,
    options: BuildOptions,
    board: Board,
    progress: Progress,
    steps: Steps,
) -> CompileOptions:
    """With the share of zeros of each layer. Raises BudgetError where none meet the budget."""
    assert options.prune is not None and options.budget is not None
    problem = _problem(source, data, replace(choices, prune=None), board, steps)
    shares, _ = allocate(problem, options.prune, options.budget, status=progress, progress=steps)
    return replace(choices, prune=shares)


def _compile_options(options: BuildOptions, board: Board) -> CompileOptions:
    return CompileOptions(
        requant=options.requant,
        quant=options.quant,
        prune=options.prune,
        skip_passes=options.skip_passes,
        target=Target(
            core=board.core.name,
            features=board.core.features,
            optimize=options.optimize,
            chosen=options.kernels,
        ),
        ram_bytes=min(board.ram_bytes, options.ram or board.ram_bytes),
        fast_bytes=_fast_bytes(options.fast_ram, board),
        row_input=options.row_input,
        dump_dir=options.dump_dir,
    )


def _fast_bytes(wanted: FastRam, board: Board) -> int:
    """How much fast RAM the network may use. Raises OptionError for more than there is."""
    if wanted == 0:
        return 0
    region = board.fast_region
    if region is None:
        msg = (
            f"--fast-ram: {board.name} has no fast RAM beside other RAM; "
            f"`mcugen boards {board.name}` shows its memories"
        )
        raise OptionError(msg)
    if wanted == "all":
        return region.size_bytes
    if wanted > region.size_bytes:
        msg = (
            f"--fast-ram: {wanted:,} bytes asked for, but {region.name}, the fast RAM of "
            f"{board.name}, has {region.size_bytes:,}"
        )
        raise OptionError(msg)
    return wanted


def _read_data(source: Source, options: BuildOptions) -> _Data:
    graph = source.graph
    shapes = input_shapes(graph)
    synthetic = options.calibration is None
    samples = (
        synthetic_inputs(shapes, SYNTHETIC_SAMPLES)
        if options.calibration is None
        else load_calibration(options.calibration, shapes)
    )
    source.check(samples)
    calibration = stored_inputs(graph, samples)
    if synthetic:
        calibration = _fitted(source, calibration)
    evaluation = None
    if options.evaluation is not None:
        x, y = load_eval(options.evaluation, shapes)
        evaluation = (stored_inputs(graph, x), y)
    return _Data(calibration=calibration, synthetic=synthetic, evaluation=evaluation)


def _fitted(source: Source, start: list[NDArray[np.float32]]) -> list[NDArray[np.float32]]:
    """Synthetic inputs as the network's batch norms, or its own input scales, say they are."""
    if not source.is_quantized:
        return match_moments(source.graph, start) or start
    tensors = (
        stated_tensors(simplified(source.graph))
        if source.quantization is None
        else source.quantization.tensors
    )
    held = [tensors.get(name) for name in source.graph.inputs]
    return [x if q is None else spread(x, q) for x, q in zip(start, held, strict=True)]


def _write_and_verify(
    folder: Path,
    compiled: Compilation,
    board: Board,
    source: Source,
    data: _Data,
    options: BuildOptions,
    progress: Progress,
    found: Found | None,
) -> dict[str, Any]:
    write_files(folder, compiled.files)
    serialize.save(compiled.graph, folder / REFERENCE)
    program = program_of(folder, compiled.graph, row_input=options.row_input)
    proof, measured = _verify(program, compiled, board, data, options, progress)
    size = _size(program, board)
    if size is not None:
        check_budget(board, compiled.graph, compiled.layers, compiled.plan, size.flash_bytes)
    report = make_report(
        compiled,
        board,
        model_kind=source.kind,
        sqnr=layer_sqnr(compiled.float_graph, compiled.uncut_graph, data.calibration),
        size=size,
        accuracy=measured,
        pruning=None
        if options.prune is None
        else pruning_error(compiled.dense_graph, compiled.float_graph, data.calibration),
        proof=proof,
        warnings=[
            *source.warnings,
            *_warnings(source, compiled, data, proof),
            *_hints(compiled, options),
        ],
    )
    if found is not None:
        check_found(found, report)
        report["search"] = search_values(found)
    report["files"] = sorted(path.name for path in folder.iterdir())
    text = json.dumps(report, indent=2) + "\n"
    (folder / REPORT).write_text(text, encoding="utf-8")
    return report


def _verify(
    program: Program,
    compiled: Compilation,
    board: Board,
    data: _Data,
    options: BuildOptions,
    progress: Progress,
) -> tuple[Proof, Accuracy | None]:
    graph = compiled.graph
    samples = None if data.synthetic else quantize_inputs(graph, data.calibration)
    inputs = verification_inputs(graph, samples)
    targets = Targets(core=board.core, simulate=options.simulate, sanitize=options.sanitize)
    with HostNetwork(program, compiled.plan.arena_bytes, compiled.plan.fast_bytes) as host:
        proof = verify_everywhere(graph, program, host, inputs, targets, progress)
        if data.evaluation is None:
            return proof, None
        progress("measuring accuracy")
        x, y = data.evaluation
        pruned = compiled.float_graph if options.prune is not None else None
        return proof, accuracy(compiled.dense_graph, graph, host.run, x, y, pruned)


def _size(program: Program, board: Board) -> Size | None:
    """Flash of the network on the board's core, None without its compiler."""
    try:
        return network_size(program, board.core)
    except MissingToolError:
        return None


def _hints(compiled: Compilation, options: BuildOptions) -> Iterator[str]:
    if options.fast_ram and not compiled.plan.fast_bytes:
        yield (
            "--fast-ram: there is no second block, because the arena fits there as a whole or "
            f"nothing of it does; it is one block of {compiled.plan.arena_bytes:,} bytes"
        )


def _unsaid(settled: Settled, data: _Data) -> Iterator[str]:
    """What a model that brings its own quantization left to us."""
    if data.synthetic:
        whence = "synthetic inputs, and accuracy is not vouched for"
    else:
        whence = "the calibration data"
    yield from sentence(
        f"the model does not quantize these tensors; their ranges come from {whence}",
        settled.observed,
    )
    yield from settled.notes


def _warnings(source: Source, compiled: Compilation, data: _Data, proof: Proof) -> Iterator[str]:
    if compiled.settled is not None:
        yield from _unsaid(compiled.settled, data)
    if data.synthetic and source.is_quantized:
        yield (
            "no calibration data: the errors of layers are those on synthetic inputs; pass real "
            "samples with --calib to see what they are on yours"
        )
    elif data.synthetic:
        yield (
            "no calibration data: ranges come from synthetic inputs, accuracy is not vouched for; "
            "pass real samples with --calib"
        )
    for missing in proof.missing:
        yield f"not verified on the simulated core: {missing}"
