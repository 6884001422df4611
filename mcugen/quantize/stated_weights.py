# SPDX-License-Identifier: Apache-2.0
"""The integers that a model's own quantization has for its weights. Knows no operator by name."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from mcugen.errors import ModelError
from mcugen.ir.graph import Graph, QParams
from mcugen.ir.quantization import WeightGrid, WeightQuant
from mcugen.ops.base import FloatArray, Op
from mcugen.quantize.options import QuantOptions
from mcugen.quantize.weights import bias_scales, limit, round_weights, usable, weight_scales

OFF_GRID = 0.01  # steps; float32 holds 127 times a scale far closer than that
SHOWN = 8  # names in a sentence
RULE = QuantOptions()  # for what the model leaves unsaid

UNSAID = (
    "the model does not quantize these layers' weights; they are rounded to the nearest, on the "
    "scale of the largest in each output channel"
)
CLIPPED = (
    "weights of -128, which the kernels do not take, became -127 in these layers; quantize with "
    "quant_min=-127 to avoid it"
)
WIDE = (
    "these layers' weights of few bits are held as int8, as packed ones are symmetric; quantize "
    "with quant_min=-7 for 4 bits, -1 for 2"
)


def stated_weights(
    graph: Graph, tensors: Mapping[str, QParams]
) -> tuple[dict[str, WeightQuant], list[str]]:
    """The integers of every layer, and what is to be said of them.

    Raises ModelError listing every layer whose weights the kernels cannot take.
    """
    made: dict[str, WeightQuant] = {}
    remarks: dict[str, list[str]] = {UNSAID: [], CLIPPED: [], WIDE: []}
    problems = []
    for node in graph.nodes:
        assert isinstance(node.op, Op)
        if node.op.weight_arrays is None:
            continue
        try:
            made[node.name], own = _layer(node.op, tensors[node.inputs[0]].scale)
        except ModelError as error:
            problems.append(f"{node.origin or node.name}: {error}")
            continue
        for remark in own:
            remarks[remark].append(node.name)
    if problems:
        raise ModelError("\n".join(problems))
    return made, [text for remark in remarks for text in sentence(remark, remarks[remark])]


def sentence(text: str, names: Sequence[str]) -> Iterator[str]:
    """The text with the names that it is about, nothing where there are none."""
    if names:
        more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
        yield f"{text}: {', '.join(names[:SHOWN])}{more}"


def _layer(op: Op, input_scale: float) -> tuple[WeightQuant, list[str]]:
    """One layer's integers and remarks. Raises ModelError where the kernels cannot take them."""
    assert op.weight_arrays is not None
    weight, bias = op.weight_arrays
    grid, least = op.weight_grid, bias_scales(weight, bias, input_scale)
    if grid is None:
        return round_weights(weight, bias, weight_scales(weight, least, RULE)), [UNSAID]
    ints = _integers(weight, grid)
    bits = _bits(ints, grid, op.weight_widths)
    # a channel of zeros has no scale of its own, and the bias wants one that is not too small
    zero = ~np.any(ints.reshape(len(ints), -1), axis=1)
    remarks = [CLIPPED] if ints.min(initial=0) < -limit(8) else []
    remarks += [WIDE] if bits == max(op.weight_widths) and grid.high <= limit(4) else []
    made = WeightQuant(
        ints=np.maximum(ints, -limit(8)).astype(np.int8),
        scales=np.where(zero, usable(grid.scales, least, RULE), grid.scales),
        bias=bias,
        bits=bits,
    )
    return made, remarks


def _integers(weight: FloatArray, grid: WeightGrid) -> NDArray[np.float64]:
    """Weights in steps of their grid."""
    column = np.where(grid.scales > 0.0, grid.scales, 1.0).reshape(-1, *(1,) * (weight.ndim - 1))
    steps = weight / column
    ints: NDArray[np.float64] = np.rint(steps)
    if np.abs(steps - ints).max(initial=0.0) > OFF_GRID:
        msg = "the weights do not lie on the grid that the model rounds them to"
        raise ModelError(msg)
    low, high = int(ints.min(initial=0)), int(ints.max(initial=0))
    if low < -limit(8) - 1 or high > limit(8):
        msg = (
            f"the weights reach from {low} to {high} steps around their zero point, and kernels "
            f"take -{limit(8)} to {limit(8)}; quantize weights symmetrically, with zero point 0 "
            "(128 for uint8)"
        )
        raise ModelError(msg)
    return ints


def _bits(ints: NDArray[np.float64], grid: WeightGrid, widths: Sequence[int]) -> int:
    """The fewest bits that hold the weights and that the model means."""
    largest = max(float(np.abs(ints).max(initial=0.0)), float(grid.high))
    return min((bits for bits in widths if largest <= limit(bits)), default=max(widths))
