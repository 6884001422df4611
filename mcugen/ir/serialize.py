# SPDX-License-Identifier: Apache-2.0
"""An integer graph as a file and back: JSON and npy in a zip, no pickle, always the same bytes."""

from __future__ import annotations

import io
import json
import zipfile
import zlib
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any

import numpy as np

from mcugen.errors import ModelError
from mcugen.fixed_point import Affine, Requantize
from mcugen.ir.graph import Graph, Node, Origin, QParams
from mcugen.ops import AxisWindows, Window
from mcugen.ops.base import IntOp

FORMAT = 1

# what zipfile, zlib, json, numpy and the dataclasses raise for damaged files
DAMAGE = (
    OSError,
    ValueError,
    LookupError,
    TypeError,
    AttributeError,
    EOFError,
    RuntimeError,
    OverflowError,
    zlib.error,
    zipfile.BadZipFile,
)


def save(graph: Graph, path: Path) -> None:
    """Write the graph to `path`."""
    arrays: list[np.ndarray[Any, Any]] = []
    tree = _encode(graph, arrays)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        # ZipInfo without a date means 1980: no trace of when the file was written
        text = json.dumps({"format": FORMAT, "graph": tree}, indent=1)
        archive.writestr(zipfile.ZipInfo("graph.json"), text, zipfile.ZIP_DEFLATED)
        for k, array in enumerate(arrays):
            stream = io.BytesIO()
            np.lib.format.write_array(stream, array, allow_pickle=False)
            info = zipfile.ZipInfo(f"{k}.npy")
            archive.writestr(info, stream.getvalue(), zipfile.ZIP_DEFLATED)


def load(path: Path) -> Graph:
    """Read a graph back. Raises ModelError where it is missing, damaged or of another version."""
    try:
        with zipfile.ZipFile(path) as archive:
            content = json.loads(archive.read("graph.json"))
            if content["format"] != FORMAT:
                msg = f"{path}: format {content['format']}, expected {FORMAT}; build it again"
                raise ModelError(msg)
            graph = _decode(content["graph"], archive, _classes())
    except DAMAGE as error:
        msg = f"{path}: not a readable reference ({error}); build the folder again"
        raise ModelError(msg) from error
    if not isinstance(graph, Graph):
        msg = f"{path}: does not hold a graph; build the folder again"
        raise ModelError(msg)
    return graph


def _classes() -> dict[str, type]:
    known: list[type] = [Graph, Node, Origin, QParams, Requantize, Affine, Window, AxisWindows]
    queue: list[type] = [IntOp]
    while queue:
        found: list[type] = queue.pop().__subclasses__()
        known.extend(found)
        queue.extend(found)
    return {cls.__name__: cls for cls in known}


def _encode(value: Any, arrays: list[np.ndarray[Any, Any]]) -> Any:
    if is_dataclass(value):
        content = {f.name: _encode(getattr(value, f.name), arrays) for f in fields(value)}
        return {"class": type(value).__name__, **content}
    if isinstance(value, np.ndarray):
        arrays.append(np.ascontiguousarray(value))
        return {"array": len(arrays) - 1}
    if isinstance(value, (tuple, list)):
        return [_encode(item, arrays) for item in value]
    if isinstance(value, np.generic):
        return value.item()
    return value


def _decode(tree: Any, archive: zipfile.ZipFile, classes: dict[str, type]) -> Any:
    if isinstance(tree, list):
        return tuple(_decode(item, archive, classes) for item in tree)
    if not isinstance(tree, dict):
        return tree
    if "array" in tree:
        stream = io.BytesIO(archive.read(f"{int(tree['array'])}.npy"))
        return np.lib.format.read_array(stream, allow_pickle=False)
    content = {k: _decode(v, archive, classes) for k, v in tree.items() if k != "class"}
    return classes[tree["class"]](**content)
