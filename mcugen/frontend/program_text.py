# SPDX-License-Identifier: Apache-2.0
"""Rewrites the text (JSON) of an exported program into one of nothing but harmless parts.

torch's own reader evaluates expressions, imports modules and compiles names that it finds in this
text. So the text is taken apart, and only what is on a list here goes into the new one: ATen
operators, identifiers, numbers, and where each node comes from. On the way symbols are bound to
numbers, so a dynamic batch becomes 1, and all float types become float32.
"""

from __future__ import annotations

import keyword
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from mcugen.errors import ModelError, UnsupportedOpError
from mcugen.frontend.aten_safety import known_operator
from mcugen.frontend.export import Problem, Survey, origin_from
from mcugen.frontend.symbols import Bindings, checked_int, size_value

Text = Mapping[str, Any]
Argument = dict[str, Any]

_IDENTIFIER = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_DOTTED = re.compile(r"[A-Za-z0-9_]+(\.[A-Za-z0-9_]+)*")
_FRAME = re.compile(r'File "([^"\n]{1,500})", line (\d{1,7})')
_STACK_ITEM = re.compile(r"([A-Za-z0-9_.@]*),([A-Za-z0-9_.]*),[^;]*")
_SYMBOLIC = ("as_sym_int", "as_sym_bool", "as_sym_float")
_STRIDED = 7
_FLOAT, _OTHER_FLOATS = 7, (6, 8, 13)  # float32; half, double and bfloat16
_CPU = {"type": "cpu", "index": None}

EVAL_FIRST = "call model.eval() before exporting"


def identifier(text: object) -> str:
    """A name that Python source may hold: torch compiles the graph as source."""
    if isinstance(text, str) and _IDENTIFIER.fullmatch(text) and not keyword.iskeyword(text):
        return text
    msg = f"the archive has {str(text)[:60]!r} where a name is expected"
    raise ModelError(msg)


def state_name(text: object) -> str:
    """The dotted name of a parameter or buffer."""
    if isinstance(text, str) and _DOTTED.fullmatch(text):
        return text
    msg = f"the archive has {str(text)[:60]!r} where a parameter's name is expected"
    raise ModelError(msg)


def user_inputs(program: Text) -> dict[str, Sequence[Text]]:
    """Name and sizes of each input of the network."""
    module = program["graph_module"]
    values = module["graph"]["tensor_values"]
    found = {}
    for number, spec in enumerate(module["signature"]["input_specs"]):
        if "user_input" in spec:
            argument = spec["user_input"]["arg"]
            if "as_tensor" not in argument:
                msg = f"input {number} of the network is no tensor; export it without it"
                raise ModelError(msg)
            name = identifier(argument["as_tensor"]["name"])
            found[name] = values[name]["sizes"]
    return found


def safe_program(program: Text, bindings: Bindings) -> dict[str, Any]:
    """The program anew, of listed parts only, with the sizes of `bindings` put in.

    Raises UnsupportedOpError for operators outside ATen, all at once, and ModelError for anything
    else that has no place in a network.
    """
    return _Rewriter(program, bindings).run()


