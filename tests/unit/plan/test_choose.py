# SPDX-License-Identifier: Apache-2.0
"""Kernels are chosen for the network as a whole: by its peak, its flash and its cycles."""

from __future__ import annotations

import itertools
from collections.abc import Mapping

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mcugen.ir.graph import Graph
from mcugen.ops.base import Kernel, Optimize, Target
from mcugen.plan import choices, choose
from mcugen.plan.arena import plan_arena
from mcugen.plan.choose import GOALS, best_kernel, choose_kernels
from mcugen.plan.exact import Program, Solution
from mcugen.plan.lifetimes import Buffers, align
from tests.unit.plan.offering import Offering, kernel, network


def choice(graph: Graph, optimize: Optimize) -> tuple[dict[str, Kernel], int]:
    """The chosen kernels and the arena they need."""
    layers = choose_kernels(graph, Target(optimize=optimize))
    kernels = {layer.node.name: layer.kernel for layer in layers}
    return kernels, plan_arena(graph, kernels).arena_bytes


def indices(graph: Graph, optimize: Optimize) -> list[int]:
    kernels, _ = choice(graph, optimize)
    return [
        node.op.offers.index(kernels[node.name])
        for node in graph.layers
        if isinstance(node.op, Offering)
    ]


def test_scratch_is_free_where_another_step_needs_the_bytes_anyway() -> None:
    offers = [kernel(1000, 0, 0), kernel(900, 0, 4000)]
    graph = network([8000, 8000, 1000, 1000], offers, offers, offers)
    assert indices(graph, "balanced") == [0, 1, 1]
    assert indices(graph, "speed") == [1, 1, 1]


def test_outputs_that_drift_down_are_pulled_up_where_that_is_cheap() -> None:
    """Each plain kernel pushes its output 960 bytes below its operand; a saving one does not."""
    offers = [kernel(1_000_000, 0, 84, 960), kernel(1_016_000, 0, 1044, 0)]
    graph = network([8000] * 5, *[offers] * 4)
    balanced, arena_bytes = choice(graph, "balanced")
    assert arena_bytes == 8000 + 960 + 84
    assert sum(k.cycles for k in balanced.values()) == 3 * 1_016_000 + 1_000_000
    assert indices(graph, "speed") == [0] * 4


def test_two_places_are_pulled_up_together() -> None:
    """Either of them alone would save nothing."""
    offers = [kernel(1_000_000, 0, 84, 960), kernel(1_016_000, 0, 1044, 0)]
    plain = [kernel(1000, 0, 0)]
    graph = network([8000] * 3 + [10] + [8000] * 3, offers, offers, plain, plain, offers, offers)
    balanced, arena_bytes = choice(graph, "balanced")
    assert arena_bytes == 8000 + 960 + 84
    assert sum(k.cycles for k in balanced.values()) == 2 * (1_000_000 + 1_016_000 + 1000)


def test_an_arena_that_the_solver_alone_finds_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    def side_by_side(buffers: Buffers, steps: int) -> dict[str, int]:
        ends = itertools.accumulate((align(b.size_bytes) for b in buffers.all), initial=0)
        return {b.name: end for b, end in zip(buffers.all, ends, strict=False)}

    monkeypatch.setattr(choices, "search", side_by_side)
    offers = [kernel(1_000_000, 0, 84, 960), kernel(1_016_000, 0, 1044, 0)]
    _, arena_bytes = choice(network([8000] * 5, *[offers] * 4), "balanced")
    assert arena_bytes == 8000 + 960 + 84


def test_the_flash_of_the_network_goes_where_it_saves_most() -> None:
    small, large = kernel(1000, 1000, 0), kernel(900, 1900, 0)
    larger = kernel(500, 1900, 0)
    graph = network([64] * 3, [small, large], [small, larger])
    assert indices(graph, "balanced") == [0, 1]  # 1,024 bytes may be spent
    assert indices(graph, "speed") == [1, 1]
    assert indices(graph, "size") == [0, 0]


