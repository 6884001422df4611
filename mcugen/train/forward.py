# SPDX-License-Identifier: Apache-2.0
"""The one interpreter of float graphs: torch, a batch at a time, every tensor observable."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch

from mcugen.ir.graph import Graph, Node
from mcugen.ops.base import Op

Observer = Callable[[str, torch.Tensor], None]
Compute = Callable[[Node, Sequence[torch.Tensor]], torch.Tensor]


def plain(node: Node, operands: Sequence[torch.Tensor]) -> torch.Tensor:
    """A node as its operator defines it."""
    assert isinstance(node.op, Op)
    return node.op.forward(operands)


def forward(
    graph: Graph,
    inputs: Sequence[torch.Tensor],
    observe: Observer | None = None,
    compute: Compute = plain,
) -> tuple[torch.Tensor, ...]:
    """Run a float graph on float32 tensors [N, *shape], stored layout, in the order of `inputs`.

    `observe` sees every tensor under its node's name. `compute` makes each node's tensor of its
    operands: with other weights, or rounded. Tensors are freed after their last reader.
    """
    values = dict(zip(graph.inputs, inputs, strict=True))
    readers = dict(graph.uses)
    for node in graph.nodes:
        if node.name not in values:
            values[node.name] = compute(node, [values[name] for name in node.inputs])
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


def to_model(array: torch.Tensor, layout: Sequence[int]) -> torch.Tensor:
    """A tensor of the graph [N, *its shape] in the model's axis order."""
    inverse = sorted(range(len(layout)), key=layout.__getitem__)
    permuted = array.permute(0, *(axis + 1 for axis in inverse))
    # a copy: an axis of length 1 lets `contiguous` keep strides that make torch's convolutions
    # return channels last, which a model's own `view` cannot take
    return permuted.clone(memory_format=torch.contiguous_format)
