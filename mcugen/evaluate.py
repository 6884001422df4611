# SPDX-License-Identifier: Apache-2.0
"""What int8 costs: error of every layer against float, and accuracy on labelled data."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray

from mcugen.errors import CalibrationError, InternalError
from mcugen.fixed_point import IntArray
from mcugen.frontend.run import run_program
from mcugen.ir.graph import Graph, Node
from mcugen.ir.interp import run
from mcugen.ops.base import Op
from mcugen.train.forward import Compute, forward, plain, to_stored
from mcugen.verify.inputs import Batch, quantize_inputs

if TYPE_CHECKING:
    from torch.export import ExportedProgram

Inputs = Sequence[NDArray[np.float32]]
ERROR_SAMPLES = 32
BATCH = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class Accuracy:
    """A network on labelled data: in float, pruned where that was asked for, and in int8.

    `metric` is "top-1" (percent, more is better) for class indices, "mean absolute error" (real
    units, less is better) for targets of the output's shape.
    """

    metric: str
    samples: int
    float_value: float
    int8_value: float
    pruned_value: float | None = None  # in float


@dataclass(frozen=True, slots=True, kw_only=True)
class PruningError:
    """How far pruning moved the first output, in float, on samples it may have been fitted to.

    `same_largest`: percent of the samples whose largest output is the one it was, which for
    classifiers is their class; None for a single output.
    """

    samples: int
    sqnr_db: float
    same_largest: float | None


def stored_inputs(graph: Graph, samples: Inputs) -> list[NDArray[np.float32]]:
    """Samples [N, *shape] in the model's own axis order, as the graph stores them."""
    return [
        to_stored(torch.from_numpy(np.ascontiguousarray(x)), layout).numpy()
        for x, layout in zip(samples, graph.input_layouts, strict=True)
    ]


def float_outputs(
    graph: Graph, stored: Inputs, compute: Compute = plain
) -> list[NDArray[np.float32]]:
    """The float graph on stored-layout samples: its outputs, float32 [N, *shape]."""
    parts: list[tuple[torch.Tensor, ...]] = []
    with torch.no_grad():
        for start in range(0, len(stored[0]), BATCH):
            parts.append(
                forward(
                    graph,
                    [torch.from_numpy(x[start : start + BATCH]) for x in stored],
                    compute=compute,
                )
            )
    count = len(stored[0])
    return [
        np.broadcast_to(joined, (count, *joined.shape[1:]))
        for joined in (torch.cat(ys).numpy() for ys in zip(*parts, strict=True))
    ]


def check_import(program: ExportedProgram, graph: Graph, samples: Inputs, count: int = 4) -> None:
    """Compare the imported graph with the program itself on a few samples.

    Without the rounding of a quantized program, which may turn the last bit of a float into a whole
    step. Raises InternalError where they differ by more than float rounding: our bug, not the
    user's.
    """
    some = stored_inputs(graph, [x[:count] for x in samples])
    got = float_outputs(graph, some, _unrounded)
    for i in range(min(count, len(samples[0]))):
        own = [torch.from_numpy(x[i : i + 1] if graph.batched else x[i]) for x in samples]
        wanted = run_program(program, own, rounded=False)
        for k, (want, layout) in enumerate(zip(wanted, graph.output_layouts, strict=True)):
            model = want.float() if want.dim() > len(layout) else want.float().unsqueeze(0)
            stored = to_stored(model, layout).numpy()[0]
            if not np.isfinite(stored).all():
                continue  # the data's fault, told when ranges are observed
            error = float(np.abs(stored - got[k][i]).max(initial=0.0))
            limit = 1e-3 * max(1.0, float(np.abs(stored).max(initial=0.0)))
            if not error <= limit:
                msg = f"imported graph differs from the model at output {k}: by {error:g}"
                raise InternalError(msg)


def _unrounded(node: Node, operands: Sequence[torch.Tensor]) -> torch.Tensor:
    assert isinstance(node.op, Op)
    return plain(node, operands) if node.op.rounds_to is None else operands[0]


def by_reference(integer_graph: Graph) -> Callable[[Batch], Sequence[NDArray[np.integer[Any]]]]:
    """The integer reference as something that takes any number of samples: integers in and out."""

    def run_int8(inputs: Batch) -> Sequence[NDArray[np.integer[Any]]]:
        parts = [
            run(integer_graph, [x[start : start + BATCH] for x in inputs])
            for start in range(0, len(inputs[0]), BATCH)
        ]
        return [np.concatenate(ys) for ys in zip(*parts, strict=True)]

    return run_int8


