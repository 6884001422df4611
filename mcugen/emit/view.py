# SPDX-License-Identifier: Apache-2.0
"""The network as finished C text, for templates that decide nothing."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby

import numpy as np
from numpy.typing import NDArray

import mcugen
from mcugen.emit import layout, literals
from mcugen.emit.blocks import Block, base_lines, blocks_of, parameters, passed, place
from mcugen.emit.chains import HEADER as CHAINS_HEADER
from mcugen.emit.chains import ChainText, ChainView
from mcugen.emit.entry import EntryView, condition, invoke_entry, push_row_entry
from mcugen.ir.graph import Graph, Node
from mcugen.ops.base import ConstTable, KernelCall
from mcugen.plan.arena import Plan
from mcugen.plan.chains import Chain
from mcugen.plan.choose import LayerKernel
from mcugen.plan.lifetimes import SCRATCH, in_flash


@dataclass(frozen=True, slots=True, kw_only=True)
class TableView:
    """One constant array."""

    comment: str  # "/* fc1: weight [out_ch, in_ch] = [10, 1600] */"
    head: str  # "static const int8_t net_fc1_weight[16000] = {"
    rows: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ParamsView:
    """One parameter struct with its designated initialisers."""

    head: str  # "static const mcugen_table_s8_params_t net_gelu_params = {"
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

    title: str  # "Input", or "Input 0" where there are several
    name: str  # "input" or "input0"
    macro: str  # "INPUT" or "INPUT0"
    kind: str  # "int8" or "int16"
    length: int
    scale: str
    zero_point: str
    real_range: str  # "-1.5 to 2.25"
    layout: str  # "[28, 28, 1], height, width, channel (NHWC)"
    pointer: str  # "&base[784]", cast to its type
    declaration: str  # of the function that returns it
    bases: tuple[str, ...]  # how that function begins
    copy: str  # the line of the run function that copies it in or out


@dataclass(frozen=True, slots=True, kw_only=True)
class NetworkView:
    """All that the templates print."""

    name: str
    upper: str
    private: str  # what the names of static functions and constants begin with
    kinds: str  # "int8", "int16" or "int8 and int16": of all tensors
    tool_version: str
    digest: str
    runtime_abi: int
    blocks: tuple[Block, ...]  # of RAM
    weight_bytes: int
    macs: int
    inputs: tuple[TensorView, ...]
    outputs: tuple[TensorView, ...]
    entry: EntryView
    run_declaration: str
    run_bases: tuple[str, ...]
    run_check: str
    headers: tuple[str, ...]
    tables: tuple[TableView, ...]
    params: tuple[ParamsView, ...]
    chains: tuple[ChainView, ...]
    layers: tuple[LayerView, ...]

    @property
    def ram_bytes(self) -> int:
        """All blocks."""
        return sum(block.size_bytes for block in self.blocks)

    @property
    def passed(self) -> str:
        """The blocks as arguments of a call."""
        return passed(self.blocks)

    @property
    def fed(self) -> ChainView | None:
        """The first chain, where the input comes row by row."""
        return next((chain for chain in self.chains if chain.is_fed), None)

    @property
    def tensors(self) -> tuple[TensorView, ...]:
        """Inputs, then outputs."""
        return (*self.inputs, *self.outputs)

    @property
    def api_kinds(self) -> str:
        """The integers of inputs and outputs: "int8", say."""
        return _kinds_text(tensor.kind for tensor in self.tensors)

    @property
    def limits(self) -> str:
        """What quantized inputs are cut to."""
        limits = {"int8": "[-128, 127]", "int16": "[-32768, 32767]"}
        return limits.get(self.api_kinds, "what the type holds")


RUNTIME_ABI = 1
# With this, the builder's limit on layer names and the names of tables, no line with a name in it
# is longer than 100 columns.
MAX_PREFIX = 28


def digest_of(graph: Graph, layers: Sequence[LayerKernel], options: str) -> str:
    """Sixteen hexadecimal digits that change with any weight, connection, shape or option."""
    sha = hashlib.sha256(f"{mcugen.__version__} {graph.name} {options}".encode())
    sha.update(repr((graph.inputs, graph.input_layouts)).encode())
    sha.update(repr((graph.outputs, graph.output_layouts)).encode())
    for node in graph.nodes:
        sha.update(repr((node.name, node.op.kind, node.inputs, node.shape, node.qparams)).encode())
        if in_flash(node):
            sha.update(_flash_values(node).tobytes())
    for layer in layers:
        for call in layer.calls:
            sha.update(repr((call.function, call.fields)).encode())
            for table in call.tables:
                sha.update(np.ascontiguousarray(table.values).tobytes())
    return sha.hexdigest()[:16]


def private_prefix(graph: Graph) -> str:
    """What the names of static functions and constants begin with."""
    return graph.name[:MAX_PREFIX].rstrip("_")


def network_view(
    graph: Graph,
    layers: Sequence[LayerKernel],
    plan: Plan,
    macs: int,
    options: str,
    chains: Sequence[Chain] = (),
) -> NetworkView:
    """Everything the templates print for one network."""
    blocks = blocks_of(plan)
    private = private_prefix(graph)
    names = _Names(private)
    tables = _Tables(names)
    pointers = {
        node.name: tables.add_constant(node) if in_flash(node) else place(plan, node.name)
        for node in graph.nodes
        if in_flash(node) or node.name in plan.offsets
    }
    params: list[ParamsView] = []
    calls = _Calls(plan, graph, {k.node.name: k for k in layers})
    for layer in layers:
        calls.params[layer.node.name] = _params(layer, names, tables, params)
    numbers = {layer.node.name: k for k, layer in enumerate(layers)}
    together = {
        chain.name: ChainText(
            chain=chain,
            plan=plan,
            operand_rows=graph.by_name[chain.operand].shape[0],
            source=pointers.get(chain.operand, ""),
            target=pointers[chain.name],
            numbers=numbers,
            name=names.claim(chain.name, "rows"),
            calls_of=calls,
        ).view()
        for chain in chains
    }
    inside = {name for chain in chains for name in chain.nodes}
    views = [
        _chain_layer(layer, numbers, together[layer.node.name], pointers)
        if layer.node.name in together
        else _layer(layer, numbers, calls, pointers, graph)
        for layer in layers
        if layer.node.name in together or layer.node.name not in inside
    ]
    inputs = _tensors(graph, "input", graph.inputs, graph.input_layouts, pointers, blocks)
    outputs = _tensors(graph, "output", graph.outputs, graph.output_layouts, pointers, blocks)
    tensors = (*inputs, *outputs)
    fed = next((chain for chain in together.values() if chain.is_fed), None)
    entry = (
        invoke_entry(graph.name, blocks, [(t.name, t.copy, t.length) for t in inputs])
        if fed is None
        else push_row_entry(graph.name, blocks, fed, inputs[0].name)
    )
    copies = [*entry.run, *(tensor.copy for tensor in outputs)]
    return NetworkView(
        name=graph.name,
        upper=graph.name.upper(),
        private=private,
        kinds=_kinds_text(node.quantized.dtype.name for node in graph.nodes),
        tool_version=mcugen.__version__,
        digest=digest_of(graph, layers, options),
        runtime_abi=RUNTIME_ABI,
        blocks=blocks,
        weight_bytes=tables.total_bytes,
        macs=macs,
        inputs=inputs,
        outputs=outputs,
        entry=entry,
        run_declaration=layout.call(
            f"int {graph.name}_run", _run_arguments(inputs, outputs, blocks), ";"
        ),
        run_bases=tuple(block.base for block in blocks if block.is_used(copies)),
        run_check=condition(
            [
                f"{pointer} == NULL"
                for pointer in [t.name for t in tensors] + [b.parameter for b in blocks]
            ]
        ),
        headers=tuple(sorted(_headers(layers, chains))),
        tables=tuple(tables.views),
        params=tuple(params),
        chains=tuple(together.values()),
        layers=tuple(views),
    )


class _Names:
    """The names of static constants, each given once."""

    def __init__(self, prefix: str) -> None:
        self.prefix = prefix
        self._taken: set[str] = set()

    def claim(self, owner: str, part: str) -> str:
        """`prefix_owner_part`, with a number where that is another's: `up_row` has a weight too."""
        base = name = f"{self.prefix}_{owner}_{part}"
        count = 1
        while name in self._taken:
            count += 1
            name = f"{base}_{count}"
        self._taken.add(name)
        return name


