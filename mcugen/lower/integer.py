# SPDX-License-Identifier: Apache-2.0
"""Lowering: every float operator becomes its integer form. Knows no operator by name."""

from __future__ import annotations

from dataclasses import replace

from mcugen.errors import ModelError
from mcugen.fixed_point import RequantMode
from mcugen.ir.graph import Graph, Node
from mcugen.ir.quantization import Quantization
from mcugen.ops.base import Lowering, Op, Operand
from mcugen.ops.rescale import rescale


def to_integer(graph: Graph, quantization: Quantization, requant: RequantMode) -> Graph:
    """The integer graph under the given quantization of every tensor and weight.

    Raises ModelError listing every layer that cannot be lowered.
    """
    nodes: list[Node] = []
    problems: list[str] = []
    for node in graph.nodes:
        source = _rescaled_operands(graph, node, quantization, nodes)
        try:
            nodes.append(_lower(graph, node, source, quantization, requant))
        except ModelError as error:
            problems.append(str(error))
    if problems:
        raise ModelError("\n".join(problems))
    return graph.with_nodes(nodes)


def _rescaled_operands(
    graph: Graph, node: Node, quantization: Quantization, nodes: list[Node]
) -> tuple[str, ...]:
    """The operands' names, after appending a rescaling node for each that needs another scale."""
    assert isinstance(node.op, Op)
    qparams = quantization.tensors
    target = qparams[node.name]
    names = []
    for position, name in enumerate(node.inputs):
        if not node.op.keeps_scale or qparams[name] == target:
            names.append(name)
            continue
        operand = graph.by_name[name]
        made = Node(
            name=_unused(f"{node.name}_in{position}", graph),
            op=rescale(qparams[name], target),
            inputs=(name,),
            shape=operand.shape,
            origin=node.origin,
            qparams=target,
        )
        nodes.append(made)
        names.append(made.name)
    return tuple(names)


def _unused(name: str, graph: Graph) -> str:
    """The name, or a longer one where a layer of the model has it already."""
    while name in graph.by_name:
        name += "_2"
    return name


def _lower(
    graph: Graph,
    node: Node,
    source: tuple[str, ...],
    quantization: Quantization,
    requant: RequantMode,
) -> Node:
    assert isinstance(node.op, Op)
    qparams = quantization.tensors
    scales = [qparams[node.name if s != n else n] for s, n in zip(source, node.inputs, strict=True)]
    ctx = Lowering(
        inputs=tuple(
            Operand(shape=graph.by_name[name].shape, qparams=scale)
            for name, scale in zip(node.inputs, scales, strict=True)
        ),
        output=Operand(shape=node.shape, qparams=qparams[node.name]),
        requant=requant,
        where=str(node.origin) or node.name,
        weights=quantization.weights.get(node.name),
    )
    return replace(node, op=node.op.lower(ctx), inputs=source, qparams=qparams[node.name])