class _Rewriter:
    def __init__(self, program: Text, bindings: Bindings) -> None:
        self.program = program
        self.module = program["graph_module"]
        self.graph = self.module["graph"]
        self.bindings = bindings
        self.problems: list[Problem] = []
        self.numbers = {
            identifier(name): value for name, value in self.graph["sym_int_values"].items()
        }

    def run(self) -> dict[str, Any]:
        nodes = [self._node(node) for node in self.graph["nodes"] if not _symbolic_only(node)]
        if self.problems:
            found = Survey(nodes=(), graph=None, problems=tuple(self.problems), supported=())
            raise UnsupportedOpError(found.report())
        inputs = [self._signature_input(spec) for spec in self.module["signature"]["input_specs"]]
        outputs = self._signature_outputs()
        version = self.program["schema_version"]
        return {
            "graph_module": {
                "graph": self._graph(nodes),
                "signature": {"input_specs": inputs, "output_specs": outputs},
                "module_call_graph": [self._call_entry(inputs, outputs)],
            },
            "opset_version": {"aten": checked_int(self.program["opset_version"]["aten"])},
            "range_constraints": {},
            "schema_version": {key: checked_int(version[key]) for key in ("major", "minor")},
            "verifiers": ["TRAINING"],
        }

    def _graph(self, nodes: list[dict[str, Any]]) -> dict[str, Any]:
        values = self.graph["tensor_values"].items()
        return {
            "inputs": [self._tensor_argument(item, "input") for item in self.graph["inputs"]],
            "outputs": [self._tensor_argument(item, "output") for item in self.graph["outputs"]],
            "nodes": nodes,
            "tensor_values": {identifier(name): self.tensor(value) for name, value in values},
            "sym_int_values": {},
            "sym_bool_values": {},
        }

    def tensor(self, value: Text) -> dict[str, Any]:
        """A tensor's dtype and sizes, on the CPU, every float type as float32."""
        if value["layout"] != _STRIDED:
            msg = "sparse tensors cannot be compiled; call to_dense() before exporting"
            raise ModelError(msg)
        return {
            "dtype": _dtype(value["dtype"]),
            "sizes": [{"as_int": size_value(s, self.bindings)} for s in value["sizes"]],
            "requires_grad": False,
            "device": _CPU,
            "strides": [{"as_int": size_value(s, self.bindings)} for s in value["strides"]],
            "storage_offset": {"as_int": size_value(value["storage_offset"], self.bindings)},
            "layout": _STRIDED,
        }

    def _node(self, node: Text) -> dict[str, Any]:
        metadata = _safe_metadata(node["metadata"])
        if known_operator(str(node["target"])) is None:
            where = _where(node["metadata"]) or str(node.get("name", ""))
            shown = str(node["target"]).removeprefix("torch.ops.")
            self.problems.append(
                Problem(where=where, what=f"operator {shown[:100]} is not supported")
            )
            return {}
        inputs = [
            {
                "name": identifier_or_keyword(item["name"]),
                "arg": self._argument(item["arg"]),
                "kind": _kind(item.get("kind")),
            }
            for item in node["inputs"]
        ]
        return {
            "target": node["target"],
            "inputs": inputs,
            "outputs": [self._output(item) for item in node["outputs"]],
            "metadata": metadata,
            "name": None if node.get("name") is None else identifier(node["name"]),
        }

    def _output(self, item: Text) -> Argument:
        if set(item) <= {"as_tensor", "as_tensors"}:
            return self._argument(item)
        msg = f"a node returns {next(iter(item), 'nothing')[3:]}, which cannot be compiled"
        raise ModelError(msg)

    def _argument(self, item: Text) -> Argument:
        [(kind, value)] = item.items()
        if kind.startswith("as_sym_"):
            return self._bound(item)
        if kind not in _ARGUMENTS:
            msg = f"a node takes {kind.removeprefix('as_')!r}, which has no place in a network"
            raise ModelError(msg)
        return {kind: _ARGUMENTS[kind](value)}

    def _bound(self, item: Text) -> Argument:
        """A symbolic integer, or a list of them, as numbers."""
        if "as_sym_int" in item:
            return {"as_int": self._number(item["as_sym_int"])}
        if "as_sym_ints" in item:
            return {"as_ints": [self._number(one) for one in item["as_sym_ints"]]}
        msg = "a number depends on the size of an input; export with static shapes"
        raise ModelError(msg)

    def _number(self, value: Text) -> int:
        if "as_int" in value:
            return checked_int(value["as_int"])
        return size_value(self.numbers[value["as_name"]], self.bindings)

    def _tensor_argument(self, item: Text, role: str) -> Argument:
        if set(item) != {"as_tensor"}:
            kind = next(iter(item), "as_nothing").removeprefix("as_")
            msg = f"an {role} of the network is no tensor ({kind}); export it without it"
            raise ModelError(msg)
        return self._argument(item)

    def _signature_input(self, spec: Text) -> dict[str, Any]:
        [(kind, value)] = spec.items()
        if kind == "user_input":
            return {kind: {"arg": self._tensor_argument(value["arg"], "input")}}
        if kind not in ("parameter", "buffer", "tensor_constant"):
            msg = f"an input of the network is a {kind.replace('_', ' ')}; only tensors compile"
            raise ModelError(msg)
        field = f"{kind}_name"
        held: dict[str, Any] = {"arg": _tensor_name(value["arg"]), field: state_name(value[field])}
        if kind == "buffer":
            held["persistent"] = bool(value["persistent"])
        return {kind: held}

    def _signature_outputs(self) -> list[dict[str, Any]]:
        found = []
        for spec in self.module["signature"]["output_specs"]:
            [(kind, value)] = spec.items()
            if kind != "user_output":
                changed = value.get("buffer_name") or value.get("parameter_name") or "inputs"
                msg = f"the network changes its own {changed}; {EVAL_FIRST}"
                raise ModelError(msg)
            found.append({kind: {"arg": self._tensor_argument(value["arg"], "output")}})
        return found

    def _call_entry(self, inputs: Sequence[Text], outputs: Sequence[Text]) -> dict[str, Any]:
        """How the program is called: plain positional tensors in, one tensor or a tuple out."""
        count = sum("user_input" in spec for spec in inputs)
        out_spec = _LEAF if len(outputs) == 1 else _tuple_spec([_LEAF] * len(outputs))
        no_keywords = '{"type": "builtins.dict", "context": "[]", "children_spec": []}'
        in_spec = _tuple_spec([_tuple_spec([_LEAF] * count), no_keywords])
        signature = {
            "inputs": [],
            "outputs": [],
            "in_spec": f"[1, {in_spec}]",
            "out_spec": f"[1, {out_spec}]",
        }
        return {"fqn": "", "signature": signature}


