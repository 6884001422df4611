# SPDX-License-Identifier: Apache-2.0
"""Reads torch.export archives without torch.export.load, which would run pickles hidden in them."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch._export.serde import schema, serialize
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.export import ExportedProgram

from mcugen.errors import ModelError
from mcugen.files import MAX_BYTES
from mcugen.frontend.program_text import Text, safe_program, state_name, user_inputs
from mcugen.frontend.symbols import Bindings, checked_int, size_value, symbol_of

_DTYPES = {
    int(schema.ScalarType.BYTE): torch.uint8,
    int(schema.ScalarType.CHAR): torch.int8,
    int(schema.ScalarType.SHORT): torch.int16,
    int(schema.ScalarType.INT): torch.int32,
    int(schema.ScalarType.LONG): torch.int64,
    int(schema.ScalarType.HALF): torch.float16,
    int(schema.ScalarType.FLOAT): torch.float32,
    int(schema.ScalarType.DOUBLE): torch.float64,
    int(schema.ScalarType.BOOL): torch.bool,
    int(schema.ScalarType.BFLOAT16): torch.bfloat16,
}
_LARGEST_USUAL_MINIMUM = 2  # torch.export says 2 of every dynamic size, as it assumes more than 1
Tensors = Mapping[str, torch.Tensor]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Program:
    """A program of fixed sizes, and what the user should know of how they were fixed."""

    program: ExportedProgram
    warnings: tuple[str, ...] = ()


def read_exported(members: Mapping[str, bytes]) -> Program:
    """The program of a torch.export archive, its dynamic batch pinned to 1.

    Raises ModelError for a damaged archive, and for one that holds anything but a network of
    tensors: pickled objects, machine code, several programs.
    """
    _check_members(members)
    text = _json(members, "models/model.json")
    return _program(text, {**_payload(members, "weights"), **_payload(members, "constants")})


def normalized(program: ExportedProgram) -> Program:
    """The same program with its dynamic batch pinned to 1 and in float32, by way of its text.

    A program that has both already is returned as it is. Raises ModelError where another axis than
    the batch is dynamic.
    """
    held = {**program.state_dict, **program.constants}
    tensors = {name: t for name, t in held.items() if isinstance(t, torch.Tensor)}
    values = [node.meta.get("val") for node in program.graph.nodes if node.op == "placeholder"]
    inputs = [value for value in values if isinstance(value, torch.Tensor)]
    sizes = [size for value in inputs for size in value.shape]
    if not other_floats(inputs) and not any(isinstance(size, torch.SymInt) for size in sizes):
        return Program(program=program)
    if len(tensors) < len(held):
        msg = "the program holds constants that are no tensors"
        raise ModelError(msg)
    text = json.loads(serialize.serialize(program).exported_program)
    return _program(text, tensors)


def other_floats(tensors: Iterable[torch.Tensor]) -> tuple[str, ...]:
    """A warning if some of the tensors are of another float type than float32, else nothing."""
    others = (torch.float16, torch.bfloat16, torch.float64)
    found = sorted({str(t.dtype).removeprefix("torch.") for t in tensors if t.dtype in others})
    return (f"tensors of type {', '.join(found)} are taken as float32",) if found else ()


def _program(text: Text, held: Tensors) -> Program:
    bindings, warnings = _batch_bindings(user_inputs(text), text["range_constraints"])
    safe = safe_program(text, bindings)
    parameters, others = _sorted_by_kind(safe, held)
    described = serialize._bytes_to_dataclass(schema.ExportedProgram, json.dumps(safe).encode())
    program = serialize.ExportedProgramDeserializer().deserialize(
        described, parameters, others, None
    )
    _check_sizes(program)
    return Program(program=program, warnings=(*warnings, *other_floats(held.values())))


class _SizeCheck(torch.fx.Interpreter):
    """Runs a program on tensors without data and compares the sizes with those it states."""

    def run_node(self, node: torch.fx.Node) -> Any:
        found = super().run_node(node)
        sizes = [getattr(value, "shape", None) for value in (found, node.meta.get("val"))]
        if None not in sizes and sizes[0] != sizes[1]:
            msg = f"the archive is damaged: {node.name} is {sizes[0]}, the archive says {sizes[1]}"
            raise ModelError(msg)
        return found


def _check_sizes(program: ExportedProgram) -> None:
    stated = [n.meta["val"] for n in program.graph.nodes if n.op == "placeholder"]
    with FakeTensorMode(), torch.no_grad():
        empty = [torch.empty(tuple(t.shape), dtype=t.dtype) for t in stated]
        _SizeCheck(program.graph_module).run(*empty)


def _batch_bindings(
    inputs: Mapping[str, Sequence[Text]], ranges: Mapping[str, Text]
) -> tuple[Bindings, tuple[str, ...]]:
    """1 for the symbol of each input's first axis; an error for other symbols."""
    bindings: dict[str, int] = {}
    for name, sizes in inputs.items():
        symbol = symbol_of(sizes[0]) if len(sizes) > 1 else None
        if symbol is not None:
            bindings[symbol] = 1
            _check_minimum(name, ranges.get(symbol, {}))
        for axis, size in enumerate(sizes):
            if "as_expr" in size and (axis > 0 or symbol is None):
                msg = (
                    f"input {name!r} has a dynamic size on axis {axis}; only the batch, axis 0, "
                    "may be dynamic: export again with that axis static"
                )
                raise ModelError(msg)
    names = ", ".join(inputs)
    warning = f"the dynamic batch of {names} is compiled as 1: firmware runs one sample a call"
    return bindings, (warning,) if bindings else ()


