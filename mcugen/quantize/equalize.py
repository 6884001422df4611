# SPDX-License-Identifier: Apache-2.0
"""Cross-layer equalization: channels of neighbouring layers brought to like weights, exactly.

Source: Nagel et al., "Data-free quantization through weight equalization and bias correction",
2019, section 4.1.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from mcugen.ir.graph import Graph, Node
from mcugen.ops.base import Op

MAX_SWEEPS = 40
SETTLED = 1e-3  # a sweep that changes no factor by more than this is the last


def run(graph: Graph) -> Graph:
    """The same float function with layers' channels scaled against each other.

    For a layer that one other layer alone reads, with r1[c] the largest weight of its output
    channel c and r2[c] that of the reader's input channel c, channel c is divided by
    s[c] = sqrt(r1[c] / r2[c]) and the reader's weights multiplied by it, so that both are
    sqrt(r1[c] r2[c]). Sweeps over all pairs until nothing changes.
    """
    for _ in range(MAX_SWEEPS):
        largest = 1.0
        for name, reader in _pairs(graph):
            factors = _factors(graph.by_name[name], graph.by_name[reader])
            graph = _scaled(graph, name, reader, factors)
            largest = max(largest, float(np.max(np.maximum(factors, 1.0 / factors))))
        if largest < 1.0 + SETTLED:
            break
    return graph


def _op(node: Node) -> Op:
    assert isinstance(node.op, Op)
    return node.op


def _pairs(graph: Graph) -> Iterator[tuple[str, str]]:
    """Layers that can be scaled, and the one layer with weights that reads each."""
    for node in graph.nodes:
        readers = graph.consumers[node.name]
        if len(readers) != 1 or graph.uses[node.name] != 1:
            continue
        one = np.ones(node.shape[-1], np.float32)
        first, second = _op(node), _op(readers[0])
        if first.scale_outputs(one) is not None and second.input_magnitudes is not None:
            yield node.name, readers[0].name


def _factors(node: Node, reader: Node) -> NDArray[np.float32]:
    """s[c], 1 where a channel has no weights on either side."""
    arrays, second = _op(node).weight_arrays, _op(reader).input_magnitudes
    assert arrays is not None and second is not None
    first = np.abs(arrays[0]).reshape(len(arrays[0]), -1).max(axis=1)
    used = (first > 0) & (second > 0)
    ratio = np.where(used, first, 1.0) / np.where(used, second, 1.0)
    factors: NDArray[np.float32] = np.sqrt(ratio).astype(np.float32)
    return factors


def _scaled(graph: Graph, name: str, reader: str, factors: NDArray[np.float32]) -> Graph:
    first, second = graph.by_name[name], graph.by_name[reader]
    smaller = _op(first).scale_outputs(1.0 / factors)
    larger = _op(second).absorb_input_scale_shift(factors, np.zeros_like(factors))
    if smaller is None or larger is None:
        return graph
    changes: dict[str, Node | None] = {
        name: replace(first, op=smaller),
        reader: replace(second, op=larger),
    }
    return graph.substitute(changes, {})
