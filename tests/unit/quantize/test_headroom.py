# SPDX-License-Identifier: Apache-2.0
"""Ranges from a few samples reach as far as those from many."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from mcugen.quantize.headroom import ENOUGH, MOST, ExtremesObserver, observe_headroom, widened
from mcugen.quantize.observers import observe_ranges
from mcugen.quantize.options import QuantOptions, parse_ranges
from mcugen.quantize.qparams import choose_qparams
from mcugen.quantize.quantize import quantize
from tests.unit.quantize.networks import graph_and_samples, output_sqnr


def observed(samples: np.ndarray) -> tuple[float, float]:
    observer = ExtremesObserver()
    for start in range(0, len(samples), 3):
        observer.update(torch.from_numpy(samples[start : start + 3]))
    return observer.headroom()


@pytest.mark.parametrize(("count", "low", "high"), [(5, 0.9, 1.1), (20, 0.98, 1.1), (60, 1.0, 1.1)])
def test_few_samples_are_taken_about_as_far_as_many_reach(
    count: int, low: float, high: float
) -> None:
    rng = np.random.default_rng(0)
    many = np.median([np.abs(rng.normal(size=(ENOUGH, 64))).max() for _ in range(50)])
    guessed = []
    for _ in range(200):
        samples = np.abs(rng.normal(size=(count, 64)))
        guessed.append(samples.max() * observed(samples)[1])
    assert low * many < np.median(guessed) < high * many


def test_no_headroom_where_samples_agree() -> None:
    samples = np.full((6, 4), 2.0)
    samples[:, 0] = -1.0
    assert observed(samples) == (1.0, 1.0)
    assert observed(samples[:1] * 3.0) == (1.0, 1.0)  # of one sample nothing can be said
    assert observed(np.abs(np.random.default_rng(0).normal(size=(6, 4))))[0] == 1.0


def test_headroom_is_bounded() -> None:
    assert observed(np.array([[-0.001, 0.001], [-9.0, 7.0], [-0.001, 0.002]])) == (MOST, MOST)


def test_enough_samples_speak_for_themselves() -> None:
    graph, samples = graph_and_samples(ENOUGH)
    assert observe_headroom(graph, samples) == {}
    assert set(observe_headroom(graph, [samples[0][:-1]])) == {node.name for node in graph.nodes}


def test_only_rules_that_estimate_have_headroom() -> None:
    graph, samples = graph_and_samples(6)
    for rule in ("minmax", "moving_average", "percentile:100"):
        plain = choose_qparams(
            graph, observe_ranges(graph, samples, parse_ranges(rule)), QuantOptions()
        )
        assert quantize(graph, samples, QuantOptions(ranges=rule)).tensors == plain
    ranges = observe_ranges(graph, samples, parse_ranges("mse"))
    wide = widened(ranges, observe_headroom(graph, samples))
    assert quantize(graph, samples, QuantOptions(ranges="mse")).tensors == choose_qparams(
        graph, wide, QuantOptions()
    )


def test_headroom_helps_on_other_samples() -> None:
    graph, samples = graph_and_samples(300)
    rng = np.random.default_rng(2)
    loud = rng.lognormal(0.0, 0.4, size=(300, 1, 1, 1)).astype(np.float32)
    calibration, others = [(samples[0] * loud)[:6]], [(samples[0] * loud)[6:]]
    with_it = quantize(graph, calibration, QuantOptions(ranges="mse"))
    without = quantize(graph, calibration, QuantOptions(ranges="minmax"))
    assert output_sqnr(graph, with_it, others) > output_sqnr(graph, without, others) + 3.0
