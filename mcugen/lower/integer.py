# SPDX-License-Identifier: Apache-2.0
"""Lowering: every float operator becomes its integer form. Knows no operator by name."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from mcugen.errors import ModelError
from mcugen.fixed_point import RequantMode
from mcugen.ir.graph import Graph, Node, QParams
from mcugen.ir.quantization import Quantization
from mcugen.ops.base import Lowering, Op, Operand
from mcugen.ops.rescale import rescale, widened


def to_integer(graph: Graph, quantization: Quantization, requant: RequantMode) -> Graph:
    """The integer graph under the given quantization of every tensor and weight.

    Raises ModelError listing every layer that cannot be lowered.
    """
    nodes: list[Node] = []
    problems: list[str] = []
    for node in graph.nodes:
        try:
            operands = _rescaled_operands(graph, node, quantization.tensors, nodes)
            nodes += _lower(graph, node, operands, quantization, requant)
        except ModelError as error:
            problems.append(str(error))
    if problems:
        raise ModelError("\n".join(problems))
    return graph.with_nodes(nodes)


def _rescaled_operands(
    graph: Graph, node: Node, tensors: Mapping[str, QParams], nodes: list[Node]
) -> tuple[tuple[str, QParams], ...]:
    """The operands' names and quantizations.

    Appends a rescaling node for each that needs another scale, or int16 because others have it.
    """
    assert isinstance(node.op, Op)
    wanted = [tensors[name] for name in node.inputs]
    if node.op.keeps_scale:
        wanted = [tensors[node.name]] * len(wanted)
    elif _works_in_int16(node, tensors):
        wanted = [q if q.bits == 16 else widened(q) for q in wanted]
    found = []
    for position, (name, target) in enumerate(zip(node.inputs, wanted, strict=True)):
        used = name
        if tensors[name] != target:
            used = _unused(f"{node.name}_in{position}", graph)
            nodes.append(_rescaling(graph.by_name[name], used, tensors[name], target, node))
        found.append((used, target))
    return tuple(found)


def _works_in_int16(node: Node, tensors: Mapping[str, QParams]) -> bool:
    """Whether the operands have to be int16: one is, or the result where that decides."""
    assert isinstance(node.op, Op)
    deciding = node.inputs if node.op.mixes_widths else (*node.inputs, node.name)
    return any(tensors[name].bits == 16 for name in deciding)


def _rescaling(source: Node, name: str, old: QParams, new: QParams, reason: Node) -> Node:
    """The node `name` that brings `source` from one quantization to another."""
    op = rescale(old, new, source.shape)
    return replace(reason, name=name, op=op, inputs=(source.name,), shape=source.shape, qparams=new)


def _unused(name: str, graph: Graph) -> str:
    """The name, or a longer one where a layer of the model has it already."""
    while name in graph.by_name:
        name += "_2"
    return name


def _lower(
    graph: Graph,
    node: Node,
    operands: Sequence[tuple[str, QParams]],
    quantization: Quantization,
    requant: RequantMode,
) -> list[Node]:
    """The integer node, behind it a change to int8 where the operator cannot make that itself."""
    assert isinstance(node.op, Op)
    target = made = quantization.tensors[node.name]
    name = node.name
    int16_operands = any(qparams.bits == 16 for _, qparams in operands)
    if int16_operands and target.bits == 8 and not node.op.mixes_widths:
        made = node.op.fixed_qparams(16) or widened(target)
        name = _unused(f"{node.name}_int16", graph)
    ctx = Lowering(
        inputs=tuple(
            Operand(shape=graph.by_name[own].shape, qparams=qparams)
            for own, (_, qparams) in zip(node.inputs, operands, strict=True)
        ),
        output=Operand(shape=node.shape, qparams=made),
        # what int16 takes part in is rounded once
        requant="single" if int16_operands or made.bits == 16 else requant,
        where=str(node.origin) or node.name,
        weights=quantization.weights.get(node.name),
    )
    op = replace(node.op.lower(ctx), operand_bits=ctx.operand_bits, result_bits=made.bits)
    inputs = tuple(own for own, _ in operands)
    lowered = replace(node, name=name, op=op, inputs=inputs, qparams=made)
    if name == node.name:
        return [lowered]
    return [lowered, _rescaling(lowered, node.name, made, target, node)]
