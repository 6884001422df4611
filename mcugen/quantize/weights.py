# SPDX-License-Identifier: Apache-2.0
"""Weights to integers: symmetric scales and rounding. Knows no operator by name."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from mcugen.fixed_point import round_half_up
from mcugen.ir.graph import Graph, QParams
from mcugen.ir.quantization import WeightQuant
from mcugen.ops.base import FloatArray, Op

MAX_BIAS = 2**29  # steps; leaves the accumulator's other bits to the products


def weight_scales(weight: FloatArray, bias: FloatArray, input_scale: float) -> NDArray[np.float64]:
    """Symmetric scale of each output channel: max |w| / 127, float64 [out_ch].

    Never so small that the bias would need more than 2^29 accumulator steps: weights below that
    are nothing beside the bias.
    """
    flat = np.abs(weight.reshape(len(weight), -1)).max(axis=1, initial=0.0).astype(np.float64)
    scales = np.maximum(flat / 127.0, np.abs(bias.astype(np.float64)) / (input_scale * MAX_BIAS))
    return np.where(scales == 0.0, 1.0, np.maximum(scales, 1e-30))


def round_weights(weight: FloatArray, bias: FloatArray, scales: NDArray[np.float64]) -> WeightQuant:
    """The nearest integers, within +-127; weight [out_ch, ...], scales [out_ch]."""
    column = scales.reshape(-1, *(1,) * (weight.ndim - 1))
    ints = np.clip(round_half_up(weight / column), -127, 127).astype(np.int8)
    return WeightQuant(ints=ints, scales=scales, bias=bias)


def quantize_weights(graph: Graph, tensors: Mapping[str, QParams]) -> dict[str, WeightQuant]:
    """Every layer's weights, rounded to the nearest step of the channel's own scale."""
    found: dict[str, WeightQuant] = {}
    for node in graph.nodes:
        assert isinstance(node.op, Op)
        arrays = node.op.weight_arrays
        if arrays is not None:
            scales = weight_scales(*arrays, tensors[node.inputs[0]].scale)
            found[node.name] = round_weights(*arrays, scales)
    return found
