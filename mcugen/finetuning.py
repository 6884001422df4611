# SPDX-License-Identifier: Apache-2.0
"""`mcugen finetune`: from a model file and training data to a network tuned for its rounding."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray

from mcugen.allocating import Limits, limit_problems
from mcugen.config import InputLayout, Samples
from mcugen.data import load_calibration, load_labelled
from mcugen.errors import CalibrationError, OptionError, OutputError, TrainingError
from mcugen.evaluate import stored_inputs
from mcugen.frontend.export import input_shapes
from mcugen.frontend.load import LoadOptions
from mcugen.ir.graph import Graph
from mcugen.ir.quantization import Quantization
from mcugen.pipeline import simplified
from mcugen.pruning.criteria import Data
from mcugen.pruning.masks import zero_share
from mcugen.pruning.norms import norm_scales
from mcugen.pruning.training import PruneTraining, data_of
from mcugen.quantize.options import QuantOptions
from mcugen.quantize.quantize import quantize
from mcugen.quantize.stated import settle
from mcugen.source import Model, open_model
from mcugen.train.batches import ArrayBatches, Batches, LoaderBatches
from mcugen.train.checkpoint import Checkpoint
from mcugen.train.digests import data_digest, network_digest
from mcugen.train.forward import to_model
from mcugen.train.loop import History, OnStep, Progress, Training, TrainOptions
from mcugen.train.network import TrainableNetwork
from mcugen.train.objective import Distill, Objective, UserLoss
from mcugen.tuned import TunedNetwork, check_writable

CALIBRATION_LEN = 256
EVALUATION_BATCH = 256

Loss = UserLoss | Literal["auto", "reconstruct"]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class FinetuneOptions:
    """One training run.

    train: a .npz path, arrays, (x, y), or any iterable of batches that has a length.
    calibration: what sets the ranges to begin with; without it 256 of the training samples.
    pruning: what becomes zero and stays so, None for nothing. limits: with its allocation
        `budget`, what the network may cost and where.
    masks: of a tuned network, by name of the layer: what stays zero, bool in the weight's shape.
    out: the file to write, None for none; beside it lies a checkpoint while the run lasts.
    """

    train: Samples | Iterable[Any]
    evaluation: Samples | tuple[Any, Any] | None = None
    calibration: Samples | None = None
    out: Path | None = None
    resume: bool = False
    name: str | None = None
    input_shapes: tuple[tuple[int, ...], ...] | None = None
    arch: str | None = None
    trust_pickle: bool = False
    input_layout: InputLayout = "nhwc"
    quant: QuantOptions = field(default_factory=QuantOptions)
    train_scales: bool = True
    loss: Loss = "auto"
    distill: Distill | None = None
    batch_size: int = 64
    seed: int = 0
    training: TrainOptions = field(default_factory=TrainOptions)
    pruning: PruneTraining | None = None
    limits: Limits | None = None
    masks: Mapping[str, NDArray[np.bool_]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Raise OptionError that lists every choice which is not possible."""
        problems = []
        if not (callable(self.loss) or self.loss in ("auto", "reconstruct")):
            problems.append(f"loss is {self.loss!r}; expected auto, reconstruct or a function")
        if self.batch_size < 1:
            problems.append(f"batch size is {self.batch_size}; expected 1 or more")
        if self.seed < 0:
            problems.append(f"seed is {self.seed}; expected 0 or more")
        if self.resume and self.out is None:
            problems.append("resume needs out: the checkpoint lies beside it")
        problems += limit_problems(self.pruning, self.limits)
        if problems:
            raise OptionError("\n".join(problems))

    @property
    def checkpoint(self) -> Path | None:
        """Where a run that lasts keeps its state."""
        return None if self.out is None else self.out.with_name(f"{self.out.name}.checkpoint")


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class FinetuneResult:
    """A finished run: the network, how it went, and how good it is on the evaluation data.

    `metric` says what the scores are: "top-1" in percent, or "minus loss"; None without
    evaluation data. `float_score` is the float network's before training.
    """

    network: TunedNetwork
    history: History
    metric: str | None
    float_score: float | None
    out: Path | None
    outcome: Mapping[str, Any] | None = None  # of a budget, as `Limits.outcome` tells it

    def values(self) -> dict[str, Any]:
        """The run as plain values, for JSON and for the terminal; a loss is positive there."""

        def shown(score: float | None) -> float | None:
            return score if score is None or self.metric == "top-1" else -score

        return {
            "out": None if self.out is None else str(self.out),
            "metric": "evaluation loss" if self.metric == "minus loss" else self.metric,
            "float": shown(self.float_score),
            "best_epoch": self.history.best,
            "budget": self.outcome,
            "zeros": {
                name: zero_share(made.ints)
                for name, made in self.network.quantization.weights.items()
            },
            "epochs": [
                {"epoch": e.number, "loss": e.loss, "score": shown(e.score)}
                for e in self.history.epochs
            ],
        }


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Start:
    """What training begins with."""

    graph: Graph  # float, after the exact passes, and pruned where that is done at once
    parent: Graph  # the same before pruning: what distillation learns from
    quantization: Quantization
    batches: Batches
    evaluation: ArrayBatches | None
    seen: Data | None  # what pruning judges by
    calibration: Sequence[NDArray[np.float32]]  # stored layout
    pruning: PruneTraining | None  # the amount of each layer settled


