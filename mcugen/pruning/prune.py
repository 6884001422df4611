# SPDX-License-Identifier: Apache-2.0
"""Pruning at once, without training: score, choose, set to zero, refit."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from mcugen.ir.graph import Graph
from mcugen.pruning.channels import channel_masks
from mcugen.pruning.criteria import Data, score
from mcugen.pruning.masks import apply_masks, make_masks, prunable
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


def prune_graph(
    graph: Graph,
    samples: Sequence[NDArray[np.float32]],
    options: PruneOptions,
    progress: Progress = lambda _done, _total, _text: None,
) -> Graph:
    """A float graph after its exact passes, with zeros among its weights.

    samples: calibration data, float32 [N, *shape] for each input, stored layout. Raises what
    `choose_masks` does.
    """
    data = Data.of(samples)
    masks = choose_masks(graph, data, options)
    if options.reconstructs:
        return reconstruct(graph, masks, data, progress)
    return apply_masks(graph, masks)