def layer_sqnr(float_graph: Graph, integer_graph: Graph, stored: Inputs) -> dict[str, float]:
    """Signal to quantization noise of every tensor that both graphs have, in dB.

    10 log10(sum f^2 / sum (f - scale * (q - zero_point))^2) over at most 32 samples; infinite
    where the error is exactly zero.
    """
    some = [x[:ERROR_SAMPLES] for x in stored]
    floats: dict[str, NDArray[np.float32]] = {}
    with torch.no_grad():
        forward(
            float_graph,
            [torch.from_numpy(x) for x in some],
            lambda name, x: floats.__setitem__(name, x.numpy()),
        )
    found: dict[str, float] = {}

    def observe(node: Node, values: IntArray) -> None:
        if node.name in floats and node.qparams is not None:
            real = (values - node.qparams.zero_point) * node.qparams.scale
            found[node.name] = sqnr_db(floats.pop(node.name), real)

    run(integer_graph, quantize_inputs(integer_graph, some), observe)
    return found


def pruning_error(dense: Graph, pruned: Graph, stored: Inputs) -> PruningError:
    """The pruned float graph against the graph it was made of."""
    exact, got = (float_outputs(graph, stored)[0] for graph in (dense, pruned))
    largest, found = (x.reshape(len(x), -1).argmax(axis=1) for x in (exact, got))
    return PruningError(
        samples=len(exact),
        sqnr_db=sqnr_db(exact, got),
        same_largest=100.0 * float(np.mean(largest == found)) if exact[0].size > 1 else None,
    )


def sqnr_db(signal: NDArray[np.float32], approximation: NDArray[np.floating]) -> float:
    """Signal to noise ratio in dB."""
    exact = signal.astype(np.float64)
    noise = float(np.sum((exact - approximation) ** 2))
    power = float(np.sum(exact**2))
    if noise == 0.0:
        return float("inf")
    return 10.0 * float(np.log10(power / noise)) if power > 0.0 else float("-inf")


def accuracy(
    float_graph: Graph,
    integer_graph: Graph,
    run_int8: Callable[[Batch], Sequence[NDArray[np.integer[Any]]]],
    stored: Inputs,
    labels: NDArray[np.generic],
    pruned_graph: Graph | None = None,
) -> Accuracy:
    """Float, pruned float where there is such a graph, and int8 side by side on the first output.

    labels: class indices [N], or targets with the output's shape, in the model's axis order.
    `run_int8` is the generated C. Raises CalibrationError where the labels fit neither.
    """
    exact = float_outputs(float_graph, stored)[0]
    pruned = None if pruned_graph is None else float_outputs(pruned_graph, stored)[0]
    node = integer_graph.by_name[integer_graph.outputs[0]]
    q = node.qparams
    assert q is not None
    steps = run_int8(quantize_inputs(integer_graph, stored))[0].astype(np.int64)
    got = ((steps - q.zero_point) * q.scale).reshape(exact.shape)
    if labels.shape == (len(exact),) and exact[0].size > 1:
        return _top1(exact, got, labels, pruned)
    layout = float_graph.output_layouts[0]
    shape = (len(exact), *(exact.shape[1:][layout.index(axis)] for axis in range(len(layout))))
    if labels.shape in (shape, (len(exact),)):
        target = labels.reshape(shape).transpose(0, *(axis + 1 for axis in layout))
        return Accuracy(
            metric="mean absolute error",
            samples=len(exact),
            float_value=float(np.abs(exact - target).mean()),
            int8_value=float(np.abs(got - target).mean()),
            pruned_value=None if pruned is None else float(np.abs(pruned - target).mean()),
        )
    msg = (
        f"evaluation labels have shape {list(labels.shape)}; expected class indices "
        f"[{len(exact)}] or targets {list(shape)}"
    )
    raise CalibrationError(msg)


def _top1(
    exact: NDArray[np.float32],
    got: NDArray[np.floating],
    labels: NDArray[np.generic],
    pruned: NDArray[np.float32] | None,
) -> Accuracy:
    classes = exact[0].size
    numbers = labels.astype(np.int64)
    if np.any(numbers != labels) or numbers.min() < 0 or numbers.max() >= classes:
        msg = f"evaluation labels must be class indices from 0 to {classes - 1}"
        raise CalibrationError(msg)

    def percent(scores: NDArray[np.floating]) -> float:
        return 100.0 * float(np.mean(scores.reshape(len(scores), -1).argmax(axis=1) == numbers))

    return Accuracy(
        metric="top-1",
        samples=len(exact),
        float_value=percent(exact),
        int8_value=percent(got),
        pruned_value=None if pruned is None else percent(pruned),
    )
