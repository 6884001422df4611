# SPDX-License-Identifier: Apache-2.0
"""From what the user passes, a file of any kind or a network in memory, to an exported program."""

from __future__ import annotations

import io
import logging
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import nn
from torch.export import ExportedProgram
from torch.export.graph_signature import InputKind

from mcugen.errors import ModelError
from mcugen.frontend.archive import EXPORT_RECIPE, ModelFile, read_model_file, repacked
from mcugen.frontend.exported import Program, normalized, read_exported
from mcugen.frontend.modules import export_module, first_line
from mcugen.frontend.pickles import check_written_by_torch, foreign_names
from mcugen.frontend.program_text import EVAL_FIRST
from mcugen.frontend.state import importable_from, load_tensors, module_with_state, state_dict_of
from mcugen.frontend.torchscript import convert_script, convert_torchscript
from mcugen.ir.graph import Shape

Model = nn.Module | ExportedProgram | str | Path
_MAX_RANK = 4  # batch, channels, height, width
_SHOWN_NAMES = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadOptions:
    """What a model file may not say itself, and whether it may run code."""

    input_shapes: tuple[Shape, ...] | None = None  # as the network takes them, with the batch
    arch: str | None = None  # "net.py:Net", for a state dict
    trust_pickle: bool = False


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Loaded:
    """A network, ready to be imported: sizes fixed, batch 1, weights finite, in float."""

    program: ExportedProgram
    name: str  # of the file or the class
    kind: str  # what was read, in words
    warnings: tuple[str, ...] = ()


def load(model: Model, options: LoadOptions) -> Loaded:
    """Read a network. Nothing from a file is executed unless `trust_pickle` says so.

    Raises ModelError, which says what is wrong and what to do.
    """
    if isinstance(model, (str, Path)):
        path = Path(model)
        with _naming(f"{path}: "), _quiet():
            return _checked(*_load_file(path, options), path.stem, options)
    with _quiet():
        return _checked(*_load_object(model, options), _class_name(model), options)


def _load_file(path: Path, options: LoadOptions) -> tuple[Program, str]:
    file = read_model_file(path)
    if file.kind == "exported":
        return _sound(file), "torch.export archive"
    if file.kind == "torchscript":
        return convert_torchscript(file.members, options.input_shapes), "TorchScript"
    return _load_pickle(file, path, options)


def _sound(file: ModelFile) -> Program:
    try:
        return read_exported(file.members)
    except ModelError:
        raise
    except Exception as error:  # text of the wrong form can raise anything in torch's reader
        msg = f"the torch.export archive is damaged or of another torch: {first_line(error)}"
        raise ModelError(msg) from error


def _load_pickle(file: ModelFile, path: Path, options: LoadOptions) -> tuple[Program, str]:
    if file.kind == "pickle":
        check_written_by_torch(file.data)
    stream = repacked(file.members) if file.kind == "pickle zip" else io.BytesIO(file.data)
    foreign = foreign_names(file)
    if foreign and not options.trust_pickle:
        shown = ", ".join(foreign[:_SHOWN_NAMES]) + (", ..." if foreign[_SHOWN_NAMES:] else "")
        msg = (
            f"this is a pickled Python object, and loading it can run any code: it imports {shown}"
            f". Pass --trust-pickle if you made the file yourself, or better {EXPORT_RECIPE}"
        )
        raise ModelError(msg)
    content = _unpickle(stream, path) if foreign else load_tensors(stream)
    if isinstance(content, nn.Module):
        program, _ = _load_object(content, options)
        return program, "pickled module"
    module = module_with_state(options.arch, state_dict_of(content))
    return export_module(module, options.input_shapes), "state dict"


def _unpickle(stream: io.BytesIO, path: Path) -> object:
    """The one place that executes a file, for users who said that they trust it."""
    try:
        with importable_from(path.parent, Path.cwd()):
            return torch.load(stream, map_location="cpu", weights_only=False)
    except Exception as error:  # a pickle can raise anything
        msg = (
            f"the pickle cannot be loaded: {first_line(error)}. It needs the Python files that "
            f"define its classes beside it or in the current folder; else {EXPORT_RECIPE}"
        )
        raise ModelError(msg) from error


