# SPDX-License-Identifier: Apache-2.0
"""Turns a TorchScript network into an exported program, once its code is known to compute only."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence

import torch
from torch._export.converter import TS2EPConverter
from torch.export import ExportedProgram
from torch.fx import Node as FxNode

from mcugen.errors import ModelError
from mcugen.frontend.archive import repacked
from mcugen.frontend.aten_safety import computes_only
from mcugen.frontend.exported import Program, pin_dynamic_sizes
from mcugen.frontend.modules import first_line, required_shapes, run_once
from mcugen.ir.graph import Shape

# torch.jit.load itself calls only this method of the archive's code.
_RUN_ON_LOADING = b"__setstate__"
_FOREIGN = b"torch.classes"
_PRIM = re.compile(
    "prim::(Constant|GetAttr|SetAttr|If|Loop|ListConstruct|ListUnpack|TupleConstruct|TupleUnpack"
    "|TupleIndex|DictConstruct|NumToTensor|ImplicitTensorToNum|RaiseException|Uninitialized|Print"
    "|unchecked_cast|unchecked_unwrap_optional|dtype|device|data|min|max|abs|rangelist|Return"
    "|is_cuda|layout|CreateObject)"
)
_NO_FILES = re.compile(r"aten::(save|from_file)")


def convert_torchscript(members: Mapping[str, bytes], shapes: Sequence[Shape] | None) -> Program:
    """The program of a TorchScript archive.

    Raises ModelError where its code does anything but compute, or cannot be converted.
    """
    wanted = required_shapes(shapes)
    code = b"\n".join(data for name, data in members.items() if name.endswith((".py", ".pkl")))
    if _RUN_ON_LOADING in code or _FOREIGN in code:
        msg = (
            "this TorchScript network holds packed objects (it is quantized, or of custom "
            "classes); export the float network instead"
        )
        raise ModelError(msg)
    try:
        script = torch.jit.load(  # type: ignore[no-untyped-call]  # torch leaves it so
            repacked(members), map_location="cpu"
        )
    except Exception as error:  # torch's C++ reader raises RuntimeError and others
        msg = f"the TorchScript archive is damaged: {first_line(error)}"
        raise ModelError(msg) from error
    return convert_script(script, wanted)


def convert_script(script: torch.jit.ScriptModule, shapes: Sequence[Shape] | None) -> Program:
    """The program of a loaded ScriptModule."""
    wanted = required_shapes(shapes)
    module = script.eval().float()
    _check_graph(module)
    inputs = tuple(torch.zeros(shape) for shape in wanted)
    with torch.no_grad():
        run_once(module.forward, inputs)
        program = _convert(module, inputs)
    pinned = pin_dynamic_sizes(program, wanted)
    _name_modules(pinned.program)
    return pinned


def _check_graph(module: torch.jit.ScriptModule) -> None:
    """Every node of the network, calls inlined, computes and touches nothing else."""
    foreign = sorted({_shown(node) for node in _nodes(module.inlined_graph) if not _harmless(node)})
    if foreign:
        msg = f"this TorchScript network does more than compute: {', '.join(foreign)}"
        raise ModelError(msg)


def _nodes(graph: torch._C.Graph | torch._C.Block) -> Iterator[torch._C.Node]:
    for node in graph.nodes():
        yield node
        for block in node.blocks():
            yield from _nodes(block)


def _shown(node: torch._C.Node) -> str:
    where = re.search(r"[\w.]+\.py\", line \d+|[\w.]+\.py:\d+", str(node.sourceRange()))
    return f"{node.kind()} ({where[0]})" if where else node.kind()


def _harmless(node: torch._C.Node) -> bool:
    kind = node.kind()
    if kind.startswith("prim::"):
        return _PRIM.fullmatch(kind) is not None
    if not kind.startswith("aten::") or _NO_FILES.fullmatch(kind):
        return False
    schemas = torch._C._jit_get_schemas_for_operator(kind)
    own = [schema for schema in schemas if str(schema) == node.schema()]
    takes_tensors = any("Tensor" in str(a.type) for schema in own for a in schema.arguments)
    return not takes_tensors or all(computes_only(schema) for schema in own)


def _convert(module: torch.jit.ScriptModule, inputs: tuple[torch.Tensor, ...]) -> ExportedProgram:
    try:
        return TS2EPConverter(module, inputs).convert()
    except Exception as error:  # the converter raises dozens of kinds
        msg = (
            f"the TorchScript network cannot be converted: {first_line(error)}; export the "
            "original network with torch.export instead"
        )
        raise ModelError(msg) from error


def _name_modules(program: ExportedProgram) -> None:
    """TorchScript keeps no module paths; a layer's are those of its weights."""
    signature = program.graph_signature
    held = {**signature.inputs_to_parameters, **signature.inputs_to_buffers}
    for node in program.graph.nodes:
        names = [held[arg.name] for arg in node.all_input_nodes if arg.name in held]
        if names and node.op == "call_function":
            node.meta["nn_module_stack"] = _stack(names[0].rpartition(".")[0], node)


def _stack(path: str, node: FxNode) -> dict[str, tuple[str, str]]:
    return {node.name: (path, "torch.nn.Module")}
