# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from mcugen.errors import CalibrationError, OptionError
from mcugen.quantize.affine import fake_quantize, qparams_for
from mcugen.quantize.histogram import Histogram, entropy_range, mse_range, percentile_range
from mcugen.quantize.observers import make_observer, observe_ranges
from mcugen.quantize.options import METHODS, QuantOptions, RangeRule, parse_ranges
from mcugen.quantize.output_error import all_tensors, fit_ranges
from mcugen.quantize.qparams import choose_qparams
from mcugen.quantize.walk import few
from tests.unit.quantize.networks import graph_and_samples


def histogram_of(values: NDArray[np.float32], parts: int = 3) -> Histogram:
    histogram = Histogram()
    for part in np.array_split(values, parts):
        histogram.update(part)
    return histogram


def with_outlier() -> NDArray[np.float32]:
    values = np.random.default_rng(0).normal(size=600_000).astype(np.float32)
    values[1000] = 40.0
    return values


def mean_squared_error(values: NDArray[np.float32], low: float, high: float) -> float:
    x = torch.from_numpy(values).double()
    return float(((fake_quantize(x, qparams_for(low, high)) - x) ** 2).mean())


def test_a_histogram_counts_every_value_however_it_grows() -> None:
    values = np.array([0.1, -0.2, 3.0, -50.0, 7.0, 0.0], np.float32)
    histogram = histogram_of(values, len(values))
    assert histogram.counts.sum() == len(values)
    assert histogram.extremes == (-50.0, 7.0)
    assert histogram.limit >= 50.0


def test_percentiles_are_those_of_the_values() -> None:
    values = np.random.default_rng(0).normal(size=100_000).astype(np.float32)
    low, high = percentile_range(histogram_of(values), 99.0)
    assert low == pytest.approx(np.percentile(values, 0.5), abs=0.02)
    assert high == pytest.approx(np.percentile(values, 99.5), abs=0.02)


def test_mse_clips_outliers_and_is_no_worse_than_any_percentile() -> None:
    values = with_outlier()
    histogram = histogram_of(values)
    found = mean_squared_error(values, *mse_range(histogram))
    others = [percentile_range(histogram, p) for p in (90.0, 99.0, 99.9, 99.99, 100.0)]
    assert all(found <= 1.01 * mean_squared_error(values, *other) for other in others)
    assert found < 0.6 * mean_squared_error(values, *histogram.extremes)


def test_entropy_clips_outliers_but_keeps_a_flat_distribution() -> None:
    values = with_outlier()
    low, high = entropy_range(histogram_of(values))
    assert np.mean((values < low) | (values > high)) < 0.001
    assert high < 10.0
    flat = np.random.default_rng(0).uniform(-1, 2, 400_000).astype(np.float32)
    assert list(entropy_range(histogram_of(flat))) == pytest.approx([-1, 2], rel=0.05)


def test_rectified_values_keep_zero_as_their_lower_end() -> None:
    values = np.maximum(with_outlier(), 0)
    histogram = histogram_of(values)
    assert mse_range(histogram)[0] == entropy_range(histogram)[0] == 0.0


@pytest.mark.parametrize("choose", [mse_range, entropy_range, lambda h: percentile_range(h, 99.0)])
def test_a_constant_tensor_has_its_own_range(choose: object) -> None:
    histogram = histogram_of(np.full(100, 2.5, np.float32))
    assert callable(choose)
    low, high = choose(histogram)
    assert low <= 2.5 <= high + 1e-6
    assert choose(histogram_of(np.zeros(100, np.float32))) == (0.0, 0.0)


def test_moving_average_is_the_formula() -> None:
    observer = make_observer(RangeRule("moving_average", 0.25))
    ends = [(-1.0, 2.0), (-3.0, 8.0), (0.0, 4.0)]
    for low, high in ends:
        observer.update(torch.tensor([low, high, 0.5 * (low + high)]))
    expected = np.array(ends[0])
    for batch in ends[1:]:
        expected = expected + 0.25 * (np.array(batch) - expected)
    assert observer.range() == pytest.approx(tuple(expected))


def test_ranges_by_name() -> None:
    assert parse_ranges("percentile") == RangeRule("percentile", 99.99)
    assert parse_ranges("percentile:99.5") == RangeRule("percentile", 99.5)
    assert parse_ranges("moving_average:1") == RangeRule("moving_average", 1.0)
    assert parse_ranges("entropy") == RangeRule("entropy")


@pytest.mark.parametrize(
    "text",
    ["", "median", "mse:1", "percentile:", "percentile:nan", "percentile:101", "moving_average:0"],
)
def test_unknown_ranges_are_refused(text: str) -> None:
    with pytest.raises(OptionError, match="ranges"):
        QuantOptions(ranges=text)


def test_every_method_has_ranges_of_its_own() -> None:
    assert all(QuantOptions(method=method).rule.name for method in METHODS)
    with pytest.raises(OptionError, match=r"quant 'x' .* integerize, estimate"):
        QuantOptions(method="x")


def test_output_ranges_disturb_the_readers_less_than_the_extremes() -> None:
    graph, samples = graph_and_samples()
    samples[0][2, 0, 0, 0] = 100.0  # in a sample that the readers' outputs are not compared on
    assert few(samples, 32)[0].max() < 10.0
    options = QuantOptions(ranges="output")
    ranges = observe_ranges(graph, samples, options.rule)
    wide = choose_qparams(graph, ranges, options)
    shrunk = fit_ranges(graph, ranges, all_tensors(graph, samples), options)
    fitted = choose_qparams(graph, shrunk, options)
    hidden = [node.name for node in graph.layers][:-1]
    assert all(fitted[name].scale <= wide[name].scale for name in hidden)
    assert any(fitted[name].scale < 0.5 * wide[name].scale for name in hidden)
    assert fitted[graph.inputs[0]] == wide[graph.inputs[0]]


def test_symmetric_and_power_of_two_scales() -> None:
    qparams = qparams_for(-0.3, 1.0, symmetric=True)
    assert qparams.zero_point == 0
    assert qparams.scale == pytest.approx(1 / 127)
    assert qparams_for(-3.0, 1.0, symmetric=True).scale == pytest.approx(3 / 127)
    rounded = qparams_for(-0.3, 1.0, power_of_two=True)
    assert rounded.scale == 2.0**-7  # the next above 1.3 / 255
    assert rounded.zero_point == round(-128 + 0.3 * 2**7)
    assert qparams_for(0.0, 255 / 64, power_of_two=True).scale == 2.0**-6


def test_values_that_are_not_finite_name_the_layer() -> None:
    graph, samples = graph_and_samples(4)
    samples[0][1, 2, 3, 0] = np.inf
    with pytest.raises(CalibrationError, match="NaN or infinity"):
        observe_ranges(graph, samples, parse_ranges("mse"))