class _Tables:
    """Constant arrays, each distinct content once: shared weights share their table."""

    def __init__(self, names: _Names) -> None:
        self.names = names
        self.views: list[TableView] = []
        self.total_bytes = 0
        self._known: dict[tuple[str, bytes], str] = {}

    def add(self, owner: str, table: ConstTable) -> str:
        """The C name of the array, printed once for each content."""
        values = np.ascontiguousarray(table.values)
        key = (values.dtype.name, values.tobytes())
        if key not in self._known:
            name = self.names.claim(owner, table.suffix)
            self._known[key] = name
            self._print(name, f"{owner}: {table.suffix} {table.comment}".rstrip(), values)
        return self._known[key]

    def add_constant(self, node: Node) -> str:
        """A constant tensor of the graph."""
        table = ConstTable(suffix="values", values=_flash_values(node), comment="")
        return self.add(node.name, table)

    def _print(self, name: str, title: str, values: NDArray[np.generic]) -> None:
        self.total_bytes += values.nbytes
        kind = f"static const {literals.array_type(values)}"
        self.views.append(
            TableView(
                comment=layout.comment(f"{title} = {'x'.join(map(str, values.shape))}"),
                head=layout.definition(kind, f"{name}[{values.size}]"),
                rows=literals.array_rows(values),
            )
        )


