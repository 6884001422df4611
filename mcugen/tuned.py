# SPDX-License-Identifier: Apache-2.0
"""A network with the quantization that training found for it, and its file.

The file is a zip of JSON and npy, as `reference.mcugen` is: no pickle, no code, the same bytes for
the same network. `mcugen build` takes it like any model file and rounds exactly as was trained.
"""

from __future__ import annotations

import os
import zipfile
from dataclasses import dataclass
from pathlib import Path

from mcugen.errors import ModelError, OutputError
from mcugen.files import replacing
from mcugen.ir import serialize
from mcugen.ir.check import check
from mcugen.ir.graph import Graph
from mcugen.ir.quantization import Quantization

SUFFIX = ".mcugen"


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class TunedNetwork:
    """A float graph after the exact passes, trained, and how it is rounded."""

    graph: Graph
    quantization: Quantization

    def save(self, path: str | Path) -> None:
        """Write the file in one step. Raises OutputError where that is not possible."""
        path = Path(path)
        check_writable(path)
        try:
            with replacing(path) as temporary:
                serialize.save_tuned(self.graph, self.quantization, temporary)
        except OSError as error:
            msg = f"{path} cannot be written: {error.strerror or error}; nothing was changed"
            raise OutputError(msg) from error


def load_tuned(path: Path) -> TunedNetwork:
    """Read a file back. Raises ModelError where it is damaged or of another version."""
    graph, quantization = serialize.load_tuned(path)
    _check_complete(path, graph, quantization)
    return TunedNetwork(graph=check(graph, "float", "loading"), quantization=quantization)


def is_tuned(path: Path) -> bool:
    """Whether a file is one of these, by its content."""
    if not path.is_file() or not zipfile.is_zipfile(path):
        return False
    try:
        with zipfile.ZipFile(path) as archive:
            return serialize.TUNED in archive.namelist()
    except (OSError, zipfile.BadZipFile):
        return False


def check_writable(path: Path) -> None:
    """Raise OutputError unless `path` is free, or one of these files, in a folder that can be."""
    if path.is_dir():
        msg = f"{path} is a folder; pass the name of a file"
        raise OutputError(msg)
    if path.exists() and not is_tuned(path):
        msg = f"{path} exists and mcugen did not write it; nothing was changed: choose another one"
        raise OutputError(msg)
    if path.parent.exists() and not os.access(path.parent, os.W_OK):
        msg = f"{path} cannot be written: the folder is read-only"
        raise OutputError(msg)


def _check_complete(path: Path, graph: Graph, quantization: Quantization) -> None:
    """Raise ModelError where a tensor or a weight has no quantization."""
    weighted = {n.name for n in graph.nodes if getattr(n.op, "weight_arrays", None) is not None}
    missing = {node.name for node in graph.nodes} - set(quantization.tensors)
    missing |= weighted - set(quantization.weights)
    if missing:
        msg = f"{path}: no quantization for {', '.join(sorted(missing))}; tune the network again"
        raise ModelError(msg)
