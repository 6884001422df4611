# SPDX-License-Identifier: Apache-2.0
"""A network with the quantization that training found for it, and its file.

The file is a zip of JSON and npy, as `reference.mcugen` is: no pickle, no code, the same bytes for
the same network. `mcugen build` takes it like any model file and rounds exactly as was trained.
"""

from __future__ import annotations

import math
import os
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from mcugen.errors import ModelError, OutputError
from mcugen.files import replacing
from mcugen.ir import serialize
from mcugen.ir.check import check
from mcugen.ir.graph import Graph, QParams
from mcugen.ir.quantization import Quantization, WeightQuant
from mcugen.ops.base import Op
from mcugen.quantize.widths import WIDTHS


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
    try:
        check(graph, "float", "loading")
        problems = list(_problems(graph, quantization))
    except Exception as error:  # values of the wrong kind can raise anything
        problems = [str(error).partition("\n")[0]]
    if problems:
        shown = "\n".join(f"  {problem}" for problem in problems)
        msg = f"{path} does not hold a sound network; tune it again:\n{shown}"
        raise ModelError(msg)
    return TunedNetwork(graph=graph, quantization=quantization)


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


def _problems(graph: Graph, quantization: Quantization) -> Iterator[str]:
    """Everything that keeps the quantization from being that of the graph."""
    for node in graph.nodes:
        assert isinstance(node.op, Op)
        q = quantization.tensors.get(node.name)
        if q is None:
            yield f"{node.name}: no quantization"
        elif not (0.0 < q.scale < math.inf and _is_known(q)):
            yield f"{node.name}: {q} is no quantization"
        if node.op.weight_arrays is not None:
            chosen = quantization.weights.get(node.name)
            wanted = node.op.weight_arrays[0].shape
            if chosen is None or not _is_sound(chosen, wanted):
                yield f"{node.name}: no integer weights of shape {wanted} with scales and biases"


def _is_known(q: QParams) -> bool:
    """int8 with any zero point, or the whole of int16 with none."""
    if q.bits == 16:
        return q == QParams.int16(q.scale)
    return q.low <= q.zero_point <= q.high


def _is_sound(chosen: WeightQuant, shape: tuple[int, ...]) -> bool:
    limit = 2 ** (chosen.bits - 1) - 1
    return (
        chosen.ints.shape == shape
        and chosen.ints.dtype == np.int8
        and chosen.bits in WIDTHS.values()
        and int(np.abs(chosen.ints.astype(np.int64)).max(initial=0)) <= limit
        and chosen.scales.shape == chosen.bias.shape == shape[:1]
        and bool(np.all((chosen.scales > 0.0) & np.isfinite(chosen.scales)))
        and bool(np.all(np.isfinite(chosen.bias)))
    )
