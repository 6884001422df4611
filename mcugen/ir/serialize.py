# SPDX-License-Identifier: Apache-2.0
"""Graphs as files and back: JSON and npy in a zip, no pickle, always the same bytes."""

from __future__ import annotations

import io
import json
import sys
import zipfile
import zlib
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any

import numpy as np

from mcugen import ops
from mcugen.errors import ModelError
from mcugen.files import MAX_BYTES
from mcugen.fixed_point import Affine, Requantize
from mcugen.ir.graph import Graph, Node, Origin, QParams
from mcugen.ir.quantization import Quantization, WeightQuant

FORMAT = 1
REFERENCE = "graph.json"  # an integer graph
TUNED = "tuned.json"  # a float graph with its quantization

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
    """Write an integer graph to `path`."""
    _write(path, REFERENCE, {"graph": graph})


def load(path: Path) -> Graph:
    """Read a graph back. Raises ModelError where it is missing, damaged or of another version."""
    graph = _read(path, REFERENCE, "build the folder again")["graph"]
    if not isinstance(graph, Graph):
        msg = f"{path}: does not hold a graph; build the folder again"
        raise ModelError(msg)
    return graph


def save_tuned(graph: Graph, quantization: Quantization, path: Path) -> None:
    """Write a float graph and how it is rounded to `path`."""
    _write(path, TUNED, {"graph": graph, "quantization": quantization})


def load_tuned(path: Path) -> tuple[Graph, Quantization]:
    """Read both back. Raises ModelError as `load` does."""
    values = _read(path, TUNED, "tune the network again")
    graph, quantization = values.get("graph"), values.get("quantization")
    if not isinstance(graph, Graph) or not isinstance(quantization, Quantization):
        msg = f"{path}: does not hold a graph and its quantization; tune the network again"
        raise ModelError(msg)
    return graph, quantization


def _write(path: Path, member: str, values: Mapping[str, object]) -> None:
    arrays: list[np.ndarray[Any, Any]] = []
    content = {name: _encode(value, arrays) for name, value in values.items()}
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        # ZipInfo without a date means 1980: no trace of when the file was written
        text = json.dumps({"format": FORMAT, **content}, indent=1)
        archive.writestr(zipfile.ZipInfo(member), text, zipfile.ZIP_DEFLATED)
        for k, array in enumerate(arrays):
            stream = io.BytesIO()
            np.lib.format.write_array(stream, array, allow_pickle=False)
            info = zipfile.ZipInfo(f"{k}.npy")
            archive.writestr(info, stream.getvalue(), zipfile.ZIP_DEFLATED)


def _read(path: Path, member: str, remedy: str) -> dict[str, Any]:
    try:
        with zipfile.ZipFile(path) as archive:
            if sum(info.file_size for info in archive.infolist()) > MAX_BYTES:
                msg = f"it unpacks to more than {MAX_BYTES:,} bytes"
                raise ValueError(msg)
            content = json.loads(archive.read(member))
            found = content.pop("format")
            if found != FORMAT:
                msg = f"{path}: format {found}, expected {FORMAT}; {remedy}"
                raise ModelError(msg)
            classes = _classes()
            return {name: _decode(tree, archive, classes) for name, tree in content.items()}
    except DAMAGE as error:
        msg = f"{path}: not readable ({error}); {remedy}"
        raise ModelError(msg) from error


def _classes() -> dict[str, type]:
    """All that a file may hold, by name: the graph's own, and what operators are made of."""
    known: list[type] = [
        Graph,
        Node,
        Origin,
        QParams,
        Requantize,
        Affine,
        Quantization,
        WeightQuant,
    ]
    for name, module in list(sys.modules.items()):
        if name.startswith(f"{ops.__name__}."):
            held = vars(module).values()
            known += [cls for cls in held if isinstance(cls, type) and is_dataclass(cls)]
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
    if isinstance(value, Mapping):
        return {"map": [[str(key), _encode(item, arrays)] for key, item in value.items()]}
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
    if "map" in tree:
        return {str(key): _decode(value, archive, classes) for key, value in tree["map"]}
    content = {k: _decode(v, archive, classes) for k, v in tree.items() if k != "class"}
    return classes[tree["class"]](**content)
