# SPDX-License-Identifier: Apache-2.0
"""The one harness of the operator tests: torch says what is meant, numpy to the bit, C obeys."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from mcugen.emit.render import render
from mcugen.emit.view import network_view
from mcugen.emit.write import write_files
from mcugen.fixed_point import RequantMode
from mcugen.frontend.export import InputLayout, input_shapes, to_graph
from mcugen.ir.check import check
from mcugen.ir.graph import Graph, Node, QParams, Shape
from mcugen.ir.interp import run
from mcugen.ops.base import PORTABLE, InputS8, IntOp, Target
from mcugen.pipeline import Compilation, CompileOptions, compile_graph
from mcugen.plan.arena import plan_arena
from mcugen.plan.choose import choose_kernels
from mcugen.quantize.options import QuantOptions
from mcugen.simulate.program import program_of
from mcugen.train.forward import forward, to_stored
from mcugen.verify.compare import compare
from mcugen.verify.host import HostNetwork
from mcugen.verify.inputs import Batch, quantize_inputs, verification_inputs

SAMPLES = 24


def export(module: torch.nn.Module, *shapes: Shape, layout: InputLayout = "nhwc") -> Graph:
    """The float graph of a module; `shapes` are its inputs' shapes, batch axis of 1 included."""
    inputs = tuple(torch.zeros(shape) for shape in shapes)
    return to_graph(torch.export.export(module.eval(), inputs), "net", layout)


def random_inputs(graph: Graph, seed: int = 0) -> list[NDArray[np.float32]]:
    """Normal samples, float32 [SAMPLES, *shape], in the model's own axis order."""
    rng = np.random.default_rng(seed)
    shapes = input_shapes(graph)
    return [rng.normal(size=(SAMPLES, *shape)).astype(np.float32) for shape in shapes]


def check_module(
    module: torch.nn.Module,
    *shapes: Shape,
    layout: InputLayout = "nhwc",
    requant: RequantMode = "single",
    skip_passes: frozenset[str] = frozenset(),
    tolerance: float = 0.02,
    seed: int = 0,
    minimum: int = 60,
    target: Target = PORTABLE,
    activations: tuple[str, ...] = (),
) -> Compilation:
    """Compile a module; assert C == reference in every tensor, and integers near to torch.

    `shapes` are the inputs' shapes, batch axis of 1 included. `tolerance` bounds the root mean
    square error against torch, as a share of the output's range. `activations` as in QuantOptions.
    """
    torch.manual_seed(seed)
    graph = export(module, *shapes, layout=layout)
    samples = random_inputs(graph, seed)
    stored = stored_inputs(graph, samples)
    options = CompileOptions(
        requant=requant,
        skip_passes=skip_passes,
        target=target,
        quant=QuantOptions(activations=activations),
    )
    compiled = compile_graph(graph, stored, options)
    inputs = quantize_inputs(compiled.graph, stored)
    check_c(compiled, verification_inputs(compiled.graph, inputs, minimum))
    _check_float(module, graph, compiled, samples, inputs, tolerance)
    return compiled


def check_forward(module: torch.nn.Module, *shapes: Shape, layout: InputLayout = "nhwc") -> Graph:
    """Export a module; assert that the float graph computes what torch does. Returns the graph."""
    torch.manual_seed(0)
    graph = export(module, *shapes, layout=layout)
    samples = random_inputs(graph)
    stored = [torch.from_numpy(x) for x in stored_inputs(graph, samples)]
    with torch.no_grad():
        outputs = forward(graph, stored)
    wanted = _torch_outputs(module, samples, graph.batched)
    for want, got, layout_of in zip(wanted, outputs, graph.output_layouts, strict=True):
        expected = want.transpose(0, *(axis + 1 for axis in layout_of))
        np.testing.assert_allclose(got.numpy(), expected, rtol=1e-5, atol=1e-5)
    return graph


def stored_inputs(
    graph: Graph, samples: Sequence[NDArray[np.float32]]
) -> list[NDArray[np.float32]]:
    """Samples in the model's axis order to the graph's."""
    layouts = zip(samples, graph.input_layouts, strict=True)
    return [to_stored(torch.from_numpy(x), layout).numpy() for x, layout in layouts]


