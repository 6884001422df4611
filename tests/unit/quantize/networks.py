# SPDX-License-Identifier: Apache-2.0
"""A small network for the tests of quantization: convolutions, one of them depthwise, a linear."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from mcugen.evaluate import float_outputs, sqnr_db
from mcugen.ir.graph import Graph
from mcugen.ir.interp import run
from mcugen.ir.quantization import Quantization
from mcugen.lower.integer import to_integer
from mcugen.passes import fold_batchnorm, fuse_clamp
from mcugen.verify.inputs import quantize_inputs
from tests.ops.harness import export

Samples = list[NDArray[np.float32]]


def network(seed: int = 0) -> nn.Module:
    """float32 [N, 3, 8, 8] to [N, 5]; one channel's weights are far smaller than the others'."""
    torch.manual_seed(seed)
    module = nn.Sequential(
        nn.Conv2d(3, 8, 3, padding=1),
        nn.ReLU(),
        nn.Conv2d(8, 8, 3, padding=1, groups=8),
        nn.ReLU(),
        nn.Conv2d(8, 12, 1),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(12 * 64, 5),
    )
    first = module[0]
    assert isinstance(first, nn.Conv2d)
    with torch.no_grad():
        first.weight[0] *= 0.02
    return module


def folded(module: nn.Module, *shapes: tuple[int, ...]) -> Graph:
    """The float graph as quantization takes it."""
    return fuse_clamp.run(fold_batchnorm.run(export(module, *shapes)))


def graph_and_samples(count: int = 48) -> tuple[Graph, Samples]:
    """The network after its passes, and calibration data in stored layout."""
    graph = folded(network(), (1, 3, 8, 8))
    rng = np.random.default_rng(1)
    return graph, [rng.normal(size=(count, 8, 8, 3)).astype(np.float32)]


def output_sqnr(
    graph: Graph, quantization: Quantization, samples: Sequence[NDArray[np.float32]]
) -> float:
    """What the integer graph makes of the samples, against float, in dB."""
    integer = to_integer(graph, quantization, "single")
    steps = run(integer, quantize_inputs(integer, samples))[0]
    qparams = quantization.tensors[graph.outputs[0]]
    real = (steps - qparams.zero_point) * qparams.scale
    return sqnr_db(float_outputs(graph, samples)[0], real)
