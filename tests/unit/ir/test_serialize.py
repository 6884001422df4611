# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from mcugen.errors import ModelError
from mcugen.ir.graph import Graph
from mcugen.ir.interp import run
from mcugen.ir.serialize import load, save
from mcugen.pipeline import CompileOptions, compile_graph
from mcugen.verify.inputs import verification_inputs
from tests.ops.harness import export


@pytest.fixture(scope="module")
def graph() -> Graph:
    torch.manual_seed(0)
    module = nn.Sequential(nn.Conv2d(2, 4, 3, padding=1), nn.Tanh(), nn.Conv2d(4, 3, 2))
    x = np.random.default_rng(0).normal(size=(8, 5, 5, 2)).astype(np.float32)
    return compile_graph(export(module, (1, 2, 5, 5)), [x], CompileOptions()).graph


def test_a_graph_comes_back_equal(graph: Graph, tmp_path: Path) -> None:
    save(graph, tmp_path / "g")
    back = load(tmp_path / "g")
    assert [(n.name, n.inputs, n.shape, n.qparams, n.origin) for n in back.nodes] == [
        (n.name, n.inputs, n.shape, n.qparams, n.origin) for n in graph.nodes
    ]
    inputs = verification_inputs(graph, minimum=20)
    for got, want in zip(run(back, inputs), run(graph, inputs), strict=True):
        np.testing.assert_array_equal(got, want)


def test_the_same_graph_gives_the_same_bytes(graph: Graph, tmp_path: Path) -> None:
    save(graph, tmp_path / "a")
    save(load(tmp_path / "a"), tmp_path / "b")
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_a_damaged_file_is_one_message(graph: Graph, tmp_path: Path) -> None:
    path = tmp_path / "g"
    save(graph, path)
    whole = path.read_bytes()
    rng = np.random.default_rng(0)
    damaged = [b"", b"no zip", whole[: len(whole) // 2]]
    for place in rng.integers(0, len(whole), 200).tolist():
        damaged.append(whole[:place] + bytes([whole[place] ^ 0x40]) + whole[place + 1 :])
    for content in damaged:
        path.write_bytes(content)
        try:
            load(path)  # a flipped bit in a date or a flag may do no harm
        except ModelError as error:
            assert "build the folder again" in str(error) or "build it again" in str(error)
    with pytest.raises(ModelError, match="build the folder again"):
        load(tmp_path / "missing")
