# SPDX-License-Identifier: Apache-2.0
"""The generated C on this machine: compiled to a shared library and called through cffi."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

import cffi
import numpy as np
from numpy.typing import NDArray

from mcugen.errors import ToolchainError
from mcugen.resources import data_dir
from mcugen.simulate.program import TRACE_FLAG, Program
from mcugen.toolchains import host_compiler
from mcugen.verify.inputs import Batch, as_bytes

ALIGNMENT = 16


class HostNetwork:
    """A generated folder, compiled; a context manager, because the library is a temporary file."""

    target = "host"

    def __init__(self, program: Program, arena_bytes: int, fast_bytes: int = 0) -> None:
        """Compile the folder, whose API takes one block of RAM or two.

        Raises ToolchainError where no compiler is found or the code does not compile.
        """
        self.program = program
        self._sizes = [size for size in (arena_bytes, fast_bytes) if size]
        self._temporary = tempfile.TemporaryDirectory(prefix="mcugen-")
        library = Path(self._temporary.name) / f"{program.name}.so"
        host_compiler().shared_library(
            [*program.sources, data_dir("runtime_c") / "host_trace.c"],
            library,
            include=[program.folder],
            flags=["-O2", TRACE_FLAG],
        )
        self._ffi = cffi.FFI()
        self._ffi.cdef(self._declarations())
        try:
            self._lib: Any = self._ffi.dlopen(str(library))
        except OSError as error:
            msg = f"the compiled network cannot be loaded: {error}"
            raise ToolchainError(msg) from error

    def __enter__(self) -> HostNetwork:
        """The network itself."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close and remove the library."""
        self._ffi.dlclose(self._lib)
        self._temporary.cleanup()

    def _declarations(self) -> str:
        program, blocks = self.program, ", ".join("void *" for _ in self._sizes)
        inputs = () if program.rows else zip(program.inputs, program.input_types, strict=True)
        outputs = zip(program.outputs, program.output_types, strict=True)
        row = program.input_types[0]
        push = f"int {program.name}_push_row({blocks}, const {row}_t *, uint32_t);"
        return "\n".join(
            [
                *(
                    f"{kind}_t *{function}({blocks});"
                    for (function, _), kind in (*inputs, *outputs)
                ),
                push if program.rows else f"int {program.name}_invoke({blocks});",
                "void mcugen_trace_into(unsigned char *, uint32_t *, const uint32_t *);",
            ]
        )

    def run(self, inputs: Batch) -> Batch:
        """Inputs [N, *shape] to outputs [N, len], int8 or int16 as the C API has them."""
        return self._run(inputs, self._trace_buffer(1), keep=False)[1]

    def trace(self, inputs: Batch) -> tuple[NDArray[np.int8], Batch]:
        """All layers' tensors one after the other, [N, bytes], and the outputs [N, len]."""
        return self._run(inputs, self._trace_buffer(len(inputs[0])), keep=True)

    def _trace_buffer(self, samples: int) -> NDArray[np.int8]:
        return np.zeros((samples, self.program.trace_bytes), np.int8)

    def _run(
        self, inputs: Batch, traces: NDArray[np.int8], *, keep: bool
    ) -> tuple[NDArray[np.int8], Batch]:
        samples = len(inputs[0])
        arenas = [_rubbish(size) for size in self._sizes]
        flat = [as_bytes(x) for x in inputs]
        outputs = [np.empty((samples, n), np.int8) for n in self.program.output_bytes]
        ends = np.cumsum(self.program.layer_bytes, dtype=np.uint32)
        for i in range(samples):
            # what was not traced stays 0 and is found by the comparison
            next_places = (ends - self.program.layer_bytes).astype(np.uint32)
            self._lib.mcugen_trace_into(
                self._pointer(traces[i if keep else 0]),
                self._words(next_places),
                self._words(ends),
            )
            self._call(arenas, [x[i] for x in flat], [y[i] for y in outputs])
        types = self.program.output_types
        return traces, tuple(y.view(kind) for y, kind in zip(outputs, types, strict=True))

    def _pointer(self, array: NDArray[Any]) -> Any:
        return self._ffi.from_buffer("unsigned char *", array.view(np.uint8))

    def _words(self, array: NDArray[np.uint32]) -> Any:
        return self._ffi.from_buffer("uint32_t *", array)

    def _call(
        self,
        arenas: Sequence[Any],
        inputs: Sequence[NDArray[np.int8]],
        outputs: Sequence[NDArray[np.int8]],
    ) -> None:
        bases = [self._ffi.from_buffer(arena) for arena in arenas]
        if self.program.rows:
            self._push_rows(bases, inputs[0].reshape(self.program.rows, -1))
        else:
            self._invoke(bases, inputs)
        for (function, _), y in zip(self.program.outputs, outputs, strict=True):
            source = getattr(self._lib, function)(*bases)
            y[:] = np.frombuffer(self._ffi.buffer(source, y.size), np.int8)

    def _invoke(self, bases: Sequence[Any], inputs: Sequence[NDArray[np.int8]]) -> None:
        for (function, _), x in zip(self.program.inputs, inputs, strict=True):
            self._ffi.memmove(getattr(self._lib, function)(*bases), x.tobytes(), x.size)
        code = getattr(self._lib, f"{self.program.name}_invoke")(*bases)
        if code != 0:
            msg = f"{self.program.name}_invoke returned {code}"
            raise ToolchainError(msg)

    def _push_rows(self, bases: Sequence[Any], rows: NDArray[np.int8]) -> None:
        push = getattr(self._lib, f"{self.program.name}_push_row")
        kind = f"{self.program.input_types[0]}_t *"
        pointers = [self._ffi.from_buffer(kind, row) for row in rows]
        codes = [push(*bases, pointer, y) for y, pointer in enumerate(pointers)]
        if codes != [0] * (len(rows) - 1) + [1]:
            msg = f"{self.program.name}_push_row returned {codes}"
            raise ToolchainError(msg)


def _rubbish(size: int) -> Any:
    """Exactly the promised bytes, aligned, with rubbish in them."""
    whole = np.full(size + ALIGNMENT, 0x5A, np.uint8)
    start = -whole.ctypes.data % ALIGNMENT
    return whole[start : start + size]
