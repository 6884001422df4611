# SPDX-License-Identifier: Apache-2.0
"""The generated C on this machine under the address and undefined-behaviour sanitizers."""

from __future__ import annotations

import os
import re
import subprocess
import tempfile
from pathlib import Path
from types import TracebackType

import numpy as np
from numpy.typing import NDArray

from mcugen.errors import MismatchError, ToolchainError
from mcugen.simulate.program import (
    TRACE_FLAG,
    Program,
    harness_include,
    harness_sources,
    read_results,
    write_inputs,
)
from mcugen.toolchains import SANITIZE, host_compiler
from mcugen.verify.inputs import Batch

SECONDS = 600
REPORT_LINES = 12


class SanitizedNetwork:
    """A generated folder as a program of its own; a context manager, as its files are temporary.

    It is no library, because the address sanitizer cannot be loaded into a running Python.
    """

    target = "host with sanitizers"

    def __init__(self, program: Program) -> None:
        """Compile the folder. Raises ToolchainError without a compiler that has sanitizers."""
        self.program = program
        self._temporary = tempfile.TemporaryDirectory(prefix="mcugen-")
        self._folder = Path(self._temporary.name)
        self._executable = self._folder / "verify"
        host_compiler().executable(
            [*program.sources, *harness_sources("verify_main.c", "harness_host.c")],
            self._executable,
            include=harness_include(program, self._folder),
            flags=["-O1", TRACE_FLAG, *SANITIZE],
        )

    def __enter__(self) -> SanitizedNetwork:
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
            MismatchError: A sanitizer found an error; with its report.
            ToolchainError: The program did not finish.
        """
        write_inputs(self._folder, inputs)
        self._run()
        return read_results(self._folder, self.program, len(inputs[0]))

    def _run(self) -> None:
        # leaks cannot be looked for where tracing is forbidden, and there is no heap in the network
        environment = os.environ | {"ASAN_OPTIONS": "detect_leaks=0"}
        try:
            done = subprocess.run(
                [str(self._executable)],
                cwd=self._folder,
                env=environment,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                errors="replace",
                timeout=SECONDS,
                check=False,
            )
        except subprocess.TimeoutExpired as error:
            msg = f"{self.target}: the program did not finish within {SECONDS} s"
            raise ToolchainError(msg) from error
        if done.returncode != 0:
            raise MismatchError("\n  ".join([f"{self.target}:", *_report(done.stderr)]))


def _report(text: str) -> list[str]:
    """A sanitizer's first lines, with file names instead of paths."""
    lines = [line for line in text.splitlines() if line.strip(" =")][:REPORT_LINES]
    return [re.sub(r"(?:/[^\s/:]+)+/", "", line) for line in lines] or ["the program crashed"]
