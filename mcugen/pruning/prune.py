# SPDX-License-Identifier: Apache-2.0
"""Pruning a float graph at once: scores, masks, and refitting in between."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from mcugen.ir.graph import Graph
from mcugen.pruning.channels import channel_masks
from mcugen.pruning.criteria import Data, score
from mcugen.pruning.masks import apply_masks, make_masks, prunable
from mcugen.pruning.norms import NormScales
from mcugen.pruning.options import CHANNEL, PruneOptions
from mcugen.pruning.patterns import Mask
from mcugen.pruning.reconstruct import Progress, reconstruct


def choose_masks(graph: Graph, data: Data, options: PruneOptions) -> dict[str, Mask]:
    """Which weights stay, by name of the layer; layers that are kept dense are left out.

    Raises OptionError where there is nothing to prune, ModelError for layers that would be empty.
    """
    if options.pattern == CHANNEL:
        return channel_masks(graph, data, options)
    layers = prunable(graph, options)
    return make_masks(layers, score(graph, layers, data, options), options)


def prune(
    graph: Graph,
    data: Data,
    options: PruneOptions,
    progress: Progress = lambda _done, _total, _text: None,
) -> Graph:
    """A float graph after its exact passes, with zeros among its weights.

    Where the others are refitted that happens in rounds: each judges by the network as the round
    before has left it, whose weights stand in for those that are gone, and refits anew what the
    network was before all of them. Raises what `choose_masks` does.
    """
    if not options.reconstructs:
        return apply_masks(graph, choose_masks(graph, data, options))
    made, rounds = graph, options.in_rounds()
    steps = len(graph.nodes)
    for number, part in enumerate(rounds):

        def told(done: int, _: int, text: str, before: int = number * steps) -> None:
            progress(before + done, len(rounds) * steps, text)

        made = reconstruct(graph, choose_masks(made, data, part), data, told)
    return made


def prune_graph(
    graph: Graph,
    samples: Sequence[NDArray[np.float32]],
    options: PruneOptions,
    progress: Progress = lambda _done, _total, _text: None,
    scales: NormScales | None = None,
) -> Graph:
    """`prune` by calibration data alone: float32 [N, *shape] for each input, stored layout.

    scales: of the batch norms that were folded into the graph, for the criterion that takes them.
    """
    return prune(graph, Data.of(samples, scales), options, progress)
