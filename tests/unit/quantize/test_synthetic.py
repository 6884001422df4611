# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from mcugen.data import synthetic_inputs
from mcugen.ir.graph import Graph
from mcugen.quantize.observers import observe_ranges
from mcugen.quantize.options import parse_ranges
from mcugen.quantize.synthetic import match_moments, training_moments
from tests.ops.harness import export
from tests.unit.quantize.networks import Samples

SHAPE = (3, 12, 12)


def real(count: int) -> torch.Tensor:
    """Samples as of a camera, 0 to 255, far from any noise of deviation 1."""
    rng = np.random.default_rng(0)
    return torch.from_numpy(rng.uniform(0, 255, (count, *SHAPE)).astype(np.float32))


def trained() -> nn.Module:
    """Batch norms that have seen such samples, one of them with a channel that is dead."""
    torch.manual_seed(0)
    layers: list[nn.Module] = []
    for channels in (3, 8):
        layers += [nn.Conv2d(channels, 8, 3), nn.BatchNorm2d(8, momentum=None), nn.ReLU()]
    network = nn.Sequential(*layers).train()
    first = layers[0]
    assert isinstance(first, nn.Conv2d)
    with torch.no_grad():
        first.weight[2] = 0.0
        network(real(64))
    return network.eval()


def widths(graph: Graph, samples: Samples) -> NDArray[np.float64]:
    ranges = observe_ranges(graph, samples, parse_ranges("minmax"))
    return np.array([high - low for low, high in ranges.values()])


def test_the_inputs_are_like_those_of_training() -> None:
    graph = export(trained(), (1, *SHAPE))
    noise = [x.transpose(0, 2, 3, 1) for x in synthetic_inputs([SHAPE], 24)]
    made = match_moments(graph, noise)
    assert made is not None
    wanted = widths(graph, [real(24).permute(0, 2, 3, 1).contiguous().numpy()])

    def off(samples: Samples) -> float:
        return float(np.abs(np.log2(widths(graph, samples) / wanted)).max())

    assert off(noise) > 4.0
    assert off(made) < 2.0
    again = match_moments(graph, noise)
    assert again is not None
    np.testing.assert_array_equal(made[0], again[0])


def test_moments_are_those_of_the_module() -> None:
    network = trained()
    graph = export(network, (1, *SHAPE))
    norms = [layer for layer in network.modules() if isinstance(layer, nn.BatchNorm2d)]
    for norm, held in zip(norms, training_moments(graph).values(), strict=True):
        assert norm.running_mean is not None and norm.running_var is not None
        np.testing.assert_allclose(held.mean, norm.running_mean.numpy())
        np.testing.assert_allclose(
            held.std, np.sqrt(norm.running_var.numpy() + norm.eps), rtol=1e-6
        )


def test_without_batch_norms_there_is_nothing_to_match() -> None:
    graph = export(nn.Conv2d(3, 4, 3), (1, *SHAPE))
    assert match_moments(graph, [np.zeros((4, 12, 12, 3), np.float32)]) is None
