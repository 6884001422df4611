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
from mcugen.quantize.options import QuantOptions

Scales = NDArray[np.float64]  # [out_ch]

MAX_BIAS = 2**29  # steps; leaves the accumulator's other bits to the products
LONE_BIAS = 2**18  # of a channel without weights, whose kernels may want a short one
# of the largest weight, where a scale is searched: the fewer the bits, the more is cut off
SHARES = {8: np.linspace(1.0, 0.5, 51), 4: np.linspace(1.0, 0.3, 71), 2: np.linspace(1.0, 0.1, 91)}


def quantize_weights(
    graph: Graph,
    tensors: Mapping[str, QParams],
    options: QuantOptions,
    bits: Mapping[str, int] | None = None,
) -> dict[str, WeightQuant]:
    """Every layer's weights on steps of their own scale: floored by integerize, else the nearest.

    The scale spans the largest weight; estimate, and weights of less than 8 bits, take the one of
    least squared error. bits: by name of the layer, 8 where it says nothing.
    """
    found: dict[str, WeightQuant] = {}
    for node in graph.nodes:
        assert isinstance(node.op, Op)
        arrays = node.op.weight_arrays
        if arrays is None:
            continue
        weight, bias = arrays
        width = (bits or {}).get(node.name, 8)
        floored = options.method == "integerize"
        if floored:
            bias = floored_bias(bias, tensors[node.name].scale)
        least = bias_scales(weight, bias, tensors[node.inputs[0]].scale)
        scales = weight_scales(weight, least, options, width)
        if not floored and (options.method == "estimate" or width < 8):
            scales = mse_scales(weight, scales, least, options, width)
        made = floor_weights if floored else round_weights
        found[node.name] = made(weight, bias, scales, width)
    return found


def bias_scales(weight: FloatArray, bias: FloatArray, input_scale: float) -> Scales:
    """The scales below which a channel's bias would need more than 2^29 accumulator steps.

    Weights below them are nothing beside the bias. Where all of them are zero, 2^18 steps.
    """
    some = np.any(weight.reshape(len(weight), -1), axis=1)
    return np.abs(bias.astype(np.float64)) / (input_scale * np.where(some, MAX_BIAS, LONE_BIAS))


def weight_scales(
    weight: FloatArray, least: Scales, options: QuantOptions, bits: int = 8
) -> Scales:
    """Symmetric scale of each output channel, or one for all: max |w| / (2^(bits - 1) - 1)."""
    flat = np.abs(weight.reshape(len(weight), -1)).max(axis=1, initial=0.0).astype(np.float64)
    return usable(flat / limit(bits), least, options)


def usable(scales: Scales, least: Scales, options: QuantOptions) -> Scales:
    """Scales that are not too small, shared and rounded up to powers of two where asked for."""
    scales = np.maximum(scales, least)
    if options.per_tensor:
        scales = np.full_like(scales, scales.max(initial=0.0))
    scales = np.where(scales == 0.0, 1.0, np.maximum(scales, 1e-30))
    return np.exp2(np.ceil(np.log2(scales))) if options.power_of_two else scales


def mse_scales(
    weight: FloatArray, scales: Scales, least: Scales, options: QuantOptions, bits: int = 8
) -> Scales:
    """Scales of least squared rounding and clipping error, among shares of `scales`.

    Source: Banner et al., "Post training 4-bit quantization of convolutional networks", 2019,
    section 3, by search.
    """
    exact = weight.reshape(len(weight), -1).astype(np.float64)
    found = np.stack([usable(scales * share, least, options) for share in SHARES[bits]])
    errors = np.stack([np.sum((grid(exact, s[:, None], bits) - exact) ** 2, axis=1) for s in found])
    if options.per_tensor:
        errors = np.repeat(errors.sum(axis=1, keepdims=True), len(scales), axis=1)
    best: Scales = np.take_along_axis(found, errors.argmin(axis=0)[None], axis=0)[0]
    return best


def grid(exact: NDArray[np.float64], scales: NDArray[np.float64], bits: int) -> NDArray[np.float64]:
    """The nearest multiples of the scales that `bits` hold."""
    return np.clip(round_half_up(exact / scales), -limit(bits), limit(bits)) * scales


def limit(bits: int) -> int:
    """The largest weight in steps: 127, 7 or 1."""
    return int(2 ** (bits - 1)) - 1


def round_weights(
    weight: FloatArray, bias: FloatArray, scales: Scales, bits: int = 8
) -> WeightQuant:
    """The nearest integers; weight [out_ch, ...], scales [out_ch]."""
    column = scales.reshape(-1, *(1,) * (weight.ndim - 1))
    ints = np.clip(round_half_up(weight / column), -limit(bits), limit(bits)).astype(np.int8)
    return WeightQuant(ints=ints, scales=scales, bias=bias, bits=bits)


def floor_weights(
    weight: FloatArray, bias: FloatArray, scales: Scales, bits: int = 8
) -> WeightQuant:
    """The affine floor form, q = floor((w - min) / (max - min) * (q_max - q_min) + q_min).

    Kernels take symmetric weights, so min = -max and q_min = -q_max = -127.
    """
    top = limit(bits)
    high = (top * scales).reshape(-1, *(1,) * (weight.ndim - 1))
    ints = np.floor((weight.astype(np.float64) + high) / (2.0 * high) * (2.0 * top) - top)
    return WeightQuant(
        ints=np.clip(ints, -top, top).astype(np.int8),
        scales=scales,
        bias=bias,
        bits=bits,
    )


def floored_bias(bias: FloatArray, output_scale: float) -> FloatArray:
    """Half an output step less: the kernel, which rounds half up, then floors the outputs."""
    return (bias - 0.5 * output_scale).astype(np.float32)