def finetune(
    model: Model,
    options: FinetuneOptions,
    status: Callable[[str], None] = lambda _: None,
    progress: Progress = lambda _done, _total, _text: None,
) -> FinetuneResult:
    """Train a network for the rounding that its C will have; write the best state to `out`.

    Raises McugenError for everything a user can mend, TrainingError where the loss is no number
    any more: the best state so far is then in `out`.
    """
    _check_out(options)
    status("reading the model")
    start = _start(model, options, status, progress)
    objective = _objective(start.parent, options)
    _check_targets(objective, start)
    network = TrainableNetwork(start.graph, start.quantization, train_scales=options.train_scales)
    network.masks |= {
        name: torch.from_numpy(x.astype(np.float32)) for name, x in options.masks.items()
    }
    measure = _measure(objective, start.evaluation)
    path = options.checkpoint
    checkpoint = None if path is None else Checkpoint(path=path, run=_run_values(start, options))
    training = Training(
        network,
        start.batches,
        objective.loss,
        _training_options(start, options),
        score=measure,
        on_step=_on_step(network, start, options),
        checkpoint=checkpoint,
        progress=progress,
    )
    status("training")
    history = _fit(training, network, options, checkpoint)
    tuned = _tuned(network)
    if options.out is not None and checkpoint is not None:
        tuned.save(options.out)
        checkpoint.remove()
    limits = options.limits
    outcome = None if limits is None else limits.outcome(tuned, start.calibration, status)
    return FinetuneResult(
        network=tuned,
        history=history,
        metric=_metric(objective, start.evaluation),
        float_score=None if measure is None else measure(TrainableNetwork(start.parent)),
        out=options.out,
        outcome=outcome,
    )


def _objective(graph: Graph, options: FinetuneOptions, distill: bool = True) -> Objective:
    return Objective(
        graph,
        distill=options.distill if distill else None,
        loss=options.loss if callable(options.loss) else None,
        reconstruct=options.loss == "reconstruct",
    )


def _training_options(start: _Start, options: FinetuneOptions) -> TrainOptions:
    if start.pruning is None:
        return options.training
    first = start.pruning.counts_from(len(start.batches), options.training.epochs)
    return replace(options.training, counts_from=first)


def _on_step(network: TrainableNetwork, start: _Start, options: FinetuneOptions) -> OnStep:
    if start.pruning is None or start.seen is None:
        return lambda _: None
    total = options.training.epochs * len(start.batches)
    return start.pruning.attach(network, start.seen, total)


def _check_out(options: FinetuneOptions) -> None:
    """Make sure that nothing is lost."""
    if options.out is not None:
        check_writable(options.out)
    checkpoint = options.checkpoint
    if checkpoint is not None and checkpoint.exists() and not options.resume:
        msg = (
            f"{checkpoint} is of an interrupted run: go on with --resume (resume=True), "
            "or remove it to start again"
        )
        raise OutputError(msg)


def _start(
    model: Model, options: FinetuneOptions, status: Callable[[str], None], progress: Progress
) -> _Start:
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
    graph, quantization = source.graph, source.quantization
    shapes = input_shapes(graph)
    batches = _batches(graph, options)
    samples = (
        _some_of(batches, graph)
        if options.calibration is None
        else load_calibration(options.calibration, shapes)
    )
    source.check(samples)
    evaluation = None
    if options.evaluation is not None:
        data = load_labelled(options.evaluation, shapes)
        evaluation = _arrays(graph, *data, EVALUATION_BATCH, 0)
    if options.pruning is not None:
        source.check_prunable()
    seen, pruning = None, options.pruning
    parent = graph
    stored = stored_inputs(graph, samples)
    if quantization is None:
        parent = graph = simplified(graph, options.quant)
        if source.is_quantized:
            settled = settle(graph, stored)
            parent = graph = settled.graph
            quantization = settled.quantization
        else:
            if pruning is not None:
                loss = _objective(graph, options, distill=False).loss
                seen = data_of(batches.epoch(0), loss, norm_scales(source.graph))
                if options.limits is not None:
                    shares = options.limits.shares(
                        graph, stored, seen, options.quant, pruning.options, status, progress
                    )
                    pruning = replace(pruning, options=shares)
                graph = pruning.start(graph, seen, progress)
            quantization = quantize(graph, stored, options.quant, progress=progress)
    return _Start(
        graph=graph,
        parent=parent,
        quantization=quantization,
        batches=batches,
        evaluation=evaluation,
        seen=seen,
        calibration=stored,
        pruning=pruning,
    )


