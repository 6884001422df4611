# SPDX-License-Identifier: Apache-2.0
"""Where the error of a quantized network enters, and how it travels: layer by layer, on data."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from mcugen.evaluate import sqnr_db
from mcugen.fixed_point import IntArray
from mcugen.ir.graph import Graph, Node
from mcugen.ir.interp import run
from mcugen.ir.quantization import Quantization
from mcugen.lower.integer import to_integer
from mcugen.ops.base import Op
from mcugen.quantize.affine import fake_quantize
from mcugen.quantize.walk import few, with_quantized_weights
from mcugen.train.forward import forward
from mcugen.verify.inputs import quantize_inputs

SAMPLES = 32


@dataclass(frozen=True, slots=True, kw_only=True)
class LayerError:
    """One tensor. Signal to noise in dB, infinite where the error is exactly zero."""

    name: str
    kind: str
    origin: str
    sqnr_db: float  # against float, with all that came before it quantized
    own_db: float  # of this layer alone, on exact operands: what enters here
    saturated: float  # share of values at an end of the integer range where float goes on
    low: float  # ends of the range that the integers span
    high: float


def layer_errors(
    graph: Graph, quantization: Quantization, inputs: Sequence[NDArray[np.float32]]
) -> list[LayerError]:
    """Every tensor of the graph on at most 32 samples, float32 [N, *shape] in stored layout."""
    some = few(inputs, SAMPLES)
    exact: dict[str, torch.Tensor] = {}
    with torch.no_grad():
        forward(graph, [torch.from_numpy(x) for x in some], exact.__setitem__)
    integer = to_integer(graph, quantization, "single")
    steps: dict[str, IntArray] = {}

    def keep(node: Node, values: IntArray) -> None:
        steps[node.name] = values

    run(integer, quantize_inputs(integer, some), keep)
    return [_layer_error(graph, node, quantization, exact, steps) for node in graph.nodes]


def _layer_error(
    graph: Graph,
    node: Node,
    quantization: Quantization,
    exact: dict[str, torch.Tensor],
    steps: dict[str, IntArray],
) -> LayerError:
    qparams = quantization.tensors[node.name]
    wanted = exact[node.name]
    signal = np.broadcast_to(wanted.numpy(), steps[node.name].shape)
    low = (qparams.low - qparams.zero_point) * qparams.scale
    high = (qparams.high - qparams.zero_point) * qparams.scale
    half = 0.5 * qparams.scale
    return LayerError(
        name=node.name,
        kind=node.op.kind,
        origin=str(node.origin),
        sqnr_db=sqnr_db(signal, (steps[node.name] - qparams.zero_point) * qparams.scale),
        own_db=sqnr_db(wanted.numpy(), _alone(graph, node, quantization, exact).numpy()),
        saturated=float(((wanted < low - half) | (wanted > high + half)).double().mean()),
        low=low,
        high=high,
    )


def _alone(
    graph: Graph, node: Node, quantization: Quantization, exact: dict[str, torch.Tensor]
) -> torch.Tensor:
    """The tensor with this layer's weights and its own rounding quantized, and nothing else."""
    assert isinstance(node.op, Op)
    y = exact[node.name]
    if node.name in quantization.weights:
        op = with_quantized_weights(node.op, quantization.weights[node.name])
        with torch.no_grad():
            y = op.forward([exact[name] for name in node.inputs])
    return fake_quantize(y, quantization.tensors[node.name])
