# SPDX-License-Identifier: Apache-2.0
"""Random runs of layers, computed row by row, equal the reference in every tensor."""

from __future__ import annotations

import tempfile
from pathlib import Path

import pytest
import torch
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from torch import nn

from mcugen.emit.render import render
from mcugen.emit.view import network_view
from mcugen.emit.write import write_files
from mcugen.errors import OptionError
from mcugen.ir.graph import Graph
from mcugen.ops.base import PORTABLE, Kernel, Target
from mcugen.pipeline import CompileOptions, compile_graph
from mcugen.plan.chains import Chain, ChainLayer, make_chain
from mcugen.plan.choose import best_kernel, choose_kernels
from mcugen.plan.fuse import Fused, choose_chains, fits
from mcugen.plan.lifetimes import find_buffers, lower_bound
from mcugen.plan.planner import Planned, make_plan, plan_chains, split_plan
from mcugen.simulate.program import program_of
from mcugen.verify.compare import compare
from mcugen.verify.host import HostNetwork
from mcugen.verify.inputs import verification_inputs
from tests.ops.harness import export, random_inputs, stored_inputs

SETTINGS = {"deadline": None, "suppress_health_check": list(HealthCheck), "derandomize": True}
DSP = Target(core="cortex-m4", features=frozenset({"dsp"}))

Layer = tuple[str, int, int, int, int]  # kind, kernel height, stride, padding, channels
layers = st.tuples(
    st.sampled_from(["conv", "depthwise", "residual", "max", "average", "sigmoid"]),
    st.integers(1, 5),
    st.integers(1, 3),
    st.integers(0, 2),
    st.sampled_from([2, 4, 6]),
)