def _load_object(model: nn.Module | ExportedProgram, options: LoadOptions) -> tuple[Program, str]:
    if isinstance(model, ExportedProgram):
        return normalized(model), "exported program"
    if isinstance(model, torch.jit.ScriptModule):
        return convert_script(model, options.input_shapes), "TorchScript"
    if isinstance(model, nn.Module):
        return export_module(model, options.input_shapes), "module"
    msg = f"expected an nn.Module, an ExportedProgram or a path, got a {type(model).__name__}"
    raise ModelError(msg)


def _class_name(model: nn.Module | ExportedProgram) -> str:
    if isinstance(model, ExportedProgram):
        return "network"
    if isinstance(model, torch.jit.ScriptModule):
        return str(model.original_name)
    return type(getattr(model, "_orig_mod", model)).__name__


def _checked(found: Program, kind: str, name: str, options: LoadOptions) -> Loaded:
    inputs = _inputs(found.program)
    _check_shapes(inputs, options.input_shapes)
    _check_stateless(found.program)
    _check_finite(found.program)
    return Loaded(
        program=found.program,
        name=name,
        kind=kind,
        warnings=(*found.warnings, *_rows_or_batch(inputs)),
    )


def _inputs(program: ExportedProgram) -> dict[str, torch.Tensor]:
    """The network's tensor inputs, without data, by name."""
    specs = program.graph_signature.input_specs
    names = {spec.arg.name for spec in specs if spec.kind == InputKind.USER_INPUT}
    nodes = [n for n in program.graph.nodes if n.op == "placeholder" and n.name in names]
    values = {node.name: node.meta.get("val") for node in nodes}
    return {name: value for name, value in values.items() if isinstance(value, torch.Tensor)}


def _check_shapes(inputs: dict[str, torch.Tensor], given: Sequence[Shape] | None) -> None:
    if not inputs:
        msg = "the network has no tensor input"
        raise ModelError(msg)
    for name, tensor in inputs.items():
        sizes = list(tensor.shape)
        if not sizes or 0 in sizes:
            msg = f"input {name!r} has shape {sizes}, which holds no axis or no value"
            raise ModelError(msg)
        if len(sizes) >= _MAX_RANK and sizes[0] != 1:
            msg = (
                f"input {name!r} has shape {sizes}, a batch of {sizes[0]}; firmware runs one "
                "sample a call: export with a batch of 1"
            )
            raise ModelError(msg)
    own = [list(tensor.shape) for tensor in inputs.values()]
    if given is not None and own != [list(shape) for shape in given]:
        shown = [", ".join(str(list(shape)) for shape in shapes) for shapes in (own, given)]
        msg = f"the model takes {shown[0]}, but --input-shape says {shown[1]}"
        raise ModelError(msg)


def _rows_or_batch(inputs: dict[str, torch.Tensor]) -> Iterator[str]:
    for name, tensor in inputs.items():
        if tensor.dim() > 1 and tensor.shape[0] != 1:
            yield (
                f"input {name!r} of shape {list(tensor.shape)} is compiled as one sample; if "
                f"{tensor.shape[0]} is a batch, export with a batch of 1"
            )


def _check_stateless(program: ExportedProgram) -> None:
    signature = program.graph_signature
    changed = [*signature.buffers_to_mutate.values(), *signature.parameters_to_mutate.values()]
    if changed:
        msg = f"the network changes its own {', '.join(changed)}; {EVAL_FIRST}"
        raise ModelError(msg)


def _check_finite(program: ExportedProgram) -> None:
    held = {**program.state_dict, **program.constants}
    tensors = {name: t for name, t in held.items() if isinstance(t, torch.Tensor)}
    bad = [
        name
        for name, tensor in tensors.items()
        if tensor.is_floating_point() and not torch.isfinite(tensor).all()
    ]
    if bad:
        msg = f"weights are not finite (NaN or infinite) in: {', '.join(bad)}"
        raise ModelError(msg)


@contextmanager
def _naming(prefix: str) -> Iterator[None]:
    """Begin the text of every ModelError with the file's name.

    Names in the file end up in the text, so nothing that a terminal would obey is left in it.
    """
    try:
        yield
    except ModelError as error:
        text = "".join(c for c in f"{prefix}{error}" if c.isprintable() or c == "\n")
        raise type(error)(text) from error


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep torch's own warnings off the terminal: what matters is in `Loaded.warnings`."""
    logger = logging.getLogger("torch")
    before = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(before)
