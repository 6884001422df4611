# SPDX-License-Identifier: Apache-2.0
"""ExportedProgram to float graph: the only walker of the FX graph."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch.export import ExportedProgram
from torch.export.graph_signature import InputKind, OutputKind
from torch.fx import Node as FxNode

from mcugen.errors import ModelError, UnsupportedOpError
from mcugen.frontend.aten_map import HANDLERS, Handler
from mcugen.frontend.builder import Builder, Quantized, Unavailable, Value, channels_last
from mcugen.ir.graph import Graph, Node, Origin, Shape
from mcugen.ops import Input

InputLayout = Literal["nhwc", "nchw"]

# operators that decide what an input's axes mean, looked for behind element-wise ones
_CHANNELS_FIRST = ("conv", "pool", "batch_norm", "upsample", "pixel", "prelu", "pad")
_AXIS_ORDER = ("linear", "permute", "transpose", "mm", "flatten", "view", "reshape", "softmax")

_INTEGERS = "its integers have no meaning outside: put the dequantize that belongs to it behind it"


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """One reason why a network cannot be compiled."""

    where: str
    what: str

    def __str__(self) -> str:
        """`features.3 (model.py:41): what`."""
        return f"{self.where}: {self.what}" if self.where else self.what


class _Poison:
    """Stands for the result of an unsupported node, so that all problems are found at once."""


def origin_of(node: FxNode) -> Origin:
    """Module path and source line of an FX node, from torch.export's own notes."""
    stack = node.meta.get("nn_module_stack") or {}
    module = next(reversed(stack.values()))[0] if stack else ""
    return origin_from(str(module), node.meta.get("stack_trace") or "")


def origin_from(module: str, stack_trace: str) -> Origin:
    """A module's path with the user's own innermost line of a stack trace."""
    lines = re.findall(r'File "([^"]+)", line (\d+)', stack_trace)
    user = [(f, n) for f, n in lines if "/torch/" not in f.replace("\\", "/")]
    source = ""
    if user:
        path, number = user[-1]
        file = path.replace("\\", "/").rsplit("/", 1)[-1]
        source = f"{file}:{number}"
    return Origin(module=_printable(module), source=_printable(source))


def _printable(text: str) -> str:
    """Names come from the file and end up in the terminal: nothing that it would obey."""
    return "".join(c for c in text if c.isprintable())


def node_hint(node: FxNode, origin: Origin) -> str:
    """What a node is called after: its module's path, or ATen's name where a module is reused."""
    own = origin.module
    kind = node.name
    return f"{own}.{re.sub(r'_[0-9]+$', '', kind)}" if own else kind


def to_graph(program: ExportedProgram, name: str, layout: InputLayout = "nhwc") -> Graph:
    """The float graph of a program, channels last.

    Raises UnsupportedOpError listing every node that cannot be compiled.
    """
    found = survey(program, name, layout)
    if found.graph is None:
        raise UnsupportedOpError(found.report())
    return found.graph


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Survey:
    """All that could be imported of a program, and all that could not."""

    nodes: tuple[Node, ...]
    graph: Graph | None  # None where there are problems
    problems: tuple[Problem, ...]
    supported: tuple[str, ...]  # ATen's operators that are supported, if one was not

    def report(self) -> str:
        """All problems at once, and what is supported."""
        count = len(self.problems)
        head = f"the network cannot be compiled: {count} problem{'s' if count > 1 else ''}"
        lines = [head, *(f"  {problem}" for problem in self.problems)]
        if self.supported:
            lines.append(f"  supported operators: {', '.join(self.supported)}")
            lines.append("  replace the others in the model, or cut them off and run them outside")
        return "\n".join(lines)


def survey(program: ExportedProgram, name: str, layout: InputLayout = "nhwc") -> Survey:
    """Import as much of a program as can be; raises nothing for what is not supported."""
    return _Walker(program, layout).run(name)


