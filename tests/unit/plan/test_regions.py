# SPDX-License-Identifier: Apache-2.0
"""Two blocks of RAM: each buffer in one of them, as many accesses as can be in the fast one."""

from __future__ import annotations

import itertools
import tempfile
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from mcugen.boards import core_named
from mcugen.emit.write import write_files
from mcugen.errors import InternalError, MissingToolError
from mcugen.ir.graph import Graph
from mcugen.ops.base import Kernel, Target
from mcugen.pipeline import Compilation, CompileOptions, compile_graph
from mcugen.plan import regions
from mcugen.plan.arena import conflict, extent, search
from mcugen.plan.exact import Program, Solution, solve
from mcugen.plan.lifetimes import ROWS, Buffer, Buffers, align, find_buffers
from mcugen.plan.planner import make_plan, split_plan
from mcugen.plan.regions import Split, count_accesses, split_arena
from mcugen.simulate.program import program_of
from mcugen.verify.compare import compare
from mcugen.verify.inputs import verification_inputs
from mcugen.verify.sanitized import SanitizedNetwork
from mcugen.verify.target import TargetNetwork
from tests.ops.harness import check_c, export, random_inputs, stored_inputs
from tests.unit.plan.offering import kernel, network

Case = tuple[Buffers, dict[str, float], int]


@st.composite
def cases(draw: st.DrawFn) -> Case:
    """Up to six buffers, how often they are used, and the bytes of the fast block."""
    made = []
    for k in range(draw(st.integers(1, 6))):
        first = draw(st.integers(0, 4))
        last = first + draw(st.integers(0, 3))
        size = draw(st.integers(1, 60))
        made.append(Buffer(name=f"b{k}", size_bytes=size, first=first, last=last))
    pairs = [(a, b) for a in made for b in made if b.last == a.first > b.first]
    some = [(a.name, b.name) for a, b in pairs if draw(st.booleans())]
    distances = {pair: draw(st.integers(-8, 60)) for pair in some}
    accesses = {b.name: float(draw(st.integers(0, 1000))) for b in made}
    return (
        Buffers(home={}, all=tuple(made), distances=distances),
        accesses,
        draw(st.integers(1, 90)),
    )


def whole_arena(buffers: Buffers) -> int:
    return align(extent(buffers, search(buffers)))


def check_split(case: Case, split: Split) -> None:
    buffers, accesses, limit = case
    assert conflict(buffers, split.offsets) is None
    assert split.fast_bytes <= limit
    fast = 0.0
    for buffer in buffers.all:
        start = split.offsets[buffer.name]
        end = start + buffer.size_bytes
        assert end <= split.slow_bytes or start >= split.slow_bytes
        assert end <= split.slow_bytes + split.fast_bytes
        fast += accesses[buffer.name] if start >= split.slow_bytes else 0.0
    assert split.fast_share == pytest.approx(fast / (sum(accesses.values()) or 1.0))


def fits(buffers: Buffers, names: set[str], limit: int) -> bool:
    """Whether there is any plan of these buffers within the limit."""
    own = replace(buffers, all=tuple(b for b in buffers.all if b.name in names))
    return solve(Program(buffers=own, limit_bytes=limit)).offsets is not None if own.all else True


