# SPDX-License-Identifier: Apache-2.0
"""The figures that are shown are those that were measured."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from benchmarks import results
from benchmarks.__main__ import chosen
from benchmarks.networks import BUNDLED, Network

RESULTS = results.load()


def test_the_readme_shows_the_results() -> None:
    text = results.README.read_text("utf-8")
    assert results.with_block(text, RESULTS) == text, "run `python -m benchmarks --readme`"


def test_the_table_shows_the_results() -> None:
    assert results.TABLE.read_text("utf-8") == results.markdown(RESULTS)


def test_every_bundled_network_is_measured_on_every_core() -> None:
    wanted = {(network.name, core) for network in BUNDLED for core in results.CORES}
    assert wanted <= {(case.network, case.core) for case in RESULTS}


def test_the_readme_needs_its_markers() -> None:
    with pytest.raises(ValueError, match="lacks"):
        results.with_block("no table", RESULTS)


def test_a_row_keeps_what_it_was_before() -> None:
    case, (row, _) = next(iter(RESULTS.items()))
    faster = replace(row, cycles=row.cycles // 2)
    renewed = results.renewed(RESULTS, faster)
    assert renewed[case] == (faster, {key: getattr(row, key) for key in results.COMPARED})
    assert list(renewed) == list(RESULTS)
    assert f"{faster.cycles:,} (-50.0 %)" in results.markdown(renewed)
    first = results.renewed({}, row)
    assert first == {case: (row, None)}
    assert "%" not in results.markdown(first)


def test_options_choose_cases() -> None:
    assert len(set(chosen(None, None, None))) == len(chosen(None, None, None)) > 30
    [one] = chosen(["mnist"], ["cortex-m3"], ["size"])
    assert (one.network, one.core, one.optimize) == ("mnist", "cortex-m3", "size")
    on_m4 = chosen(["mnist"], None, None)
    assert [c.optimize for c in on_m4 if c.core == "cortex-m4"] == ["balanced", "speed", "ram"]


@pytest.mark.parametrize("network", BUNDLED[1:], ids=lambda network: network.name)
def test_bundled_networks_are_the_same_every_time(network: Network) -> None:
    one, other = network.model(), network.model()
    assert isinstance(one, torch.nn.Module)
    assert isinstance(other, torch.nn.Module)
    pairs = zip(one.state_dict().values(), other.state_dict().values(), strict=True)
    assert all(torch.equal(a, b) for a, b in pairs)
    assert network.input_shapes is not None
    with torch.no_grad():
        assert torch.isfinite(one(torch.ones(network.input_shapes[0]))).all()
