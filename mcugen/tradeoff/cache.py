# SPDX-License-Identifier: Apache-2.0
"""Losses that were measured, in a file: an interrupted search goes on where it was."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mcugen.files import replacing
from mcugen.ir.graph import Graph
from mcugen.ir.text import to_text
from mcugen.ops.base import Op
from mcugen.tradeoff.options import Form

SAVE_EVERY = 16  # losses; the rest is measured again after an interruption


class Losses:
    """The loss of each layer in each form, for one network, data and way to measure."""

    def __init__(self, key: str, path: Path | None = None) -> None:
        """Begin with what the file holds under the key; other keys keep theirs."""
        self.key, self.path = key, path
        self._unsaved = 0
        self._held = _read(path)
        mine = self._held.setdefault(key, {})
        self.found: dict[str, dict[str, float]] = mine
        self.known = sum(map(len, self.found.values()))  # from before

    def get(self, layer: str, form: Form) -> float | None:
        """None where it is not known yet."""
        return self.found.get(layer, {}).get(form.text())

    def put(self, layer: str, form: Form, loss: float) -> None:
        """Remember one, and now and then write the file."""
        self.found.setdefault(layer, {})[form.text()] = loss
        self._unsaved += 1
        if self._unsaved >= SAVE_EVERY:
            self.save()

    def save(self) -> None:
        """Write the file whole, if there is one."""
        self._unsaved = 0
        if self.path is not None:
            with replacing(self.path) as temporary:
                temporary.write_text(json.dumps(self._held, indent=1) + "\n", encoding="utf-8")


def _read(path: Path | None) -> dict[str, dict[str, dict[str, float]]]:
    """Losses by key, layer and form; nothing where the file is none of ours, which costs time."""
    try:
        held = json.loads(path.read_text("utf-8")) if path is not None and path.exists() else {}
        return {
            str(key): {
                str(n): {str(f): float(x) for f, x in each.items()} for n, each in by.items()
            }
            for key, by in held.items()
        }
    except (ValueError, TypeError, AttributeError):
        return {}


def digest(graph: Graph, samples: Sequence[NDArray[np.float32]], texts: Iterable[str]) -> str:
    """Of everything that losses depend on."""
    made = hashlib.sha256(to_text(graph).encode())
    arrays = [a for node in graph.nodes for a in _arrays(node.op)]
    for array in (*arrays, *samples):
        made.update(str(array.shape).encode() + np.ascontiguousarray(array).tobytes())
    for text in texts:
        made.update(f"|{text}".encode())
    return made.hexdigest()[:24]


def _arrays(op: object) -> Sequence[NDArray[Any]]:
    arrays = op.weight_arrays if isinstance(op, Op) else None
    return () if arrays is None else arrays