_LEAF = '{"type": null, "context": null, "children_spec": []}'


def _tuple_spec(children: Sequence[str]) -> str:
    inner = ", ".join(children)
    return f'{{"type": "builtins.tuple", "context": "null", "children_spec": [{inner}]}}'


def identifier_or_keyword(text: object) -> str:
    """An operator's argument name, which is looked up in its schema and may be `from` or `self`."""
    return text if isinstance(text, str) and keyword.iskeyword(text) else identifier(text)


def _symbolic_only(node: Text) -> bool:
    """True for nodes that compute with sizes or assert them: with fixed sizes nothing is left."""
    return all(set(item) <= {*_SYMBOLIC, "as_none"} for item in node["outputs"])


def _safe_metadata(metadata: Text) -> dict[str, str]:
    """Module path and source lines, written anew from their parts."""
    stack = ";".join(f"{key},{path},torch.nn.Module" for key, path in _module_stack(metadata))
    frames = _FRAME.findall(str(metadata.get("stack_trace", "")))
    trace = "\n".join(f'  File "{file}", line {line}, in forward' for file, line in frames)
    made = {"nn_module_stack": stack, "stack_trace": trace}
    return {key: text for key, text in made.items() if text}


def _module_stack(metadata: Text) -> list[tuple[str, str]]:
    """Key and path of each module that a node is in, outermost first."""
    items = str(metadata.get("nn_module_stack", "")).split(";")
    matches = [_STACK_ITEM.fullmatch(item) for item in items]
    return [(match[1], match[2]) for match in matches if match]


def _where(metadata: Text) -> str:
    stack = _module_stack(metadata)
    return str(origin_from(stack[-1][1] if stack else "", str(metadata.get("stack_trace", ""))))


def _kind(value: object) -> int | None:
    return None if value is None else checked_int(value)


def _tensor_name(value: Text) -> dict[str, str]:
    return {"name": identifier(value["name"])}


def _list_of(convert: Callable[[Any], Any]) -> Callable[[Any], list[Any]]:
    return lambda values: [convert(value) for value in values]


def _dtype(value: object) -> int:
    code = checked_int(value)
    return _FLOAT if code in _OTHER_FLOATS else code


def _integer(value: object) -> int:
    """Any int64, as a slice to the end has the largest."""
    if isinstance(value, int) and not isinstance(value, bool) and -(1 << 63) <= value < 1 << 63:
        return value
    msg = f"the archive has {str(value)[:60]!r} where an integer is expected"
    raise ModelError(msg)


def _checked_float(value: object) -> float | str:
    if isinstance(value, (int, float)):
        return value
    if isinstance(value, str) and value in ("Infinity", "-Infinity", "NaN"):
        return value
    msg = f"the archive has {str(value)[:60]!r} where a number is expected"
    raise ModelError(msg)


def _optional_tensor(value: Text) -> dict[str, Any]:
    return {"as_tensor": _tensor_name(value["as_tensor"])} if "as_tensor" in value else _NONE


def _word(value: object) -> str:
    if isinstance(value, str) and re.fullmatch(r"[A-Za-z0-9_ ,.>-]{0,200}", value):
        return value
    msg = f"the archive has {str(value)[:60]!r} where a word is expected"
    raise ModelError(msg)


_NONE = {"as_none": True}
_ARGUMENTS: dict[str, Callable[[Any], Any]] = {
    "as_none": lambda _: True,
    "as_tensor": _tensor_name,
    "as_tensors": _list_of(_tensor_name),
    "as_optional_tensors": _list_of(_optional_tensor),
    "as_int": _integer,
    "as_ints": _list_of(_integer),
    "as_float": _checked_float,
    "as_floats": _list_of(_checked_float),
    "as_bool": bool,
    "as_bools": _list_of(bool),
    "as_string": _word,
    "as_scalar_type": _dtype,
    "as_memory_format": checked_int,
    "as_layout": checked_int,
    "as_device": lambda _: _CPU,
}
