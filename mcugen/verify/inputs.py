# SPDX-License-Identifier: Apache-2.0
"""The inputs that a network is verified on: calibration samples, extremes, random bytes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mcugen.ir.graph import Graph, QParams

Batch = tuple[NDArray[np.signedinteger[Any]], ...]  # int8 or int16 each
MIN_SAMPLES = 200


def quantize_input(x: NDArray[np.float32], qparams: QParams) -> NDArray[np.signedinteger[Any]]:
    """Real values to the nearest step, clipped: what firmware does to sensor data."""
    steps = np.floor(x.astype(np.float64) / qparams.scale + 0.5) + qparams.zero_point
    clipped: NDArray[np.float64] = np.clip(steps, qparams.low, qparams.high)
    return clipped.astype(qparams.dtype)


def quantize_inputs(graph: Graph, inputs: Sequence[NDArray[np.float32]]) -> Batch:
    """Stored-layout float inputs [N, *shape] of an integer graph as integers."""
    nodes = [graph.by_name[name] for name in graph.inputs]
    return tuple(quantize_input(x, node.quantized) for node, x in zip(nodes, inputs, strict=True))


def as_bytes(values: NDArray[np.generic]) -> NDArray[np.int8]:
    """[N, ...] as [N, bytes], as they lie in memory: little-endian."""
    flat = np.ascontiguousarray(values.reshape(len(values), -1))
    return flat.astype(flat.dtype.newbyteorder("<"), copy=False).view(np.int8)


def verification_inputs(
    graph: Graph, samples: Batch | None = None, minimum: int = MIN_SAMPLES
) -> Batch:
    """All `samples`, the extremes, and random bytes up to at least `minimum` in all."""
    nodes = [graph.by_name[name] for name in graph.inputs]
    if samples is None:
        samples = tuple(np.zeros((0, *node.shape), node.quantized.dtype) for node in nodes)
    seed = np.random.default_rng(20240229)
    extremes = [_extremes(n.shape, n.quantized) for n in nodes]
    missing = max(8, minimum - len(samples[0]) - len(extremes[0]))
    return tuple(
        np.concatenate([x, e, _random(seed, (missing, *node.shape), node.quantized)])
        for x, e, node in zip(samples, extremes, nodes, strict=True)
    )


def _random(
    seed: np.random.Generator, shape: tuple[int, ...], qparams: QParams
) -> NDArray[np.signedinteger[Any]]:
    low, high = qparams.limits
    return seed.integers(low, high + 1, shape, qparams.dtype)


def _extremes(shape: tuple[int, ...], qparams: QParams) -> NDArray[np.signedinteger[Any]]:
    """All lowest, all highest, all zero point, alternating ends, and single hot values."""
    size = int(np.prod(shape))
    low, high = qparams.limits
    flat = np.full((8, size), qparams.zero_point, qparams.dtype)
    flat[0], flat[1] = low, high
    flat[3, ::2], flat[3, 1::2] = low, high
    flat[4, ::2], flat[4, 1::2] = high, low
    flat[5, 0], flat[6, -1], flat[7, size // 2] = high, high, low
    return flat.reshape(8, *shape)
