# SPDX-License-Identifier: Apache-2.0
"""The quantization that a model brings, used as it stands, and what it leaves unsaid.

Knows no operator by name: roundings (`Op.rounds_to`) and grids (`Op.weight_grid`) say it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache

import numpy as np
from numpy.typing import NDArray

from mcugen.ir.graph import Graph, Node, QParams
from mcugen.ir.quantization import Quantization
from mcugen.ops.base import Op
from mcugen.quantize.affine import Range, qparams_for
from mcugen.quantize.headroom import observe_headroom, widened
from mcugen.quantize.observers import observe_ranges
from mcugen.quantize.options import QuantOptions
from mcugen.quantize.stated_weights import sentence, stated_weights
from mcugen.quantize.walk import with_quantized_weights

RULE = QuantOptions()  # for what the model leaves unsaid

Tensors = dict[str, QParams]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Settled:
    """A network without roundings where none is left to compute, and its quantization.

    observed: tensors whose range had to come from samples. notes: what else the model did not say
    or said in a way that costs something.
    """

    graph: Graph
    quantization: Quantization
    observed: tuple[str, ...]
    notes: tuple[str, ...]


def is_stated(graph: Graph) -> bool:
    """Whether a float graph brings a quantization of its own, in whole or in part."""
    return any(_op(n).rounds_to is not None or _op(n).weight_grid is not None for n in graph.nodes)


def settle(graph: Graph, samples: Sequence[NDArray[np.float32]]) -> Settled:
    """Give every tensor and weight the quantization that the model states for it.

    graph: float, after the exact passes. samples: float32 [N, *shape] for each input, stored
    layout; looked at for tensors of which the model says nothing. Raises ModelError listing every
    layer whose weights cannot be used as they stand.
    """
    notes = list(_tensor_notes(graph))
    stated = stated_tensors(graph)
    tensors, observed = _filled_in(graph, samples, stated)
    merged = _without_roundings(graph, tensors)
    weights, weight_notes = stated_weights(merged, tensors)
    changes: dict[str, Node | None] = {
        name: replace(node, op=with_quantized_weights(_op(node), weights[name]))
        for name, node in merged.by_name.items()
        if name in weights
    }
    return Settled(
        graph=merged.substitute(changes, {}),
        quantization=Quantization(
            tensors={node.name: tensors[node.name] for node in merged.nodes}, weights=weights
        ),
        observed=tuple(observed),
        notes=(*notes, *weight_notes),
    )


def _op(node: Node) -> Op:
    assert isinstance(node.op, Op)
    return node.op


def _reals(q: QParams) -> Range:
    return (q.low - q.zero_point) * q.scale, (q.high - q.zero_point) * q.scale


def _roundings(graph: Graph, node: Node) -> list[QParams]:
    """What the readers of a tensor round it to, each once."""
    found = [_op(reader).rounds_to for reader in graph.consumers[node.name]]
    return list(dict.fromkeys(q for q in found if q is not None))


def stated_tensors(graph: Graph) -> Tensors:
    """What the model says of its tensors, and what operators dictate: the widest for each.

    graph: float, after the exact passes.
    """

    def width(q: QParams) -> float:
        return q.scale * (q.high - q.low)

    found: Tensors = {}
    for node in graph.nodes:
        own = _op(node).rounds_to or _op(node).fixed_qparams()
        read = _roundings(graph, node)
        if own is not None or read:
            found[node.name] = own or max(read, key=width)
    return found


def _filled_in(
    graph: Graph, samples: Sequence[NDArray[np.float32]], stated: Mapping[str, QParams]
) -> tuple[Tensors, list[str]]:
    """A quantization for every tensor, and those of which only samples could tell the range.

    What moves, selects or clamps values has its operands' quantization. All else has a range as
    mean_rounding has it by default.
    """
    ranges = cache(lambda: _observed_ranges(graph, samples))
    tensors, observed = dict(stated), []
    for node in graph.nodes:
        if node.name in tensors:
            continue
        operands = [tensors[name] for name in node.inputs]
        if operands and (_op(node).keeps_scale or _op(node).clamp_only is not None):
            tensors[node.name] = _covering(operands)
            continue
        low, high = ranges()[node.name]
        least, most = _op(node).fixed_range() or (low, high)
        tensors[node.name] = qparams_for(max(low, least), min(high, most))
        if node.inputs or node.name in graph.inputs:
            observed.append(node.name)
    return tensors, observed


def _observed_ranges(graph: Graph, samples: Sequence[NDArray[np.float32]]) -> dict[str, Range]:
    found = observe_ranges(graph, samples, RULE.rule)
    return widened(found, observe_headroom(graph, samples))


def _covering(operands: Sequence[QParams]) -> QParams:
    """The operand's quantization that holds all others, or one that does."""
    lows, highs = zip(*map(_reals, operands), strict=True)
    whole = min(lows), max(highs)
    return next((q for q in operands if _reals(q) == whole), None) or qparams_for(*whole)


def _without_roundings(graph: Graph, tensors: Mapping[str, QParams]) -> Graph:
    """The graph without those that their operand's own quantization does."""
    done = {
        node.name: node.inputs[0]
        for node in graph.nodes
        if _op(node).rounds_to is not None and tensors[node.name] == tensors[node.inputs[0]]
    }
    return graph.substitute(dict.fromkeys(done), done)


def _tensor_notes(graph: Graph) -> Iterator[str]:
    """What the model says in a way that C cannot follow to the letter, or that costs a layer."""
    partly, several, early = [], [], []
    for node in graph.nodes:
        readers = graph.consumers[node.name]
        own = [reader for reader in readers if _op(reader).rounds_to is not None]
        if _op(node).rounds_to is not None:
            clamped = any(_op(reader).clamp_only is not None for reader in readers)
            early += [node.inputs[0]] if clamped and len(readers) == 1 else []
        elif own:
            partly += [node.name] if len(own) < len(readers) else []
            several += [node.name] if len(_roundings(graph, node)) > 1 else []
    yield from sentence(
        "the model rounds these tensors for some of their readers only, and C for all", partly
    )
    yield from sentence(
        "the model rounds these tensors in several ways; C holds the one of the widest range and "
        "makes the others from it",
        several,
    )
    yield from sentence(
        "the model rounds these tensors before their activation as well, which is a layer of its "
        "own then; quantizing both as one, like a convolution and its ReLU, saves it",
        early,
    )
