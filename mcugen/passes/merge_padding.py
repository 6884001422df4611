# SPDX-License-Identifier: Apache-2.0
"""Moving padding into the windows that read it, where no byte is written for it.

Knows no operator by name.
"""

from __future__ import annotations

from dataclasses import replace

from mcugen.ir.graph import Graph, Node, Shape
from mcugen.ops.base import Op, Padding


def run(graph: Graph) -> Graph:
    """The graph without paddings that all their readers can do themselves."""
    changes: dict[str, Node | None] = {}
    for node in graph.nodes:
        current = changes.get(node.name, node)
        assert current is not None and isinstance(current.op, Op)
        padding = current.op.pad_only
        if padding is None or node.name in graph.outputs:
            continue
        shape = graph.by_name[current.inputs[0]].shape
        merged = [_absorbed(r, padding, shape) for r in graph.consumers[node.name]]
        readers = [replace(r, inputs=current.inputs) for r in merged if r is not None]
        if len(readers) == len(merged):
            changes |= {reader.name: reader for reader in readers}
            changes[node.name] = None
    return graph.substitute(changes, {})


def _absorbed(reader: Node, padding: Padding, shape: Shape) -> Node | None:
    """The reader over the unpadded operand of `shape`, None where it cannot."""
    assert isinstance(reader.op, Op)
    op = reader.op.absorb_padding(padding) if len(reader.inputs) == 1 else None
    if op is None:
        return None
    try:
        fits = op.infer([shape]) == reader.shape
    except ValueError:
        # such as a window that would lie in the padding altogether
        return None
    return replace(reader, op=op) if fits else None