class _Walker:
    def __init__(self, program: ExportedProgram, layout: InputLayout) -> None:
        self.program = program
        self.layout = layout
        self.builder = Builder()
        self.values: dict[FxNode, Any] = {}
        self.problems: list[Problem] = []
        self.inputs: list[Value] = []
        self.unknown = False

    def run(self, name: str) -> Survey:
        self._constants()
        for node in self.program.graph.nodes:
            self._visit(node)
        outputs = self._outputs()
        return Survey(
            nodes=tuple(self.builder.nodes),
            graph=None if self.problems else self._graph(name, outputs),
            problems=tuple(self.problems),
            supported=_supported() if self.unknown else (),
        )

    def _graph(self, name: str, outputs: Sequence[Value]) -> Graph:
        return Graph(
            name=name,
            inputs=tuple(v.node for v in self.inputs),
            outputs=tuple(v.node for v in outputs),
            nodes=tuple(self.builder.nodes),
            input_layouts=tuple(v.perm for v in self.inputs),
            output_layouts=tuple(v.perm for v in outputs),
            batched=all(v.batched for v in self.inputs),
        )

    def _constants(self) -> None:
        signature = self.program.graph_signature
        state = {**self.program.state_dict, **self.program.constants}
        kinds = {spec.arg.name: spec for spec in signature.input_specs}
        self.user_inputs = {
            name for name, spec in kinds.items() if spec.kind == InputKind.USER_INPUT
        }
        self.held = {
            name: state[spec.target]
            for name, spec in kinds.items()
            if spec.target is not None and spec.target in state
        }

    def _visit(self, node: FxNode) -> None:
        if node.op == "placeholder":
            self.values[node] = self._placeholder(node)
        elif node.op == "get_attr":
            self.values[node] = self._attribute(node)
        elif node.op == "call_function" and not _only_asserts(node):
            self.builder.origin = origin_of(node)
            self.builder.hint = node_hint(node, self.builder.origin)
            self.values[node] = self._call(node)

    def _attribute(self, node: FxNode) -> Any:
        found = getattr(self.program.graph_module, str(node.target), None)
        return found if found is not None else self.held.get(str(node.target), _Poison())

    def _placeholder(self, node: FxNode) -> Any:
        if node.name not in self.user_inputs:
            return self.held.get(node.name, _Poison())
        tensor = node.meta["val"]
        if not isinstance(tensor, torch.Tensor) or not tensor.dtype.is_floating_point:
            kind = tensor.dtype if isinstance(tensor, torch.Tensor) else type(tensor).__name__
            self._problem(node.name, f"input must be a float tensor, got {kind}")
            return _Poison()
        sizes = tuple(int(s) for s in tensor.shape)
        batched = len(sizes) > 1 and sizes[0] == 1
        shape = sizes[1:] if batched else sizes
        perm = self._input_perm(node, shape)
        self.builder.origin, self.builder.hint = Origin(), node.name
        stored = tuple(shape[axis] for axis in perm)
        value = Value(
            node=self.builder.emit(Input(shape=stored), []),
            shape=shape,
            perm=perm,
            batched=batched,
        )
        self.inputs.append(value)
        return value

    def _input_perm(self, node: FxNode, shape: Shape) -> tuple[int, ...]:
        """Channels last for what the network treats as images or sequences of channels."""
        plain = tuple(range(len(shape)))
        if self.layout == "nchw" or len(shape) not in (2, 3):
            return plain
        meaning = _first_meaning(node)
        if meaning == "channels" or (meaning is None and len(shape) == 3):
            return channels_last(len(shape))
        return plain

    def _call(self, node: FxNode) -> Any:
        if reader := _reader_of_old_value(node):
            self._problem(
                self._where(node),
                f"{_key(node.target)} changes in place a tensor of which {reader.name} reads a "
                "view; use the operator that makes a new tensor",
            )
            return _Poison()
        target = node.target
        args = self._resolve(node.args)
        kwargs = self._resolve(node.kwargs)
        tensors = list(_flat((args, kwargs)))
        picks = getattr(target, "__name__", "") == "getitem"
        if any(isinstance(t, _Poison) for t in tensors):
            if not picks:
                self._handler(node)  # so that it is reported if it is unsupported too
            return _Poison()
        if picks:
            return args[0][args[1]]
        missing = [t for t in tensors if isinstance(t, Unavailable)]
        if missing:
            self._problem(self._where(node), missing[0].why)
            return _Poison()
        if not any(isinstance(t, (Value, Quantized)) for t in tensors):
            with torch.no_grad():
                result = target(*args, **kwargs)  # type: ignore[operator]
            self.builder.roundings.follow(target, args, result)
            return result
        return self._handle(node, args, kwargs)

    def _handler(self, node: FxNode) -> Handler | None:
        """The import of a node's operator; None, and a problem, where there is none."""
        handler = HANDLERS.get(_key(node.target))
        if handler is None:
            self.unknown = True
            self._problem(self._where(node), f"operator {node.target} is not supported")
        return handler

    def _handle(self, node: FxNode, args: Any, kwargs: Any) -> Any:
        handler, key = self._handler(node), _key(node.target)
        if handler is None:
            return _Poison()
        if "dequantize" not in key and any(isinstance(t, Quantized) for t in _flat((args, kwargs))):
            self._problem(self._where(node), f"{key} reads a quantized tensor; {_INTEGERS}")
            return _Poison()
        try:
            return handler(self.builder, *args, **kwargs)
        except ModelError as error:
            self._problem(self._where(node), f"{_short(key)}: {error}")
        except (TypeError, AttributeError) as error:
            self._problem(
                self._where(node),
                f"{node.target} is called in a way that is not supported ({error})",
            )
        return _Poison()

    def _where(self, node: FxNode) -> str:
        return str(origin_of(node)) or node.name

    def _problem(self, where: str, what: str) -> None:
        self.problems.append(Problem(where=where, what=what))

    def _resolve(self, tree: Any) -> Any:
        if isinstance(tree, FxNode):
            return self.values[tree]
        if isinstance(tree, (list, tuple)):
            return type(tree)(self._resolve(item) for item in tree)
        if isinstance(tree, dict):
            return {key: self._resolve(item) for key, item in tree.items()}
        return tree

    def _outputs(self) -> list[Value]:
        [node] = [n for n in self.program.graph.nodes if n.op == "output"]
        specs = self.program.graph_signature.output_specs
        results = []
        for spec, item in zip(specs, node.args[0], strict=True):
            if spec.kind != OutputKind.USER_OUTPUT:
                continue
            value = self._resolve(item)
            if isinstance(value, Value):
                results.append(self._as_output(value))
            elif isinstance(value, Unavailable):
                self._problem("output", value.why)
            elif isinstance(value, Quantized):
                self._problem("output", f"an output is a quantized tensor; {_INTEGERS}")
            elif not isinstance(value, _Poison):
                self._problem("output", "an output does not depend on any input")
        if not results and not self.problems:
            self._problem("output", "the network returns no tensor")
        return results

    def _as_output(self, value: Value) -> Value:
        self.builder.origin, self.builder.hint = Origin(), "output"
        return self.builder.logical(value) if self.layout == "nchw" else value


