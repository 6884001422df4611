# SPDX-License-Identifier: Apache-2.0
"""An exported program, run as torch runs it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch.export import ExportedProgram
from torch.export.graph_signature import InputKind, OutputKind
from torch.fx import Interpreter, Node

from mcugen.frontend.aten_safety import QUANTIZED


class _Unrounded(Interpreter):
    """Runs a program without the rounding of what depends on its inputs."""

    def __init__(self, program: ExportedProgram) -> None:
        super().__init__(program.graph_module)
        specs = program.graph_signature.input_specs
        live = {spec.arg.name for spec in specs if spec.kind == InputKind.USER_INPUT}
        for node in program.graph.nodes:
            if any(source.name in live for source in node.all_input_nodes):
                live.add(node.name)
        self.live = live

    def run_node(self, n: Node) -> Any:
        if n.name in self.live and str(n.target).startswith(f"{QUANTIZED}."):
            return self.fetch_args_kwargs_from_env(n)[0][0]
        return super().run_node(n)


def run_program(
    program: ExportedProgram, inputs: Sequence[torch.Tensor], *, rounded: bool = True
) -> tuple[torch.Tensor, ...]:
    """The program's own outputs for its tensor inputs, batch axis included where it has one.

    `rounded=False` leaves out the rounding of its tensors, if it quantizes any. Interpreted node by
    node: `program.module()` would compile source text in which torch writes the names of
    parameters, and not every name can stand there.
    """
    held = {**program.state_dict, **program.constants}
    given = iter(inputs)
    arguments = [
        next(given) if spec.kind == InputKind.USER_INPUT else held[str(spec.target)]
        for spec in program.graph_signature.input_specs
    ]
    with torch.no_grad():
        runner = Interpreter(program.graph_module) if rounded else _Unrounded(program)
        results = runner.run(*arguments)
    kinds = [spec.kind for spec in program.graph_signature.output_specs]
    return tuple(
        result
        for kind, result in zip(kinds, results, strict=True)
        if kind == OutputKind.USER_OUTPUT and isinstance(result, torch.Tensor)
    )
