# SPDX-License-Identifier: Apache-2.0
"""Reference against C, every tensor of every sample; the first divergence is named."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from mcugen.errors import MismatchError
from mcugen.fixed_point import IntArray
from mcugen.ir.graph import Graph, Node
from mcugen.ir.interp import run
from mcugen.verify.inputs import Batch, as_bytes

CHUNK = 32


class TracedNetwork(Protocol):
    """Generated C that hands out every layer's tensor."""

    target: str

    def trace(self, inputs: Batch) -> tuple[NDArray[np.int8], Batch]:
        """All layers' tensors one after the other, [N, bytes], and the outputs [N, len]."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Verification:
    """What was compared on one target; there is no such value with mismatches."""

    target: str
    inputs: int
    tensors: int
    mismatches: int = 0


def reference_trace(graph: Graph, inputs: Batch) -> tuple[NDArray[np.int8], list[IntArray]]:
    """Every layer's tensor of the reference, as bytes [N, bytes], and its outputs."""
    parts: list[NDArray[np.int8]] = []
    samples = len(inputs[0])

    def observe(node: Node, values: IntArray) -> None:
        if node.op.computes:
            full = np.broadcast_to(values, (samples, *values.shape[1:]))
            parts.append(as_bytes(full.astype(node.quantized.dtype)))

    outputs = run(graph, inputs, observe)
    trace = np.concatenate(parts, axis=1) if parts else np.zeros((samples, 0), np.int8)
    return trace, list(outputs)


def chunks(inputs: Batch) -> Iterator[tuple[int, Batch]]:
    """The samples a few at a time, with the first one's number."""
    for start in range(0, len(inputs[0]), CHUNK):
        yield start, tuple(x[start : start + CHUNK] for x in inputs)


def compare(graph: Graph, network: TracedNetwork, inputs: Batch) -> Verification:
    """Compare every tensor on every input. Raises MismatchError at the first difference."""
    for start, chunk in chunks(inputs):
        expected, outputs = reference_trace(graph, chunk)
        got, got_outputs = network.trace(chunk)
        if not np.array_equal(expected, got):
            raise MismatchError(_first_difference(graph, network.target, start, expected, got))
        for k, (want, have) in enumerate(zip(outputs, got_outputs, strict=True)):
            if not np.array_equal(want.reshape(len(want), -1), have):
                msg = f"{network.target}: output {k} differs although every layer is equal"
                raise MismatchError(msg)
    return Verification(target=network.target, inputs=len(inputs[0]), tensors=len(graph.layers))


def _first_difference(
    graph: Graph,
    target: str,
    start: int,
    expected: NDArray[np.int8],
    got: NDArray[np.int8],
) -> str:
    different = expected != got
    place = int(np.argmax(different.any(axis=0)))
    sample = int(np.argmax(different[:, place]))
    node, begin = _locate(graph.layers, place)
    size = node.element_bytes
    inside = (place - begin) // size
    index = tuple(int(i) for i in np.unravel_index(inside, node.shape))
    count = int(different.any(axis=1).sum())
    first = slice(begin + inside * size, begin + (inside + 1) * size)
    wanted, found = (
        int.from_bytes(x[sample, first].tobytes(), "little", signed=True) for x in (expected, got)
    )
    return (
        f"{target}: layer {node.name} ({node.op.kind}, {node.origin or 'no source'}) differs "
        f"first at {list(index)} of sample {start + sample}: expected {wanted}, "
        f"got {found} ({count} of {len(expected)} samples of this batch differ)"
    )


def _locate(layers: Sequence[Node], place: int) -> tuple[Node, int]:
    """The layer whose tensor has this byte of the trace, and where that tensor begins."""
    begin = 0
    for node in layers:
        if place < begin + node.size_bytes:
            return node, begin
        begin += node.size_bytes
    raise IndexError(place)
