# SPDX-License-Identifier: Apache-2.0
"""`mcugen quantize`: what each choice of quantization does to a network; generates no code."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mcugen.config import InputLayout, Samples
from mcugen.data import load_calibration, load_eval
from mcugen.errors import OptionError
from mcugen.evaluate import (
    Accuracy,
    accuracy,
    by_reference,
    float_outputs,
    sqnr_db,
    stored_inputs,
)
from mcugen.frontend.export import input_shapes
from mcugen.frontend.load import LoadOptions
from mcugen.ir.graph import Graph
from mcugen.ir.quantization import Quantization
from mcugen.lower.integer import to_integer
from mcugen.pipeline import simplified
from mcugen.quantize.adaround import Progress
from mcugen.quantize.diagnose import LayerError, layer_errors
from mcugen.quantize.options import METHODS, QuantOptions
from mcugen.quantize.quantize import quantize
from mcugen.quantize.statistics import Statistics, observe_statistics
from mcugen.source import Model, open_model
from mcugen.verify.inputs import Batch, quantize_inputs

Arrays = list[NDArray[np.float32]]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class StudyOptions:
    """What is compared on what. `quant` is looked at closely; the other methods stand beside it."""

    calibration: Samples
    evaluation: Samples | tuple[Any, Any] | None = None
    quant: QuantOptions = field(default_factory=QuantOptions)
    methods: tuple[str, ...] = tuple(METHODS)
    samples: int = 500  # of the evaluation data, at most
    input_shapes: tuple[tuple[int, ...], ...] | None = None
    arch: str | None = None
    trust_pickle: bool = False
    input_layout: InputLayout = "nhwc"

    def __post_init__(self) -> None:
        """Raise OptionError for methods that are not known, and for no samples."""
        for method in self.methods:
            replace(self.quant, method=method, ranges=None)
        if self.samples < 1:
            msg = f"samples is {self.samples}; expected 1 or more"
            raise OptionError(msg)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Choice:
    """One way to quantize, and what it gave."""

    title: str
    options: QuantOptions
    output_sqnr_db: float
    accuracy: Accuracy | None
    seconds: float


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Study:
    """All choices, the first being the one that `layers` tells of."""

    name: str
    calibration_samples: int
    evaluated_on: str  # "evaluation data" or "calibration data"
    evaluated_samples: int
    choices: tuple[Choice, ...]
    layers: tuple[LayerError, ...]
    statistics: dict[str, Statistics]

    def values(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        return {
            "name": self.name,
            "calibration_samples": self.calibration_samples,
            "evaluated_on": self.evaluated_on,
            "evaluated_samples": self.evaluated_samples,
            "choices": [_choice_values(choice) for choice in self.choices],
            "layers": [_layer_values(layer, self.statistics) for layer in self.layers],
        }


def study(
    model: Model,
    options: StudyOptions,
    status: Callable[[str], None] = lambda _: None,
    progress: Progress = lambda _done, _total, _text: None,
) -> Study:
    """Quantize a network in several ways and measure each with the integer reference.

    Raises McugenError for everything that a user can mend.
    """
    status("reading the model")
    loading = LoadOptions(
        input_shapes=options.input_shapes, arch=options.arch, trust_pickle=options.trust_pickle
    )
    source = open_model(model, loading, layout=options.input_layout)
    source.check_choice(options.quant)
    if source.is_quantized:
        msg = "the network brings its own quantization; there is nothing to choose"
        raise OptionError(msg)
    shapes = input_shapes(source.graph)
    samples = load_calibration(options.calibration, shapes)
    source.check(samples)
    calibration = stored_inputs(source.graph, samples)
    evaluation, labels = _evaluation(source.graph, options, calibration)
    choices, first = [], None
    for title, quant in _candidates(options):
        status(f"quantizing: {title}")
        graph = simplified(source.graph, quant)
        start = time.perf_counter()
        made = quantize(graph, calibration, quant, progress=progress)
        seconds = time.perf_counter() - start
        choices.append(_measured(title, quant, graph, made, evaluation, labels, seconds))
        first = first or (graph, made)
    assert first is not None
    return Study(
        name=source.graph.name,
        calibration_samples=len(calibration[0]),
        evaluated_on="calibration data" if options.evaluation is None else "evaluation data",
        evaluated_samples=len(evaluation[0]),
        choices=tuple(choices),
        layers=tuple(layer_errors(*first, calibration)),
        statistics=observe_statistics(first[0], calibration),
    )


def _evaluation(
    graph: Graph, options: StudyOptions, calibration: Arrays
) -> tuple[Arrays, NDArray[np.generic] | None]:
    if options.evaluation is None:
        return [x[: options.samples] for x in calibration], None
    x, y = load_eval(options.evaluation, input_shapes(graph))
    stored = stored_inputs(graph, x)
    return [x[: options.samples] for x in stored], y[: options.samples]


def _candidates(options: StudyOptions) -> list[tuple[str, QuantOptions]]:
    """What was asked for, then the plain baseline and every other method as it is by default."""
    found = [(options.quant.method, options.quant)]
    plain = replace(options.quant, method="mean_rounding", ranges="minmax", bias_correction=False)
    found.append(("min-max, to nearest", plain))
    for method in options.methods:
        other = replace(options.quant, method=method, ranges=None, bias_correction=None)
        if other != options.quant:
            found.append((method, other))
    return found


def _measured(
    title: str,
    quant: QuantOptions,
    graph: Graph,
    made: Quantization,
    evaluation: Arrays,
    labels: NDArray[np.generic] | None,
    seconds: float,
) -> Choice:
    integer = to_integer(graph, made, "single")
    outputs: list[Sequence[NDArray[np.integer[Any]]]] = []

    def run_int8(inputs: Batch) -> Sequence[NDArray[np.integer[Any]]]:
        outputs.append(by_reference(integer)(inputs))
        return outputs[-1]

    result = None
    if labels is None:
        run_int8(quantize_inputs(integer, evaluation))
    else:
        result = accuracy(graph, integer, run_int8, evaluation, labels)
    qparams = made.tensors[graph.outputs[0]]
    real = (outputs[0][0].astype(np.float64) - qparams.zero_point) * qparams.scale
    exact = float_outputs(graph, evaluation)[0]
    return Choice(
        title=title,
        options=quant,
        output_sqnr_db=sqnr_db(exact, real.reshape(exact.shape)),
        accuracy=result,
        seconds=seconds,
    )


def _choice_values(choice: Choice) -> dict[str, Any]:
    measured = choice.accuracy
    return {
        "title": choice.title,
        "options": choice.options.text(),
        "output_sqnr_db": _db(choice.output_sqnr_db),
        "metric": measured and measured.metric,
        "float": measured and measured.float_value,
        "int8": measured and measured.int8_value,
        "seconds": round(choice.seconds, 2),
    }


def _layer_values(layer: LayerError, statistics: dict[str, Statistics]) -> dict[str, Any]:
    held = statistics[layer.name]
    low, high, mean, std = held.whole()
    return {
        "name": layer.name,
        "op": layer.kind,
        "origin": layer.origin,
        "min": low,
        "max": high,
        "mean": mean,
        "std": std,
        "channels": np.stack([held.low, held.high, held.mean, held.std], axis=1).tolist(),
        "range": [layer.low, layer.high],
        "saturated": layer.saturated,
        "own_db": _db(layer.own_db),
        "sqnr_db": _db(layer.sqnr_db),
    }


def _db(value: float) -> float | None:
    """JSON knows no infinity: an exact tensor has null."""
    return None if np.isinf(value) else round(value, 2)
