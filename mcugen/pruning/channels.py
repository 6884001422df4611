# SPDX-License-Identifier: Apache-2.0
"""Whole channels: smaller dense layers. What hangs together across layers goes together.

A channel goes by its filters' weights becoming zero in every layer that makes it: it is then
constant, and the exact pass on the integer graph takes it out of all layers.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace

import numpy as np

from mcugen.errors import ModelError, OptionError
from mcugen.ir.graph import Graph, Node
from mcugen.ir.quantization import Quantization
from mcugen.lower.integer import to_integer
from mcugen.ops.base import IntOp, Op
from mcugen.passes import remove_channels
from mcugen.pruning.criteria import Data, score
from mcugen.pruning.masks import prunable, title, weight_of
from mcugen.pruning.options import PruneOptions
from mcugen.pruning.patterns import Mask, Scores
from mcugen.quantize.options import QuantOptions
from mcugen.quantize.quantize import quantize

Rows = list[tuple[str, int]]  # layers and the output channels of theirs that are one group


def channel_masks(graph: Graph, data: Data, options: PruneOptions) -> dict[str, Mask]:
    """Masks of whole output channels that leave at most `options.macs` of all products.

    A channel's score is the sum of its weights', over the mean of its layer; that of a group the
    mean over its layers. Of groups of the same layers so many go at once that what stays is always
    a multiple of `options.round_to`; what then need not go stays. Raises ModelError where even all
    channels that can go are not enough.
    """
    assert options.macs is not None
    layers = prunable(graph, replace(options, keep_dense=("none",)))
    free = {node.name for node in prunable(graph, options)}
    fixed = {n.name for n in layers if n.name not in free and not _op(n).depthwise}
    samples = [x.numpy() for x in data.inputs()]
    quantization = quantize(graph, samples, QuantOptions(method="integerize"))
    groups = _groups(to_integer(graph, quantization, "single"), layers, fixed)
    ordered = _in_order(groups, layers, score(graph, layers, data, options), options.round_to)
    whole = _macs(graph, quantization, {})

    def enough(gone: Sequence[Rows]) -> bool:
        left = _macs(graph, quantization, _masks(layers, gone))
        return left <= float(options.macs or 0.0) * whole

    if not enough(ordered):
        least = _macs(graph, quantization, _masks(layers, ordered)) / whole
        kept = ", ".join(title(node) for node in layers if node.name in fixed) or "none"
        msg = (
            f"macs {options.macs:g}: removing all {sum(map(len, ordered))} channels that can go "
            f"leaves {least:.3f} of the products; choose more, round to less than "
            f"{options.round_to} channels, or keep fewer layers dense ({kept})"
        )
        raise ModelError(msg)
    low, high = 0, len(ordered)
    while low < high:
        middle = (low + high) // 2
        low, high = (low, middle) if enough(ordered[:middle]) else (middle + 1, high)
    return _masks(layers, needed(ordered[:low], enough))


def _op(node: Node) -> Op:
    assert isinstance(node.op, Op)
    return node.op


def _groups(integer: Graph, layers: Sequence[Node], fixed: set[str]) -> list[Rows]:
    """The channels of the layers that can go, those that only go together in one list."""
    spans, roots, pinned = remove_channels.tied_channels(integer)
    stuck = set(roots[pinned].tolist())
    found: dict[int, Rows] = {}
    for node in layers:
        for channel, root in enumerate(roots[spans[node.name]].tolist()):
            if node.name in fixed:
                stuck.add(root)
            found.setdefault(root, []).append((node.name, channel))
    free = [rows for root, rows in found.items() if root not in stuck]
    if not free:
        names = ", ".join(title(node) for node in layers)
        msg = (
            f"no channel of {names} can go: all of them are the network's outputs, hang together "
            "with them or with its inputs, or belong to layers that are kept dense"
        )
        raise OptionError(msg)
    return free


def _in_order(
    groups: Sequence[Rows], layers: Sequence[Node], scores: Mapping[str, Scores], round_to: int
) -> list[Rows]:
    """What goes at once, lowest score first, without what would take a layer's last channel.

    Layers whose scores are NaN are not judged; groups of no other layers stay.
    """
    worth = {}
    for node in layers:
        rows = scores[node.name].reshape(len(weight_of(node)), -1).sum(axis=1)
        worth[node.name] = rows / max(float(rows.mean()), 1e-300)
    every = [np.array([worth[name][channel] for name, channel in rows]) for rows in groups]
    judged = [number for number, found in enumerate(every) if not np.isnan(found).all()]
    groups = [groups[number] for number in judged]
    values = [float(np.nanmean(every[number])) for number in judged]
    bundles = list(_bundles(groups, values, round_to))
    means = [float(np.mean([values[number] for number in bundle])) for bundle in bundles]
    left = {node.name: len(weight_of(node)) for node in layers}
    ordered = []
    for place in np.argsort(means, kind="stable").tolist():
        rows = [row for number in bundles[place] for row in groups[number]]
        taken = Counter(name for name, _ in rows)
        if all(left[name] > count for name, count in taken.items()):
            for name, count in taken.items():
                left[name] -= count
            ordered.append(rows)
    return ordered


def _bundles(groups: Sequence[Rows], values: Sequence[float], round_to: int) -> Iterator[list[int]]:
    """Numbers of groups of the same layers, lowest value first, as many as go at once."""
    families: dict[frozenset[str], list[int]] = {}
    for number, rows in enumerate(groups):
        families.setdefault(frozenset(name for name, _ in rows), []).append(number)
    for members in families.values():
        members.sort(key=lambda number: values[number])
        odd = len(members) % round_to
        yield from ([members[:odd]] if odd else [])
        yield from (members[i : i + round_to] for i in range(odd, len(members), round_to))


def needed(gone: Sequence[Rows], enough: Callable[[Sequence[Rows]], bool]) -> list[Rows]:
    """Without what need not go, as the last channels to go took more products than was missing.

    Highest score first. What goes at once of the same layers saves alike: where some of it has to
    go, so has all before it.
    """
    found = list(gone)
    settled: set[frozenset[str]] = set()
    for rows in reversed(gone):
        family = frozenset(name for name, _ in rows)
        fewer = [other for other in found if other is not rows]
        if family not in settled and enough(fewer):
            found = fewer
        else:
            settled.add(family)
    return found


def _masks(layers: Sequence[Node], gone: Sequence[Rows]) -> dict[str, Mask]:
    masks = {node.name: np.ones(weight_of(node).shape, bool) for node in layers}
    for rows in gone:
        for name, channel in rows:
            masks[name][channel] = False
    return {name: mask for name, mask in masks.items() if not mask.all()}


def _macs(graph: Graph, quantization: Quantization, masks: Mapping[str, Mask]) -> int:
    """Products of the network as it will be compiled."""
    weights = dict(quantization.weights)
    for name, mask in masks.items():
        weights[name] = replace(weights[name], ints=weights[name].ints * mask)
    changed = Quantization(tensors=quantization.tensors, weights=weights)
    cut = remove_channels.run(to_integer(graph, changed, "single"))
    total = 0
    for node in cut.nodes:
        assert isinstance(node.op, IntOp)
        total += node.op.macs(cut.input_shapes(node), node.shape)
    return total
