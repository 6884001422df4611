# SPDX-License-Identifier: Apache-2.0
"""A choice made real: the network in its forms, compiled; and what it costs when it is measured."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mcugen.boards import Board
from mcugen.emit.write import write_files
from mcugen.errors import MissingToolError
from mcugen.evaluate import Accuracy, accuracy, by_reference
from mcugen.ir.graph import Graph
from mcugen.ir.quantization import Quantization
from mcugen.lower.integer import to_integer
from mcugen.pipeline import Compilation, CompileOptions
from mcugen.plan.planner import Planned
from mcugen.pruning.criteria import Data
from mcugen.pruning.reconstruct import reconstruct
from mcugen.quantize.adaround import Progress
from mcugen.quantize.options import QuantOptions
from mcugen.quantize.quantize import quantize
from mcugen.simulate.profile import profile_target
from mcugen.simulate.program import program_of
from mcugen.simulate.size import network_size
from mcugen.tradeoff.forms import Former
from mcugen.tradeoff.measure import Measure, Tensors, integer_loss
from mcugen.tradeoff.options import Choice, Form

Arrays = Sequence[NDArray[np.float32]]
Labelled = tuple[Arrays, NDArray[np.generic]]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Network:
    """A float graph, pruned, its quantization, and the integer graph that both give."""

    graph: Graph
    quantization: Quantization
    integer: Graph


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """What a compiled network costs.

    flash: bytes of code and constants, measured where there is a compiler for the core, else
        constants alone. ram: bytes of the arena. cycles: of one inference, counted on the simulated
        core where that was asked for and can be done, else by the cost model.
    """

    flash: int
    ram: int
    cycles: float
    flash_measured: bool
    cycles_measured: bool
    kernels: tuple[tuple[str, str], ...] = ()  # of its layers


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Stitcher:
    """Puts the forms of a choice together, as `build` and `prune` would."""

    former: Former
    quant: QuantOptions
    calibration: Arrays
    refit: Arrays  # what pruned weights are refitted to

    def network(
        self,
        forms: Mapping[str, Form],
        progress: Progress = lambda _done, _total, _text: None,
    ) -> Network:
        """The network with the layers in these forms."""
        self.former.score({name: (form,) for name, form in forms.items()})
        masks = {name: self.former.mask(name, form) for name, form in forms.items()}
        some = {name: mask for name, mask in masks.items() if mask is not None}
        graph = self.former.graph
        if some:
            graph = reconstruct(graph, some, Data.of(self.refit))
        bits = {name: form.bits for name, form in forms.items()}
        quantization = quantize(graph, self.calibration, self.quant, bits, progress)
        requant = self.former.schedule.requant
        return Network(
            graph=graph,
            quantization=quantization,
            integer=to_integer(graph, quantization, requant),
        )


def rescored(network: Network, exact: Tensors, samples: Arrays, measure: Measure) -> float:
    """The loss of the whole integer network, activations rounded as well."""
    return integer_loss(exact, network.integer, samples, measure)


def judged(graph: Graph, network: Network, labelled: Labelled) -> Accuracy:
    """The integer reference on labelled data beside the float network `graph`."""
    x, y = labelled
    return accuracy(graph, network.integer, by_reference(network.integer), list(x), y)


def pinned(options: CompileOptions, choice: Choice, *, loose: bool = False) -> CompileOptions:
    """The options with the kernels of a choice; loose, with those that the planner takes for RAM.

    A choice counts steps; where buffers lie, and what chains save, the planner knows better.
    """
    target = replace(options.target, chosen=choice.kernels)
    if loose:
        target = replace(options.target, optimize="ram", chosen=())
    return replace(options, target=target)


def figures(made: Compilation, board: Board, *, simulate: bool, row_input: bool = False) -> Figures:
    """Measure a compiled network; nothing of it stays on the disk."""
    planned = Planned(layers=made.layers, chains=made.chains, arena=made.plan)
    flash, cycles = made.view.weight_bytes, planned.cycles
    flash_measured = cycles_measured = False
    with tempfile.TemporaryDirectory(prefix="mcugen-") as temporary:
        folder = Path(temporary)
        write_files(folder, made.files)
        program = program_of(folder, made.graph, row_input=row_input)
        try:
            if simulate:
                found = profile_target(program, board.core)
                flash, flash_measured = found.flash_bytes, True
                cycles, cycles_measured = float(getattr(found, board.core.cost_unit)), True
            else:
                flash, flash_measured = network_size(program, board.core).flash_bytes, True
        except MissingToolError:
            pass
    return Figures(
        flash=flash,
        ram=made.plan.arena_bytes + made.plan.fast_bytes,
        cycles=cycles,
        flash_measured=flash_measured,
        cycles_measured=cycles_measured,
        kernels=tuple((layer.node.name, layer.kernel.variant) for layer in made.layers),
    )