def _supported() -> tuple[str, ...]:
    names = {_short(key) for key in HANDLERS}
    return tuple(sorted(name for name in names if not name.startswith("_") and name[-1] != "_"))


def _only_asserts(node: FxNode) -> bool:
    """True for the checks that torch.export leaves beside casts: they return nothing."""
    schema = getattr(node.target, "_schema", None)
    return schema is not None and not schema.returns


def _reader_of_old_value(node: FxNode) -> FxNode | None:
    """Who reads, after an in-place operator, a tensor that shares the changed memory."""
    if not _overwrites(node):
        return None
    family, queue = {node}, list(node.all_input_nodes[:1])
    while queue:
        member = queue.pop()
        if member in family:
            continue
        family.add(member)
        queue.extend(user for user in member.users if _is_view(user))
        queue.extend(member.all_input_nodes[:1] if _is_view(member) else ())
    readers = (user for member in family - {node} for user in member.users if user > node)
    return next((user for user in readers if user not in family), None)


def _overwrites(node: FxNode) -> bool:
    return any(info.is_write for info in _returned_aliases(node))


def _is_view(node: FxNode) -> bool:
    return bool(_returned_aliases(node)) and not _overwrites(node)


def _returned_aliases(node: FxNode) -> list[Any]:
    """How the results of an ATen operator share memory with its operands, from its schema."""
    schema = getattr(node.target, "_schema", None)
    returned = [] if schema is None else [result.alias_info for result in schema.returns]
    return [info for info in returned if info is not None]


def _key(target: Any) -> str:
    """`conv2d.default` for torch.ops.aten.conv2d.default; the full name elsewhere."""
    text = str(target)
    return text.removeprefix("aten.")


def _short(key: str) -> str:
    """An operator's name alone, without namespace and overload."""
    return key.split(".")[-2]


def _flat(tree: Any) -> Iterable[Any]:
    if isinstance(tree, (list, tuple)):
        for item in tree:
            yield from _flat(item)
    elif isinstance(tree, dict):
        yield from _flat(list(tree.values()))
    else:
        yield tree


def _first_meaning(node: FxNode) -> str | None:
    """What the first telling reader makes of a tensor: "channels", "axes" or None."""
    queue: list[FxNode] = list(node.users)
    seen: set[FxNode] = set()
    while queue:
        reader = queue.pop(0)
        if reader in seen:
            continue
        seen.add(reader)
        name = _key(reader.target)
        if any(word in name for word in _CHANNELS_FIRST):
            return "channels"
        if any(word in name for word in _AXIS_ORDER):
            return "axes"
        queue.extend(reader.users)
    return None


def input_shapes(graph: Graph) -> Sequence[Shape]:
    """The model's own per-sample shape of each input."""
    return [
        _model_shape(graph, n, p) for n, p in zip(graph.inputs, graph.input_layouts, strict=True)
    ]


def _model_shape(graph: Graph, name: str, perm: tuple[int, ...]) -> Shape:
    stored = graph.by_name[name].shape
    return tuple(stored[perm.index(axis)] for axis in range(len(perm)))
