# SPDX-License-Identifier: Apache-2.0
"""The one interpreter of float graphs: torch, a batch at a time, every tensor observable."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch

from mcugen.ir.graph import Graph
from mcugen.ops.base import Op

Observer = Callable[[str, torch.Tensor], None]


def forward(
    graph: Graph, inputs: Sequence[torch.Tensor], observe: Observer | None = None
) -> tuple[torch.Tensor, ...]:
    """Run a float graph on float32 tensors [N, *shape], stored layout, in the order of `inputs`.

    `observe` sees every tensor under its node's name. Tensors are freed after their last reader.
    """
    values = dict(zip(graph.inputs, inputs, strict=True))
    readers = dict(graph.uses)
    for node in graph.nodes:
        if node.name not in values:
            assert isinstance(node.op, Op)
            values[node.name] = node.op.forward([values[name] for name in node.inputs])
        if observe is not None:
            observe(node.name, values[node.name])
        for name in node.inputs:
            readers[name] -= 1
            if not readers[name]:
                del values[name]
    return tuple(values[name] for name in graph.outputs)


def to_stored(array: torch.Tensor, layout: Sequence[int]) -> torch.Tensor:
    """A tensor of the model [N, *its shape] in the graph's axis order."""
    return array.permute(0, *(axis + 1 for axis in layout)).contiguous()
