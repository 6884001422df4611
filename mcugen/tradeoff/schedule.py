# SPDX-License-Identifier: Apache-2.0
"""What each kernel of each layer costs in its place, found by lowering that layer alone.

The place is that of the network with int8 weights: its execution order, its chains, and the
channels that are left of it. What a layer in another form costs beside it is then known without
compiling the network again.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from mcugen.fixed_point import RequantMode
from mcugen.ir.graph import Graph, Node
from mcugen.ir.quantization import Quantization, WeightQuant
from mcugen.lower.integer import to_integer
from mcugen.ops.base import IntOp, Kernel, Target
from mcugen.passes import remove_channels
from mcugen.passes.remove_channels import Removal
from mcugen.plan.chains import Chain, make_chain
from mcugen.plan.lifetimes import find_buffers, live_bytes
from mcugen.plan.planner import Planned, plan_best_order
from mcugen.tradeoff.options import Form, Option


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Schedule:
    """The network with int8 weights as it would be compiled."""

    float_graph: Graph
    quantization: Quantization
    requant: RequantMode
    target: Target
    graph: Graph  # integer, in the order in which it runs
    planned: Planned
    removal: Removal | None  # None where channels are to stay
    headers: dict[str, str] = field(default_factory=dict)  # of all functions of options so far

    @classmethod
    def of(
        cls,
        graph: Graph,
        quantization: Quantization,
        target: Target,
        *,
        requant: RequantMode = "single",
        ram_bytes: int | None = None,
        row_input: bool = False,
        removing: bool = True,
    ) -> Schedule:
        """Plan a float graph under a quantization, with chains where RAM is scarce."""
        uncut = to_integer(graph, quantization, requant)
        removal = remove_channels.find(uncut) if removing else None
        integer, planned = plan_best_order(
            uncut if removal is None else removal.apply(), target, ram_bytes, row_input=row_input
        )
        return cls(
            float_graph=graph,
            quantization=quantization,
            requant=requant,
            # options are to be weighed, so that the smaller and slower ones count as well
            target=replace(target, optimize="size"),
            graph=integer,
            planned=planned,
            removal=removal,
        )

    @property
    def weighted(self) -> tuple[str, ...]:
        """Layers with weights that are still there, in the order in which they run."""
        weights = self.quantization.weights
        return tuple(node.name for node in self.graph.layers if node.name in weights)

    @property
    def moves(self) -> float:
        """Cycles beside all kernels: of rows that move in chains."""
        own = sum(
            self._runs.get(layer.node.name, 1) * layer.kernel.cycles
            for layer in self.planned.layers
        )
        return self.planned.cycles - own

    @property
    def _runs(self) -> dict[str, int]:
        return {n: count for chain in self.planned.chains for n, count in chain.runs().items()}

    def fixed_options(self, name: str, form: Form | None = None) -> tuple[Option, ...]:
        """The kernels of a layer as it is, which lose nothing."""
        return tuple(self._options(self.graph.by_name[name], form))

    def options(
        self, form: Form, weights: Mapping[str, WeightQuant], graph: Graph
    ) -> dict[str, tuple[Option, ...]]:
        """The kernels of the layers in `weights` if they alone are in that form, with no loss yet.

        graph: the float graph that `weights` are of.
        """
        every = Quantization(
            tensors=self.quantization.tensors, weights={**self.quantization.weights, **weights}
        )
        lowered = to_integer(graph, every, self.requant).by_name
        return {
            name: tuple(self._options(self._cut(lowered[name]), form))
            for name in self.weighted
            if name in weights
        }

    def _cut(self, node: Node) -> Node:
        return node if self.removal is None else self.removal.cut(node)

    def _options(self, node: Node, form: Form | None) -> Iterator[Option]:
        chains = self.planned.chains
        inside = next((chain for chain in chains if node.name in chain.nodes), None)
        runs = 1 if inside is None else self._runs[node.name]
        step = [other.name for other in self.graph.nodes].index(node.name)
        fed = [name for name in self.graph.inputs if name not in self.planned.arena.offsets]
        for kernel in self._kernels(node, inside):
            self.headers.update((call.function, call.header) for call in kernel.calls)
            buffers = find_buffers(self.graph, {node.name: kernel}, chains, fed)
            yield Option(
                layer=node.name,
                form=form,
                kernel=kernel.variant,
                loss=0.0,
                flash=kernel.table_bytes,
                cycles=runs * kernel.cycles,
                live=live_bytes(buffers, step),
                functions=tuple(dict.fromkeys(call.function for call in kernel.calls)),
            )

    def _kernels(self, node: Node, chain: Chain | None) -> Sequence[Kernel]:
        assert isinstance(node.op, IntOp)
        if chain is None:
            shapes = self.graph.input_shapes(node)
            return node.op.implementations(shapes, node.shape, self.target)
        others = (
            replace(node, inputs=n.inputs) if n.name == node.name else n for n in self.graph.nodes
        )
        changed = self.graph.with_nodes(others)
        nodes = [changed.by_name[layer.node.name] for layer in chain.layers]
        made = make_chain(changed, nodes) or chain  # the stripe as it was, if it has no other
        (layer,) = (layer for layer in made.layers if layer.node.name == node.name)
        return layer.op.implementations(layer.input_shapes, layer.shape, self.target)