def check_c(compiled: Compilation, inputs: Batch) -> None:
    """Assert that the C equals the reference, every tensor; MismatchError says where not."""
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        write_files(folder, compiled.files)
        plan, program = compiled.plan, program_of(folder, compiled.graph)
        with HostNetwork(program, plan.arena_bytes, plan.fast_bytes) as network:
            assert compare(compiled.graph, network, inputs).inputs == len(inputs[0])


def _check_float(
    module: torch.nn.Module,
    graph: Graph,
    compiled: Compilation,
    samples: Sequence[NDArray[np.float32]],
    inputs: Batch,
    tolerance: float,
) -> None:
    wanted = _torch_outputs(module, samples, graph.batched)
    outputs = run(compiled.graph, inputs)
    names = compiled.graph.outputs
    for want, got, name, layout in zip(wanted, outputs, names, graph.output_layouts, strict=True):
        stored = want.transpose(0, *(axis + 1 for axis in layout))
        assert stored.shape == got.shape, f"torch gives {stored.shape}, the graph {got.shape}"
        qparams = compiled.graph.by_name[name].qparams
        assert qparams is not None
        real = (got - qparams.zero_point) * qparams.scale
        spread = max(float(np.ptp(stored)), 1e-6)
        error = float(np.sqrt(np.mean((real - stored) ** 2))) / spread
        assert error <= tolerance, f"output {name} is off by {error:.4f} of its range"


def _torch_outputs(
    module: torch.nn.Module, samples: Sequence[NDArray[np.float32]], batched: bool
) -> list[NDArray[np.float32]]:
    results: list[list[NDArray[np.float32]]] = []
    with torch.no_grad():
        for i in range(len(samples[0])):
            own = [torch.from_numpy(x[i : i + 1] if batched else x[i]) for x in samples]
            y = module(*own)
            ys = [y] if isinstance(y, torch.Tensor) else list(y)
            results.append([t.numpy().reshape(t.shape if batched else (1, *t.shape)) for t in ys])
    return [np.concatenate(parts) for parts in zip(*results, strict=True)]


DEFAULT_QPARAMS = QParams(scale=0.05, zero_point=-3)


def graph_of(
    op: IntOp,
    shapes: Sequence[Shape],
    output: Shape,
    input_qparams: QParams = DEFAULT_QPARAMS,
    output_qparams: QParams = DEFAULT_QPARAMS,
) -> Graph:
    """An integer graph of one operator."""
    names = tuple(f"x{k}" for k in range(len(shapes)))
    inputs = [
        Node(name=n, op=InputS8(), inputs=(), shape=s, qparams=input_qparams)
        for n, s in zip(names, shapes, strict=True)
    ]
    node = Node(name="y", op=op, inputs=names, shape=output, qparams=output_qparams)
    graph = Graph(
        name="net",
        inputs=names,
        outputs=("y",),
        nodes=(*inputs, node),
        input_layouts=tuple(tuple(range(len(s))) for s in shapes),
        output_layouts=(tuple(range(len(output))),),
    )
    return check(graph, "integer", "the test")


def check_op(
    op: IntOp,
    shapes: Sequence[Shape],
    output: Shape,
    input_qparams: QParams = DEFAULT_QPARAMS,
    output_qparams: QParams = DEFAULT_QPARAMS,
    minimum: int = 60,
    target: Target = PORTABLE,
) -> None:
    """Assert that an operator's kernel equals its reference, and that `bounds` holds its outputs.

    Inputs are extremes and random int8 values over the whole range.
    """
    graph = graph_of(op, shapes, output, input_qparams, output_qparams)
    layers = choose_kernels(graph, target)
    plan = plan_arena(graph, {layer.node.name: layer.kernel for layer in layers})
    view = network_view(graph, layers, plan, 0, "")
    inputs = verification_inputs(graph, minimum=minimum)
    check_bounds(op, shapes, output, inputs)
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        write_files(folder, render(view))
        with HostNetwork(program_of(folder, graph), plan.arena_bytes) as network:
            compare(graph, network, inputs)


def check_bounds(op: IntOp, shapes: Sequence[Shape], output: Shape, inputs: Batch) -> None:
    """Assert that `bounds` over all that the operands can be holds what the reference gives."""
    least, most = op.operand_limits
    ends = [(np.full(s, least, np.int64), np.full(s, most, np.int64)) for s in shapes]
    low, high = op.bounds(ends, output)
    values = op.reference([x.astype(np.int64) for x in inputs])
    assert np.all((low <= values) & (values <= high)), "bounds are narrower than the reference"
