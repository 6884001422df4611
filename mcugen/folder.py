# SPDX-License-Identifier: Apache-2.0
"""What can be done with a generated folder: verify it again, run it, profile it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mcugen.boards import load_board
from mcugen.data import load_calibration
from mcugen.errors import CalibrationError
from mcugen.ir.serialize import load as load_graph
from mcugen.network import REFERENCE, CompiledNetwork, read_report
from mcugen.report.report import proof_values
from mcugen.simulate.profile import profile_target
from mcugen.simulate.program import program_of
from mcugen.verify.everywhere import Targets, verify_everywhere
from mcugen.verify.inputs import Batch, verification_inputs


def run_folder(folder: Path, inputs: Sequence[str], output: Path | None = None) -> str:
    """Run the C of a folder on arrays from files; the results as text, or written to `output`.

    Raises CalibrationError where the arrays do not fit the network.
    """
    arrays = [array for path in inputs for array in _arrays(Path(path))]
    with CompiledNetwork(folder) as network:
        results = network(*arrays)
    outputs = results if isinstance(results, tuple) else (results,)
    if output is None:
        return "\n".join(_shown(k, y, len(outputs)) for k, y in enumerate(outputs))
    if len(outputs) == 1 and output.suffix != ".npz":
        np.save(output, outputs[0])
    else:
        np.savez(output, *outputs)
    return f"wrote {output}"


def _arrays(path: Path) -> list[NDArray[np.generic]]:
    """The array of a .npy file, or all arrays of a .npz file in their order."""
    try:
        content = np.load(path, allow_pickle=False)
        if isinstance(content, np.ndarray):
            return [content]
        return [content["x"]] if "x" in content else [content[name] for name in content.files]
    except (OSError, ValueError, EOFError, KeyError) as error:
        msg = f"{path}: not a readable .npy or .npz file ({error})"
        raise CalibrationError(msg) from error


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
        core = load_board(board or str(network.report["board"])).core
        inputs = verification_inputs(network.graph, _samples(network, calib))
        targets = Targets(core=core, simulate=simulate, sanitize=sanitize)
        proof = verify_everywhere(network.graph, network.program, network.host, inputs, targets)
    return {"name": network.graph.name} | proof_values(proof)


def _samples(network: CompiledNetwork, calib: str | None) -> Batch | None:
    if calib is None:
        return None
    return network.quantized(load_calibration(calib, network.input_shapes))


def profile_folder(folder: Path, board: str | None = None) -> dict[str, Any]:
    """Instructions, model cycles, stack, flash and RAM of a folder's C, as plain values.

    Raises ToolchainError without compiler or simulator of the core.
    """
    report = read_report(folder)
    graph = load_graph(folder / REFERENCE)
    core = load_board(board or str(report["board"])).core
    profile = profile_target(program_of(folder, graph), core)
    layers = [
        {
            "name": node.name,
            "op": node.op.kind,
            "macs": node.op.macs(graph.input_shapes(node), node.shape),
            "instructions": cost.instructions,
            "cycles": cost.cycles,
        }
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
        "stack_bytes": profile.stack_bytes,
        "flash_bytes": profile.flash_bytes,
        "static_ram_bytes": profile.static_ram_bytes,
        "arena_bytes": report["arena_bytes"],
        "layers": layers,
    }