def test_less_ram_is_worth_more_to_some() -> None:
    offers = [kernel(1000, 0, 4000), kernel(1250, 0, 0)]
    graph = network([10_000, 10_000], offers)
    assert indices(graph, "balanced") == [0]
    assert indices(graph, "ram") == [1]


@st.composite
def networks(draw: st.DrawFn) -> Graph:
    """Up to four layers of up to three kernels each."""
    count = draw(st.integers(1, 4))
    sizes = draw(st.lists(st.integers(1, 30_000), min_size=count + 1, max_size=count + 1))
    offers = st.builds(
        kernel,
        st.integers(1000, 3000).map(float),
        st.integers(0, 6000),
        st.sampled_from([0, 100, 4000]),
        st.sampled_from([None, 0, 900]),
    )
    layers = [draw(st.lists(offers, min_size=1, max_size=3)) for _ in range(count)]
    return network(sizes, *layers)


def best_score(graph: Graph, optimize: Optimize) -> float:
    """By trying all choices."""
    goal = GOALS[optimize]
    offers = [node.op.offers for node in graph.layers if isinstance(node.op, Offering)]
    limit = goal.flash_limit(sum(min(k.table_bytes for k in each) for each in offers))
    scores = []
    for kernels in itertools.product(*offers):
        if sum(k.table_bytes for k in kernels) <= limit:
            named = {node.name: k for node, k in zip(graph.layers, kernels, strict=True)}
            scores.append(score(named, plan_arena(graph, named).arena_bytes, optimize))
    return min(scores)


def score(kernels: Mapping[str, Kernel], arena_bytes: int, optimize: Optimize) -> float:
    return GOALS[optimize].score(sum(k.cycles for k in kernels.values()), arena_bytes)


@settings(max_examples=15, deadline=None)
@given(networks(), st.sampled_from(["balanced", "speed", "size", "ram"]))
def test_no_choice_is_better(graph: Graph, optimize: Optimize) -> None:
    kernels, arena_bytes = choice(graph, optimize)
    offers = [node.op.offers for node in graph.layers if isinstance(node.op, Offering)]
    limit = GOALS[optimize].flash_limit(sum(min(k.table_bytes for k in each) for each in offers))
    assert sum(k.table_bytes for k in kernels.values()) <= limit
    # the solver's tolerance is a millionth
    assert score(kernels, arena_bytes, optimize) <= best_score(graph, optimize) * (1 + 2e-6)


def test_networks_that_are_too_large_to_solve_are_improved_step_by_step(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def unsolved(program: Program) -> Solution:
        return Solution()

    monkeypatch.setattr(choose, "solve", unsolved)
    offers = [kernel(1_000_000, 0, 84, 960), kernel(1_016_000, 0, 1044, 0)]
    _, arena_bytes = choice(network([8000] * 5, *[offers] * 4), "balanced")
    assert arena_bytes == 8000 + 960 + 84
    large = [offers[0], kernel(1_016_000, 9000, 1044, 0)]  # its tables are more than may be spent
    kernels, _ = choice(network([8000] * 5, *[large] * 4), "balanced")
    assert all(chosen.table_bytes == 0 for chosen in kernels.values())


def test_a_stripe_takes_the_fastest_kernel_whose_scratch_is_worth_it() -> None:
    offers = [kernel(1000, 100, 0), kernel(950, 100, 4000), kernel(700, 9000, 0)]
    assert best_kernel(offers, "balanced", 0) is offers[0]
    assert best_kernel(offers, "balanced", 100_000) is offers[1]
    assert best_kernel(offers, "speed", 0) is offers[1]


def test_kernels_in_chains_stay_as_they_are() -> None:
    offers = [kernel(1000, 0, 0), kernel(900, 0, 0)]
    graph = network([64] * 3, offers, offers)
    layers = choose_kernels(graph, Target(), (), {"y0": offers[0]})
    assert [layer.kernel for layer in layers] == [offers[0], offers[1]]
