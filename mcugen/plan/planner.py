# SPDX-License-Identifier: Apache-2.0
"""The whole plan of a network: kernels, chains, and where every tensor lies."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace

from mcugen.errors import OptionError
from mcugen.ir.graph import Graph
from mcugen.ops.base import Kernel, Optimize, Target
from mcugen.plan.arena import Plan, offsets_of, plan_arena
from mcugen.plan.chains import Chain, ChainLayer
from mcugen.plan.choices import still_offered
from mcugen.plan.choose import GOALS, LayerKernel, best_kernel, choose_kernels
from mcugen.plan.fuse import Fused, KernelOf, chain_cycles, choose_chains
from mcugen.plan.lifetimes import find_buffers
from mcugen.plan.order import lower_order
from mcugen.plan.regions import count_accesses, split_arena

# what chains must save, and may cost, where cycles count as much as RAM
MUCH_LESS_RAM = 0.85
HARDLY_MORE_CYCLES = 1.03
# what kernels of stripes are chosen for where RAM is scarce: the least scratch need not be what the
# arena wants, because another layer of the chain may need more anyway
_STRIPES: tuple[Optimize, ...] = ("ram", "balanced")


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Planned:
    """The kernel of every layer in execution order, the chains, and the arena."""

    layers: tuple[LayerKernel, ...]
    chains: tuple[Chain, ...]
    arena: Plan

    @property
    def cycles(self) -> float:
        """The cost model's estimate for one inference."""
        kernels = _kernels(self.layers)
        inside = {name for chain in self.chains for name in chain.nodes}
        alone = sum(kernel.cycles for name, kernel in kernels.items() if name not in inside)
        return alone + sum(chain_cycles(chain, kernels) for chain in self.chains)


def make_plan(
    graph: Graph, target: Target, ram_bytes: int | None = None, *, row_input: bool = False
) -> Planned:
    """Plan an integer graph; with `row_input`, its input comes row by row and is never whole.

    Chains are formed where RAM is what the target wants to save, where they save much of it for few
    cycles or none, or where the network would need more than the `ram_bytes` that there are; then
    no more of them than that takes.

    Raises OptionError where the first layers cannot be computed row by row but must.
    """
    layers = choose_kernels(graph, target)
    if row_input:
        return _row_fed(graph, target, layers)
    plain = Planned(layers=layers, chains=(), arena=plan_arena(graph, _kernels(layers)))
    if target.optimize == "ram":
        chained = [_chained(graph, target, layers, stripes=wish) for wish in _STRIPES]
        return min((plain, *chained), key=_ram_score)
    fits = ram_bytes is None or plain.arena.arena_bytes <= ram_bytes
    if fits and target.optimize != "balanced":
        return plain
    least = _chained(graph, target, layers)
    if target.optimize == "balanced" and _pays(least, plain):
        return least
    if ram_bytes is None or fits:
        return plain
    enough = _chained(graph, target, layers, limit_bytes=ram_bytes)
    if enough.arena.arena_bytes <= ram_bytes:
        return enough
    return min((plain, enough, least), key=_arena_bytes)


def plan_best_order(
    graph: Graph, target: Target, ram_bytes: int | None = None, *, row_input: bool = False
) -> tuple[Graph, Planned]:
    """The graph and its plan, in another execution order where that needs the smaller arena.

    Raises OptionError as `make_plan`.
    """
    planned = make_plan(graph, target, ram_bytes, row_input=row_input)
    inside = {name for chain in planned.chains for name in chain.nodes}
    alone = tuple(layer for layer in planned.layers if layer.node.name not in inside)
    other = lower_order(graph, _kernels(alone))
    if other is None:
        return graph, planned
    again = make_plan(other, target, ram_bytes, row_input=row_input)
    found = (graph, planned), (other, again)
    return min(found, key=lambda each: each[1].arena.arena_bytes)