def _check_minimum(name: str, limits: Text) -> None:
    minimum = limits.get("min_val")
    if isinstance(minimum, int) and minimum > _LARGEST_USUAL_MINIMUM:
        msg = (
            f"input {name!r} was exported for batches of at least {minimum}, and firmware runs "
            "one sample a call: export with a batch of 1"
        )
        raise ModelError(msg)


def _check_members(members: Mapping[str, bytes]) -> None:
    names = list(members)
    compiled = [name for name in names if name.startswith("data/aotinductor/")]
    if compiled:
        msg = "the archive holds machine code (AOTInductor); save it with torch.export.save instead"
        raise ModelError(msg)
    models = [name for name in names if name.startswith("models/")]
    if models != ["models/model.json"]:
        found = ", ".join(models) or "none"
        msg = f"the archive must hold one program, models/model.json; it holds {found}"
        raise ModelError(msg)
    if members.get("byteorder", b"little") != b"little":
        msg = "the archive was written on a big-endian machine; export it on a little-endian one"
        raise ModelError(msg)


def _json(members: Mapping[str, bytes], name: str) -> Text:
    try:
        found = json.loads(members[name].decode("utf-8"))
    except KeyError as error:
        msg = f"the archive lacks {name}; export it again with torch 2.8 or later"
        raise ModelError(msg) from error
    except (ValueError, RecursionError) as error:
        msg = f"the archive is damaged: {name} is no JSON ({error})"
        raise ModelError(msg) from error
    if not isinstance(found, dict):
        msg = f"the archive is damaged: {name} is no JSON object"
        raise ModelError(msg)
    return found


def _payload(members: Mapping[str, bytes], folder: str) -> dict[str, torch.Tensor]:
    """The tensors that data/<folder>/model_<folder>_config.json describes."""
    entries = _json(members, f"data/{folder}/model_{folder}_config.json")["config"]
    pickled = sorted(str(name) for name, entry in entries.items() if entry["use_pickle"])
    if pickled:
        msg = (
            f"the archive holds pickled objects ({', '.join(pickled)}), which can run any code "
            "when loaded; export with plain tensors only"
        )
        raise ModelError(msg)
    return {state_name(name): _tensor(members, folder, entries[name]) for name in entries}


def _tensor(members: Mapping[str, bytes], folder: str, entry: Text) -> torch.Tensor:
    path, meta = f"data/{folder}/{entry['path_name']}", entry["tensor_meta"]
    if path not in members or meta is None:
        msg = f"the archive is damaged: it lacks the tensor {path}"
        raise ModelError(msg)
    dtype = _DTYPES.get(checked_int(meta["dtype"]))
    if dtype is None:
        kind = schema.ScalarType(meta["dtype"]).name.lower()
        msg = f"the tensor {path} is of type {kind}, which cannot be compiled"
        raise ModelError(msg)
    sizes = [size_value(size, {}) for size in meta["sizes"]]
    strides = [size_value(stride, {}) for stride in meta["strides"]]
    offset = size_value(meta["storage_offset"], {})
    tensor = _view(members[path], dtype, sizes, strides, offset)
    if tensor is None:
        msg = f"the archive is damaged: {path} does not hold {sizes} values of {dtype}"
        raise ModelError(msg)
    return tensor


def _view(
    data: bytes, dtype: torch.dtype, sizes: list[int], strides: list[int], offset: int
) -> torch.Tensor | None:
    """A copy of a strided view of bytes, or None where it would reach outside them."""
    if min([*sizes, *strides, offset], default=0) < 0 or len(sizes) != len(strides):
        return None
    if math.prod(sizes) == 0:
        return torch.zeros(sizes, dtype=dtype)
    last = offset + sum((size - 1) * stride for size, stride in zip(sizes, strides, strict=True))
    if (last + 1) * dtype.itemsize > len(data) or len(data) % dtype.itemsize:
        return None
    if math.prod(sizes) * dtype.itemsize > MAX_BYTES:  # a stride of 0 repeats what is there
        return None
    flat = torch.frombuffer(bytearray(data), dtype=dtype)
    return flat.as_strided(sizes, strides, offset).contiguous()


def _sorted_by_kind(
    program: Mapping[str, Any], held: Tensors
) -> tuple[dict[str, torch.Tensor], dict[str, torch.Tensor]]:
    """What the graph reads: parameters and persistent buffers; all other constants."""
    module = program["graph_module"]
    state: dict[str, torch.Tensor] = {}
    others: dict[str, torch.Tensor] = {}
    for spec in module["signature"]["input_specs"]:
        [(kind, entry)] = spec.items()
        if kind == "user_input":
            continue
        name = entry[f"{kind}_name"]
        sizes = module["graph"]["tensor_values"][entry["arg"]["name"]]["sizes"]
        tensor = _checked_shape(name, held, [size["as_int"] for size in sizes])
        if kind == "parameter":
            state[name] = torch.nn.Parameter(tensor, requires_grad=False)
        else:
            (state if entry.get("persistent") else others)[name] = tensor
    return state, others


def _checked_shape(name: str, held: Tensors, shape: list[int]) -> torch.Tensor:
    tensor = held.get(name)
    if tensor is None or list(tensor.shape) != shape:
        got = "nothing" if tensor is None else list(tensor.shape)
        msg = f"the archive is damaged: {name} should be {shape}, it holds {got}"
        raise ModelError(msg)
    tensor = tensor.detach()
    return tensor.float() if tensor.is_floating_point() else tensor
