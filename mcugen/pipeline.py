# SPDX-License-Identifier: Apache-2.0
"""The compiler as a list of stages: float graph and samples in, integer graph, plan and C text out.

Every stage takes and returns immutable values; nothing is read from or written to disk here, except
for the dumps that are asked for.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from mcugen.emit.render import render
from mcugen.emit.view import NetworkView, network_view
from mcugen.errors import OptionError
from mcugen.fixed_point import RequantMode
from mcugen.ir.check import Stage, check
from mcugen.ir.graph import Graph
from mcugen.ir.quantization import Quantization
from mcugen.ir.text import to_text
from mcugen.lower.integer import to_integer
from mcugen.ops.base import PORTABLE, Target, parameter_count
from mcugen.passes import (
    drop_identities,
    fold_batchnorm,
    fold_constants,
    fold_transpose,
    fuse_clamp,
    hoist_rounding,
    merge_padding,
    remove_channels,
)
from mcugen.plan.arena import Plan
from mcugen.plan.chains import Chain
from mcugen.plan.choose import LayerKernel
from mcugen.plan.planner import plan_best_order, split_plan
from mcugen.pruning.norms import NormScales, norm_scales
from mcugen.pruning.options import PruneOptions
from mcugen.pruning.prune import prune_graph
from mcugen.quantize import equalize
from mcugen.quantize.adaround import Progress
from mcugen.quantize.options import QuantOptions
from mcugen.quantize.quantize import quantize
from mcugen.quantize.stated import Settled, is_stated, settle

Pass = Callable[[Graph], Graph]

FLOAT_PASSES: Mapping[str, Pass] = {
    "fold_constants": fold_constants.run,
    "hoist_rounding": hoist_rounding.run,
    "drop_identities": drop_identities.run,
    "merge_padding": merge_padding.run,
    "fold_batchnorm": fold_batchnorm.run,
    "fuse_clamp": fuse_clamp.run,
    "fold_transpose": fold_transpose.run,
}
INTEGER_PASSES: Mapping[str, Pass] = {
    "remove_channels": remove_channels.run,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class CompileOptions:
    """What the user may choose about the compilation itself."""

    requant: RequantMode = "single"
    quant: QuantOptions = field(default_factory=QuantOptions)
    bits: tuple[tuple[str, int], ...] | None = None  # by layer, in the place of what `quant` says
    prune: PruneOptions | None = None
    skip_passes: frozenset[str] = frozenset()
    target: Target = PORTABLE
    ram_bytes: int | None = None  # of the board; None where there is no limit
    row_input: bool = False  # the caller gives the input row by row
    fast_bytes: int = 0  # of a second block of RAM, in fast memory
    dump_dir: Path | None = None

    def __post_init__(self) -> None:
        """Raise OptionError for passes that are not known."""
        known = (*FLOAT_PASSES, *INTEGER_PASSES)
        unknown = sorted(self.skip_passes - set(known))
        if unknown:
            msg = f"unknown pass {', '.join(unknown)}; the passes are {', '.join(known)}"
            raise OptionError(msg)

    def text(self) -> str:
        """The choices that change the generated C, for its digest."""
        target = f"{self.target.core} {self.target.optimize}"
        if self.fast_bytes:
            target += f" fast {self.fast_bytes}"
        if self.prune is not None:
            target += f" pruned {self.prune.text()}"
        if self.bits is not None:
            target += f" bits {dict(self.bits)}"
        if self.target.chosen:
            target += f" kernels {dict(self.target.chosen)}"
        return f"{self.requant} {self.quant.text()} {sorted(self.skip_passes)} {target}"


class Cost(NamedTuple):
    """What a graph costs, comparable from stage to stage."""

    layers: int
    macs: int
    parameters: int


@dataclass(frozen=True, slots=True, kw_only=True)
class PassRecord:
    """One exact pass and what it saved."""

    name: str
    before: Cost
    after: Cost


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Compilation:
    """A network, compiled: everything that is written, verified and reported."""

    dense_graph: Graph  # float, after the exact passes
    float_graph: Graph  # the same after pruning, where that was asked for
    uncut_graph: Graph  # integer, before integer passes: tensors match those of `float_graph`
    graph: Graph  # integer, as emitted
    layers: tuple[LayerKernel, ...]
    chains: tuple[Chain, ...]
    plan: Plan
    passes: tuple[PassRecord, ...]
    view: NetworkView
    files: Mapping[str, str]
    settled: Settled | None  # where the model brought a quantization of its own


def simplified(source: Graph, quant: QuantOptions | None = None) -> Graph:
    """A float graph after the exact passes: what is quantized and trained."""
    return _prepared(source, CompileOptions(quant=quant or QuantOptions()), [])


def prepared(
    source: Graph,
    samples: Sequence[NDArray[np.float32]],
    options: CompileOptions,
    progress: Progress = lambda _done, _total, _text: None,
) -> tuple[Graph, Quantization | None]:
    """What `compile_graph` quantizes: after the exact passes, and pruned where asked for.

    With its quantization, where the model states one itself.
    """
    graph = _prepared(source, options, [])
    if is_stated(graph):
        settled = settle(graph, samples)
        return settled.graph, settled.quantization
    return _pruned(graph, samples, options, progress, norm_scales(source)), None


def _prepared(source: Graph, options: CompileOptions, records: list[PassRecord]) -> Graph:
    graph = _run_passes(source, FLOAT_PASSES, "float", options, records)
    chosen = {"equalize": equalize.run} if options.quant.equalize else {}
    return _run_passes(graph, chosen, "float", options, records)


def compile_graph(
    source: Graph,
    samples: Sequence[NDArray[np.float32]],
    options: CompileOptions,
    quantization: Quantization | None = None,
    progress: Progress = lambda _done, _total, _text: None,
) -> Compilation:
    """Compile a float graph; `samples` are its inputs, float32 [N, *shape] in stored layout.

    A `quantization` that comes with the graph is taken as it is, and the graph with it: it has the
    exact passes behind it, and is not pruned. Nor is one that states its quantization in the graph
    itself; `samples` serve what it leaves unsaid then. `progress` is told of the steps of methods
    that take their time.
    """
    records: list[PassRecord] = []
    dense = graph = source
    settled = None
    if quantization is None:
        dense = _prepared(source, options, records)
        settled = settle(dense, samples) if is_stated(dense) else None
        if settled is not None:
            graph, quantization = check(settled.graph, "float", "settle"), settled.quantization
        else:
            graph = _pruned(dense, samples, options, progress, norm_scales(source))
            bits = None if options.bits is None else dict(options.bits)
            quantization = quantize(graph, samples, options.quant, bits, progress)
    uncut = to_integer(graph, quantization, options.requant)
    check(uncut, "integer", "to_integer")
    _dump(uncut, "to_integer", options, len(records))
    integer = _run_passes(uncut, INTEGER_PASSES, "integer", options, records)
    integer, planned = plan_best_order(
        integer, options.target, options.ram_bytes, row_input=options.row_input
    )
    check(integer, "integer", "plan")
    if options.fast_bytes:
        planned = split_plan(integer, planned, options.fast_bytes)
    macs = cost_of(integer).macs
    layers, chains, plan = planned.layers, planned.chains, planned.arena
    view = network_view(integer, layers, plan, macs, options.text(), chains)
    return Compilation(
        dense_graph=dense,
        float_graph=graph,
        uncut_graph=uncut,
        graph=integer,
        layers=layers,
        chains=chains,
        plan=plan,
        passes=tuple(records),
        view=view,
        files=render(view),
        settled=settled,
    )


def _pruned(
    graph: Graph,
    samples: Sequence[NDArray[np.float32]],
    options: CompileOptions,
    progress: Progress,
    scales: NormScales,
) -> Graph:
    if options.prune is None:
        return graph
    return check(prune_graph(graph, samples, options.prune, progress, scales), "float", "prune")


def _run_passes(
    graph: Graph,
    passes: Mapping[str, Pass],
    stage: Stage,
    options: CompileOptions,
    records: list[PassRecord],
) -> Graph:
    for name, run in passes.items():
        if name in options.skip_passes:
            continue
        before = cost_of(graph)
        graph = check(run(graph), stage, name)
        records.append(PassRecord(name=name, before=before, after=cost_of(graph)))
        _dump(graph, name, options, len(records))
    return graph


def cost_of(graph: Graph) -> Cost:
    """Layers, multiply-accumulates and parameters of a float or an integer graph."""
    return Cost(
        layers=len(graph.layers),
        macs=sum(node.op.macs(graph.input_shapes(node), node.shape) for node in graph.nodes),
        parameters=sum(parameter_count(node.op) for node in graph.nodes),
    )


def _dump(graph: Graph, stage: str, options: CompileOptions, number: int) -> None:
    if options.dump_dir is not None:
        path = options.dump_dir / f"{number:02d}_{stage}.txt"
        path.write_text(to_text(graph), encoding="utf-8")
