# SPDX-License-Identifier: Apache-2.0
"""A small network without chance: weights and samples are small integers over powers of two.

Every sum in it is exact in float32, whatever the order of its terms, so that the generated files
depend on no version of torch and on no processor.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn
from torch.nn import functional

from mcugen.pipeline import Compilation, CompileOptions, compile_graph
from mcugen.quantize.options import QuantOptions
from tests.ops.harness import export, stored_inputs

SHAPE = (2, 6, 6)
SAMPLES = 4


def spread(count: int, largest: int, factor: int) -> NDArray[np.float32]:
    """`count` integers in [-largest, largest], all over the range."""
    steps = np.arange(count) * factor + factor // 2
    return (steps % (2 * largest + 1) - largest).astype(np.float32)


def fill(layer: nn.Conv2d | nn.Linear, factor: int) -> None:
    """Weights in eighths, at most 3/8; biases in halves."""
    assert layer.bias is not None
    for parameter, largest, unit in ((layer.weight, 3, 8), (layer.bias, 1, 2)):
        values = spread(parameter.numel(), largest, factor).reshape(parameter.shape) / unit
        parameter.data = torch.from_numpy(values)


class Tiny(nn.Module):
    """A residual block, a pool and a classifier."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(2, 4, 3, padding=1)
        self.depthwise = nn.Conv2d(4, 4, 3, padding=1, groups=4)
        self.classes = nn.Linear(36, 3)
        fill(self.first, 5)
        fill(self.depthwise, 11)
        fill(self.classes, 13)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = torch.relu(self.first(x))
        x = functional.max_pool2d(x + self.depthwise(x), 2)
        return torch.softmax(self.classes(x.flatten(1)), 1)


def compile_tiny() -> Compilation:
    """The network under the name `tiny`."""
    graph = replace(export(Tiny(), (1, *SHAPE)), name="tiny")
    values = (spread(SAMPLES * int(np.prod(SHAPE)), 8, 37) / 8).astype(np.float32)
    samples = stored_inputs(graph, [values.reshape(SAMPLES, *SHAPE)])
    # ranges that are samples' extremes, and no means: these would be rounded
    quant = QuantOptions(ranges="minmax", bias_correction=False)
    return compile_graph(graph, samples, CompileOptions(quant=quant))
