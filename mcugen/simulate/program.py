# SPDX-License-Identifier: Apache-2.0
"""A generated folder as test programs run it, and the files they exchange with Python."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mcugen.emit.render import environment
from mcugen.errors import ToolchainError
from mcugen.ir.graph import Graph
from mcugen.resources import data_dir
from mcugen.verify.inputs import Batch, as_bytes

INPUTS = "inputs.bin"
RESULTS = "results.bin"
TRACE_FLAG = "-DMCUGEN_TRACE"
_END = 2**32 - 1  # in place of a layer: its sample's trace is complete


@dataclass(frozen=True, slots=True, kw_only=True)
class Program:
    """A generated folder and the sizes that its C API and its trace hook promise."""

    folder: Path
    name: str
    input_bytes: tuple[int, ...]  # of each input
    output_bytes: tuple[int, ...]
    layer_bytes: tuple[int, ...]  # of each traced tensor, in execution order
    input_bits: tuple[int, ...] = ()  # of an integer of each input; all 8 where nothing is said
    output_bits: tuple[int, ...] = ()
    rows: int | None = None  # of the input, where the C takes it row by row

    @property
    def trace_bytes(self) -> int:
        """All layers' tensors of one inference."""
        return sum(self.layer_bytes)

    @property
    def inputs(self) -> tuple[tuple[str, int], ...]:
        """Each input's function of the C API, and its bytes."""
        return _functions(self.name, "input", self.input_bytes)

    @property
    def outputs(self) -> tuple[tuple[str, int], ...]:
        """Each output's function of the C API, and its bytes."""
        return _functions(self.name, "output", self.output_bytes)

    @property
    def input_types(self) -> tuple[str, ...]:
        """The integers of each input, "int8" or "int16"."""
        return _types(self.input_bits, len(self.input_bytes))

    @property
    def output_types(self) -> tuple[str, ...]:
        """The integers of each output, "int8" or "int16"."""
        return _types(self.output_bits, len(self.output_bytes))

    @property
    def sources(self) -> list[Path]:
        """The C files to compile."""
        return sorted(self.folder.glob("*.c"))


def program_of(folder: Path, graph: Graph, *, row_input: bool = False) -> Program:
    """The generated folder of an integer graph; with `row_input`, its C takes the input in rows."""

    def sizes(names: Sequence[str]) -> tuple[int, ...]:
        return tuple(graph.by_name[name].size_bytes for name in names)

    def bits(names: Sequence[str]) -> tuple[int, ...]:
        return tuple(graph.by_name[name].quantized.bits for name in names)

    return Program(
        folder=folder,
        name=graph.name,
        input_bytes=sizes(graph.inputs),
        output_bytes=sizes(graph.outputs),
        layer_bytes=sizes([node.name for node in graph.layers]),
        input_bits=bits(graph.inputs),
        output_bits=bits(graph.outputs),
        rows=graph.by_name[graph.inputs[0]].shape[0] if row_input else None,
    )


def harness_sources(*names: str) -> list[Path]:
    """C files of the test programs, by name."""
    return [data_dir("runtime_c") / "firmware" / name for name in names]


def harness_include(program: Program, folder: Path) -> list[Path]:
    """Include folders of the test programs; writes mcugen_network.h, which names the functions."""
    template = environment().get_template("firmware/mcugen_network.h.j2")
    (folder / "mcugen_network.h").write_text(template.render(program=program), encoding="utf-8")
    return [folder, program.folder, data_dir("runtime_c") / "firmware"]


def _functions(name: str, role: str, sizes: Sequence[int]) -> tuple[tuple[str, int], ...]:
    numbers = [str(k) for k in range(len(sizes))] if len(sizes) > 1 else [""]
    return tuple((f"{name}_{role}{k}", n) for k, n in zip(numbers, sizes, strict=True))


def _types(bits: Sequence[int], count: int) -> tuple[str, ...]:
    return tuple(f"int{width}" for width in bits or (8,) * count)


def write_inputs(folder: Path, inputs: Batch) -> None:
    """The file of inputs: sample after sample, each its inputs one after the other."""
    rows = np.concatenate([as_bytes(x) for x in inputs], axis=1)
    (folder / INPUTS).write_bytes(np.ascontiguousarray(rows).tobytes())


def read_results(folder: Path, program: Program, samples: int) -> tuple[NDArray[np.int8], Batch]:
    """All layers' tensors one after the other, as bytes [N, bytes], and the outputs [N, len].

    What was not traced is 0. Raises ToolchainError where the file is shorter or longer than the
    sizes promise.
    """
    path = folder / RESULTS
    data = path.read_bytes() if path.exists() else b""
    traces = np.zeros((samples, program.trace_bytes), np.int8)
    outputs = tuple(np.zeros((samples, n), np.int8) for n in program.output_bytes)
    place = 0
    for sample in range(samples):
        place = _read_trace(data, place, program, traces[sample])
        for output in outputs:
            output[sample] = _values(data, place, output.shape[1])
            place += output.shape[1]
    if place != len(data):
        msg = f"the test program wrote {len(data)} bytes, expected {place}"
        raise ToolchainError(msg)
    types = program.output_types
    return traces, tuple(y.view(kind) for y, kind in zip(outputs, types, strict=True))


def _read_trace(data: bytes, place: int, program: Program, trace: NDArray[np.int8]) -> int:
    """Put one sample's pieces of tensors where they belong; the place behind them."""
    ends = np.cumsum(program.layer_bytes)
    filled = ends - program.layer_bytes
    while True:
        layer, size = (int(word) for word in _values(data, place, 8).view("<u4"))
        place += 8
        if layer == _END:
            return place
        if layer >= len(ends):
            msg = f"the test program traced layer {layer} of {len(ends)}"
            raise ToolchainError(msg)
        # layers that are computed together may go on beyond their tensor
        taken = min(size, int(ends[layer] - filled[layer]))
        trace[filled[layer] : filled[layer] + taken] = _values(data, place, size)[:taken]
        filled[layer] += taken
        place += size


def _values(data: bytes, place: int, size: int) -> NDArray[np.int8]:
    if place + size > len(data):
        msg = f"the test program wrote {len(data)} bytes, expected {place + size} at least"
        raise ToolchainError(msg)
    return np.frombuffer(data, np.int8, size, place)