def _flash_values(node: Node) -> NDArray[np.generic]:
    values = np.asarray(node.op.flash_values, node.quantized.dtype)  # type: ignore[union-attr]
    return values.reshape(node.shape)


def _params(
    layer: LayerKernel, names: _Names, tables: _Tables, views: list[ParamsView]
) -> tuple[str, ...]:
    """The names of the parameter structs of a layer's calls, which are appended to `views`."""
    found = []
    for i, call in enumerate(layer.calls):
        part = "params" if len(layer.calls) == 1 else f"params{i}"
        name = names.claim(layer.node.name, part)
        kind = f"static const {call.function}_params_t"
        fields = _fields(call, tables, layer.node.name)
        views.append(ParamsView(head=layout.definition(kind, name), fields=fields))
        found.append(name)
    return tuple(found)


def _fields(call: KernelCall, tables: _Tables, owner: str) -> tuple[str, ...]:
    names = {table.suffix: tables.add(owner, table) for table in call.tables}

    def text(value: int | str | None) -> str:
        if value is None:
            return "NULL"
        return names[value] if isinstance(value, str) else literals.integer(value)

    return _members([(field, text(value)) for field, value in call.fields])


def _members(fields: Sequence[tuple[str, str]]) -> tuple[str, ...]:
    """Designated initialisers; `rows.len` is in a nested struct, which C++ wants in braces."""
    members = []
    for outer, group in groupby(fields, key=lambda f: f[0].rpartition(".")[0]):
        texts = [layout.member(field.rpartition(".")[2], text) for field, text in group]
        if outer:
            inside = "".join(f"{2 * literals.INDENT}{text},\n" for text in texts)
            texts = [f".{outer} = {{\n{inside}{literals.INDENT}}}"]
        members.extend(texts)
    return tuple(members)


def _shape_text(shape: Iterable[int]) -> str:
    return f"[{', '.join(map(str, shape))}]"


def _headers(layers: Sequence[LayerKernel], chains: Sequence[Chain]) -> set[str]:
    own = {CHAINS_HEADER} if chains else set()
    return own | {call.header for layer in layers for call in layer.calls}


class _Calls:
    """The kernel calls of each layer, given pointers to its operands and its output."""

    def __init__(self, plan: Plan, graph: Graph, layers: Mapping[str, LayerKernel]) -> None:
        self.plan, self.graph, self.layers = plan, graph, layers
        self.params: dict[str, tuple[str, ...]] = {}  # names of the parameter structs

    def __call__(
        self, name: str, operands: Sequence[str], target: str, indent: str = literals.INDENT
    ) -> list[str]:
        layer, calls = self.layers[name], []
        nodes = (self.graph.by_name[operand] for operand in layer.node.inputs)
        typed = [_typed(x, node) for x, node in zip(operands, nodes, strict=True)]
        output = _typed(target, layer.node)
        for params, call in zip(self.params[name], layer.calls, strict=True):
            scratch = []
            if call.scratch_bytes:
                scratch = [place(self.plan, name + SCRATCH)]
            own = [typed[position] for position in call.operands]
            arguments = [f"&{params}", *own, output, *scratch]
            calls.append(layout.call(call.function, arguments, ";", indent))
        return calls


def _typed(pointer: str, node: Node) -> str:
    """A pointer to bytes of the arena as one to the tensor's integers."""
    in_arena = pointer.startswith("&")
    return f"MCUGEN_S16({pointer})" if in_arena and node.quantized.bits == 16 else pointer


