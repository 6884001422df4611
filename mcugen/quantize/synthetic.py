# SPDX-License-Identifier: Apache-2.0
"""Calibration without data: inputs on which batch norms see what they saw in training.

Source: Cai et al., "ZeroQ: a novel zero shot quantization framework", 2020, section 3.1.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from mcugen.ir.graph import Graph, QParams
from mcugen.ops.base import Moments, Op
from mcugen.train.forward import forward

STEPS = 40
SAMPLES = 24
RATE = 0.1  # of the inputs' own deviation
SCALES = 2.0 ** np.arange(-3, 10)
TRIED = 8  # samples that a scale is judged by

Tensors = list[torch.Tensor]


def training_moments(graph: Graph) -> dict[str, Moments]:
    """Tensors of which the network remembers mean and deviation, by name; before the passes."""
    found: dict[str, Moments] = {}
    for node in graph.nodes:
        assert isinstance(node.op, Op)
        if node.op.input_moments is not None:
            found[node.inputs[0]] = node.op.input_moments
    return found


def spread(x: NDArray[np.float32], qparams: QParams) -> NDArray[np.float32]:
    """Samples moved and scaled to span all that a quantization holds."""
    low, high = ((end - qparams.zero_point) * qparams.scale for end in (qparams.low, qparams.high))
    share = (x - x.min()) / max(float(x.max() - x.min()), 1e-12)
    spanned: NDArray[np.float32] = (low + share * (high - low)).astype(np.float32)
    return spanned


def match_moments(
    graph: Graph, start: Sequence[NDArray[np.float32]]
) -> list[NDArray[np.float32]] | None:
    """Inputs that give every batch norm's operand the mean and deviation of training.

    start: float32 [N, *shape] for each input, stored layout, of any scale; 24 samples are used.
    None where the network has no batch norms, or gives no finite numbers. Deterministic on one
    machine.
    """
    moments = training_moments(graph)
    scaled = moments and _best_scale(graph, [torch.from_numpy(x[:SAMPLES]) for x in start], moments)
    if not scaled:
        return None
    inputs = [x.clone() for x in scaled]
    for x in inputs:
        x.requires_grad_()
    groups = [{"params": [x], "lr": RATE * max(float(x.detach().std()), 1e-6)} for x in inputs]
    optimizer = torch.optim.Adam(groups)
    for _ in range(STEPS):
        loss = _distance(graph, inputs, moments)
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call] # torch leaves it without types
        optimizer.step()
    results = [x.detach().numpy() for x in inputs]
    return results if all(np.isfinite(x).all() for x in results) else None


def _best_scale(graph: Graph, start: Tensors, moments: Mapping[str, Moments]) -> Tensors | None:
    """The inputs times the factor, and moved by the offset, that batch norms like best."""
    few = [x[:TRIED] for x in start]

    def scaled(inputs: Tensors, scale: float, offset: float) -> Tensors:
        return [scale * (x + offset) for x in inputs]

    candidates = [(float(scale), offset) for scale in SCALES for offset in (0.0, 1.0)]
    with torch.no_grad():
        distances = [float(_distance(graph, scaled(few, *c), moments)) for c in candidates]
    best = int(np.argmin(np.nan_to_num(distances, nan=np.inf)))
    return scaled(start, *candidates[best]) if np.isfinite(distances[best]) else None


def _distance(graph: Graph, inputs: Tensors, moments: Mapping[str, Moments]) -> torch.Tensor:
    """Mean over the batch norms of the squared differences, in deviations of training."""
    terms: Tensors = []

    def compare(name: str, x: torch.Tensor) -> None:
        if name in moments:
            mean, std = torch.from_numpy(moments[name].mean), torch.from_numpy(moments[name].std)
            flat = x.reshape(-1, x.shape[-1])
            terms.append((((flat.mean(dim=0) - mean) / std) ** 2).mean())
            # a channel without variance has no gradient of its deviation
            variance = flat.var(dim=0, unbiased=False) / std**2
            terms.append(((torch.sqrt(variance + 1e-6) - 1.0) ** 2).mean())

    forward(graph, inputs, compare)
    return torch.stack(terms).mean()
