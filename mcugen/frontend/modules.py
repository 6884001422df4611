# SPDX-License-Identifier: Apache-2.0
"""Exports an nn.Module as the user holds it: a copy, in evaluation mode, in float32."""

from __future__ import annotations

import copy
import io
import math
from collections.abc import Callable, Sequence
from contextlib import redirect_stderr
from typing import Any

import torch
from torch import nn
from torch.export import ExportedProgram

from mcugen.errors import ModelError
from mcugen.frontend.exported import Program, other_floats
from mcugen.ir.graph import Shape

_MAX_VALUES = 1 << 28  # of an input


def export_module(module: nn.Module, shapes: Sequence[Shape] | None) -> Program:
    """The program of a module; `shapes` are those of its inputs with the batch axis.

    A graph module that torch.export made, such as a quantized one, knows them itself. The module is
    left as it is. Raises ModelError where it does not run on inputs of these
    shapes, or torch.export cannot trace it.
    """
    wanted = required_shapes(shapes or _recorded_shapes(module))
    own, warnings = _float_copy(module)
    inputs = tuple(torch.zeros(shape) for shape in wanted)
    with torch.no_grad():
        run_once(own, inputs)
        return Program(program=_export(own, inputs), warnings=warnings)


def _recorded_shapes(module: nn.Module) -> list[Shape]:
    """The shapes of the inputs that a graph module was traced with, nothing for other modules."""
    if not isinstance(module, torch.fx.GraphModule):
        return []
    traced = [n.meta.get("val") for n in module.graph.nodes if n.op == "placeholder"]
    shapes = [tuple(x.shape) for x in traced if isinstance(x, torch.Tensor)]
    fixed = all(isinstance(size, int) for shape in shapes for size in shape)
    return shapes if fixed and len(shapes) == len(traced) else []


def required_shapes(shapes: Sequence[Shape] | None) -> Sequence[Shape]:
    """The shapes, or ModelError that asks for them."""
    for shape in shapes or ():
        if min(shape, default=0) < 1 or math.prod(shape) > _MAX_VALUES:
            msg = f"--input-shape {','.join(map(str, shape))} is no shape of a network's input"
            raise ModelError(msg)
    if shapes:
        return shapes
    msg = (
        "the model does not say the shape of its input; pass it with the batch, as in "
        "--input-shape 1,1,28,28 (once for each input, in order)"
    )
    raise ModelError(msg)


def run_once(forward: Callable[..., object], inputs: tuple[torch.Tensor, ...]) -> None:
    """Run the network so that a wrong shape is told apart from what cannot be exported."""
    try:
        forward(*inputs)
    except Exception as error:  # whatever the user's own forward raises
        shapes = ", ".join(str(list(x.shape)) for x in inputs)
        msg = (
            f"the network does not run on float32 input of shape {shapes}: {first_line(error)}; "
            "check --input-shape (once for each input, with the batch)"
        )
        raise ModelError(msg) from error


def first_line(error: BaseException) -> str:
    """What an exception of torch says, without its pages of context."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    if not lines:
        return type(error).__name__
    if "TorchScript interpreter" in lines[0]:  # TorchScript's own error stands at the end
        return lines[-1][:300]
    return f"{type(error).__name__}: {lines[0][:300]}"


def _float_copy(module: nn.Module) -> tuple[nn.Module, tuple[str, ...]]:
    module = getattr(module, "_orig_mod", module)  # what torch.compile wraps
    try:
        own = copy.deepcopy(module, _computed_tensors(module)).cpu().eval()
    except Exception as error:  # whatever the user's own classes raise
        msg = (
            f"the module cannot be copied ({first_line(error)}); pass "
            "torch.export.export(model.eval(), inputs) instead"
        )
        raise ModelError(msg) from error
    warnings = other_floats([*own.parameters(), *own.buffers()])
    return own.float() if warnings else own, warnings


def _computed_tensors(module: nn.Module) -> dict[int, Any]:
    """Copies of what hooks compute before a call (masked or normalized weights), for `deepcopy`.

    It refuses tensors that are computed from others; the hooks of the copy make them anew.
    """
    held = (value for part in module.modules() for value in vars(part).values())
    computed = (x for x in held if isinstance(x, torch.Tensor) and not x.is_leaf)
    return {id(x): x.detach().clone() for x in computed}


def _export(module: nn.Module, inputs: tuple[torch.Tensor, ...]) -> ExportedProgram:
    try:
        with redirect_stderr(io.StringIO()):  # torch prints the graph that it could not finish
            return torch.export.export(module, inputs)
    except Exception as error:  # torch.export raises dozens of kinds
        msg = f"torch.export cannot trace the network: {first_line(error)}"
        raise ModelError(msg) from error
