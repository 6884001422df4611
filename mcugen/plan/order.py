# SPDX-License-Identifier: Apache-2.0
"""An execution order in which less is live at once.

Where a graph branches, its nodes may run in many orders. What is live after some of them have run
depends on which these are, not on their order; so the search keeps the best way to each such set.
It is exact while there are few of them, as many as it keeps; else it keeps those of lowest peak.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from mcugen.ir.graph import Graph, Node
from mcugen.ops.base import IntOp, Kernel
from mcugen.plan.lifetimes import find_homes, in_flash, shared_bytes

MAX_SETS = 500  # of nodes that have run, all of one size


def lower_order(graph: Graph, kernels: Mapping[str, Kernel]) -> Graph | None:
    """The graph in an order of lower peak with these kernels, None where none is found."""
    branches = _Branches(graph=graph, kernels=kernels)
    peak, order = _search(branches)
    if peak >= branches.peak_of(tuple(range(len(graph.nodes)))):
        return None
    return graph.with_nodes(graph.nodes[k] for k in order)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Way:
    """How a set of nodes has run: the most that was live, what is live now, and the order.

    The order is by position in the graph, so of equal peaks the one next to the graph's own wins.
    """

    peak: int
    order: tuple[int, ...]
    live: int


@dataclass(frozen=True, kw_only=True, eq=False)
class _Branches:
    """A graph whose nodes are counted; sets of them are the bits of an integer."""

    graph: Graph
    kernels: Mapping[str, Kernel]

    @cached_property
    def homes(self) -> Mapping[str, str]:
        """The buffer of each tensor in the arena."""
        return find_homes(self.graph)

    @cached_property
    def sizes(self) -> Mapping[str, int]:
        """Bytes of each buffer."""
        found: dict[str, int] = {}
        for name, home in self.homes.items():
            found[home] = max(found.get(home, 0), self.graph.by_name[name].size_bytes)
        return found

    @cached_property
    def before(self) -> Sequence[int]:
        """What each node needs to have run."""
        place = {node.name: k for k, node in enumerate(self.graph.nodes)}
        return [sum(1 << place[name] for name in set(node.inputs)) for node in self.graph.nodes]

    @cached_property
    def uses(self) -> Mapping[str, int]:
        """The nodes that write or read each buffer; one that is an output is never done with."""
        found = dict.fromkeys(self.sizes, 0)
        for k, node in enumerate(self.graph.nodes):
            for name in (*node.inputs, node.name):
                if name in self.homes:
                    found[self.homes[name]] |= 1 << k
        for name in self.graph.outputs:
            if name in self.homes:
                found[self.homes[name]] |= 1 << len(self.graph.nodes)
        return found

    @cached_property
    def start(self) -> _Way:
        """What needs not run: inputs, which are there, and values in flash."""
        names = set(self.graph.inputs)
        nodes = enumerate(self.graph.nodes)
        order = tuple(k for k, node in nodes if node.name in names or in_flash(node))
        inputs = {name: self.sizes[name] for name in self.graph.inputs}
        read = (size for name, size in inputs.items() if self.uses[name] & ~_bits(order))
        return _Way(peak=sum(inputs.values()), order=order, live=sum(read))

    def run(self, way: _Way, done: int, k: int) -> _Way:
        """Run a node after the set `done`."""
        node = self.graph.nodes[k]
        after = done | 1 << k
        home = self.homes[node.name]
        dying = [
            name
            for name in dict.fromkeys(self.homes[i] for i in node.inputs if i in self.homes)
            if not self.uses[name] & ~after
        ]
        own = 0 if home in (self.homes.get(i) for i in node.inputs) else self.sizes[home]
        most = way.live + self._needed(node, own, dying)
        dead = [*dying, *([] if self.uses[home] & ~after or home in dying else [home])]
        left = way.live + own - sum(self.sizes[name] for name in dead)
        return _Way(peak=max(way.peak, most), order=(*way.order, k), live=left)

    def _needed(self, node: Node, own: int, dying: Sequence[str]) -> int:
        """Bytes of a step beside what is live before: output and scratch, less what they share."""
        kernel = self.kernels.get(node.name)
        if kernel is None:
            return own
        allowed = {overlap.operand: overlap.distance for overlap in kernel.overlaps}
        shared = 0
        for home in dying:
            places = [k for k, name in enumerate(node.inputs) if self.homes.get(name) == home]
            if all(place in allowed for place in places):
                distance = max(allowed[place] for place in places)
                shared += shared_bytes(own, self.sizes[home], distance)
        return own + kernel.scratch_bytes - min(own, shared)

    def peak_of(self, order: Sequence[int]) -> int:
        """Of a whole order."""
        way, done = self.start, _bits(self.start.order)
        for k in order:
            if not done >> k & 1:
                way, done = self.run(way, done, k), done | 1 << k
        return way.peak

    def ready(self, done: int) -> Iterator[int]:
        """The nodes that can run next; a view costs nothing and runs alone, at once."""
        found = [
            k for k, needed in enumerate(self.before) if not done >> k & 1 and not needed & ~done
        ]
        views = [k for k in found if _is_view(self.graph.nodes[k])]
        yield from views[:1] or found


def _search(branches: _Branches) -> tuple[int, tuple[int, ...]]:
    """Peak and order of the best way to run all nodes."""
    ways = {_bits(branches.start.order): branches.start}
    for _ in range(len(branches.graph.nodes) - len(branches.start.order)):
        longer: dict[int, _Way] = {}
        for done, way in ways.items():
            for k in branches.ready(done):
                now = branches.run(way, done, k)
                known = longer.get(done | 1 << k)
                if known is None or (now.peak, now.order) < (known.peak, known.order):
                    longer[done | 1 << k] = now
        best = sorted(longer.items(), key=lambda item: (item[1].peak, item[1].live, item[1].order))
        ways = dict(best[:MAX_SETS])
    (way,) = ways.values()
    return way.peak, way.order


def _bits(order: Sequence[int]) -> int:
    return sum(1 << k for k in order)


def _is_view(node: Node) -> bool:
    return isinstance(node.op, IntOp) and node.op.is_view
