# SPDX-License-Identifier: Apache-2.0
"""Small graphs, quantized without training, and data that a network can learn."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from mcugen.ir.graph import Graph
from mcugen.ir.quantization import Quantization, WeightQuant
from mcugen.ops.base import Op
from mcugen.pipeline import FLOAT_PASSES, CompileOptions, compile_graph
from tests.ops.harness import export

CLASSES = 3
SIDE = 6


def quantized(graph: Graph, stored: Sequence[NDArray[np.float32]], bits: int = 8) -> Quantization:
    """Tensors as a build chooses them, weights to the nearest step of the largest one's scale."""
    compiled = compile_graph(graph, stored, CompileOptions())
    uncut = compiled.uncut_graph.by_name
    assert [node.name for node in compiled.float_graph.nodes] == [node.name for node in graph.nodes]
    tensors = {}
    weights = {}
    for node in graph.nodes:
        qparams = uncut[node.name].qparams
        assert qparams is not None and isinstance(node.op, Op)
        tensors[node.name] = qparams
        if node.op.weight_arrays is not None:
            input_scale = tensors[node.inputs[0]].scale
            weights[node.name] = nearest(*node.op.weight_arrays, bits, input_scale)
    return Quantization(tensors=tensors, weights=weights)


def nearest(
    weight: NDArray[np.float32], bias: NDArray[np.float32], bits: int, input_scale: float
) -> WeightQuant:
    """Weights in `bits`; biases stay below 2^29 accumulator steps."""
    limit = 2 ** (bits - 1) - 1
    scales = np.abs(weight.reshape(len(weight), -1)).max(1).astype(np.float64) / limit
    scales = np.maximum(scales, np.abs(bias) / (input_scale * 2**29))
    scales = np.where(scales == 0.0, 1.0, scales)
    column = scales.reshape(-1, *(1,) * (weight.ndim - 1))
    ints = np.clip(np.floor(weight / column + 0.5), -limit, limit).astype(np.int8)
    return WeightQuant(ints=ints, scales=scales, bias=bias, bits=bits)


class Patterns(nn.Module):
    """Conv, batch norm, ReLU, pooling, linear: [N, 1, 6, 6] to class scores [N, 3]."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(1, 6, 3, padding=1)
        self.norm = nn.BatchNorm2d(6)
        self.fc = nn.Linear(6 * 9, CLASSES)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y: torch.Tensor = self.fc(
            nn.functional.max_pool2d(self.norm(self.conv(x)).relu(), 2).flatten(1)
        )
        return y


def patterns_graph(seed: int = 0) -> Graph:
    """The float graph of an untrained `Patterns`, folded and fused."""
    torch.manual_seed(seed)
    return folded(export(Patterns(), (1, 1, SIDE, SIDE)))


def folded(graph: Graph) -> Graph:
    """The graph after the exact passes."""
    for run_pass in FLOAT_PASSES.values():
        graph = run_pass(graph)
    return graph


def patterns(count: int = 96, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    """Noisy bars: float32 [count, 6, 6, 1] in stored layout, which is what the graph takes."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, CLASSES, count)
    x = rng.normal(0.0, 0.6, (count, SIDE, SIDE, 1))
    for image, label in zip(x, labels, strict=True):
        image[2 * label : 2 * label + 2] += 2.0
    return torch.from_numpy(x.astype(np.float32)), torch.from_numpy(labels)
