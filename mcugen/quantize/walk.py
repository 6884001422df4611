# SPDX-License-Identifier: Apache-2.0
"""The float network and its quantized form side by side on calibration data, layer by layer."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from mcugen.ir.graph import Graph, Node, QParams
from mcugen.ir.quantization import Quantization, WeightQuant
from mcugen.ops.base import FloatArray, Op
from mcugen.quantize.affine import fake_quantize

MAX_SAMPLES = 256  # more tell little that is new, and all tensors of these are held at once


@dataclass(frozen=True, slots=True, eq=False)
class LayerData:
    """A layer with weights and what it reads, float32 [N, *shape] each."""

    node: Node
    exact: torch.Tensor  # in the float network
    rounded: torch.Tensor  # in the quantized one, whose earlier layers are decided
    output: QParams

    @property
    def op(self) -> Op:
        """Its operator."""
        assert isinstance(self.node.op, Op)
        return self.node.op


Decide = Callable[[LayerData, WeightQuant], WeightQuant]


def few(samples: Sequence[NDArray[np.float32]], most: int) -> list[NDArray[np.float32]]:
    """At most so many samples, spread evenly."""
    count = len(samples[0])
    chosen = np.linspace(0, count - 1, min(count, most)).astype(np.int64)
    return [x[chosen] for x in samples]


def real_weight(weights: WeightQuant) -> FloatArray:
    """What the integers mean, float32 [out_ch, ...]."""
    column = weights.scales.reshape(-1, *(1,) * (weights.ints.ndim - 1))
    return (weights.ints * column).astype(np.float32)


def with_quantized_weights(op: Op, weights: WeightQuant) -> Op:
    """A layer as its integers compute it, in float."""
    return op.with_weight_arrays(real_weight(weights), weights.bias)


def decide_in_order(
    graph: Graph,
    samples: Sequence[NDArray[np.float32]],
    quantization: Quantization,
    decide: Decide,
) -> Quantization:
    """Let `decide` revise each layer's weights, with what it reads once all before it are revised.

    samples: calibration data, float32 [N, *shape] for each input, stored layout.
    """
    revised = dict(quantization.weights)
    inputs = few(samples, MAX_SAMPLES)
    exact = {name: torch.from_numpy(x) for name, x in zip(graph.inputs, inputs, strict=True)}
    rounded: dict[str, torch.Tensor] = {}
    readers = dict(graph.uses)
    with torch.no_grad():
        for node in graph.nodes:
            assert isinstance(node.op, Op)
            qparams = quantization.tensors[node.name]
            if node.name in exact:
                rounded[node.name] = fake_quantize(exact[node.name], qparams)
                continue
            operands = [exact[name] for name in node.inputs]
            approximate = [rounded[name] for name in node.inputs]
            op = node.op
            if node.name in revised:
                layer = LayerData(node, operands[0], approximate[0], qparams)
                revised[node.name] = decide(layer, revised[node.name])
                op = with_quantized_weights(op, revised[node.name])
            exact[node.name] = node.op.forward(operands)
            rounded[node.name] = fake_quantize(op.forward(approximate), qparams)
            for name in node.inputs:
                readers[name] -= 1
                if not readers[name]:
                    del exact[name], rounded[name]
    return Quantization(tensors=quantization.tensors, weights=revised)
