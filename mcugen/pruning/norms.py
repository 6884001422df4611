# SPDX-License-Identifier: Apache-2.0
"""The factors of batch norms, read before they are folded into weights."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from mcugen.ir.graph import Graph
from mcugen.ops.base import Op

NormScales = Mapping[str, NDArray[np.float64]]  # |gamma| [out_ch] of layers, by name


def norm_scales(graph: Graph) -> NormScales:
    """The factors of the batch norms of a float graph before its exact passes.

    By name of the layer whose output is normalized, which it keeps when the two are folded. A batch
    norm multiplies by gamma / std, and knows std.
    """
    found = {}
    for node in graph.nodes:
        assert isinstance(node.op, Op)
        arrays, moments = node.op.scale_shift_only, node.op.input_moments
        if arrays is not None and moments is not None:
            scale = np.abs(arrays[0].astype(np.float64))
            found[node.inputs[0]] = scale * moments.std.astype(np.float64)
    return found
