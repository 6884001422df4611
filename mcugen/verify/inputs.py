# SPDX-License-Identifier: Apache-2.0
"""The inputs that a network is verified on: calibration samples, extremes, random bytes."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from mcugen.ir.graph import Graph, QParams

Batch = tuple[NDArray[np.int8], ...]
MIN_SAMPLES = 200


def quantize_input(x: NDArray[np.float32], qparams: QParams) -> NDArray[np.int8]:
    """Real values to the nearest step, clipped to int8: what firmware does to sensor data."""
    steps = np.floor(x.astype(np.float64) / qparams.scale + 0.5) + qparams.zero_point
    clipped: NDArray[np.float64] = np.clip(steps, qparams.low, qparams.high)
    return clipped.astype(np.int8)


def quantize_inputs(graph: Graph, inputs: Sequence[NDArray[np.float32]]) -> Batch:
    """Stored-layout float inputs [N, *shape] of an integer graph as int8."""
    nodes = [graph.by_name[name] for name in graph.inputs]
    return tuple(
        quantize_input(x, node.qparams)
        for node, x in zip(nodes, inputs, strict=True)
        if node.qparams is not None
    )


def verification_inputs(
    graph: Graph, samples: Batch | None = None, minimum: int = MIN_SAMPLES
) -> Batch:
    """All `samples`, the extremes, and random bytes up to at least `minimum` in all."""
    nodes = [graph.by_name[name] for name in graph.inputs]
    if samples is None:
        samples = tuple(np.zeros((0, *node.shape), np.int8) for node in nodes)
    seed = np.random.default_rng(20240229)
    extremes = [_extremes(n.shape, n.qparams) for n in nodes if n.qparams is not None]
    missing = max(8, minimum - len(samples[0]) - len(extremes[0]))
    return tuple(
        np.concatenate([x, e, seed.integers(-128, 128, (missing, *node.shape), np.int8)])
        for x, e, node in zip(samples, extremes, nodes, strict=True)
    )


def _extremes(shape: tuple[int, ...], qparams: QParams) -> NDArray[np.int8]:
    """All -128, all 127, all zero point, alternating ends, and single hot values."""
    size = int(np.prod(shape))
    flat = np.full((8, size), qparams.zero_point, np.int8)
    flat[0], flat[1] = -128, 127
    flat[3, ::2], flat[3, 1::2] = -128, 127
    flat[4, ::2], flat[4, 1::2] = 127, -128
    flat[5, 0], flat[6, -1], flat[7, size // 2] = 127, 127, -128
    return flat.reshape(8, *shape)
