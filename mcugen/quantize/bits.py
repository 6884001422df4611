# SPDX-License-Identifier: Apache-2.0
"""How many bits the weights and the tensor of each layer get. Knows no operator by name."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from fnmatch import fnmatchcase

from mcugen.errors import OptionError
from mcugen.ir.graph import Graph, Node
from mcugen.ops.base import Op
from mcugen.quantize.widths import PLACES, WidthOptions, WidthRule, activation_rules, rules


def layer_bits(graph: Graph, options: WidthOptions) -> dict[str, int]:
    """Bits of the weights of each layer that has any, by name of its node.

    Raises OptionError for patterns that match nothing and widths that an operator lacks, listing
    all of them and what there is.
    """
    layers = [node for node in graph.nodes if _op(node).weight_arrays is not None]
    chosen = rules(options.weights)
    problems = list(_unmatched(layers, chosen, options))
    kept = {node.name for node in layers if _is_kept(node, layers, options)}
    bits = {node.name: 8 for node in layers}
    for rule in chosen:
        for node in layers:
            if _applies(rule, node, node.name in kept):
                bits[node.name] = rule.bits
    problems += list(_lacking(layers, bits))
    if problems:
        raise OptionError("\n".join(problems))
    return bits


def activation_bits(graph: Graph, activations: Sequence[str]) -> dict[str, int]:
    """Bits of every tensor, by name of its node; 8 where the entries say nothing.

    Raises OptionError for patterns that match nothing, listing all of them and what there is.
    """
    chosen = activation_rules(activations)
    bits = {node.name: 8 for node in graph.nodes}
    for rule in chosen:
        for node in graph.nodes:
            if rule.pattern is None or _matches(node, rule.pattern):
                bits[node.name] = rule.bits
    titles = ", ".join(map(_title, graph.nodes))
    problems = [
        f"activations: no layer matches {rule.pattern!r}; inputs and layers: {titles}"
        for rule in chosen
        if rule.pattern is not None and not any(_matches(n, rule.pattern) for n in graph.nodes)
    ]
    if problems:
        raise OptionError("\n".join(problems))
    return bits


def _op(node: Node) -> Op:
    assert isinstance(node.op, Op)
    return node.op


def _matches(node: Node, pattern: str) -> bool:
    return fnmatchcase(node.name, pattern) or fnmatchcase(node.origin.module, pattern)


def _applies(rule: WidthRule, node: Node, kept: bool) -> bool:
    """A layer that is kept has to be named in full; what is said of all, only what can is meant."""
    if rule.pattern is None:
        return not kept and rule.bits in _op(node).weight_widths
    if rule.pattern in (node.name, node.origin.module):
        return True
    return not kept and _matches(node, rule.pattern)


def _is_kept(node: Node, layers: Sequence[Node], options: WidthOptions) -> bool:
    places = {
        "first": node is layers[0],
        "last": node is layers[-1],
        "depthwise": _op(node).depthwise,
        "none": False,
    }
    return any(
        places[entry] if entry in places else _matches(node, entry) for entry in options.keep_int8
    )


def _unmatched(
    layers: Sequence[Node], chosen: Sequence[WidthRule], options: WidthOptions
) -> Iterator[str]:
    given = [("weights", rule.pattern) for rule in chosen if rule.pattern is not None]
    given += [("keep_int8", entry) for entry in options.keep_int8 if entry not in PLACES]
    for option, pattern in given:
        if not any(_matches(node, pattern) for node in layers):
            names = ", ".join(_title(node) for node in layers) or "none"
            also = f", or {', '.join(PLACES)}" if option == "keep_int8" else ""
            yield f"{option}: no layer matches {pattern!r}; layers with weights: {names}{also}"


def _lacking(layers: Sequence[Node], bits: dict[str, int]) -> Iterator[str]:
    for node in layers:
        widths = _op(node).weight_widths
        if bits[node.name] not in widths:
            offered = ", ".join(f"int{width}" for width in widths)
            yield (
                f"{_title(node)}: {_op(node).kind} has no kernels for int{bits[node.name]} "
                f"weights; there are {offered}"
            )


def _title(node: Node) -> str:
    """The name, and the module where that is called otherwise."""
    module = node.origin.module
    return f"{node.name} ({module})" if module and module != node.name else node.name
