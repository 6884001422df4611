# SPDX-License-Identifier: Apache-2.0
"""Fusing ReLU and its kin into the operator before them. Knows no operator by name."""

from __future__ import annotations

from mcugen.ir.graph import Graph
from mcugen.ops.base import Op
from mcugen.passes.absorb import into_producers


def run(graph: Graph) -> Graph:
    """The graph without clamps that their producer can apply itself."""
    return into_producers(graph, _clamped)


def _clamped(producer: Op, reader: Op) -> Op | None:
    clamp = reader.clamp_only
    return None if clamp is None else producer.with_clamp(clamp)
