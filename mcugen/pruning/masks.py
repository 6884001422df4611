# SPDX-License-Identifier: Apache-2.0
"""From scores to masks: which layers, how much of each, and which of their groups."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from fnmatch import fnmatchcase

import numpy as np
from numpy.typing import NDArray

from mcugen.errors import ModelError, OptionError
from mcugen.ir.graph import Graph, Node
from mcugen.ops.base import FloatArray, Op
from mcugen.pruning.options import BUDGET, OF_LAYERS, PLACES, PruneOptions, parse_n_m
from mcugen.pruning.patterns import Blocks, Mask, Scores, best_of_each, blocks_of

Masks = Mapping[str, Mask]

FEW = 16  # groups; a layer of no more than these keeps one where rounding would take them all


def weight_of(node: Node) -> FloatArray:
    """The weight [out_ch, ..., in_ch] of a layer that has one."""
    assert isinstance(node.op, Op)
    arrays = node.op.weight_arrays
    assert arrays is not None
    return arrays[0]


def prunable(graph: Graph, options: PruneOptions) -> tuple[Node, ...]:
    """The layers with weights that `keep_dense` does not exempt, in execution order.

    Raises OptionError for patterns that match nothing, and where nothing is left to prune.
    """
    layers = [node for node in graph.nodes if _has_weights(node)]
    titles = ", ".join(title(node) for node in layers) or "none"
    problems = [
        f"keep_dense: no layer matches {entry!r}; layers with weights: {titles}, "
        f"or {', '.join(PLACES)}"
        for entry in options.keep_dense
        if entry not in PLACES and not any(_matches(node, entry) for node in layers)
    ]
    chosen = tuple(node for node in layers if not _is_dense(node, layers, options.keep_dense))
    if not chosen and not problems:
        kept = ", ".join(options.keep_dense)
        problems.append(
            f"nothing is left to prune: all layers with weights ({titles}) are kept dense by "
            f"{kept}; choose other ones with keep_dense (--keep-dense), or none"
        )
    if problems:
        raise OptionError("\n".join(problems))
    return chosen


def title(node: Node) -> str:
    """The name, and the module where that is called otherwise."""
    module = node.origin.module
    return f"{node.name} ({module})" if module and module != node.name else node.name


def _has_weights(node: Node) -> bool:
    return isinstance(node.op, Op) and node.op.weight_arrays is not None


def _matches(node: Node, pattern: str) -> bool:
    return fnmatchcase(node.name, pattern) or fnmatchcase(node.origin.module, pattern)


def _is_dense(node: Node, layers: Sequence[Node], entries: Sequence[str]) -> bool:
    assert isinstance(node.op, Op)
    places = {
        "first": node is layers[0],
        "last": node is layers[-1],
        "depthwise": node.op.depthwise,
        "none": False,
    }
    return any(places[e] if e in places else _matches(node, e) for e in entries)


def make_masks(
    layers: Sequence[Node], scores: Mapping[str, Scores], options: PruneOptions
) -> dict[str, Mask]:
    """Which weights of each layer stay.

    scores: of every weight, float64 in the weight's shape, by name of the layer; a group's score
    is the sum of its weights'. Weights that are zero already stay zero. Raises ModelError that
    names every layer which would lose all of its weights, unless that is allowed.
    """
    _check_scores(layers, scores)
    blocks = blocks_of(options.pattern)
    groups = {node.name: blocks.groups(scores[node.name]) for node in layers}
    found = {node.name: _mask(node, scores, groups, options) for node in layers}
    if parse_n_m(options.pattern) is None and options.threshold is None:
        found = _to_sparsity(layers, groups, blocks, options)
    masks = {node.name: found[node.name] & (weight_of(node) != 0.0) for node in layers}
    empty = [node for node in layers if not masks[node.name].any()]
    if empty and not options.allow_empty:
        raise ModelError(_empty_text(empty, scores, groups, options))
    return masks


def _check_scores(layers: Sequence[Node], scores: Mapping[str, Scores]) -> None:
    problems = []
    for node in layers:
        got, wanted = scores[node.name].shape, weight_of(node).shape
        if got != wanted:
            problems.append(f"{title(node)}: scores have shape {got}, its weight {wanted}")
        elif not np.isfinite(scores[node.name]).all():
            problems.append(
                f"{title(node)}: some scores are no numbers; are all weights and samples finite?"
            )
    if problems:
        raise ModelError("\n".join(problems))


def _mask(
    node: Node, scores: Mapping[str, Scores], groups: Mapping[str, Scores], options: PruneOptions
) -> Mask:
    if parse_n_m(options.pattern) is not None:
        return best_of_each(scores[node.name], options.pattern)
    if options.threshold is None:
        return np.ones(scores[node.name].shape, bool)
    kept = groups[node.name] > _in_scores(options.threshold, options)
    return _spread(kept, blocks_of(options.pattern), scores[node.name].shape)


def _in_scores(threshold: float, options: PruneOptions) -> float:
    """Squares are summed for l2, so that it is the square that a group's sum is compared with."""
    return threshold**2 if options.form == "l2" else threshold


def _spread(kept: Mask, blocks: Blocks, shape: tuple[int, ...]) -> Mask:
    return blocks.spread(kept, shape).astype(bool)


