# SPDX-License-Identifier: Apache-2.0
"""Orders of lower peak: legal, never worse, and the best there is where few sets are possible."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from mcugen.ir.check import check
from mcugen.ir.graph import Graph, Node, QParams
from mcugen.ops.base import InputS8, Kernel, Target
from mcugen.plan import order, planner
from mcugen.plan.lifetimes import find_buffers, lower_bound
from mcugen.plan.order import lower_order
from mcugen.plan.planner import plan_best_order
from tests.ops.harness import check_module
from tests.unit.plan.offering import Offering, kernel

QPARAMS = QParams(scale=1.0, zero_point=0)
Line = tuple[str, tuple[str, ...], int, Kernel]  # name, operands, bytes, kernel


def graph_of(lines: Sequence[Line], outputs: Sequence[str], source_bytes: int = 8) -> Graph:
    nodes = [Node(name="x", op=InputS8(), inputs=(), shape=(source_bytes,), qparams=QPARAMS)]
    for name, inputs, size, one in lines:
        op = Offering(offers=(one,))
        nodes.append(Node(name=name, op=op, inputs=inputs, shape=(size,), qparams=QPARAMS))
    axes = tuple((0,) for _ in outputs)
    return Graph(
        name="net",
        inputs=("x",),
        outputs=tuple(outputs),
        nodes=tuple(nodes),
        input_layouts=((0,),),
        output_layouts=axes,
    )


def kernels_of(graph: Graph) -> dict[str, Kernel]:
    return {n.name: n.op.offers[0] for n in graph.nodes if isinstance(n.op, Offering)}


def peak(graph: Graph) -> int:
    return lower_bound(find_buffers(graph, kernels_of(graph)))


PLAIN = kernel(1, 0, 0)


def test_the_branch_that_shrinks_runs_before_the_one_that_grows() -> None:
    lines = [
        ("a", ("x",), 10, PLAIN),
        ("b", ("x",), 10, PLAIN),
        ("big", ("a",), 1000, PLAIN),
        ("big2", ("b",), 1000, PLAIN),
        ("small", ("big",), 5, PLAIN),
        ("small2", ("big2",), 5, PLAIN),
        ("sum", ("small", "small2"), 5, PLAIN),
    ]
    graph = graph_of(lines, ["sum"])
    found = lower_order(graph, kernels_of(graph))
    assert found is not None
    assert peak(graph) == 2000 + 10
    assert peak(found) == 8 + 10 + 1000
    assert found.outputs == graph.outputs
    names = [node.name for node in found.nodes]
    assert names.index("small") < names.index("big2")


def test_a_row_of_layers_stays_as_it_is() -> None:
    lines = [("a", ("x",), 900, PLAIN), ("b", ("a",), 100, PLAIN), ("c", ("b",), 800, PLAIN)]
    graph = graph_of(lines, ["c"])
    assert lower_order(graph, kernels_of(graph)) is None


@st.composite
def graphs(draw: st.DrawFn) -> Graph:
    """Up to six layers that read any tensors before them; some overlap their first operand."""
    lines: list[Line] = []
    names = ["x"]
    for k in range(draw(st.integers(1, 6))):
        inputs = tuple(draw(st.lists(st.sampled_from(names), min_size=1, max_size=2, unique=True)))
        one = kernel(1, 0, draw(st.sampled_from([0, 7, 90])), draw(st.sampled_from([None, 0, 30])))
        lines.append((f"n{k}", inputs, draw(st.integers(1, 100)), one))
        names.append(f"n{k}")
    read = {name for _, inputs, _, _ in lines for name in inputs}
    outputs = [name for name in names[1:] if name not in read]
    extra = draw(st.sampled_from(names[1:]))
    return graph_of(lines, list(dict.fromkeys([*outputs, extra])), draw(st.integers(1, 100)))


def all_orders(graph: Graph, head: tuple[Node, ...] = ()) -> Iterator[Graph]:
    """Every legal order."""
    done = {node.name for node in head}
    if len(head) == len(graph.nodes):
        yield graph.with_nodes(head)
    for node in graph.nodes:
        if node.name not in done and done.issuperset(node.inputs):
            yield from all_orders(graph, (*head, node))


@settings(max_examples=60, deadline=None)
@given(graphs())
def test_no_order_has_a_lower_peak(graph: Graph) -> None:
    found = lower_order(graph, kernels_of(graph))
    least = min(peak(other) for other in all_orders(graph))
    if found is None:
        assert peak(graph) == least
    else:
        check(found, "integer", "lower_order")
        assert sorted(n.name for n in found.nodes) == sorted(n.name for n in graph.nodes)
        assert peak(found) == least < peak(graph)


@settings(max_examples=30, deadline=None)
@given(graphs())
def test_an_order_is_never_worse_where_not_all_sets_are_kept(graph: Graph) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(order, "MAX_SETS", 1)
        found = lower_order(graph, kernels_of(graph))
        assert found is None or peak(found) < peak(graph)


def test_an_order_that_saves_nothing_is_not_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    """A lower peak does not always give a smaller arena."""
    lines = [("a", ("x",), 10, PLAIN), ("b", ("x",), 10, PLAIN), ("sum", ("a", "b"), 5, PLAIN)]
    graph = graph_of(lines, ["sum"])
    other = graph.with_nodes(graph.nodes[k] for k in (0, 2, 1, 3))
    monkeypatch.setattr(planner, "lower_order", lambda graph, kernels: other)
    assert plan_best_order(graph, Target())[0] is graph


class Branches(torch.nn.Module):
    """Two branches that first grow and then shrink; the model runs them layer by layer."""

    def __init__(self) -> None:
        super().__init__()
        self.grow, self.grow2 = torch.nn.Conv2d(2, 16, 3), torch.nn.Conv2d(2, 16, 3)
        self.shrink, self.shrink2 = torch.nn.Conv2d(16, 2, 1), torch.nn.Conv2d(16, 2, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        grown, grown2 = self.grow(x), self.grow2(x)
        out: torch.Tensor = self.shrink(grown) + self.shrink2(grown2)
        return out


def test_a_network_is_built_in_the_better_order() -> None:
    graph = check_module(Branches(), (1, 2, 10, 10), minimum=10).graph
    assert [node.op.kind for node in graph.layers] == ["conv", "conv", "conv", "conv", "add"]
    assert graph.layers[1].inputs == (graph.layers[0].name,)
    assert graph.layers[3].inputs == (graph.layers[2].name,)