def largest_share(case: Case) -> float:
    """By trying all sets of buffers."""
    buffers, accesses, limit = case
    names = [b.name for b in buffers.all]
    subsets = (s for n in range(len(names) + 1) for s in itertools.combinations(names, n))
    total = sum(accesses.values()) or 1.0
    slow = whole_arena(buffers)
    return max(
        sum(accesses[name] for name in chosen) / total
        for chosen in subsets
        if fits(buffers, set(chosen), limit // 4 * 4)
        and fits(buffers, set(names) - set(chosen), slow)
    )


@pytest.mark.slow
@settings(max_examples=20, deadline=None)
@given(cases())
def test_no_split_has_a_larger_share(case: Case) -> None:
    buffers, accesses, limit = case
    split = split_arena(buffers, accesses, limit, whole_arena(buffers))
    check_split(case, split)
    assert split.optimal
    # the slow block's size counts for a thousandth
    assert split.fast_share >= largest_share(case) - 1.1 * regions.SLOW_SHARE


@settings(max_examples=40, deadline=None)
@given(cases())
def test_splits_that_are_not_solved_are_legal_too(case: Case) -> None:
    def unsolved(program: Program) -> Solution:
        return Solution()

    buffers, accesses, limit = case
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(regions, "solve", unsolved)
        split = split_arena(buffers, accesses, limit, whole_arena(buffers))
    check_split(case, split)
    assert not split.optimal


def test_a_buffer_across_the_border_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    def across(buffers: Buffers, accesses: object, limit: int) -> Split:
        offsets = {"b": 8}
        return Split(offsets=offsets, slow_bytes=12, fast_bytes=8, fast_share=0.0, optimal=False)

    monkeypatch.setattr(regions, "_greedy", across)
    monkeypatch.setattr(regions, "solve", lambda program: Solution())
    buffer = Buffer(name="b", size_bytes=12, first=0, last=0)
    with pytest.raises(InternalError, match="b does not fit its block"):
        split_arena(Buffers(home={}, all=(buffer,), distances={}), {"b": 1.0}, 8, 20)


def counted(graph: Graph, kernels: dict[str, Kernel]) -> dict[str, float]:
    return count_accesses(graph, kernels, (), find_buffers(graph, kernels))


def test_accesses_are_reads_and_writes_of_layers_and_application() -> None:
    one, two = kernel(1, 0, 0), kernel(1, 0, 40)
    graph = network([100, 60, 8], [one], [two])
    found = counted(graph, {"y0": one, "y1": two})
    # the application writes x and reads y1; the scratch is filled with what is read
    assert found == {"x": 100 + 100, "y0": 60 + 60, "y1": 8 + 8, "y1.scratch": 60}


class Hot(torch.nn.Module):
    """A large image, then layers that use a small one over and over."""

    def __init__(self) -> None:
        super().__init__()
        layers = [torch.nn.Conv2d(4, 8, 4, 4)]
        layers += [torch.nn.Conv2d(8, 8, 3, padding=1) for _ in range(3)]
        self.layers = torch.nn.Sequential(*layers)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y: torch.Tensor = self.layers(x)
        return y


def compiled(fast_bytes: int, core: str | None = None, *, rows: bool = False) -> Compilation:
    torch.manual_seed(0)
    graph = export(Hot(), (1, 4, 32, 32))
    target = Target(optimize="speed")
    if core:
        found = core_named(core).core
        target = Target(core=found.name, features=found.features, optimize="speed")
    options = CompileOptions(target=target, fast_bytes=fast_bytes, row_input=rows)
    return compile_graph(graph, stored_inputs(graph, random_inputs(graph)), options)


def test_a_network_runs_in_two_blocks() -> None:
    one, two = compiled(0), compiled(1500)
    assert one.plan.fast_bytes == 0
    assert 0 < two.plan.fast_bytes <= 1500
    assert two.plan.arena_bytes == 4 * 32 * 32  # the input
    assert two.plan.proof == "solver"
    assert two.plan.fast_share > 0.5
    header, source = two.files["net.h"], two.files["net.c"]
    assert f"#define NET_FAST_ARENA_BYTES {two.plan.fast_bytes}\n" in header
    assert "int net_invoke(void *arena, void *fast_arena);" in header
    assert "&fast[" in source
    assert "FAST" not in one.files["net.h"]
    check_c(two, verification_inputs(two.graph, minimum=20))


def test_a_chain_copies_its_operand_and_reads_the_copy() -> None:
    fed = compiled(0, rows=True)
    kernels = {layer.node.name: layer.kernel for layer in fed.layers}
    (chain,) = fed.chains
    buffers = find_buffers(fed.graph, kernels, fed.chains, fed.graph.inputs)
    found = count_accesses(fed.graph, kernels, fed.chains, buffers)
    size = 32 * 32 * 4
    assert found[chain.name + ROWS] == size + size  # copied, then read: windows do not overlap
    assert chain.operand not in found  # its rows are the caller's


def test_sanitizers_watch_both_blocks() -> None:
    two = compiled(1500)
    inputs = verification_inputs(two.graph, minimum=4)
    with tempfile.TemporaryDirectory() as folder:
        write_files(Path(folder), two.files)
        with SanitizedNetwork(program_of(Path(folder), two.graph)) as run:
            assert compare(two.graph, run, inputs).inputs == len(inputs[0])


@pytest.mark.slow
@pytest.mark.parametrize("core", ["cortex-m7", "cortex-m55"])
def test_a_core_runs_it_in_two_blocks(core: str) -> None:
    two = compiled(2500, core)
    assert two.plan.fast_bytes
    inputs = verification_inputs(two.graph, minimum=8)
    with tempfile.TemporaryDirectory() as folder:
        write_files(Path(folder), two.files)
        try:
            with TargetNetwork(program_of(Path(folder), two.graph), core_named(core).core) as run:
                assert compare(two.graph, run, inputs).inputs == len(inputs[0])
        except MissingToolError as error:
            pytest.skip(str(error))


@pytest.mark.parametrize("fast_bytes", [4, 100_000])
def test_an_arena_that_fits_whole_or_not_at_all_is_one_block(fast_bytes: int) -> None:
    offers = [kernel(1, 0, 0)]
    graph = network([400, 400], offers)
    plan = make_plan(graph, Target())
    assert split_plan(graph, plan, fast_bytes) is plan