def _to_sparsity(
    layers: Sequence[Node],
    groups: Mapping[str, Scores],
    blocks: Blocks,
    options: PruneOptions,
) -> dict[str, Mask]:
    if options.allocation == BUDGET:
        found = dict(options.shares)
        kept = {n.name: _best(groups[n.name], found.get(n.name, 0.0)) for n in layers}
        return {n.name: _spread(kept[n.name], blocks, weight_of(n).shape) for n in layers}
    assert options.sparsity is not None
    if options.allocation == "global":
        among = _shares_of_rest if options.form in OF_LAYERS else np.asarray
        compared = {node.name: among(groups[node.name]) for node in layers}
        kept = _best_of_all(layers, compared, options.sparsity)
    else:
        shares = allocate(layers, options.sparsity, options.allocation)
        kept = {node.name: _best(groups[node.name], shares[node.name]) for node in layers}
    return {n.name: _spread(kept[n.name], blocks, weight_of(n).shape) for n in layers}


def _best(scores: Scores, share: float) -> Mask:
    """All groups but those of lowest score; of equal ones the first go.

    Of few groups one stays at least: 80 % of two are both only by rounding.
    """
    gone = round(share * scores.size)
    if scores.size <= FEW:
        gone = min(gone, scores.size - 1)
    kept = np.ones(scores.size, bool)
    kept[np.argsort(scores, axis=None, kind="stable")[:gone]] = False
    return kept.reshape(scores.shape)


def _shares_of_rest(scores: Scores) -> Scores:
    """Each score over the sum of those of its layer that are not below it, 1 for the highest.

    What a group's going adds to the error of the layer's outputs, relative to what is left then.
    Source: Lee et al., "Layer-adaptive Sparsity for the Magnitude-based Pruning", 2021, equation 4.
    """
    order = np.argsort(scores, axis=None, kind="stable")
    ascending = scores.ravel()[order]
    rest = np.cumsum(ascending[::-1])[::-1]
    found = np.empty(scores.size)
    found[order] = ascending / np.maximum(rest, 1e-300)
    return found.reshape(scores.shape)


def _best_of_all(
    layers: Sequence[Node], groups: Mapping[str, Scores], share: float
) -> dict[str, Mask]:
    joined = np.concatenate([groups[node.name].ravel() for node in layers])
    kept = _best(joined, share)
    parts = np.split(kept, np.cumsum([groups[node.name].size for node in layers])[:-1])
    return {
        node.name: part.reshape(groups[node.name].shape)
        for node, part in zip(layers, parts, strict=True)
    }


def allocate(layers: Sequence[Node], sparsity: float, allocation: str) -> dict[str, float]:
    """The share of zeros of each layer: the same, or by Erdos-Renyi-Kernel.

    ERK: the density of a layer is proportional to the sum of its weight's sizes over their product,
    at most 1; all layers together have `sparsity`. Source: Evci et al., "Rigging the Lottery",
    2020, section 3 (1).
    """
    if allocation == "uniform":
        return {node.name: sparsity for node in layers}
    sizes = np.array([weight_of(node).size for node in layers], np.float64)
    raw = np.array([sum(weight_of(node).shape) for node in layers]) / sizes
    full = np.zeros(len(layers), bool)
    while True:
        budget = (1.0 - sparsity) * sizes.sum() - sizes[full].sum()
        scale = budget / (raw * sizes)[~full].sum() if not full.all() else 0.0
        density = np.where(full, 1.0, scale * raw)
        over = density > 1.0
        if not over.any():
            break
        full |= over
    shares = (1.0 - density).tolist()
    return {node.name: share for node, share in zip(layers, shares, strict=True)}


def _empty_text(
    empty: Sequence[Node],
    scores: Mapping[str, Scores],
    groups: Mapping[str, Scores],
    options: PruneOptions,
) -> str:
    root = 0.5 if options.form == "l2" else 1.0
    amount = (
        f"threshold {options.threshold:g}"
        if options.threshold is not None
        else f"sparsity {options.sparsity}"
    )
    lines = [
        f"{title(node)}: {amount} leaves none of {scores[node.name].size:,} weights"
        f" in {groups[node.name].size:,} groups, whose highest score is "
        f"{float(groups[node.name].max(initial=0.0)) ** root:.4g}"
        for node in empty
    ]
    return "\n".join(
        [*lines, "choose less, keep these layers dense (--keep-dense), or --allow-empty"]
    )


def apply_masks(graph: Graph, masks: Masks) -> Graph:
    """The graph with zeros where a mask says so. Raises ModelError for masks that do not fit."""
    problems = list(_misfits(graph, masks))
    if problems:
        raise ModelError("\n".join(problems))
    nodes = []
    for node in graph.nodes:
        if node.name in masks:
            assert isinstance(node.op, Op) and node.op.weight_arrays is not None
            weight, bias = node.op.weight_arrays
            masked = np.where(masks[node.name], weight, np.float32(0.0))
            node = replace(node, op=node.op.with_weight_arrays(masked, bias))
        nodes.append(node)
    return graph.with_nodes(nodes)


def _misfits(graph: Graph, masks: Masks) -> Iterator[str]:
    layers = {node.name: node for node in graph.nodes if _has_weights(node)}
    for name, mask in masks.items():
        if name not in layers:
            yield f"mask {name!r} is of no layer with weights; there are {', '.join(layers)}"
        elif mask.shape != weight_of(layers[name]).shape:
            wanted = weight_of(layers[name]).shape
            yield f"mask {name!r} has shape {mask.shape}; expected {wanted}, that of the weight"


def zero_shares(graph: Graph) -> dict[str, float]:
    """The share of zeros among each layer's weights, by its name."""
    return {n.name: zero_share(weight_of(n)) for n in graph.nodes if _has_weights(n)}


def zero_share(weight: NDArray[np.generic]) -> float:
    """How many of the weights are zero, 0 to 1."""
    return 1.0 - float(np.count_nonzero(weight)) / max(weight.size, 1)
