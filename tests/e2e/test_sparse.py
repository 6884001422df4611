# SPDX-License-Identifier: Apache-2.0
"""A network that a trainer has left zeros in is built to skip them, and says so."""

from __future__ import annotations

import json
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
import torch
from torch import nn
from torch.nn.utils import prune

from benchmarks.measure import Case, Meter
from benchmarks.networks import BUNDLED
from mcugen.errors import MissingToolError
from tests.command import mcugen


@pytest.fixture
def pruned_file(tmp_path: Path) -> Path:
    """A network with 75 % zeros in its 1x1 convolution, a few in the last layer, masks and all."""
    torch.manual_seed(0)
    network = nn.Sequential(
        nn.Conv2d(3, 32, 3, padding=1), nn.ReLU(), nn.Conv2d(32, 32, 1), nn.ReLU(),
        nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(32, 10),
    )  # fmt: skip
    prune.l1_unstructured(network[2], "weight", 0.75)  # type: ignore[no-untyped-call]
    prune.random_unstructured(network[6], "weight", 0.2)  # type: ignore[no-untyped-call]
    path = tmp_path / "pruned.pt2"
    torch.export.save(torch.export.export(network.eval(), (torch.zeros(1, 3, 8, 8),)), path)
    return path


@pytest.mark.slow
@pytest.mark.parametrize("board", ["cortex-m4", "cortex-m0plus"])
def test_zeros_are_skipped_where_it_pays(pruned_file: Path, tmp_path: Path, board: str) -> None:
    folder = tmp_path / "out"
    said = mcugen("build", pruned_file, "--board", board, "--simulate", 2, "--out", folder)
    assert said.exit_code == 0, said.output
    layers = json.loads((folder / "report.json").read_text("utf-8"))["layers"]
    with_weights = [layer for layer in layers if layer["zero_share"] is not None]
    assert [layer["skips_zeros"] for layer in with_weights] == [False, True, False]
    assert [layer["zero_share"] for layer in with_weights[1:]] == pytest.approx(
        [0.75, 0.2], abs=0.02
    )
    _, skipped, multiplied = (layer["name"] for layer in with_weights)
    assert f"skipped: {skipped} 7" in said.output
    assert f"multiplied, as skipping does not pay: {multiplied}" in said.output


@pytest.mark.slow
@pytest.mark.parametrize(("board", "faster"), [("cortex-m0plus", 1.8), ("cortex-m4", 1.25)])
def test_a_pruned_network_is_faster_than_itself(board: str, faster: float, tmp_path: Path) -> None:
    """MobileNetV1 with 70 % zeros in every 1x1 convolution, the smallest of its weights."""
    [network] = (network for network in BUNDLED if network.name == "mobilenet")
    cycles = []
    for zeros in (0.0, 0.7):
        model = network.model()
        assert isinstance(model, nn.Module)
        for module in model.modules():
            if zeros and isinstance(module, nn.Conv2d) and module.kernel_size == (1, 1):
                prune.l1_unstructured(module, "weight", zeros)  # type: ignore[no-untyped-call]
        pruned = replace(network, model=partial(nn.Sequential, model))
        case = Case(network=network.name, core=board)
        try:
            cycles.append(Meter().measure(pruned, case, tmp_path / str(zeros)).cycles)
        except MissingToolError as error:
            pytest.skip(str(error))
    dense, sparse = cycles
    assert dense > faster * sparse, f"{dense:,} and {sparse:,} cycles"
