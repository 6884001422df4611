# SPDX-License-Identifier: Apache-2.0
"""Fully connected layers without the DSP extension: bits and tails, on the host and on cores."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mcugen.fixed_point import requantize_for
from mcugen.ir.check import check
from mcugen.ir.graph import Graph, Node, Shape
from mcugen.ops.base import InputS8, Kernel, Target
from mcugen.ops.linear import LinearS8
from tests.ops.harness import DEFAULT_QPARAMS, check_op
from tests.ops.on_core import check_on_core

M0PLUS = Target(core="cortex-m0plus", features=frozenset({"mul32"}))
CORES = ("cortex-m0plus", "cortex-m3", "riscv32imc")


class FastLinear(LinearS8):
    """A layer that must not be left to the portable kernel, however small it is."""

    __slots__ = ()

    def implementations(
        self, inputs: Sequence[Shape], output: Shape, target: Target
    ) -> tuple[Kernel, ...]:
        """All but the portable kernel."""
        return super().implementations(inputs, output, target)[1:]


def linear(rng: np.random.Generator, in_ch: int, out_ch: int) -> FastLinear:
    """A layer with extreme weights, whose outputs spread over int8."""
    scales = rng.uniform(0.5, 2.0, out_ch) / (80.0 * np.sqrt(in_ch) * rng.integers(1, 9))
    low, high = ((-128, 127), (-5, 90))[rng.integers(0, 2)]
    return FastLinear(
        weight=rng.choice([-127, -1, 0, 1, 127, 64], size=(out_ch, in_ch)).astype(np.int8),
        bias=rng.integers(-3000, 3000, out_ch),
        requantize=requantize_for(scales, -5, low, high, "single"),
    )


@pytest.mark.slow
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.integers(0, 99), st.integers(1, 3), st.integers(2, 23), st.integers(1, 9))
def test_any_layer(seed: int, rows: int, in_ch: int, out_ch: int) -> None:
    op = linear(np.random.default_rng(seed), in_ch, out_ch)
    lead = (rows,) if rows > 1 else ()
    check_op(op, ((*lead, in_ch),), (*lead, out_ch), target=M0PLUS, minimum=20)


def test_one_input_is_left_to_the_portable_kernel() -> None:
    op = linear(np.random.default_rng(0), 1, 4)
    assert op.implementations(((1,),), (4,), M0PLUS) == ()


def side_by_side(seed: int) -> Graph:
    """Layers of all lengths of the unrolled loop, one after the other, an output each."""
    rng = np.random.default_rng(seed)
    sizes = (13, 4, 9, 12, 3, 10, 8, 7, 6, 33, 2, 5)
    q = DEFAULT_QPARAMS
    nodes = [Node(name="y0", op=InputS8(), inputs=(), shape=(sizes[0],), qparams=q)]
    for k, (in_ch, out_ch) in enumerate(itertools.pairwise(sizes)):
        op = linear(rng, in_ch, out_ch)
        name, source = f"y{k + 1}", f"y{k}"
        nodes.append(Node(name=name, op=op, inputs=(source,), shape=(out_ch,), qparams=q))
    graph = Graph(
        name="net",
        inputs=("y0",),
        outputs=(nodes[-1].name,),
        nodes=tuple(nodes),
        input_layouts=((0,),),
        output_layouts=((0,),),
    )
    return check(graph, "integer", "the test")


@pytest.mark.slow
@pytest.mark.parametrize("name", CORES)
def test_on_the_simulated_core(name: str) -> None:
    check_on_core(side_by_side(1), name, minimum=100)
