# SPDX-License-Identifier: Apache-2.0
"""What can be done with a generated folder: verify it again, run it, profile it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mcugen.boards import Core, core_named, load_board
from mcugen.data import load_calibration, read_arrays
from mcugen.errors import BoardError, OutputError
from mcugen.ir.serialize import load as load_graph
from mcugen.network import REFERENCE, CompiledNetwork, read_report
from mcugen.report.report import proof_values
from mcugen.simulate.profile import profile_target
from mcugen.simulate.program import program_of
from mcugen.verify.everywhere import Targets, verify_everywhere
from mcugen.verify.inputs import Batch, verification_inputs


def run_folder(folder: Path, inputs: Sequence[str], output: Path | None = None) -> str:
    """Run the C of a folder on arrays from files; the results as text, or written to `output`.

    Raises CalibrationError where the arrays do not fit the network, OutputError where the results
    cannot be written.
    """
    if output is not None and output.suffix not in (".npy", ".npz"):
        msg = f"output {output} must end in .npy or .npz"
        raise OutputError(msg)
    arrays = [array for path in inputs for array in _arrays(Path(path))]
    with CompiledNetwork(folder) as network:
        results = network(*arrays)
    outputs = results if isinstance(results, tuple) else (results,)
    if output is None:
        return "\n".join(_shown(k, y, len(outputs)) for k, y in enumerate(outputs))
    _write(output, outputs)
    return f"wrote {output}"


def _write(output: Path, results: Sequence[NDArray[np.generic]]) -> None:
    if output.suffix == ".npy" and len(results) > 1:
        msg = f"the network has {len(results)} outputs, which need a .npz file, not {output}"
        raise OutputError(msg)
    try:
        if output.suffix == ".npy":
            np.save(output, results[0])
        else:
            np.savez(output, *results)
    except OSError as error:
        msg = f"cannot write {output}: {error.strerror or error}"
        raise OutputError(msg) from error


def _arrays(path: Path) -> list[NDArray[np.generic]]:
    """The array of a .npy file; `x` of a .npz file, or all of its arrays in their order."""
    named = read_arrays(path)
    return [named["x"]] if "x" in named else list(named.values())


def _shown(k: int, y: NDArray[np.generic], count: int) -> str:
    title = f"output{k} " if count > 1 else ""
    text = np.array2string(y, precision=6, suppress_small=True, threshold=200)
    return f"{title}{y.dtype} {list(y.shape)}\n{text}"


def verify_folder(
    folder: Path,
    *,
    calib: str | None = None,
    sanitize: bool = False,
    simulate: int = 16,
    board: str | None = None,
) -> dict[str, Any]:
    """Compare reference and C of a folder again, every layer; what was compared, as plain values.

    Raises MismatchError at the first difference.
    """
    with CompiledNetwork(folder) as network:
        core = _core(network.report, board)
        inputs = verification_inputs(network.graph, _samples(network, calib))
        targets = Targets(core=core, simulate=simulate, sanitize=sanitize)
        proof = verify_everywhere(network.graph, network.program, network.host, inputs, targets)
    return {"name": network.graph.name} | proof_values(proof)


def _core(report: Mapping[str, Any], board: str | None) -> Core:
    """The core of the board named, else the one that the folder was built for."""
    if board is not None:
        return load_board(board).core
    try:
        return core_named(str(report["core"])).core
    except BoardError as error:
        msg = f"{report['core']} is a core from a board file: name that file with --board"
        raise BoardError(msg) from error


def _samples(network: CompiledNetwork, calib: str | None) -> Batch | None:
    if calib is None:
        return None
    return network.quantized(load_calibration(calib, network.input_shapes))


def profile_folder(folder: Path, board: str | None = None) -> dict[str, Any]:
    """Instructions, model cycles, stack, flash and RAM of a folder's C, as plain values.

    Beside the count of each layer stands what the kernel choice reckoned with, in the core's
    `cost_unit`; None where the folder was built for another core.

    Raises ToolchainError without compiler or simulator of the core.
    """
    report = read_report(folder)
    graph = load_graph(folder / REFERENCE)
    core = _core(report, board)
    profile = profile_target(
        program_of(folder, graph, row_input=bool(report.get("row_input"))), core
    )
    models = _models(report, core)
    together = {layer["name"]: layer.get("together", []) for layer in report.get("layers", [])}
    layers = [
        {
            "name": node.name,
            "op": node.op.kind,
            "macs": node.op.macs(graph.input_shapes(node), node.shape),
            "instructions": cost.instructions,
            "cycles": cost.cycles,
        }
        | models.get(node.name, _NO_MODEL)
        | {"together": together.get(node.name, [])}
        for node, cost in zip(graph.layers, profile.layers, strict=True)
    ]
    return {
        "name": graph.name,
        "core": core.name,
        "engine": profile.engine,
        "compiler": profile.compiler,
        "instructions": profile.instructions,
        "cycles": profile.cycles,
        "macs": sum(layer["macs"] for layer in layers),
        "cost_unit": core.cost_unit,
        "model_cost": sum(layer["model_cost"] for layer in layers) if models else None,
        "stack_bytes": profile.stack_bytes,
        "flash_bytes": profile.flash_bytes,
        "static_ram_bytes": profile.static_ram_bytes,
        "arena_bytes": report["arena_bytes"],
        "layers": layers,
    }


_NO_MODEL = {"variant": None, "model_cost": None}


def _models(report: Mapping[str, Any], core: Core) -> dict[str, dict[str, Any]]:
    """Kernel variant and modelled cost of each layer; empty where they are for another core."""
    if report["core"] != core.name:
        return {}
    layers = [layer for layer in report.get("layers", []) if "model_cost" in layer]
    return {layer["name"]: {key: layer[key] for key in _NO_MODEL} for layer in layers}
