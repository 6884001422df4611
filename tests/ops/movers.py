# SPDX-License-Identifier: Apache-2.0
"""What the tests of operators that move values share: exact comparison, and dead channels."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import nn

from mcugen.ir.graph import QParams, Shape
from mcugen.ir.interp import run
from mcugen.ops import Op
from mcugen.ops.base import IntOp, Lowering, Operand
from mcugen.pipeline import Compilation, CompileOptions, compile_graph, cost_of
from mcugen.verify.inputs import verification_inputs
from tests.ops.harness import check_module, check_op, export, random_inputs, stored_inputs

Function = Callable[..., "torch.Tensor | Sequence[torch.Tensor]"]
STEPS = QParams(scale=1.0, zero_point=0)


class Apply(nn.Module):
    """A function as a module."""

    def __init__(self, function: Function) -> None:
        super().__init__()
        self.function = function

    def forward(self, *inputs: torch.Tensor) -> torch.Tensor | Sequence[torch.Tensor]:
        return self.function(*inputs)


def lowered(op: Op, *shapes: Shape) -> IntOp:
    """The integer form where one step is the real 1."""
    inputs = tuple(Operand(shape=shape, qparams=STEPS) for shape in shapes)
    output = Operand(shape=op.infer(shapes), qparams=STEPS)
    return op.lower(Lowering(inputs=inputs, output=output, requant="single", where="the test"))


def check_mover(op: Op, *shapes: Shape) -> None:
    """Assert that the float form, the integer form and the C move every value alike."""
    rng = np.random.default_rng(3)
    inputs = [rng.integers(-128, 128, (5, *shape)) for shape in shapes]
    integer = lowered(op, *shapes)
    moved = op.forward([torch.from_numpy(x.astype(np.float32)) for x in inputs])
    np.testing.assert_array_equal(integer.reference(inputs), moved.numpy())
    check_op(integer, shapes, op.infer(shapes), minimum=24)


def conv(
    in_ch: int, out_ch: int, kernel: int, dead: Sequence[int] = (), padding: int = 0
) -> nn.Conv2d:
    """A convolution whose `dead` output channels are constants."""
    layer = nn.Conv2d(in_ch, out_ch, kernel, padding=padding)
    with torch.no_grad():
        layer.weight[list(dead)] = 0.0
        layer.bias[list(dead)] = torch.linspace(0.1, 0.4, len(dead))  # type: ignore[index]
    return layer


def check_removal(module: nn.Module, shape: Shape) -> Compilation:
    """Assert that removing channels makes the network smaller and changes no bit."""
    cut = check_module(module, shape)
    graph = export(module, shape)
    stored = stored_inputs(graph, random_inputs(graph))
    skip = CompileOptions(skip_passes=frozenset({"remove_channels"}))
    whole = compile_graph(graph, stored, skip)
    inputs = verification_inputs(cut.graph, minimum=40)
    for got, want in zip(run(cut.graph, inputs), run(whole.graph, inputs), strict=True):
        np.testing.assert_array_equal(got, want)
    assert cost_of(cut.graph).macs < cost_of(whole.graph).macs
    return cut


def kinds(compiled: Compilation) -> list[str]:
    """The kinds of the layers that compute, in execution order."""
    return [node.op.kind for node in compiled.graph.layers]
