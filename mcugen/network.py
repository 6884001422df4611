# SPDX-License-Identifier: Apache-2.0
"""A generated folder as a callable: its C, compiled for this machine, on numpy arrays."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mcugen.emit.write import REPORT
from mcugen.errors import CalibrationError, OutputError
from mcugen.ir.graph import Graph, Node, Shape
from mcugen.ir.serialize import load as load_graph
from mcugen.simulate.program import program_of
from mcugen.verify.host import HostNetwork
from mcugen.verify.inputs import Batch, quantize_input

REFERENCE = "reference.mcugen"


def read_report(folder: Path) -> dict[str, Any]:
    """report.json of a generated folder. Raises OutputError where it is missing or damaged."""
    try:
        report = json.loads((folder / REPORT).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        msg = f"{folder} is not a folder that `mcugen build` wrote: {REPORT}: {error}"
        raise OutputError(msg) from error
    wanted = {"name": str, "board": str, "core": str, "arena_bytes": int, "files": list}
    held = report if isinstance(report, dict) else {}
    bad = [key for key, kind in wanted.items() if not isinstance(held.get(key), kind)]
    if bad:
        msg = f"{folder / REPORT} lacks {', '.join(bad)}; build the folder again"
        raise OutputError(msg)
    gone = [str(name) for name in held["files"] if not (folder / str(name)).is_file()]
    if gone:
        msg = f"{folder} lacks {', '.join(gone)}, which `mcugen build` wrote; build it again"
        raise OutputError(msg)
    return held


class CompiledNetwork:
    """`network(x)` runs the generated C; one array in and out for each input and output.

    Float arrays are in the model's own shape and layout, [N, *shape] or one sample [*shape], and
    give float results in the same way. Arrays of the C API's own type, int8 or int16, are in its
    layout, as the header tells it, and give integers as well. Usable as a context manager; closing
    removes the library.
    """

    def __init__(self, folder: str | Path) -> None:
        """Compile the folder.

        Raises OutputError where it is no generated folder, ToolchainError without a compiler.
        """
        self.folder = Path(folder)
        self.report = read_report(self.folder)
        self.graph: Graph = load_graph(self.folder / REFERENCE)
        row_input = bool(self.report.get("row_input"))
        self.program = program_of(self.folder, self.graph, row_input=row_input)
        fast_bytes = int(self.report.get("fast_arena_bytes", 0))
        self.host = HostNetwork(self.program, int(self.report["arena_bytes"]), fast_bytes)

    def __enter__(self) -> CompiledNetwork:
        """The network itself."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Remove the compiled library."""
        self.host.__exit__(kind, error, trace)

    @property
    def input_shapes(self) -> tuple[Shape, ...]:
        """The model's own shape of each input, per sample."""
        return tuple(
            _model_shape(self.graph.by_name[name].shape, layout)
            for name, layout in zip(self.graph.inputs, self.graph.input_layouts, strict=True)
        )

    def __call__(
        self, *inputs: NDArray[np.generic]
    ) -> NDArray[np.generic] | tuple[NDArray[np.generic], ...]:
        """Run on float arrays or the C API's own; a tuple where the network has several outputs.

        Raises CalibrationError where number, shape or dtype of the arrays do not fit.
        """
        if len(inputs) != len(self.graph.inputs):
            msg = f"the network takes {len(self.graph.inputs)} inputs, got {len(inputs)}"
            raise CalibrationError(msg)
        arrays = [np.asarray(x) for x in inputs]
        nodes = [self.graph.by_name[name] for name in self.graph.inputs]
        kinds = [node.quantized.dtype for node in nodes]
        quantized = all(x.dtype == kind for x, kind in zip(arrays, kinds, strict=True))
        batches = [self._batch(k, x, quantized) for k, x in enumerate(arrays)]
        if len({(len(x), single) for x, single in batches}) != 1:
            msg = "the inputs hold different numbers of samples"
            raise CalibrationError(msg)
        outputs = self.host.run(tuple(x for x, _ in batches))
        results = [self._result(k, y, quantized, batches[0][1]) for k, y in enumerate(outputs)]
        return results[0] if len(results) == 1 else tuple(results)

    def _batch(
        self, k: int, x: NDArray[np.generic], quantized: bool
    ) -> tuple[NDArray[np.signedinteger[Any]], bool]:
        """Input k as integers [N, *stored shape], and whether it was a single sample."""
        node = self.graph.by_name[self.graph.inputs[k]]
        shape = node.shape if quantized else self.input_shapes[k]
        single = x.shape == shape
        if not single and x.shape[1:] != shape:
            kind = (
                f"{node.quantized.dtype}, as in the header,"
                if quantized
                else "the model's own, float,"
            )
            msg = f"input {k} has shape {list(x.shape)}; expected {kind} [N, {_listed(shape)}]"
            raise CalibrationError(msg)
        batch = x[None] if single else x
        if quantized:
            return batch.astype(node.quantized.dtype), single
        if x.dtype.kind not in "fiub" or not np.all(np.isfinite(batch)):
            msg = f"input {k} must hold finite real numbers, got dtype {x.dtype}"
            raise CalibrationError(msg)
        return self._quantized(k, batch), single

    def quantized(self, samples: Sequence[NDArray[np.generic]]) -> Batch:
        """Real samples [N, *shape] in the model's own layout as the C API takes them."""
        return tuple(self._quantized(k, x) for k, x in enumerate(samples))

    def _quantized(self, k: int, batch: NDArray[np.generic]) -> NDArray[np.signedinteger[Any]]:
        node = self.graph.by_name[self.graph.inputs[k]]
        axes = (axis + 1 for axis in self.graph.input_layouts[k])
        return quantize_input(batch.transpose(0, *axes).astype(np.float32), node.quantized)

    def _result(
        self, k: int, y: NDArray[np.signedinteger[Any]], quantized: bool, single: bool
    ) -> NDArray[np.generic]:
        node = self.graph.by_name[self.graph.outputs[k]]
        stored = y.reshape(len(y), *node.shape)
        result = stored if quantized else _dequantized(node, stored, self.graph.output_layouts[k])
        return result[0] if single else result


def _dequantized(
    node: Node, stored: NDArray[np.signedinteger[Any]], layout: Sequence[int]
) -> NDArray[np.float32]:
    steps = stored.astype(np.float64) - node.quantized.zero_point
    real = (steps * node.quantized.scale).astype(np.float32)
    return real.transpose(0, *(layout.index(axis) + 1 for axis in range(len(layout))))


def _model_shape(stored: Shape, layout: Sequence[int]) -> Shape:
    return tuple(stored[list(layout).index(axis)] for axis in range(len(layout)))


def _listed(shape: Shape) -> str:
    return ", ".join(map(str, shape))
