# SPDX-License-Identifier: Apache-2.0
"""The network as finished C text, for templates that decide nothing."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import groupby

import numpy as np
from numpy.typing import NDArray

import mcugen
from mcugen.emit import literals
from mcugen.ir.graph import Graph, Node
from mcugen.ops.base import ConstTable, IntOp, KernelCall
from mcugen.plan.arena import Plan
from mcugen.plan.lifetimes import in_flash


@dataclass(frozen=True, slots=True, kw_only=True)
class TableView:
    """One constant array."""

    comment: str
    declaration: str  # "static const int8_t fc1_weight[16000]"
    rows: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ParamsView:
    """One parameter struct with its designated initialisers."""

    declaration: str
    fields: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class LayerView:
    """One layer of the invoke function."""

    comment: str
    calls: tuple[str, ...]
    trace: str


@dataclass(frozen=True, slots=True, kw_only=True)
class TensorView:
    """An input or output of the C API."""

    macro: str  # "INPUT", or "INPUT0" where there are several
    function: str  # "input"
    number: str  # "" or "0"
    length: int
    scale: str
    zero_point: str
    layout: str  # "[28, 28, 1], axes (1, 2, 0) of the model's own tensor"
    pointer: str  # "base + 784"


@dataclass(frozen=True, slots=True, kw_only=True)
class NetworkView:
    """All that the templates print."""

    name: str
    upper: str
    tool_version: str
    digest: str
    runtime_abi: int
    arena_bytes: int
    weight_bytes: int
    macs: int
    inputs: tuple[TensorView, ...]
    outputs: tuple[TensorView, ...]
    run_arguments: str
    run_null_check: str
    headers: tuple[str, ...]
    tables: tuple[TableView, ...]
    params: tuple[ParamsView, ...]
    layers: tuple[LayerView, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class LayerCalls:
    """A layer and the kernel calls that compute it."""

    node: Node
    calls: tuple[KernelCall, ...]


RUNTIME_ABI = 1


def layer_calls(graph: Graph) -> tuple[LayerCalls, ...]:
    """The kernel calls of every layer, in execution order."""
    found = []
    for node in graph.layers:
        assert isinstance(node.op, IntOp)
        calls = node.op.kernels(graph.input_shapes(node), node.shape)
        found.append(LayerCalls(node=node, calls=calls))
    return tuple(found)


def digest_of(graph: Graph, layers: Sequence[LayerCalls], options: str) -> str:
    """Sixteen hexadecimal digits that change with any weight, shape or option."""
    sha = hashlib.sha256(f"{mcugen.__version__} {graph.name} {options}".encode())
    for layer in layers:
        sha.update(f"{layer.node.name} {layer.node.shape} {layer.node.qparams}".encode())
        for call in layer.calls:
            sha.update(repr((call.function, call.fields)).encode())
            for table in call.tables:
                sha.update(np.ascontiguousarray(table.values).tobytes())
    return sha.hexdigest()[:16]


def network_view(
    graph: Graph, layers: Sequence[LayerCalls], plan: Plan, macs: int, options: str
) -> NetworkView:
    """Everything the templates print for one network."""
    tables = _Tables(graph.name)
    constants = {node.name: tables.add_constant(node) for node in graph.nodes if in_flash(node)}
    params = [
        _params(graph.name, _call_name(layer, i), call, tables, layer.node.name)
        for layer in layers
        for i, call in enumerate(layer.calls)
    ]
    pointers = {
        node.name: constants.get(node.name) or f"base + {plan.offsets[node.name]}"
        for node in graph.nodes
    }
    inputs = _tensors(graph, "input", graph.inputs, graph.input_layouts, pointers)
    outputs = _tensors(graph, "output", graph.outputs, graph.output_layouts, pointers)
    return NetworkView(
        name=graph.name,
        upper=graph.name.upper(),
        tool_version=mcugen.__version__,
        digest=digest_of(graph, layers, options),
        runtime_abi=RUNTIME_ABI,
        arena_bytes=plan.arena_bytes,
        weight_bytes=tables.total_bytes,
        macs=macs,
        inputs=inputs,
        outputs=outputs,
        run_arguments=_run_arguments(inputs, outputs),
        run_null_check=" || ".join(f"({_argument(t)} == NULL)" for t in (*inputs, *outputs)),
        headers=tuple(sorted({call.header for layer in layers for call in layer.calls})),
        tables=tuple(tables.views),
        params=tuple(params),
        layers=tuple(_layer(k, layer, pointers, plan, graph) for k, layer in enumerate(layers)),
    )


class _Tables:
    """Constant arrays, each distinct content once: shared weights share their table."""

    def __init__(self, network: str) -> None:
        self.network = network
        self.views: list[TableView] = []
        self.total_bytes = 0
        self._known: dict[tuple[str, bytes], str] = {}

    def add(self, owner: str, table: ConstTable) -> str:
        """The C name of the array, printed once for each content."""
        values = np.ascontiguousarray(table.values)
        key = (values.dtype.name, values.tobytes())
        if key not in self._known:
            name = f"{self.network}_{owner}_{table.suffix}"
            self._known[key] = name
            self._print(name, values, table.comment)
        return self._known[key]

    def add_constant(self, node: Node) -> str:
        """A constant tensor of the graph."""
        values = np.asarray(node.op.flash_values, np.int8)  # type: ignore[union-attr]
        shape = ", ".join(map(str, node.shape))
        return self.add(node.name, ConstTable(suffix="values", values=values, comment=f"[{shape}]"))

    def _print(self, name: str, values: NDArray[np.generic], comment: str) -> None:
        shape = " x ".join(map(str, values.shape))
        kind = literals.array_type(values)
        self.total_bytes += values.nbytes
        self.views.append(
            TableView(
                comment=f"{comment}: {shape}",
                declaration=f"static const {kind} {name}[{values.size}]",
                rows=literals.array_rows(values),
            )
        )


def _call_name(layer: LayerCalls, index: int) -> str:
    # two underscores stand in no layer's name, so this meets no other layer
    return layer.node.name if len(layer.calls) == 1 else f"{layer.node.name}__{index}"


def _params(network: str, name: str, call: KernelCall, tables: _Tables, owner: str) -> ParamsView:
    names = {table.suffix: tables.add(owner, table) for table in call.tables}

    def text(value: int | str | None) -> str:
        if value is None:
            return "NULL"
        return names[value] if isinstance(value, str) else literals.integer(value)

    return ParamsView(
        declaration=f"static const {call.function}_params_t {network}_{name}_params",
        fields=_members([(field, text(value)) for field, value in call.fields]),
    )


def _members(fields: Sequence[tuple[str, str]]) -> tuple[str, ...]:
    """Designated initialisers; `rows.len` is in a nested struct, which C++ wants in braces."""
    members = []
    for outer, group in groupby(fields, key=lambda f: f[0].rpartition(".")[0]):
        texts = [f".{field.rpartition('.')[2]} = {text}" for field, text in group]
        if outer:
            inside = "".join(f"{2 * literals.INDENT}{text},\n" for text in texts)
            texts = [f".{outer} = {{\n{inside}{literals.INDENT}}}"]
        members.extend(texts)
    return tuple(members)


def _shape_text(shape: Iterable[int]) -> str:
    return f"[{', '.join(map(str, shape))}]"


def _layer(
    index: int, layer: LayerCalls, pointers: dict[str, str], plan: Plan, graph: Graph
) -> LayerView:
    node = layer.node
    target = pointers[node.name]
    sources = ", ".join(_shape_text(shape) for shape in graph.input_shapes(node))
    calls = []
    for i, call in enumerate(layer.calls):
        operands = [pointers[node.inputs[position]] for position in call.operands]
        scratch = []
        if call.scratch_bytes:
            scratch = [f"base + {plan.offsets[f'{node.name}.scratch']}"]
        arguments = ", ".join(
            [f"&{graph.name}_{_call_name(layer, i)}_params", *operands, target, *scratch]
        )
        calls.append(f"{call.function}({arguments});")
    size = int(np.prod(node.shape))
    return LayerView(
        comment=f"{node.name}: {node.op.kind} {sources} -> {_shape_text(node.shape)}",
        calls=tuple(calls),
        trace=f"MCUGEN_TRACE_LAYER({index}u, {target}, {size}u);",
    )


def _tensors(
    graph: Graph,
    function: str,
    names: Sequence[str],
    layouts: Sequence[tuple[int, ...]],
    pointers: dict[str, str],
) -> tuple[TensorView, ...]:
    views = []
    for k, (name, layout) in enumerate(zip(names, layouts, strict=True)):
        node = graph.by_name[name]
        assert node.qparams is not None
        number = str(k) if len(names) > 1 else ""
        views.append(
            TensorView(
                macro=f"{function.upper()}{number}",
                function=function,
                number=number,
                length=int(np.prod(node.shape)),
                scale=literals.real(node.qparams.scale),
                zero_point=literals.integer(node.qparams.zero_point),
                layout=_layout_text(node.shape, layout),
                pointer=pointers[name],
            )
        )
    return tuple(views)


def _layout_text(shape: Sequence[int], layout: Sequence[int]) -> str:
    named = {(1, 2, 0): "height, width, channel (NHWC)", (1, 0): "position, channel (NLC)"}
    plain = tuple(range(len(layout)))
    order = "as in the model" if tuple(layout) == plain else named.get(tuple(layout), "")
    order = order or f"axes {tuple(layout)} of the model's tensor"
    return f"{_shape_text(shape)}, {order}"


def _argument(tensor: TensorView) -> str:
    return f"{tensor.function}{tensor.number}"


def _run_arguments(inputs: Sequence[TensorView], outputs: Sequence[TensorView]) -> str:
    read = [f"const int8_t *{_argument(t)}" for t in inputs]
    written = [f"int8_t *{_argument(t)}" for t in outputs]
    return ", ".join([*read, *written, "void *arena"])
