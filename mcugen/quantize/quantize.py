# SPDX-License-Identifier: Apache-2.0
"""Post-training quantization, whole: statistics, ranges, weights, repair."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from mcugen.ir.graph import Graph
from mcugen.ir.quantization import Quantization
from mcugen.quantize.adaround import AdaRoundOptions, Progress, learn_rounding
from mcugen.quantize.bits import activation_bits, layer_bits
from mcugen.quantize.correct import correct_biases
from mcugen.quantize.headroom import observe_headroom, widened
from mcugen.quantize.observers import observe_ranges
from mcugen.quantize.options import QuantOptions
from mcugen.quantize.output_error import all_tensors, fit_ranges
from mcugen.quantize.qparams import choose_qparams
from mcugen.quantize.weights import quantize_weights


def quantize(
    graph: Graph,
    samples: Sequence[NDArray[np.float32]],
    options: QuantOptions,
    bits: Mapping[str, int] | None = None,
    progress: Progress = lambda _done, _total, _text: None,
) -> Quantization:
    """Quantize a float graph after its exact passes.

    samples: calibration data, float32 [N, *shape] for each input, stored layout.
    bits: of the weights, by name of the layer, 8 where it says nothing; what the options say where
        it is not given.
    progress: told of the steps of adaround, which takes its time.
    """
    bits = layer_bits(graph, options.widths) if bits is None else bits
    widths = activation_bits(graph, options.activations)
    rules = {name: (options.rule_for(width), width) for name, width in widths.items()}
    ranges = observe_ranges(graph, samples, rules)
    if options.rule.name == "output":
        ranges = fit_ranges(graph, ranges, all_tensors(graph, samples), options, widths)
    if options.rule.estimates:
        ranges = widened(ranges, observe_headroom(graph, samples))
    tensors = choose_qparams(graph, ranges, options, widths)
    weights = quantize_weights(graph, tensors, options, bits)
    made = Quantization(tensors=tensors, weights=weights)
    if options.method == "adaround":
        learning = AdaRoundOptions(seed=options.seed, correct_bias=options.corrects_bias)
        return learn_rounding(graph, samples, made, learning, progress)
    return correct_biases(graph, samples, made) if options.corrects_bias else made
