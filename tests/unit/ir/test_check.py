# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from dataclasses import replace

import pytest
from torch import nn

from mcugen.errors import InternalError
from mcugen.ir.check import check
from mcugen.ir.graph import Graph
from mcugen.ir.text import to_text
from tests.ops.harness import export


@pytest.fixture(scope="module")
def graph() -> Graph:
    return export(nn.Sequential(nn.Conv2d(2, 4, 3), nn.Sigmoid()), (1, 2, 5, 5))


def test_a_legal_graph_comes_back(graph: Graph) -> None:
    assert check(graph, "float", "import") is graph


def test_every_problem_is_named_at_once(graph: Graph) -> None:
    first, conv, last = graph.nodes
    wrong = graph.with_nodes([first, replace(conv, shape=(1, 1, 1)), replace(last, inputs=("no",))])
    with pytest.raises(InternalError, match="after a pass") as caught:
        check(wrong, "float", "a pass")
    assert f"{conv.name}: shape (1, 1, 1), but its operator infers (3, 3, 4)" in str(caught.value)
    assert f"{last.name}: reads no before definition" in str(caught.value)


def test_a_name_may_stand_once(graph: Graph) -> None:
    with pytest.raises(InternalError, match="defined twice"):
        check(graph.with_nodes([*graph.nodes, graph.nodes[-1]]), "float", "a pass")


def test_a_float_operator_is_not_legal_after_lowering(graph: Graph) -> None:
    with pytest.raises(InternalError, match="Conv is not legal in a integer graph"):
        check(graph, "integer", "lowering")


def test_a_graph_prints_one_line_a_node(graph: Graph) -> None:
    lines = to_text(graph).splitlines()
    assert lines[0] == f"graph net({graph.inputs[0]}) -> ({graph.outputs[0]})"
    assert lines[2].strip().startswith(f"{graph.nodes[1].name}: 3x3x4 = conv({graph.inputs[0]})")
    assert len(lines) == 1 + len(graph.nodes)
