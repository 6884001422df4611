# SPDX-License-Identifier: Apache-2.0
"""QEMU as simulator of a core: semihosting for files, a plugin for counts."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Sequence
from functools import cache
from pathlib import Path

from mcugen.boards import Core
from mcugen.errors import ToolchainError
from mcugen.simulate.engine import SECONDS, Blocks, Marks, complaint
from mcugen.simulate.program import harness_sources
from mcugen.toolchains import host_compiler

COUNTS = "counts.txt"
OLDEST_PLUGIN_API = 1


class QemuEngine:
    """QEMU on the machine that the core's simulator entry names."""

    def __init__(self, core: Core) -> None:
        """Nothing is started yet."""
        simulator = core.simulator
        self.title = f"QEMU {_version(simulator.qemu)} {simulator.machine}"
        self._command = [simulator.qemu, "-M", simulator.machine, "-display", "none"]
        self._command += ["-monitor", "none", "-serial", "none", "-bios", "none"]
        self._command += ["-semihosting-config", "enable=on,target=native"]

    @staticmethod
    def can_run(core: Core) -> bool:
        """Whether this QEMU is on the PATH."""
        return shutil.which(core.simulator.qemu) is not None

    def run(self, program: Path, seconds: float = SECONDS) -> None:
        """Run to the end; see Engine."""
        self._run(program, [], seconds)

    def count(self, program: Path, marks: Marks, seconds: float = SECONDS) -> list[Blocks]:
        """Run and count by phases; see Engine."""
        plugin = _compile_plugin(program.parent, OLDEST_PLUGIN_API)
        places = [f"mark={step}:{at}" for step, mark in enumerate(marks) for at in sorted(mark)]
        options = ["-plugin", ",".join([str(plugin), f"out={COUNTS}", *places])]
        try:
            self._run(program, options, seconds)
        except ToolchainError as error:
            oldest = re.search(r"minimum version of (\d+)", str(error))
            if oldest is None:
                raise
            _compile_plugin(program.parent, int(oldest[1]))
            self._run(program, options, seconds)
        return _phases((program.parent / COUNTS).read_text(encoding="ascii"))

    def _run(self, program: Path, options: Sequence[str], seconds: float) -> None:
        try:
            done = subprocess.run(
                [*self._command, "-kernel", str(program), *options],
                cwd=program.parent,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                errors="replace",
                timeout=seconds,
                check=False,
            )
        except subprocess.TimeoutExpired as error:
            msg = f"{self.title}: the program did not finish within {seconds:g} s"
            raise ToolchainError(msg) from error
        output = done.stdout + done.stderr
        wrong = complaint(self.title, output)
        if wrong is not None:
            raise wrong
        if done.returncode != 0:
            msg = f"{self.title} ended with {done.returncode}: {output.strip()[:400]}"
            raise ToolchainError(msg)


@cache
def _version(qemu: str) -> str:
    text = subprocess.run([qemu, "--version"], capture_output=True, text=True, check=False).stdout
    found = re.search(r"version (\d+(?:\.\d+)*)", text)
    return found[1] if found else "of unknown version"


def _compile_plugin(folder: Path, api: int) -> Path:
    plugin = folder / "block_count.so"
    flags = ["-O2", f"-DQEMU_PLUGIN_API={api}"]
    host_compiler().shared_library(harness_sources("block_count.c"), plugin, flags=flags)
    return plugin


def _phases(text: str) -> list[Blocks]:
    phases: list[Blocks] = []
    for line in text.splitlines():
        phase, first, last, count = map(int, line.split())
        phases += [Blocks() for _ in range(phase + 1 - len(phases))]
        phases[phase][first, last + 1] += count
    return phases