def split_plan(graph: Graph, planned: Planned, fast_bytes: int) -> Planned:
    """The plan with a second block of RAM of at most `fast_bytes` for what is used most.

    As it is where the arena fits there as a whole, or nothing of it.
    """
    whole = planned.arena
    if whole.arena_bytes <= fast_bytes:
        return planned
    kernels = _kernels(planned.layers)
    outside = [name for name in graph.inputs if name not in planned.arena.offsets]
    buffers = find_buffers(graph, kernels, planned.chains, outside)
    accesses = count_accesses(graph, kernels, planned.chains, buffers)
    split = split_arena(buffers, accesses, fast_bytes, whole.arena_bytes)
    if split.fast_bytes == 0:
        return planned
    arena = replace(
        whole,
        offsets=offsets_of(buffers, split.offsets),
        arena_bytes=split.slow_bytes,
        fast_bytes=split.fast_bytes,
        fast_share=split.fast_share,
        proof="solver" if split.optimal else None,
    )
    return replace(planned, arena=arena)


def _pays(chained: Planned, plain: Planned) -> bool:
    """Much less RAM for hardly more cycles."""
    saves = chained.arena.arena_bytes <= MUCH_LESS_RAM * plain.arena.arena_bytes
    return saves and chained.cycles <= HARDLY_MORE_CYCLES * plain.cycles


def _ram_score(planned: Planned) -> float:
    return GOALS["ram"].score(planned.cycles, planned.arena.arena_bytes)


def _arena_bytes(planned: Planned) -> int:
    return planned.arena.arena_bytes


def _kernels(layers: tuple[LayerKernel, ...]) -> dict[str, Kernel]:
    return {layer.node.name: layer.kernel for layer in layers}


def _row_fed(graph: Graph, target: Target, layers: tuple[LayerKernel, ...]) -> Planned:
    """The plan with least RAM in which the first layers take the input's rows as they come."""
    shapes = [graph.by_name[name].shape for name in graph.inputs]
    if len(shapes) != 1 or len(shapes[0]) != 3:
        found = ", ".join(str(list(shape)) for shape in shapes)
        msg = f"an input in rows must be one image [H, W, C]; the network takes {found}"
        raise OptionError(msg)
    (fed,) = graph.inputs
    fused = choose_chains(
        graph, _kernels(layers), _kernel_of(graph, target, target.optimize), fed=fed
    )
    if fused is None:
        first = layers[0].node
        msg = (
            f"the input cannot come in rows: {first.name} ({first.origin or first.op.kind}) is no "
            "layer that works row by row, or its kernel needs rows that are a multiple of 4 bytes; "
            "build without --row-input"
        )
        raise OptionError(msg)
    return plan_chains(graph, layers, fused, outside=(fed,))


def _kernel_of(graph: Graph, target: Target, optimize: Optimize) -> KernelOf:
    """Chooses the kernel of a stripe, which is one layer among others, by what is wished for."""
    largest = max(node.size_bytes for node in graph.nodes)

    def kernel_of(layer: ChainLayer) -> Kernel:
        kernels = layer.op.implementations(layer.input_shapes, layer.shape, target)
        kernels = still_offered(target, layer.node.name, kernels)
        return best_kernel(kernels, optimize, largest)

    return kernel_of


def _chained(
    graph: Graph,
    target: Target,
    layers: tuple[LayerKernel, ...],
    *,
    limit_bytes: int = 0,
    stripes: Optimize | None = None,
) -> Planned:
    """The plan whose chains keep what is live within the limit, or as small as can be.

    Kernels outside of them are chosen again: another layer may need most now. `stripes` is what
    those within are chosen for, if not what the target wants.
    """
    kernel_of = _kernel_of(graph, target, stripes or target.optimize)
    fused = choose_chains(graph, _kernels(layers), kernel_of, limit_bytes)
    assert fused is not None, "only an input in rows can leave no partition"
    striped = {name: kernel for one in fused for name, kernel in one.kernels.items()}
    chains = [one.chain for one in fused]
    return plan_chains(graph, choose_kernels(graph, target, chains, striped), fused)


def plan_chains(
    graph: Graph,
    layers: tuple[LayerKernel, ...],
    fused: Sequence[Fused],
    outside: Collection[str] = (),
) -> Planned:
    """The plan with these chains, and with `layers` as they are outside of them."""
    striped = {name: kernel for one in fused for name, kernel in one.kernels.items()}
    own = tuple(
        replace(layer, kernel=striped.get(layer.node.name, layer.kernel)) for layer in layers
    )
    chains = tuple(one.chain for one in fused)
    return Planned(
        layers=own, chains=chains, arena=plan_arena(graph, _kernels(own), chains, outside)
    )
