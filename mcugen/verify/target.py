# SPDX-License-Identifier: Apache-2.0
"""The generated C on a simulated core, as compiled for it."""

from __future__ import annotations

import tempfile
from pathlib import Path
from types import TracebackType

import numpy as np
from numpy.typing import NDArray

from mcugen.boards import Core
from mcugen.simulate.engine import SECONDS, engine_for
from mcugen.simulate.firmware import compile_firmware
from mcugen.simulate.program import TRACE_FLAG, Program, read_results, write_inputs
from mcugen.verify.inputs import Batch


class TargetNetwork:
    """A generated folder, compiled for a core; a context manager, as its files are temporary."""

    def __init__(self, program: Program, core: Core, seconds: float = SECONDS) -> None:
        """Compile the folder. `seconds` is the longest that one batch of inputs may take.

        Raises:
            MissingToolError: No compiler or no simulator for the core.
            ToolchainError: The code does not compile.
        """
        self.program, self._seconds = program, seconds
        self._engine = engine_for(core)
        self._temporary = tempfile.TemporaryDirectory(prefix="mcugen-")
        self._folder = Path(self._temporary.name)
        firmware = compile_firmware(program, core, ("verify_main.c",), self._folder, [TRACE_FLAG])
        self._elf = firmware.link()[0]
        self.engine, self.compiler = self._engine.title, firmware.compiler.title
        self.target = f"{core.name} ({self.engine}, {self.compiler})"

    def __enter__(self) -> TargetNetwork:
        """The network itself."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Remove the program."""
        self._temporary.cleanup()

    def trace(self, inputs: Batch) -> tuple[NDArray[np.int8], Batch]:
        """All layers' tensors one after the other, [N, bytes], and the outputs [N, len].

        Raises:
            MismatchError: The program stopped with a fault, or wrote beyond its arena.
            ToolchainError: The simulator failed, or took too long.
        """
        write_inputs(self._folder, inputs)
        self._engine.run(self._elf, self._seconds)
        return read_results(self._folder, self.program, len(inputs[0]))
