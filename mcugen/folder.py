# SPDX-License-Identifier: Apache-2.0
"""What can be done with a generated folder: verify it again, run it, profile it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mcugen.errors import CalibrationError
from mcugen.network import CompiledNetwork


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
