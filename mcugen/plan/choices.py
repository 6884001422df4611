# SPDX-License-Identifier: Apache-2.0
"""All choices of kernels for a network: what each costs, and the fastest within limits."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from operator import itemgetter
from typing import TypeAlias

from mcugen.ir.graph import Graph, Node
from mcugen.ops.base import IntOp, Kernel, Target
from mcugen.plan.arena import SEARCH_STEPS, Placement, conflict, extent, search
from mcugen.plan.chains import Chain
from mcugen.plan.lifetimes import Buffers, align, find_buffers, live_bytes

MAX_FRONTIER = 256  # choices that are kept while tables are shared out


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Offer:
    """One kernel of one layer, and the arena that its step needs at least."""

    kernel: Kernel
    table_bytes: int
    live_bytes: int
    distances: Mapping[tuple[str, str], int]  # what it lets overlap


Choice: TypeAlias = "tuple[Offer, ...]"  # one offer for each layer


def cycles_of(choice: Choice) -> float:
    """The estimate for the whole network."""
    return sum(offer.kernel.cycles for offer in choice)


def peak_of(choice: Choice) -> int:
    """What the layer that needs most needs, in bytes: no arena can be smaller."""
    return align(max((offer.live_bytes for offer in choice), default=0))


def table_bytes_of(choice: Choice) -> int:
    """All tables."""
    return sum(offer.table_bytes for offer in choice)


@dataclass(frozen=True, kw_only=True, eq=False)
class Choices:
    """The offers of each layer of a graph, in execution order.

    Layers in `chains` have one offer each.
    """

    graph: Graph
    chains: tuple[Chain, ...]
    layers: tuple[tuple[Offer, ...], ...]

    @cached_property
    def least_tables(self) -> int:
        """The smallest tables that there are, in bytes."""
        return sum(min(o.table_bytes for o in offers) for offers in self.layers)

    @cached_property
    def least_peak(self) -> int:
        """The smallest peak that there is, in bytes."""
        least = (min(o.live_bytes for o in offers) for offers in self.layers)
        return align(max(least, default=0))

    def fastest(self, flash_limit: int, peak_limit: int | None = None) -> Choice | None:
        """The fastest choice with tables and peak within the limits, None without any."""
        fitting = [
            [o for o in offers if peak_limit is None or align(o.live_bytes) <= peak_limit]
            for offers in self.layers
        ]
        return _fastest(fitting, flash_limit)

    def switched(self, choice: Choice, flash_limit: int) -> Iterator[Choice]:
        """The choices that differ from this one in one layer."""
        size = table_bytes_of(choice)
        for k, (offers, own) in enumerate(zip(self.layers, choice, strict=True)):
            for offer in offers:
                if offer is not own and size - own.table_bytes + offer.table_bytes <= flash_limit:
                    yield (*choice[:k], offer, *choice[k + 1 :])

    def buffers(self, choice: Choice) -> Buffers:
        """What is to be placed in the arena."""
        layers = zip(self.graph.layers, choice, strict=True)
        kernels = {node.name: offer.kernel for node, offer in layers}
        return find_buffers(self.graph, kernels, self.chains)

    def arena_bytes(self, choice: Choice, steps: int = SEARCH_STEPS) -> int:
        """The arena that the heuristic finds, or a smaller one that is noted."""
        if (choice, steps) not in self._arenas:
            buffers = self.buffers(choice)
            self._arenas[choice, steps] = align(extent(buffers, search(buffers, steps)))
        return min(
            self._arenas[choice, steps], self._noted.get(choice, self._arenas[choice, steps])
        )

    def note_arena(self, choice: Choice, offsets: Placement) -> None:
        """Remember offsets that are known for a choice, if they are right."""
        buffers = self.buffers(choice)
        if conflict(buffers, offsets) is None:
            self._noted[choice] = align(extent(buffers, offsets))

    @cached_property
    def _arenas(self) -> dict[tuple[Choice, int], int]:
        """Arenas that the heuristic has found, by choice and steps."""
        return {}

    @cached_property
    def _noted(self) -> dict[Choice, int]:
        """Arenas that are known from elsewhere."""
        return {}


def all_choices(
    graph: Graph, target: Target, chains: Sequence[Chain], chained: Mapping[str, Kernel]
) -> Choices:
    """Every kernel that computes each layer; for layers in `chained`, that one."""
    steps = {node.name: step for step, node in enumerate(graph.nodes)}
    layers = tuple(
        tuple(
            _offer(graph, chains, node, kernel, steps[node.name])
            for kernel in _kernels(graph, node, target, chained)
        )
        for node in graph.layers
    )
    return Choices(graph=graph, chains=tuple(chains), layers=layers)


def _kernels(
    graph: Graph, node: Node, target: Target, chained: Mapping[str, Kernel]
) -> tuple[Kernel, ...]:
    if node.name in chained:
        return (chained[node.name],)
    assert isinstance(node.op, IntOp)
    kernels = node.op.implementations(graph.input_shapes(node), node.shape, target)
    return still_offered(target, node.name, kernels)


def still_offered(target: Target, layer: str, kernels: tuple[Kernel, ...]) -> tuple[Kernel, ...]:
    """The kernels of a layer among which there is still a choice."""
    variant = dict(target.chosen).get(layer)
    return tuple(kernel for kernel in kernels if kernel.variant == variant) or kernels


def _offer(graph: Graph, chains: Sequence[Chain], node: Node, kernel: Kernel, step: int) -> Offer:
    buffers = find_buffers(graph, {node.name: kernel}, chains)
    return Offer(
        kernel=kernel,
        table_bytes=kernel.table_bytes,
        live_bytes=live_bytes(buffers, step),
        distances=buffers.distances,
    )


def _fastest(layers: Sequence[Sequence[Offer]], flash_limit: int) -> Choice | None:
    """The fastest choice whose tables fit, None where none does.

    Layer by layer, of choices with more bytes only faster ones are kept. Exact up to MAX_FRONTIER
    of them; then evenly spread ones stay, the smallest of all among them.
    """
    frontier: list[tuple[int, float, Choice]] = [(0, 0.0, ())]
    for offers in layers:
        longer = [
            (size + o.table_bytes, cycles + o.kernel.cycles, (*choice, o))
            for size, cycles, choice in frontier
            for o in offers
            if size + o.table_bytes <= flash_limit
        ]
        frontier = []
        for entry in sorted(longer, key=itemgetter(0, 1)):
            if not frontier or entry[1] < frontier[-1][1]:
                frontier.append(entry)
        if not frontier:
            return None
        frontier = frontier[:: -(-len(frontier) // MAX_FRONTIER)]
    return frontier[-1][2]
