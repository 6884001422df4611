# SPDX-License-Identifier: Apache-2.0
"""Small graphs, quantized without training, and data that a network can learn."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from mcugen.ir.graph import Graph
from mcugen.ir.quantization import Quantization
from mcugen.ops.base import Op
from mcugen.pipeline import simplified
from mcugen.quantize.options import QuantOptions
from mcugen.quantize.quantize import quantize
from tests.ops.harness import export

CLASSES = 3
SIDE = 6


def quantized(graph: Graph, stored: Sequence[NDArray[np.float32]], bits: int = 8) -> Quantization:
    """A graph after the exact passes, quantized without training."""
    ops = {node.name: node.op for node in graph.nodes}
    layers = [n for n, op in ops.items() if isinstance(op, Op) and op.weight_arrays is not None]
    return quantize(graph, stored, QuantOptions(), dict.fromkeys(layers, bits))


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
    return simplified(export(Patterns(), (1, 1, SIDE, SIDE)))


def patterns(count: int = 96, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    """Noisy bars: float32 [count, 6, 6, 1] in stored layout, which is what the graph takes."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, CLASSES, count)
    x = rng.normal(0.0, 0.6, (count, SIDE, SIDE, 1))
    for image, label in zip(x, labels, strict=True):
        image[2 * label : 2 * label + 2] += 2.0
    return torch.from_numpy(x.astype(np.float32)), torch.from_numpy(labels)
