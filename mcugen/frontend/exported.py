# SPDX-License-Identifier: Apache-2.0
"""Reads a torch.export archive without torch.export.load, which would run pickles hidden in it."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch._export.serde import schema, serialize
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.export import ExportedProgram

from mcugen.errors import ModelError
from mcugen.frontend.archive import MAX_BYTES
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
    parameters, buffers = _payload(members, "weights"), _payload(members, "constants")
    return _pinned(text, parameters, buffers)


def pin_dynamic_batch(program: ExportedProgram) -> Program:
    """The program with its dynamic batch fixed to 1, by way of its text.

    Raises ModelError where another axis than the batch is dynamic.
    """
    held = (*program.state_dict.values(), *program.constants.values())
    if not all(isinstance(tensor, torch.Tensor) for tensor in held):
        msg = "the program holds constants that are no tensors"
        raise ModelError(msg)
    data = serialize.serialize(
        program,
        serialize_state_dict=False,
        serialize_constants=False,
        serialize_example_inputs=False,
    )
    constants = {k: v for k, v in program.constants.items() if isinstance(v, torch.Tensor)}
    return _pinned(json.loads(data.exported_program), program.state_dict, constants)


def _pinned(text: Text, state: Tensors, constants: Tensors) -> Program:
    bindings, warnings = _batch_bindings(user_inputs(text), text["range_constraints"])
    safe = safe_program(text, bindings)
    _check_held(safe, {**state, **constants})
    described = serialize._bytes_to_dataclass(schema.ExportedProgram, json.dumps(safe).encode())
    program = serialize.ExportedProgramDeserializer().deserialize(
        described, dict(state), dict(constants), None
    )
    _check_sizes(program)
    return Program(program=program, warnings=warnings)


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
    return torch.nn.Parameter(tensor, requires_grad=False) if entry["is_param"] else tensor


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


def _check_held(program: Mapping[str, Any], held: Tensors) -> None:
    """Every parameter, buffer and constant is there, of the shape that the graph says."""
    module = program["graph_module"]
    for spec in module["signature"]["input_specs"]:
        [(kind, entry)] = spec.items()
        if kind == "user_input":
            continue
        name = entry[f"{kind}_name"]
        meta = module["graph"]["tensor_values"][entry["arg"]["name"]]
        shape = tuple(size["as_int"] for size in meta["sizes"])
        if name not in held or tuple(held[name].shape) != shape:
            got = list(held[name].shape) if name in held else "nothing"
            msg = f"the archive is damaged: {name} should be {list(shape)}, it holds {got}"
            raise ModelError(msg)
