# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import ClassVar

import numpy as np

from mcugen.emit.names import MAX_NAME
from mcugen.emit.render import render
from mcugen.emit.view import NetworkView, network_view
from mcugen.fixed_point import IntArray
from mcugen.ir.graph import Graph, Node, QParams, Shape
from mcugen.ops.base import PORTABLE, ConstTable, InputS8, IntOp, KernelCall
from mcugen.ops.constant import ConstantS8
from mcugen.plan.arena import plan_arena
from mcugen.plan.choose import choose_kernels

Q = QParams(scale=0.5, zero_point=-3)
SHAPE = (2, 3)


@dataclass(frozen=True, slots=True, kw_only=True)
class Tabled(IntOp):
    """An operator with tables of given names and values."""

    kind: ClassVar[str] = "tabled"
    tables: dict[str, int]

    def reference(self, inputs: Sequence[IntArray]) -> IntArray:
        raise NotImplementedError

    def kernels(self, inputs: Sequence[Shape], output: Shape) -> tuple[KernelCall, ...]:
        call = KernelCall(
            function="mcugen_tabled_s8",
            header="mcugen_table.h",
            fields=tuple((name, name) for name in self.tables),
            tables=tuple(
                ConstTable(suffix=name, values=np.array([value], np.int8), comment="[ch]")
                for name, value in self.tables.items()
            ),
            operands=tuple(range(len(inputs))),
        )
        return (call,)


def tabled(**tables: int) -> Tabled:
    return Tabled(tables=tables)


def node(name: str, op: IntOp, *inputs: str) -> Node:
    return Node(name=name, op=op, inputs=inputs, shape=SHAPE, qparams=Q)


def graph_of(*nodes: Node, outputs: Sequence[str] = (), name: str = "net") -> Graph:
    inputs = tuple(n.name for n in nodes if isinstance(n.op, InputS8))
    ends = tuple(outputs) or (nodes[-1].name,)
    return Graph(
        name=name,
        inputs=inputs,
        outputs=ends,
        nodes=nodes,
        input_layouts=((0, 1),) * len(inputs),
        output_layouts=((1, 0),) * len(ends),
    )


def view_of(graph: Graph, options: str = "") -> NetworkView:
    layers = choose_kernels(graph, PORTABLE)
    plan = plan_arena(graph, {layer.node.name: layer.kernel for layer in layers})
    return network_view(graph, layers, plan, 0, options)


def lines_of(graph: Graph) -> list[str]:
    files = render(view_of(graph))
    return [
        line for name, text in files.items() if "mcugen" not in name for line in text.split("\n")
    ]


def test_a_layer_called_like_another_ones_table_gets_names_of_its_own() -> None:
    """`up` has a table row_weight, and `up_row` a table weight."""
    graph = graph_of(
        node("x", InputS8()),
        node("up", tabled(row_weight=1), "x"),
        node("up_row", tabled(weight=2), "up"),
    )
    view = view_of(graph)
    heads = [table.head for table in view.tables]
    assert heads == [
        "static const int8_t net_up_row_weight[1] = {",
        "static const int8_t net_up_row_weight_2[1] = {",
    ]
    assert view.params[1].fields == (".weight = net_up_row_weight_2",)


def test_tables_of_equal_content_are_one() -> None:
    graph = graph_of(
        node("x", InputS8()), node("a", tabled(weight=7), "x"), node("b", tabled(weight=7), "a")
    )
    view = view_of(graph)
    assert [table.comment for table in view.tables] == ["/* a: weight [ch] = 1 */"]
    assert view.weight_bytes == 1
    assert view.params[1].fields == (".weight = net_a_weight",)


def test_the_run_function_checks_and_copies_every_tensor() -> None:
    ins = [node(f"x{k}", InputS8()) for k in range(3)]
    graph = graph_of(
        *ins,
        node("a", tabled(t=1), "x0", "x1"),
        node("b", tabled(t=2), "a", "x2"),
        outputs=("b", "a"),
    )
    text = render(view_of(graph))["net.c"]
    run = text[text.index("int net_run(") :]
    for name in ("input0", "input1", "input2", "output0", "output1", "arena"):
        assert f"({name} == NULL)" in run
    assert (
        re.findall(r"net_copy\((\S+), (\S+), 6u\);", run)
        == [
            ("&base[0]", "input0"),
            ("&base[8]", "input1"),
            ("&base[16]", "input2"),
            ("output0", "&base[0]"),
            ("output1", "&base[8]"),
        ]
        or len(re.findall(r"net_copy\(", run)) == 5
    )


def longest_names() -> Graph:
    """As long as names can get: the network's, those of layers, operands without number."""
    layers = [f"{'layer_' * 7}"[:40] + f"_{k}" for k in range(100, 104)]
    ins = [node(f"{'input_' * 7}"[:40] + f"_{k}", InputS8()) for k in range(100, 112)]
    nodes = [*ins, node(layers[0], tabled(multiplier=1, col_class=2), *(n.name for n in ins))]
    for previous, name in pairwise(layers):
        nodes.append(node(name, tabled(row_weight=len(nodes)), previous))
    return graph_of(*nodes, outputs=layers, name="n" * MAX_NAME)


def test_no_line_is_longer_than_100_columns_or_ends_in_white_space() -> None:
    lines = lines_of(longest_names())
    assert [line for line in lines if len(line) > 100] == []
    assert [line for line in lines if line.endswith((" ", "\t"))] == []


def test_the_header_tells_the_range_and_the_layout_of_each_tensor() -> None:
    header = render(view_of(graph_of(node("x", InputS8()), node("a", tabled(t=1), "x"))))["net.h"]
    assert "/** Input: int8 [2, 3], axes as in the model; real -62.5 to 65. */" in header
    assert "/** Output: int8 [2, 3], position, channel (NLC); real -62.5 to 65. */" in header


def digest(graph: Graph, options: str = "") -> str:
    return view_of(graph, options).digest


def test_the_digest_changes_with_everything_that_changes_the_code() -> None:
    x, z = node("x", InputS8()), node("z", InputS8())
    constant = ConstantS8(values=np.ones(SHAPE, np.int64))
    c = node("c", constant)
    base = graph_of(x, z, c, node("a", tabled(t=1), "x", "z", "c"))

    def with_last(*inputs: str, **tables: int) -> Graph:
        return base.with_nodes([*base.nodes[:-1], node("a", tabled(**tables), *inputs)])

    other = replace(c, op=ConstantS8(values=np.full(SHAPE, 2, np.int64)))
    rescaled = replace(x, qparams=QParams(scale=0.25, zero_point=-3))
    variants = [
        base,
        with_last("x", "z", "c", t=2),
        with_last("z", "x", "c", t=1),
        base.with_nodes([x, z, other, base.nodes[-1]]),
        base.with_nodes([rescaled, *base.nodes[1:]]),
        replace(base, name="net2"),
        replace(base, output_layouts=((0, 1),)),
        replace(base, inputs=("z", "x")),
    ]
    digests = [digest(graph) for graph in variants] + [digest(base, "double")]
    assert len(set(digests)) == len(digests)
    assert digest(base) == digests[0]
