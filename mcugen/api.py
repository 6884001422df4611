# SPDX-License-Identifier: Apache-2.0
"""`mcugen.build`, `compare`, `finetune`, `prune`, `search`, `load`: the tool from Python."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from pathlib import Path
from typing import Any

from mcugen.allocating import Limits
from mcugen.compiler import BuildResult
from mcugen.compiler import build as _build
from mcugen.config import BuildOptions, FastRam, InputLayout, Optimize, Requant, Samples
from mcugen.errors import OptionError
from mcugen.finetuning import FinetuneOptions, FinetuneResult, Loss
from mcugen.finetuning import finetune as _finetune
from mcugen.network import CompiledNetwork
from mcugen.pruning.options import BLOCKS, PruneOptions
from mcugen.pruning.training import PruneTraining
from mcugen.quantize.options import DEFAULT_METHOD, METHODS, QuantOptions
from mcugen.quantize.widths import KEPT, split_list
from mcugen.searching import SearchResult, SearchRun
from mcugen.searching import search as _search
from mcugen.source import Model
from mcugen.study import Study, StudyOptions, study
from mcugen.tradeoff.budget import Budget, parse_budget
from mcugen.tradeoff.forms import FormOptions
from mcugen.tradeoff.problem import SearchOptions
from mcugen.train.loop import TrainOptions
from mcugen.train.objective import Distill
from mcugen.tuned import TunedNetwork

__all__ = [
    "Budget",
    "BuildResult",
    "CompiledNetwork",
    "Distill",
    "FinetuneResult",
    "PruneOptions",
    "QuantOptions",
    "SearchResult",
    "Study",
    "TunedNetwork",
    "build",
    "compare",
    "finetune",
    "load",
    "prune",
    "search",
]


def build(
    model: Model,
    *,
    board: str | Path,
    calibration: Samples | None = None,
    evaluation: Samples | None = None,
    out: str | Path | None = None,
    name: str | None = None,
    input_shapes: Sequence[Sequence[int]] | None = None,
    arch: str | None = None,
    trust_pickle: bool = False,
    input_layout: InputLayout = "nhwc",
    requant: Requant = "single",
    quant: str = DEFAULT_METHOD,
    ranges: str | None = None,
    bias_correction: bool | None = None,
    equalize: bool = False,
    per_tensor: bool = False,
    symmetric: bool = False,
    power_of_two: bool = False,
    weights: str | Sequence[str] = (),
    keep_int8: str | Sequence[str] = KEPT,
    activations: str | Sequence[str] = (),
    prune: PruneOptions | None = None,
    budget: Budget | str | None = None,
    max_drop: float | None = None,
    optimize: Optimize = "balanced",
    fast_ram: FastRam = 0,
    row_input: bool = False,
    skip_passes: Collection[str] = (),
    sanitize: bool = False,
    simulate: int = 16,
) -> BuildResult:
    """Compile a network to a folder of C and prove that the C equals its integer reference.

    model: a module, an exported program, the path of a model file, or what `finetune` made.
    board: a name of `mcugen boards`, a part number, or the path of a board file.
    calibration: samples [N, ...] in the model's own input shape, as array or .npz/.npy path, one
        for each input; without it ranges come from synthetic inputs, with a warning.
    evaluation: a .npz path with x and y, or the pair (x, y); gives `report["accuracy"]`.
    out: the folder, `build/NAME` by default; replaced in one step if mcugen wrote it.
    input_shapes: with batch axis, where the model does not say them.
    quant: integerize, estimate, mean_rounding or adaround; it and the options that follow are told
        of in docs/QUANTIZATION.md.
    ranges: minmax, moving_average[:C], percentile[:P], mse, entropy or output; None for the
        method's own.
    bias_correction: None for the method's own.
    equalize: scale channels of neighbouring layers to like weights first.
    per_tensor: one scale for all of a layer's weights.
    symmetric: activations with zero point 0.
    power_of_two: scales that are powers of two.
    weights: "int4" or "int2", or "PATTERN=int4" for some layers; several in a list, later ones win.
    keep_int8: layers that this exempts: "first", "last", "depthwise" or patterns; "none" for none.
    activations: "int16" for tensors of 16 bits, or "PATTERN=int16" for those of some layers and
        inputs; several in a list, later ones win.
    prune: what becomes zero at once, without training: PruneOptions(criterion="obs", sparsity=0.75,
        pattern="block2x2"); see docs/PRUNING.md.
    budget: Budget(flash=65536, cycles=5_000_000), or "flash=64K,cycles=5M": the bits and the
        kernel of each layer are those of least loss within it; see docs/SEARCH.md.
    max_drop: those of least flash that lose so many points of accuracy at most, beside or instead.
    optimize: what kernels are chosen for.
    fast_ram: bytes of the board's fast RAM, or "all": the C API takes a second block there, for the
        tensors that are used most.
    row_input: the C takes the input image row by row, so that it never lies in RAM as a whole.
    simulate: how many inputs are compared on the simulated core; 0 for none.

    Raises McugenError (see mcugen.errors) for everything that the caller can mend, MismatchError
    where C and reference differ.
    """
    shapes = None if input_shapes is None else _shapes(input_shapes)
    options = BuildOptions(
        board=str(board),
        out=None if out is None else Path(out),
        name=name,
        calibration=calibration,
        evaluation=evaluation,
        input_shapes=shapes,
        arch=arch,
        trust_pickle=trust_pickle,
        input_layout=input_layout,
        requant=requant,
        quant=QuantOptions(
            method=quant,
            ranges=ranges,
            bias_correction=bias_correction,
            equalize=equalize,
            per_tensor=per_tensor,
            symmetric=symmetric,
            power_of_two=power_of_two,
            weights=split_list(weights),
            keep_int8=split_list(keep_int8),
            activations=split_list(activations),
        ),
        prune=prune,
        budget=parse_budget(budget) if isinstance(budget, str) else budget,
        max_drop=max_drop,
        optimize=optimize,
        fast_ram=fast_ram,
        row_input=row_input,
        skip_passes=frozenset(skip_passes),
        sanitize=sanitize,
        simulate=simulate,
    )
    return _build(model, options)


def compare(
    model: Model,
    *,
    calibration: Samples,
    evaluation: Samples | tuple[Any, Any] | None = None,
    quant: QuantOptions | str = DEFAULT_METHOD,
    methods: Sequence[str] = tuple(METHODS),
    samples: int = 500,
    input_shapes: Sequence[Sequence[int]] | None = None,
    arch: str | None = None,
    trust_pickle: bool = False,
    input_layout: InputLayout = "nhwc",
) -> Study:
    """What each choice of quantization does to a network, as `mcugen quantize` shows it.

    calibration: sets the ranges, as for `build`.
    evaluation: as for `build`; without it the errors are those on the calibration samples.
    quant: the choice whose layers are looked at closely.
    methods: set beside it, each as it is by default.
    samples: of the evaluation data, at most.

    Raises McugenError for everything that the caller can mend.
    """
    options = StudyOptions(
        calibration=calibration,
        evaluation=evaluation,
        quant=QuantOptions(method=quant) if isinstance(quant, str) else quant,
        methods=tuple(methods),
        samples=samples,
        input_shapes=None if input_shapes is None else _shapes(input_shapes),
        arch=arch,
        trust_pickle=trust_pickle,
        input_layout=input_layout,
    )
    return study(model, options)


def finetune(
    model: Model,
    *,
    train: Samples | Iterable[Any],
    evaluation: Samples | tuple[Any, Any] | None = None,
    calibration: Samples | None = None,
    out: str | Path | None = None,
    resume: bool = False,
    epochs: int = 5,
    learning_rate: float = 1e-3,
    batch_size: int = 64,
    warmup: float = 0.1,
    gradual: float = 0.0,
    patience: int = 0,
    seed: int = 0,
    loss: Loss = "auto",
    distill: bool | Distill = False,
    train_scales: bool = True,
    quant: QuantOptions | str = DEFAULT_METHOD,
    name: str | None = None,
    input_shapes: Sequence[Sequence[int]] | None = None,
    arch: str | None = None,
    trust_pickle: bool = False,
    input_layout: InputLayout = "nhwc",
) -> FinetuneResult:
    """Train a network for the rounding that its C will have; see docs/TRAINING.md.

    model: as for `build`; what was tuned before goes on with its own quantization.
    train: arrays as for `evaluation`, labels not needed with `distill` or loss="reconstruct"; or a
        DataLoader, or anything with a length that iterates over batches (x, y), in the model's own
        axis order.
    evaluation: samples and labels that pick the best epoch; without them the last one is kept.
    calibration: sets the ranges to begin with; by default 256 of the training samples.
    out: the file to write, for `build`; None for none.
    resume: go on from the checkpoint beside `out`, if there is one, to the same bits.
    loss: "auto" (cross entropy for class indices, mean square error for real targets),
        "reconstruct" (the output shall be the input), or a function of the outputs (one tensor, or
        a tuple of several, in the model's axis order) and the targets.
    distill: learn from the float network as well; a `Distill` says how.
    quant: what training begins with, as for `build`.

    Raises McugenError for everything that the caller can mend; TrainingError where the loss is no
    number any more, with the best state so far in `out`.
    """
    options = FinetuneOptions(
        train=train,
        evaluation=evaluation,
        calibration=calibration,
        out=None if out is None else Path(out),
        resume=resume,
        name=name,
        input_shapes=None if input_shapes is None else _shapes(input_shapes),
        arch=arch,
        trust_pickle=trust_pickle,
        input_layout=input_layout,
        quant=QuantOptions(method=quant) if isinstance(quant, str) else quant,
        train_scales=train_scales,
        loss=loss,
        distill=Distill() if distill is True else distill or None,
        batch_size=batch_size,
        seed=seed,
        training=TrainOptions(
            epochs=epochs,
            learning_rate=learning_rate,
            warmup=warmup,
            gradual=gradual,
            patience=patience,
        ),
    )
    return _finetune(model, options)


def prune(
    model: Model,
    *,
    options: PruneOptions,
    board: str | Path | None = None,
    budget: Budget | str | None = None,
    schedule: str = "oneshot",
    ramp: float = 0.5,
    train: Samples | Iterable[Any],
    evaluation: Samples | tuple[Any, Any] | None = None,
    calibration: Samples | None = None,
    out: str | Path | None = None,
    resume: bool = False,
    epochs: int = 20,
    learning_rate: float = 4e-3,
    batch_size: int = 64,
    seed: int = 0,
    loss: Loss = "auto",
    distill: bool | Distill = False,
    quant: QuantOptions | str = DEFAULT_METHOD,
    name: str | None = None,
    input_shapes: Sequence[Sequence[int]] | None = None,
    arch: str | None = None,
    trust_pickle: bool = False,
    input_layout: InputLayout = "nhwc",
) -> FinetuneResult:
    """Set weights to zero and train the others for the rounding of the C; see docs/PRUNING.md.

    options: which weights, and how many of them.
    board, budget: with PruneOptions(allocation="budget"), what the network may cost and where; what
        it costs in the end is the result's `outcome`.
    schedule: "oneshot" before training, the weights that stay being refitted unless the options
        say otherwise, "iterative" in rounds, or "cubic".
    ramp: share of all steps in which the sparsity rises, unless all is done at once.
    distill: learn from the float network as it was before pruning.

    All else is as for `finetune`, and so are the errors.
    """
    return _finetune(
        model,
        FinetuneOptions(
            train=train,
            evaluation=evaluation,
            calibration=calibration,
            out=None if out is None else Path(out),
            resume=resume,
            name=name,
            input_shapes=None if input_shapes is None else _shapes(input_shapes),
            arch=arch,
            trust_pickle=trust_pickle,
            input_layout=input_layout,
            quant=QuantOptions(method=quant) if isinstance(quant, str) else quant,
            loss=loss,
            distill=Distill() if distill is True else distill or None,
            batch_size=batch_size,
            seed=seed,
            training=TrainOptions(epochs=epochs, learning_rate=learning_rate),
            pruning=PruneTraining(options=options, schedule=schedule, ramp=ramp),
            limits=Limits.of(board, budget, None if out is None else Path(out)),
        ),
    )


def search(
    model: Model,
    *,
    board: str | Path,
    calibration: Samples,
    evaluation: Samples | tuple[Any, Any] | None = None,
    budget: Budget | str | None = None,
    max_drop: float | None = None,
    out: str | Path,
    bits: Sequence[int] = (8, 4, 2),
    patterns: Sequence[str] = tuple(BLOCKS),
    sparsities: Sequence[float] = (0.5, 0.75, 0.9),
    criterion: str = "obs",
    keep: str | Sequence[str] = ("none",),
    channels: Sequence[float] = (),
    samples: int = 64,
    points: int = 8,
    runners: int = 3,
    train: Samples | tuple[Any, Any] | None = None,
    epochs: int = 5,
    report: bool = False,
    trials: int = 0,
    storage: str | None = None,
    quant: QuantOptions | str = DEFAULT_METHOD,
    optimize: Optimize = "balanced",
    requant: Requant = "single",
    name: str | None = None,
    input_shapes: Sequence[Sequence[int]] | None = None,
    arch: str | None = None,
    trust_pickle: bool = False,
    input_layout: InputLayout = "nhwc",
    simulate: int = 16,
) -> SearchResult:
    """Choose bits, zeros and kernels of every layer together, and build it; see docs/SEARCH.md.

    budget, max_drop: as for `build`; one of them at least.
    out: the folder; it keeps what was measured, so that the same call goes on if interrupted.
    bits, patterns, sparsities: what the weights of a layer may become.
    criterion: what scores the weights, as for PruneOptions.
    keep: layers left as int8 without new zeros: "first", "last", "depthwise", patterns, or "none".
    channels: shares of all products that the network is cut to as well.
    samples: of the calibration data, that losses are measured on.
    points: of the front; runners: next best choices that are measured as well.
    train: what the chosen network is trained on for `epochs`, its zeros held.
    report: an HTML page and pictures as well.
    trials: settings for the whole network that are tried first; storage: where they are kept.

    All else is as for `build`, and so are the errors.
    """
    return _search(
        model,
        SearchRun(
            board=str(board),
            calibration=calibration,
            evaluation=evaluation,
            out=Path(out),
            search=SearchOptions(
                budget=parse_budget(budget) if isinstance(budget, str) else budget,
                max_drop=max_drop,
                forms=FormOptions(
                    bits=tuple(bits),
                    patterns=tuple(patterns),
                    sparsities=tuple(sparsities),
                    criterion=criterion,
                ),
                keep=split_list(keep),
                channels=tuple(channels),
                samples=samples,
                points=points,
                runners=runners,
                complete=report,
            ),
            train=train,
            epochs=epochs,
            report=report,
            trials=trials,
            storage=storage,
            quant=QuantOptions(method=quant) if isinstance(quant, str) else quant,
            optimize=optimize,
            requant=requant,
            name=name,
            input_shapes=None if input_shapes is None else _shapes(input_shapes),
            arch=arch,
            trust_pickle=trust_pickle,
            input_layout=input_layout,
            simulate=simulate,
        ),
    )


def _shapes(given: Sequence[Sequence[int]]) -> tuple[tuple[int, ...], ...]:
    try:
        return tuple(tuple(int(size) for size in shape) for shape in given)
    except (TypeError, ValueError) as error:
        msg = f"input_shapes is {given!r}; expected one shape for each input: [(1, 1, 28, 28)]"
        raise OptionError(msg) from error


def load(folder: str | Path) -> CompiledNetwork:
    """The generated C of a folder as a callable on numpy arrays.

    Raises OutputError where the folder is none of ours, ToolchainError without a C compiler.
    """
    return CompiledNetwork(folder)
