# SPDX-License-Identifier: Apache-2.0
"""State dicts, and the user's own classes or factories (`net.py:Net`) that they belong to."""

from __future__ import annotations

import importlib.util
import io
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType

import torch
from torch import nn

from mcugen.errors import ModelError
from mcugen.frontend.modules import first_line

_NESTED = ("state_dict", "model_state_dict", "model")
_ORIGINAL, _MASK = "_orig", "_mask"  # what torch.nn.utils.prune puts behind a name
_PARALLEL = "module."  # what DataParallel puts before every name


def load_tensors(stream: io.BytesIO) -> object:
    """What a file of tensors holds; torch's restricted unpickler runs no code.

    Raises ModelError where it finds anything else.
    """
    try:
        return torch.load(stream, map_location="cpu", weights_only=True)
    except Exception as error:  # a damaged pickle raises anything
        msg = f"the file is damaged: {first_line(error)}"
        raise ModelError(msg) from error


def state_dict_of(content: object) -> dict[str, torch.Tensor]:
    """The tensors by name, from a state dict or a checkpoint that holds one.

    Raises ModelError for anything else.
    """
    if isinstance(content, Mapping):
        for key in _NESTED:
            if isinstance(content.get(key), Mapping):
                return state_dict_of(content[key])
        tensors = {k: v for k, v in content.items() if isinstance(v, torch.Tensor)}
        if tensors and len(tensors) == len(content):
            return _without_prefix(tensors)
    msg = f"the file holds a {type(content).__name__} that is neither a network nor a state dict"
    raise ModelError(msg)


def module_with_state(arch: str | None, state: Mapping[str, torch.Tensor]) -> nn.Module:
    """The network of `--arch file.py:Name` with this state.

    What torch.nn.utils.prune keeps as a weight and its mask becomes the masked weight. Raises
    ModelError listing every name that is missing, unexpected or of another shape.
    """
    if arch is None:
        msg = (
            "the file holds weights only (a state dict); name the class or factory they belong to, "
            "as in --arch net.py:Net"
        )
        raise ModelError(msg)
    module = make_module(arch)
    wanted = module.state_dict()
    state, problems = _with_masks_applied(wanted, state)
    problems += _mismatches(wanted, state)
    if problems:
        msg = f"the weights do not fit {arch}:\n" + "\n".join(f"  {line}" for line in problems)
        raise ModelError(msg)
    module.load_state_dict(dict(state))
    return module


def make_module(arch: str) -> nn.Module:
    """Import `file.py:Name` and call Name without arguments."""
    path, _, name = arch.rpartition(":")
    file = Path(path)
    if not path or not name or not file.is_file():
        msg = f"--arch {arch}: expected file.py:Name of an existing file"
        raise ModelError(msg)
    made = _called(_imported(file), file, name)
    if not isinstance(made, nn.Module):
        msg = f"--arch {arch}: {name}() gives a {type(made).__name__}, expected an nn.Module"
        raise ModelError(msg)
    return made


@contextmanager
def importable_from(*folders: Path) -> Iterator[None]:
    """Let imports find modules in these folders, after all others."""
    before = list(sys.path)
    sys.path.extend(str(folder.resolve()) for folder in folders)
    try:
        yield
    finally:
        sys.path[:] = before


def _imported(file: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"mcugen_arch_{file.stem}", file)
    if spec is None or spec.loader is None:
        msg = f"--arch: {file} is no Python file"
        raise ModelError(msg)
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look their module up there
    try:
        with importable_from(file.parent):
            spec.loader.exec_module(module)
    except (Exception, SystemExit) as error:  # whatever the user's file does: it may be a script
        msg = f"--arch: {file} cannot be imported: {first_line(error)}"
        raise ModelError(msg) from error
    return module


def _called(module: ModuleType, file: Path, name: str) -> object:
    maker = getattr(module, name, None)
    if isinstance(maker, nn.Module):
        return maker
    if not callable(maker):
        own = [n for n, v in vars(module).items() if _defined_in(v, module)]
        msg = f"--arch: {file} has no class or function {name!r}; it has {', '.join(own)}"
        raise ModelError(msg)
    try:
        with importable_from(file.parent):
            made: object = maker()
    except (Exception, SystemExit) as error:  # whatever the user's constructor does
        msg = f"--arch: {name}() of {file} cannot be called without arguments: {first_line(error)}"
        raise ModelError(msg) from error
    return made


def _defined_in(value: object, module: ModuleType) -> bool:
    return callable(value) and getattr(value, "__module__", "") == module.__name__


def _without_prefix(tensors: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    if all(name.startswith(_PARALLEL) for name in tensors):
        return {name.removeprefix(_PARALLEL): tensor for name, tensor in tensors.items()}
    return tensors


def _with_masks_applied(
    wanted: Mapping[str, torch.Tensor], given: Mapping[str, torch.Tensor]
) -> tuple[dict[str, torch.Tensor], list[str]]:
    """The state with NAME for NAME_orig and NAME_mask where the module has NAME; and problems."""
    state, problems = dict(given), []
    for name in wanted:
        original, mask = given.get(name + _ORIGINAL), given.get(name + _MASK)
        if name in given or original is None or mask is None:
            continue
        del state[name + _ORIGINAL], state[name + _MASK]
        state[name] = original
        if mask.shape != original.shape:
            shapes = f"expected {list(original.shape)}, got {list(mask.shape)}"
            problems.append(f"{name}{_MASK}: {shapes}")
        else:
            state[name] = original * mask
    return state, problems


def _mismatches(wanted: Mapping[str, torch.Tensor], given: Mapping[str, torch.Tensor]) -> list[str]:
    missing = [f"missing in the file: {name}" for name in wanted if name not in given]
    unexpected = [f"unexpected in the file: {name}" for name in given if name not in wanted]
    shapes = [
        f"{name}: expected {list(tensor.shape)}, got {list(given[name].shape)}"
        for name, tensor in wanted.items()
        if name in given and given[name].shape != tensor.shape
    ]
    return missing + unexpected + shapes