class Residual(nn.Module):
    """Two branches, of which one may be longer than the other by several rows."""

    def __init__(self, channels: int, kernel: int) -> None:
        super().__init__()
        self.long = nn.Conv2d(channels, channels, (2 * kernel - 1, 3), padding=(kernel - 1, 1))
        self.short = nn.Conv2d(channels, channels, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y: torch.Tensor = self.long(x).relu() + self.short(x)
        return y


def module_of(steps: list[Layer], channels: int, size: tuple[int, int]) -> nn.Module:
    """The layers that fit one after the other."""
    made: list[nn.Module] = []
    x = torch.zeros(1, channels, *size)
    for kind, kernel, stride, pad, out in steps:
        count, inner = x.shape[1], 0 if kind == "average" else min(pad, kernel // 2)
        window = {"kernel_size": (kernel, 1), "stride": (stride, 1), "padding": (inner, 0)}
        layer: nn.Module
        if kind == "conv":
            layer = nn.Conv2d(count, out, (kernel, 3), (stride, 1), (pad, 1))
        elif kind == "depthwise":
            layer = nn.Conv2d(count, count, (kernel, 3), (stride, 1), (pad, 1), groups=count)
        elif kind == "residual":
            layer = Residual(count, 1 + kernel % 2)
        elif kind == "max":
            layer = nn.MaxPool2d(**window)  # type: ignore[arg-type]
        elif kind == "average":
            layer = nn.AvgPool2d((kernel, 1), (stride, 1))
        else:
            layer = nn.Sigmoid()
        if x.shape[2] + 2 * inner >= kernel:
            made.append(layer)
            with torch.no_grad():
                x = layer(x)
    return nn.Sequential(*made)


def integer_graph(steps: list[Layer], channels: int, size: tuple[int, int]) -> Graph:
    torch.manual_seed(len(steps))
    graph = export(module_of(steps, channels, size), (1, channels, *size))
    return compile_graph(graph, stored_inputs(graph, random_inputs(graph)), CompileOptions()).graph


def possible_chains(graph: Graph) -> list[Chain]:
    count = len(graph.nodes)
    spans = [(first, end) for first in range(1, count) for end in range(first + 2, count + 1)]
    made = [make_chain(graph, graph.nodes[first:end]) for first, end in spans]
    return sorted((c for c in made if c is not None), key=lambda c: -len(c.layers))


def kernels_of(chain: Chain, target: Target) -> dict[str, Kernel]:
    def kernel_of(layer: ChainLayer) -> Kernel:
        kernels = layer.op.implementations(layer.input_shapes, layer.shape, target)
        return best_kernel(kernels, target.optimize)

    return {layer.node.name: kernel_of(layer) for layer in chain.layers}


def check_chain(graph: Graph, chain: Chain, target: Target) -> Planned:
    fused = [Fused(chain=chain, kernels=kernels_of(chain, target))]
    planned = plan_chains(graph, choose_kernels(graph, target), fused)
    check_plan(graph, planned)
    return planned


def check_plan(graph: Graph, planned: Planned, *, row_input: bool = False) -> None:
    view = network_view(graph, planned.layers, planned.arena, 0, "", planned.chains)
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        write_files(folder, render(view))
        program = program_of(folder, graph, row_input=row_input)
        with HostNetwork(program, planned.arena.arena_bytes, planned.arena.fast_bytes) as network:
            compare(graph, network, verification_inputs(graph, minimum=12))


@pytest.mark.slow
@settings(max_examples=20, **SETTINGS)  # type: ignore[arg-type]
@given(
    st.lists(layers, min_size=2, max_size=6),
    st.integers(1, 4),
    st.integers(3, 17),
    st.integers(2, 6),
    st.sampled_from([PORTABLE, DSP]),
    st.integers(0, 99),
)
def test_rows_equal_the_reference(
    steps: list[Layer], channels: int, height: int, width: int, target: Target, pick: int
) -> None:
    graph = integer_graph(steps, channels, (height, width))
    possible = [c for c in possible_chains(graph) if fits(c, kernels_of(c, target))]
    assume(possible)
    check_chain(graph, possible[0], target)
    check_chain(graph, possible[pick % len(possible)], target)


DEEP: list[Layer] = [
    ("conv", 3, 1, 1, 4),
    ("residual", 2, 1, 1, 4),
    ("conv", 3, 2, 1, 4),
    ("depthwise", 3, 1, 1, 4),
    ("conv", 1, 1, 0, 4),
    ("max", 3, 2, 1, 4),
]


@pytest.mark.slow
@pytest.mark.parametrize("height", [15, 16, 17, 18])
def test_rows_of_odd_heights_equal_the_reference(height: int) -> None:
    graph = integer_graph(DEEP, 4, (height, 4))
    chain = possible_chains(graph)[0]
    assert len(chain.layers) > len(DEEP)
    check_chain(graph, chain, PORTABLE)


def test_rows_need_not_be_whole_words() -> None:
    graph = integer_graph([("conv", 3, 1, 1, 6), ("max", 2, 2, 0, 6)], 3, (10, 5))
    (chain,) = possible_chains(graph)
    assert not all(layer.aligned for layer in chain.layers)
    assert not all(rows.aligned for rows in chain.buffers.values())
    check_chain(graph, chain, PORTABLE)
    assert fits(chain, kernels_of(chain, PORTABLE))


@pytest.mark.parametrize("channels", [2, 12])
def test_the_output_overlaps_rows_of_the_operand_that_were_read(channels: int) -> None:
    graph = integer_graph([("conv", 3, 1, 1, channels)] * 2, 4, (12, 4))
    chain = possible_chains(graph)[0]
    planned = check_chain(graph, chain, PORTABLE)
    offsets, name = planned.arena.offsets, chain.operand
    ends = {n: offsets[n] + graph.by_name[n].size_bytes for n in (name, chain.name)}
    assert name in graph.inputs
    assert offsets[chain.name] < ends[name]
    assert offsets[name] < ends[chain.name]


def test_a_plan_for_ram_needs_less_and_at_least_its_bound() -> None:
    graph = integer_graph(DEEP, 4, (24, 8))
    plain = make_plan(graph, Target(optimize="speed"))
    saving = make_plan(graph, Target(optimize="ram"))
    assert saving.chains
    assert not plain.chains
    assert saving.arena.bound_bytes <= saving.arena.arena_bytes < plain.arena.arena_bytes


@pytest.mark.slow
def test_chains_are_formed_where_the_board_has_too_little_ram() -> None:
    graph, fast = integer_graph(DEEP, 4, (24, 8)), Target(optimize="speed")
    enough = make_plan(graph, fast).arena.arena_bytes
    assert not make_plan(graph, fast, enough).chains
    squeezed = make_plan(graph, fast, enough - 4)
    assert squeezed.chains
    assert squeezed.arena.arena_bytes <= enough - 4


@pytest.mark.slow
def test_the_chosen_chains_need_least_of_all() -> None:
    graph = integer_graph(DEEP, 4, (16, 4))
    kernels = {layer.node.name: layer.kernel for layer in choose_kernels(graph, PORTABLE)}

    def kernel_of(layer: ChainLayer) -> Kernel:
        return layer.op.portable(layer.input_shapes, layer.shape)

    def bound(chains: list[Fused]) -> int:
        own = {name: k for one in chains for name, k in one.kernels.items()}
        return lower_bound(find_buffers(graph, kernels | own, [one.chain for one in chains]))

    single = [
        bound([Fused(chain=c, kernels={x.node.name: kernel_of(x) for x in c.layers})])
        for c in possible_chains(graph)
    ]
    chosen = choose_chains(graph, kernels, kernel_of)
    assert chosen
    assert bound(list(chosen)) <= min(single)


# windows of two rows that move by three: the last row may be one that none reads
SPARSE: list[Layer] = [("max", 2, 3, 0, 4), ("conv", 3, 1, 1, 4)]


@pytest.mark.slow
@pytest.mark.parametrize("steps", [DEEP, SPARSE], ids=["deep", "sparse"])
@pytest.mark.parametrize("height", [15, 16, 17])
def test_an_input_in_rows_equals_the_reference(steps: list[Layer], height: int) -> None:
    graph = integer_graph(steps, 4, (height, 4))
    planned = make_plan(graph, PORTABLE, row_input=True)
    assert planned.chains[0].operand == graph.inputs[0]
    assert graph.inputs[0] not in planned.arena.offsets
    check_plan(graph, planned, row_input=True)


def test_an_input_in_rows_may_use_two_blocks_of_ram() -> None:
    graph = integer_graph(DEEP, 4, (16, 4))
    planned = split_plan(graph, make_plan(graph, PORTABLE, row_input=True), 100)
    assert 0 < planned.arena.fast_bytes <= 100
    check_plan(graph, planned, row_input=True)


def test_an_input_in_rows_is_refused_where_the_first_layer_needs_it_whole() -> None:
    network = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Conv2d(4, 4, 1))
    graph = export(network, (1, 4, 6, 6))
    options = CompileOptions(row_input=True)
    with pytest.raises(OptionError, match="the input cannot come in rows"):
        compile_graph(graph, stored_inputs(graph, random_inputs(graph)), options)


def test_an_input_in_rows_must_be_an_image() -> None:
    graph = export(nn.Linear(8, 4), (1, 8))
    options = CompileOptions(row_input=True)
    with pytest.raises(
        OptionError, match=r"must be one image \[H, W, C\]; the network takes \[8\]"
    ):
        compile_graph(graph, stored_inputs(graph, random_inputs(graph)), options)
