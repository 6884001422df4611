# SPDX-License-Identifier: Apache-2.0
"""Turns a TorchScript network into an exported program, once its code is known to compute only."""

from __future__ import annotations

import copy
import re
from collections.abc import Iterator, Mapping, Sequence

import torch
from torch.export import ExportedProgram
from torch.fx import GraphModule
from torch.fx.experimental.proxy_tensor import make_fx
from torch.jit._fuser import optimized_execution

from mcugen.errors import ModelError
from mcugen.frontend.archive import repacked
from mcugen.frontend.aten_safety import computes_only
from mcugen.frontend.exported import Program, other_floats
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
    module = copy.deepcopy(script).eval()
    warnings = other_floats(module.state_dict().values())
    module.float()
    _check_graph(module)
    inputs = tuple(torch.zeros(shape) for shape in wanted)
    # The optimizing executor would run fused kernels that no trace sees.
    with torch.no_grad(), optimized_execution(False):
        run_once(module.forward, inputs)
        program = _exported(module, inputs)
    _name_weights(program, module.state_dict())
    return Program(program=program, warnings=warnings)


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


def _exported(module: torch.jit.ScriptModule, inputs: tuple[torch.Tensor, ...]) -> ExportedProgram:
    """Traced operator by operator, before torch takes any of them apart; then exported."""
    try:
        trace = make_fx(lambda *x: module.forward(*x), tracing_mode="real", pre_dispatch=True)
        traced = trace(*inputs)
        _tidy(traced, _input_names(module))
        return torch.export.export(traced, inputs)
    except Exception as error:  # torch.export raises dozens of kinds
        msg = (
            f"the TorchScript network cannot be converted: {first_line(error)}; export the "
            "original network with torch.export instead"
        )
        raise ModelError(msg) from error


def _input_names(module: torch.jit.ScriptModule) -> list[str]:
    schema: torch.FunctionSchema = module._c._get_method("forward").schema
    return [argument.name for argument in schema.arguments[1:]]


def _tidy(traced: GraphModule, names: Sequence[str]) -> None:
    """Inputs named as in the network, no sizes that nobody reads, convolutions under one name."""
    graph = traced.graph
    placeholders = [node for node in graph.nodes if node.op == "placeholder"]
    for node, name in zip(placeholders, names, strict=False):
        node._rename(name)
        node.target = node.name
    for node in graph.nodes:
        if node.target is torch.ops.aten._convolution.default:
            node.target = torch.ops.aten.convolution.default
            node.args = node.args[:9]  # the others say which library computes it
    graph.eliminate_dead_code()
    traced.recompile()


def _name_weights(program: ExportedProgram, state: Mapping[str, torch.Tensor]) -> None:
    """Give weights the names they have in TorchScript, and their layers those of the weights.

    A trace knows tensors only; it keeps no module paths and no source lines.
    """
    names = {(tensor.data_ptr(), tensor.shape): name for name, tensor in state.items()}
    held = {**program.state_dict, **program.constants}
    for spec in program.graph_signature.input_specs:
        tensor = held.get(spec.target or "")
        name = names.pop((tensor.data_ptr(), tensor.shape), None) if tensor is not None else None
        if spec.target is None or name is None:
            continue
        owner = program.state_dict if spec.target in program.state_dict else program.constants
        owner[name] = owner.pop(spec.target)
        spec.target = name
    _name_layers(program)


def _name_layers(program: ExportedProgram) -> None:
    specs = program.graph_signature.input_specs
    paths = {spec.arg.name: spec.target.rpartition(".")[0] for spec in specs if spec.target}
    for node in program.graph.nodes:
        found = [paths[used.name] for used in node.all_input_nodes if used.name in paths]
        if node.op == "call_function":
            path = found[0] if found else ""
            node.meta["nn_module_stack"] = {node.name: (path, "torch.nn.Module")}
            node.meta["stack_trace"] = ""