def _batches(graph: Graph, options: FinetuneOptions) -> ArrayBatches | LoaderBatches:
    if isinstance(options.train, (str, Path, np.ndarray, torch.Tensor, tuple, list, Mapping)):
        data = load_labelled(options.train, input_shapes(graph))
        return _arrays(graph, *data, options.batch_size, options.seed)
    return LoaderBatches(loader=options.train, graph=graph, seed=options.seed)


def _arrays(
    graph: Graph,
    samples: Sequence[NDArray[np.float32]],
    labels: NDArray[np.generic] | None,
    batch_size: int,
    seed: int,
) -> ArrayBatches:
    return ArrayBatches(
        inputs=tuple(torch.from_numpy(x) for x in stored_inputs(graph, samples)),
        targets=None if labels is None else torch.from_numpy(labels),
        batch_size=batch_size,
        seed=seed,
    )


def _some_of(batches: ArrayBatches | LoaderBatches, graph: Graph) -> list[NDArray[np.float32]]:
    """Training samples to calibrate with, float32 [N, *shape] in the model's axis order."""
    found: list[tuple[torch.Tensor, ...]] = []
    for inputs, _ in batches.epoch(0):
        found.append(inputs)
        if sum(len(part[0]) for part in found) >= CALIBRATION_LEN:
            break
    if not found:
        msg = "the training data has no batches"
        raise CalibrationError(msg)
    joined = (torch.cat(parts)[:CALIBRATION_LEN] for parts in zip(*found, strict=True))
    layouts = graph.input_layouts
    return [to_model(x, layout).numpy() for x, layout in zip(joined, layouts, strict=True)]


def _check_targets(objective: Objective, start: _Start) -> None:
    """Labels as a whole; those of a loader are looked at as they come."""
    if isinstance(start.batches, ArrayBatches):
        objective.check_targets(start.batches.targets, "training data")
    if start.evaluation is not None:
        objective.check_targets(start.evaluation.targets, "evaluation data")


def _fit(
    training: Training,
    network: TrainableNetwork,
    options: FinetuneOptions,
    checkpoint: Checkpoint | None,
) -> History:
    """Train; where that fails, the best state is written before the error goes on."""
    try:
        return training.fit(resume=options.resume)
    except TrainingError as error:
        if options.out is None or checkpoint is None:
            raise
        checkpoint.remove()
        if not training.best:
            msg = f"{error}; no epoch was better than the network before: nothing was written"
            raise TrainingError(msg) from error
        _tuned(network).save(options.out)
        msg = f"{error}; the best state, of epoch {training.best}, is in {options.out}"
        raise TrainingError(msg) from error


def _tuned(network: TrainableNetwork) -> TunedNetwork:
    return TunedNetwork(graph=network.float_graph(), quantization=network.quantization())


def _measure(
    objective: Objective, evaluation: ArrayBatches | None
) -> Callable[[TrainableNetwork], float] | None:
    if evaluation is None:
        return None
    return lambda network: objective.score(network, evaluation.in_order())


def _metric(objective: Objective, evaluation: ArrayBatches | None) -> str | None:
    if evaluation is None:
        return None
    return "top-1" if objective.counts_classes(evaluation.targets) else "minus loss"


def _run_values(start: _Start, options: FinetuneOptions) -> dict[str, str]:
    """Every choice that changes the result, to tell whether a checkpoint is of the same run."""
    loss = options.loss if isinstance(options.loss, str) else getattr(options.loss, "__name__", "")
    return {
        "network": network_digest(start.graph, start.quantization),
        "training data": data_digest(start.batches),
        "evaluation data": "none" if start.evaluation is None else data_digest(start.evaluation),
        "loss": loss,
        "distill": str(options.distill),
        "scales learn": str(options.train_scales),
        "seed": str(options.seed),
        "pruning": "none" if start.pruning is None else start.pruning.text(),
        "masks": str({name: int(mask.sum()) for name, mask in sorted(options.masks.items())}),
        **{name: str(value) for name, value in asdict(options.training).items()},
    }
