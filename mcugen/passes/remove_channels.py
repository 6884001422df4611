# SPDX-License-Identifier: Apache-2.0
"""Removing channels that hold one constant or that nothing reads, without changing one output bit.

Works on the integer graph: interval arithmetic over the actual weights tells which values each
channel can take at each place, borders included. A constant channel's share of the next layer goes
into that layer's bias, unless the layer would be slower for it. Knows no operator by name.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from mcugen.fixed_point import IntArray
from mcugen.ir.graph import Graph, Node
from mcugen.ops.base import Interval, IntOp
from mcugen.ops.channels import PINNED, ChannelLinks, Kept

Mask = NDArray[np.bool_]
# A value that differs by place makes the next bias do so too: one for each class of rows and
# columns. Borders are worth it, a constant picture is not.
MAX_CHANGES = 16


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Removal:
    """The channels of an integer graph that stay, ascending indices by name of the tensor."""

    graph: Graph
    intervals: Mapping[str, Interval]
    kept: Mapping[str, NDArray[np.intp]]

    def cut(self, node: Node) -> Node:
        """A node of the graph, or one with other weights in its place, over what stays."""
        tensors = (*node.inputs, node.name)
        if all(len(self.kept[name]) == _channels(self.graph.by_name[name]) for name in tensors):
            return node
        op = node.op
        assert isinstance(op, IntOp)
        cut = op.take_channels(
            Kept(
                inputs=tuple(self.kept[name] for name in node.inputs),
                output=self.kept[node.name],
                values=tuple(self.intervals[name][0] for name in node.inputs),
                shapes=self.graph.input_shapes(node),
            )
        )
        return replace(node, op=cut, shape=(*node.shape[:-1], len(self.kept[node.name])))

    def apply(self) -> Graph:
        """The graph without the other channels."""
        return self.graph.with_nodes(map(self.cut, self.graph.nodes)).without_unread()


def run(graph: Graph) -> Graph:
    """The graph without its constant and unread channels."""
    return find(graph).apply()


def find(graph: Graph) -> Removal:
    """Which channels are constant or unread."""
    intervals = value_intervals(graph)
    links = {node.name: _links(graph, node) for node in graph.nodes}
    constant = {name: _constant_channels(interval) for name, interval in intervals.items()}
    needed = _needed_channels(graph, links, constant)
    candidates = {name: constant[name] | ~needed[name] for name in constant}
    for node in graph.nodes:
        for name in node.inputs:
            candidates[name] &= _spared(node, intervals[name][0])
    removed = _removable(graph, links, _in_blocks(graph, links, candidates))
    kept = {name: np.flatnonzero(~mask) for name, mask in removed.items()}
    return Removal(graph=graph, intervals=intervals, kept=kept)


def value_intervals(graph: Graph) -> dict[str, Interval]:
    """Lowest and highest value of every element of every tensor, int64 [*shape]."""
    found: dict[str, Interval] = {}
    for node in graph.nodes:
        op = node.op
        assert isinstance(op, IntOp)
        operands = [found[name] for name in node.inputs]
        low, high = op.bounds(operands, node.shape)
        found[node.name] = (np.broadcast_to(low, node.shape), np.broadcast_to(high, node.shape))
    return found


def _channels(node: Node) -> int:
    return node.shape[-1] if node.shape else 1


def _constant_channels(interval: Interval) -> Mask:
    """Channels whose every element can take one value only.

    It may differ by place, but change at most MAX_CHANGES times along each axis.
    """
    low, high = (np.atleast_1d(end) for end in interval)
    places = tuple(range(low.ndim - 1))
    constant: Mask = np.all(low == high, axis=places)
    for axis in places:
        others = tuple(place for place in places if place != axis)
        changes = np.any(np.diff(low, axis=axis) != 0, axis=others)
        constant &= changes.sum(axis=0) <= MAX_CHANGES
    return constant


def _spared(node: Node, values: IntArray) -> Mask:
    op = node.op
    assert isinstance(op, IntOp)
    return op.spares(values)


def _in_blocks(
    graph: Graph, links: Mapping[str, ChannelLinks | None], candidates: Mapping[str, Mask]
) -> dict[str, Mask]:
    """Those candidates that fill a block of each node that reads or makes them."""
    sizes = dict.fromkeys(candidates, 1)
    for node in graph.nodes:
        ins, outs = (1, 1) if (link := links[node.name]) is None else link.blocks
        for name, size in (*((name, ins) for name in node.inputs), (node.name, outs)):
            sizes[name] = math.lcm(sizes[name], size)
    return {name: _whole(mask, sizes[name]) for name, mask in candidates.items()}


def _whole(mask: Mask, size: int) -> Mask:
    """What fills whole blocks, the last of which may be a part of one."""
    full = np.pad(mask, (0, -len(mask) % size), constant_values=True)
    found: Mask = np.repeat(full.reshape(-1, size).all(axis=1), size)[: len(mask)]
    return found


def _links(graph: Graph, node: Node) -> ChannelLinks | None:
    op = node.op
    assert isinstance(op, IntOp)
    return op.channel_links(graph.input_shapes(node), node.shape) if node.inputs else None


def _needed_channels(
    graph: Graph, links: Mapping[str, ChannelLinks | None], constant: Mapping[str, Mask]
) -> dict[str, Mask]:
    """Channels on which an output depends, a constant one never needing its operands."""
    needed = {node.name: np.zeros(_channels(node), bool) for node in graph.nodes}
    for name in graph.outputs:
        needed[name][:] = True
    for node in reversed(graph.nodes):
        wanted = needed[node.name] & ~constant[node.name]
        link = links[node.name]
        for position, name in enumerate(node.inputs):
            if link is None:
                needed[name] |= bool(np.any(needed[node.name]))
            else:
                needed[name] |= _read_channels(link, position, wanted)
    return needed


def _read_channels(link: ChannelLinks, position: int, wanted: Mask) -> Mask:
    reads, ids = link.reads[position], link.inputs[position]
    read: Mask = (
        (ids == PINNED) | np.isin(ids, link.output[wanted])
        if reads is None
        else np.any(reads[wanted], axis=0)
    )
    return read


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Groups:
    """Union-find over the channels of all tensors."""

    start: Mapping[str, int]
    leader: NDArray[np.int64]

    def find(self, i: int) -> int:
        while self.leader[i] != i:
            self.leader[i] = self.leader[self.leader[i]]
            i = int(self.leader[i])
        return i


def _removable(
    graph: Graph,
    links: Mapping[str, ChannelLinks | None],
    candidates: Mapping[str, Mask],
) -> dict[str, Mask]:
    """Channels that can go: every channel of their group is a candidate, none is pinned."""
    spans, roots, stuck = _tied(graph, links)
    for name, mask in candidates.items():
        stuck[spans[name]] |= ~mask
    gone = _leave_one(roots, stuck, list(spans.values()))
    return {name: gone[span] for name, span in spans.items()}


def tied_channels(graph: Graph) -> tuple[dict[str, slice], NDArray[np.int64], Mask]:
    """Which channels of an integer graph can only go together.

    The place of each tensor's channels, by its name, in two arrays over all channels: int64, alike
    for those that are tied; and bool, for those that cannot go.
    """
    return _tied(graph, {node.name: _links(graph, node) for node in graph.nodes})


def _tied(
    graph: Graph, links: Mapping[str, ChannelLinks | None]
) -> tuple[dict[str, slice], NDArray[np.int64], Mask]:
    sizes = {node.name: _channels(node) for node in graph.nodes}
    starts = dict(zip(sizes, np.cumsum([0, *sizes.values()])[:-1].tolist(), strict=True))
    total = sum(sizes.values())
    groups = _Groups(start=starts, leader=np.arange(total))
    stuck = np.zeros(total, bool)
    for name in (*graph.inputs, *graph.outputs):
        stuck[starts[name] : starts[name] + sizes[name]] = True
    for node in graph.nodes:
        _join(node, links[node.name], sizes, groups, stuck)
    roots = np.array([groups.find(i) for i in range(total)], np.int64)
    spans = {name: slice(start, start + sizes[name]) for name, start in starts.items()}
    return spans, roots, stuck


def _leave_one(roots: NDArray[np.int64], stuck: Mask, spans: Sequence[slice]) -> Mask:
    """The channels that go, with one left in each tensor: an empty tensor is no tensor in C."""
    blocked = np.zeros(len(roots), bool)
    blocked[roots[stuck]] = True
    changed = True
    while changed:
        changed = False
        for span in spans:
            own = roots[span]
            if not np.any(blocked[own]):
                blocked[own[0]] = changed = True
    return ~blocked[roots]


def _join(
    node: Node,
    link: ChannelLinks | None,
    sizes: Mapping[str, int],
    groups: _Groups,
    stuck: Mask,
) -> None:
    """Tie the channels that one node ties; pin all of them where the node says nothing."""
    start = groups.start
    members: dict[int, int] = {}
    for name, ids in _tensors(node, link, sizes):
        for channel, number in enumerate(ids.tolist()):
            place = start[name] + channel
            if number == PINNED:
                stuck[place] = True
            elif number in members:
                groups.leader[groups.find(place)] = groups.find(members[number])
            else:
                members[number] = place


def _tensors(
    node: Node, link: ChannelLinks | None, sizes: Mapping[str, int]
) -> Iterator[tuple[str, NDArray[np.int64]]]:
    if link is None:
        # a node without operands says nothing of its output: the readers decide
        for name in (*node.inputs, node.name) if node.inputs else ():
            yield name, np.full(sizes[name], PINNED)
        return
    yield from zip(node.inputs, link.inputs, strict=True)
    yield node.name, link.output
