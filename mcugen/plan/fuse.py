# SPDX-License-Identifier: Apache-2.0
"""Which layers form chains: the cheapest partition of the order that needs least RAM."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from operator import itemgetter

from mcugen.ir.graph import Graph, Node
from mcugen.ops.base import IntOp, Kernel
from mcugen.plan.chains import Chain, ChainLayer, make_chain
from mcugen.plan.lifetimes import find_buffers, live_bytes

MAX_LAYERS = 16  # in one chain: rows of more layers seldom save more
MOVE_CYCLES = 0.75  # a byte of a row buffer that moves up: words, loaded and stored in groups
BYTE_CYCLES = 7.0  # the same where rows are not whole words

KernelOf = Callable[[ChainLayer], Kernel]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Fused:
    """A chain and the kernels of its layers, by node."""

    chain: Chain
    kernels: Mapping[str, Kernel]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Segment:
    """Consecutive nodes from `first` to before `end`, and what they need while they run."""

    first: int
    end: int
    ram_bytes: int
    cycles: float
    fused: Fused | None = None


def choose_chains(
    graph: Graph,
    kernels: Mapping[str, Kernel],
    kernel_of: KernelOf,
    limit_bytes: int = 0,
    fed: str | None = None,
) -> tuple[Fused, ...] | None:
    """The chains with which the network needs at most `limit_bytes`, or as little as can be.

    `kernels` are those of the layers without chains, `kernel_of` chooses one for a stripe. `fed` is
    an input whose rows come one by one: the first layers must be a chain that reads it; None where
    they cannot be. RAM is counted as what is live at once; the plan may need a little more.
    """
    segments = [*_singles(graph, kernels, fed), *_chained(graph, kernels, kernel_of, fed)]
    ending: dict[int, list[_Segment]] = {}
    for segment in segments:
        if fed is None or _feeds(graph, segment, fed):
            ending.setdefault(segment.end, []).append(segment)
    count = len(graph.nodes)
    least = [0.0]
    for end in range(1, count + 1):
        needs = (max(least[s.first], s.ram_bytes) for s in ending.get(end, []))
        least.append(min(needs, default=math.inf))
    bound = max(least[count], limit_bytes)
    if bound == math.inf:
        return None
    cheapest: list[tuple[float, _Segment | None]] = [(0.0, None)]
    for end in range(1, count + 1):
        costs = [
            (cheapest[s.first][0] + s.cycles if s.ram_bytes <= bound else math.inf, s)
            for s in ending.get(end, [])
        ]
        cheapest.append(min(costs, key=itemgetter(0), default=(math.inf, None)))
    return tuple(segment.fused for segment in _walk(cheapest) if segment.fused is not None)


def _feeds(graph: Graph, segment: _Segment, fed: str) -> bool:
    """The segment is the chain that begins with all readers of `fed`, or has none of them."""
    nodes = graph.nodes[segment.first : segment.end]
    reads = any(fed in node.inputs for node in nodes)
    if not reads:
        return True
    if segment.fused is None:
        return False
    chain = segment.fused.chain
    return (
        chain.operand == fed
        and nodes[0] is graph.layers[0]
        and all(reader.name in chain.nodes for reader in graph.consumers[fed])
    )


def _walk(cheapest: Sequence[tuple[float, _Segment | None]]) -> list[_Segment]:
    """The segments of the cheapest partition, in order."""
    found = []
    segment = cheapest[-1][1]
    while segment is not None:
        found.append(segment)
        segment = cheapest[segment.first][1]
    return found[::-1]


def _singles(graph: Graph, kernels: Mapping[str, Kernel], fed: str | None) -> Iterator[_Segment]:
    buffers = find_buffers(graph, kernels, outside=_outside(fed))
    for step, node in enumerate(graph.nodes):
        yield _Segment(
            first=step,
            end=step + 1,
            ram_bytes=live_bytes(buffers, step),
            cycles=kernels[node.name].cycles if node.name in kernels else 0.0,
        )


def _outside(fed: str | None) -> tuple[str, ...]:
    return () if fed is None else (fed,)


def _chained(
    graph: Graph, kernels: Mapping[str, Kernel], kernel_of: KernelOf, fed: str | None
) -> Iterator[_Segment]:
    stripes: dict[tuple[str, tuple[int, ...]], Kernel] = {}

    def cached(layer: ChainLayer) -> Kernel:
        key = (layer.node.name, layer.shape)
        if key not in stripes:
            stripes[key] = kernel_of(layer)
        return stripes[key]

    for end in range(1, len(graph.nodes) + 1):
        for first in range(end - 1, max(-1, end - 1 - MAX_LAYERS), -1):
            if not _can_stripe(graph, graph.nodes[first]):
                break
            chain = make_chain(graph, graph.nodes[first:end])
            if chain is not None:
                own = {layer.node.name: cached(layer) for layer in chain.layers}
                if not fits(chain, own):
                    continue
                buffers = find_buffers(graph, {**kernels, **own}, [chain], _outside(fed))
                yield _Segment(
                    first=first,
                    end=end,
                    ram_bytes=max(live_bytes(buffers, step) for step in range(first, end)),
                    cycles=chain_cycles(chain, own),
                    fused=Fused(chain=chain, kernels=own),
                )


def _can_stripe(graph: Graph, node: Node) -> bool:
    """Whether a chain can reach back across this node."""
    shapes = graph.input_shapes(node)
    images = all(len(shape) == 3 for shape in (*shapes, node.shape))
    if not images or not node.op.computes:
        return False
    assert isinstance(node.op, IntOp)
    return node.op.striped(shapes, node.shape, 1) is not None


def fits(chain: Chain, kernels: Mapping[str, Kernel]) -> bool:
    """Whether all layers begin where their kernels can."""
    return all(layer.aligned or kernels[layer.node.name].any_place for layer in chain.layers)


def chain_cycles(chain: Chain, kernels: Mapping[str, Kernel]) -> float:
    """Of the kernels, as often as they run, and of the rows that move."""
    moved = sum(
        (MOVE_CYCLES if buffer.aligned else BYTE_CYCLES) * buffer.size_bytes
        for buffer in chain.buffers.values()
    )
    computed = sum(count * kernels[name].cycles for name, count in chain.runs().items())
    return computed + chain.steps * moved