def _kinds_text(kinds: Iterable[str]) -> str:
    return " and ".join(sorted(set(kinds), key=lambda kind: int(kind[3:])))


def _layer(
    layer: LayerKernel,
    numbers: Mapping[str, int],
    calls: _Calls,
    pointers: Mapping[str, str],
    graph: Graph,
) -> LayerView:
    node = layer.node
    operands = [pointers[name] for name in node.inputs]
    return LayerView(
        comment=layout.comment(_layer_text(node, graph.input_shapes(node)), literals.INDENT),
        calls=tuple(calls(node.name, operands, pointers[node.name])),
        trace=_trace(node, numbers, pointers),
    )


def _chain_layer(
    layer: LayerKernel, numbers: Mapping[str, int], chain: ChainView, pointers: Mapping[str, str]
) -> LayerView:
    return LayerView(
        comment=f"{literals.INDENT}{chain.comment.replace(chr(10), chr(10) + literals.INDENT)}",
        calls=chain.calls,
        trace=_trace(layer.node, numbers, pointers),
    )


def _trace(node: Node, numbers: Mapping[str, int], pointers: Mapping[str, str]) -> str:
    traced = [f"{numbers[node.name]}u", pointers[node.name], f"{node.size_bytes}u"]
    return layout.call("MCUGEN_TRACE_LAYER", traced, ";", literals.INDENT)


def _layer_text(node: Node, sources: Sequence[Sequence[int]]) -> str:
    operands = ", ".join(map(_shape_text, sources))
    text = f"{node.name}: {node.op.kind} {operands} -> {_shape_text(node.shape)}"
    macs = node.op.macs([tuple(shape) for shape in sources], node.shape)
    return f"{text}, {macs} MACs" if macs else text


def _tensors(
    graph: Graph,
    role: str,
    names: Sequence[str],
    layouts: Sequence[tuple[int, ...]],
    pointers: Mapping[str, str],
    blocks: Sequence[Block],
) -> tuple[TensorView, ...]:
    views = []
    for k, (name, axes) in enumerate(zip(names, layouts, strict=True)):
        node = graph.by_name[name]
        q, kind = node.quantized, node.quantized.dtype.name
        numbered = len(names) > 1
        own = f"{role}{k}" if numbered else role
        length = int(np.prod(node.shape))
        low, high = ((end - q.zero_point) * q.scale for end in (q.low, q.high))
        pointer = pointers.get(name, "")  # an input that comes in rows has none
        bytes_of = own if q.bits == 8 else f"({'const ' * (role == 'input')}int8_t *){own}"
        sides = [pointer, bytes_of] if role == "input" else [bytes_of, pointer]
        views.append(
            TensorView(
                title=f"{role.title()} {k}" if numbered else role.title(),
                name=own,
                macro=own.upper(),
                kind=kind,
                length=length,
                scale=literals.real(q.scale),
                zero_point=literals.integer(q.zero_point),
                real_range=f"{low:.4g} to {high:.4g}",
                layout=_layout_text(node.shape, axes),
                pointer=_typed(pointer, node),
                declaration=layout.call(f"{kind}_t *{graph.name}_{own}", parameters(blocks), ";"),
                bases=base_lines(blocks, pointer),
                copy=layout.call(
                    f"{private_prefix(graph)}_copy",
                    [*sides, f"{node.size_bytes}u"],
                    ";",
                    literals.INDENT,
                ),
            )
        )
    return tuple(views)


def _layout_text(shape: Sequence[int], axes: Sequence[int]) -> str:
    named = {(1, 2, 0): "height, width, channel (NHWC)", (1, 0): "position, channel (NLC)"}
    plain = tuple(range(len(axes)))
    order = "axes as in the model" if tuple(axes) == plain else named.get(tuple(axes), "")
    order = order or f"axes {tuple(axes)} of the model's tensor"
    return f"{_shape_text(shape)}, {order}"


def _run_arguments(
    inputs: Sequence[TensorView], outputs: Sequence[TensorView], blocks: Sequence[Block]
) -> list[str]:
    read = [f"const {tensor.kind}_t *{tensor.name}" for tensor in inputs]
    written = [f"{tensor.kind}_t *{tensor.name}" for tensor in outputs]
    return [*read, *written, *parameters(blocks)]
