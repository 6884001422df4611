# SPDX-License-Identifier: Apache-2.0
"""`mcugen inspect`: what is in a model file and what of it could be compiled; builds nothing."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from mcugen.config import InputLayout
from mcugen.frontend.export import survey
from mcugen.frontend.load import LoadOptions, load
from mcugen.ir.graph import Node, Shape
from mcugen.ops.base import Input, parameter_count
from mcugen.source import open_model
from mcugen.tuned import is_tuned


def inspect(
    model: Path,
    *,
    input_shapes: tuple[Shape, ...] | None = None,
    arch: str | None = None,
    trust_pickle: bool = False,
    input_layout: InputLayout = "nhwc",
) -> dict[str, Any]:
    """Layers, totals and problems of a model file, as plain values.

    Raises ModelError where the file cannot be read at all.
    """
    options = LoadOptions(input_shapes=input_shapes, arch=arch, trust_pickle=trust_pickle)
    if is_tuned(model):
        source = open_model(model, options, layout=input_layout)
        return _values(model.stem, source.kind, source.graph.nodes)
    loaded = load(model, options)
    found = survey(loaded.program, loaded.name, input_layout)
    return _values(loaded.name, loaded.kind, found.nodes) | {
        "problems": [str(problem) for problem in found.problems],
        "supported": list(found.supported),
        "warnings": list(loaded.warnings),
    }


def _values(name: str, kind: str, nodes: Sequence[Node]) -> dict[str, Any]:
    """What is known of a network without problems."""
    shapes = {node.name: node.shape for node in nodes}
    layers = [_layer(node, [shapes[n] for n in node.inputs]) for node in nodes]
    rows = [row for row, node in zip(layers, nodes, strict=True) if node.op.computes]
    return {
        "name": name,
        "kind": kind,
        "inputs": [
            {"name": n.name, "shape": list(n.shape)} for n in nodes if isinstance(n.op, Input)
        ],
        "layers": rows,
        "parameters": sum(row["parameters"] for row in layers),
        "macs": sum(row["macs"] for row in layers),
        "problems": [],
        "supported": [],
        "warnings": [],
    }


def _layer(node: Node, inputs: Sequence[Shape]) -> dict[str, Any]:
    return {
        "name": node.name,
        "op": node.op.kind,
        "origin": str(node.origin),
        "input_shapes": [list(shape) for shape in inputs],
        "output_shape": list(node.shape),
        "parameters": parameter_count(node.op),
        "macs": node.op.macs(inputs, node.shape),
    }
