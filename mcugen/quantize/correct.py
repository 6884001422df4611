# SPDX-License-Identifier: Apache-2.0
"""Empirical bias correction: the mean error of each output channel, taken out of its bias."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from mcugen.ir.graph import Graph
from mcugen.ir.quantization import Quantization, WeightQuant
from mcugen.quantize.walk import LayerData, decide_in_order, with_quantized_weights


def correct_biases(
    graph: Graph, samples: Sequence[NDArray[np.float32]], quantization: Quantization
) -> Quantization:
    """b += E[W x + b] - E[W' x' + b], x' and W' quantized, with all earlier layers corrected.

    Source: Nagel et al., "Data-free quantization through weight equalization and bias correction",
    2019, section 4.2 and appendix D (empirical form).
    """
    return decide_in_order(graph, samples, quantization, corrected)


def corrected(layer: LayerData, weights: WeightQuant) -> WeightQuant:
    """The layer's weights with the mean error of its sums in the bias.

    A mean of few samples is itself uncertain, so it counts for m^2 / (m^2 + s^2), s being its
    standard error over the samples: what is sure is taken whole, what is chance hardly.
    """
    plain = layer.op.without_clamp()
    wanted = plain.forward([layer.exact])
    got = with_quantized_weights(plain, weights).forward([layer.rounded])
    errors = (wanted - got).double()
    by_sample = errors.reshape(len(errors), -1, errors.shape[-1]).mean(dim=1).numpy()
    mean = by_sample.mean(axis=0)
    variance = by_sample.var(axis=0, ddof=min(1, len(errors) - 1)) / len(errors)
    sure = np.where(mean == 0.0, 0.0, mean**2 / np.maximum(mean**2 + variance, 1e-300))
    return replace(weights, bias=(weights.bias + sure * mean).astype(np.float32))
