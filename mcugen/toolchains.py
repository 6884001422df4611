# SPDX-License-Identifier: Apache-2.0
"""C compilers on this machine: which one is used, and how it is called; knows no network."""

from __future__ import annotations

import importlib.util
import os
import shlex
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from mcugen.errors import ToolchainError

HOST_VARIABLE = "MCUGEN_CC"
HOST_COMMANDS = ("cc", "gcc", "clang")
SANITIZE = (
    "-g",
    "-fno-omit-frame-pointer",
    "-fsanitize=address,undefined",
    "-fno-sanitize-recover=all",
)
COMPILE_SECONDS = 600
ERROR_LINES = 12


@dataclass(frozen=True, slots=True, kw_only=True)
class HostCompiler:
    """A C compiler for this machine."""

    command: tuple[str, ...]  # ("gcc",) or (python, "-m", "ziglang", "cc")

    def shared_library(
        self,
        sources: Sequence[Path],
        library: Path,
        *,
        include: Sequence[Path] = (),
        flags: Sequence[str] = (),
    ) -> None:
        """Compile C99 sources to a shared library. Raises ToolchainError where that fails."""
        self._build(["-shared", "-fPIC", *flags], sources, library, include)

    def executable(
        self,
        sources: Sequence[Path],
        program: Path,
        *,
        include: Sequence[Path] = (),
        flags: Sequence[str] = (),
    ) -> None:
        """Compile C99 sources to a program. Raises ToolchainError where that fails."""
        self._build(flags, sources, program, include)

    def _build(
        self, flags: Sequence[str], sources: Sequence[Path], target: Path, include: Sequence[Path]
    ) -> None:
        folders = [f"-I{folder}" for folder in include]
        files = [str(source) for source in sources]
        run_compiler([*self.command, "-std=c99", *flags, *folders, *files, "-o", str(target)])


@cache
def host_compiler() -> HostCompiler:
    """The C compiler for this machine: MCUGEN_CC, cc, gcc, clang, or the ziglang package.

    Raises:
        ToolchainError: None of them is there, or MCUGEN_CC names no command.
    """
    chosen = shlex.split(os.environ.get(HOST_VARIABLE, ""))
    if chosen:
        if shutil.which(chosen[0]) is None:
            msg = f"{HOST_VARIABLE} is {chosen[0]!r}, which is no command on the PATH"
            raise ToolchainError(msg)
        return HostCompiler(command=tuple(chosen))
    for name in HOST_COMMANDS:
        if shutil.which(name) is not None:
            return HostCompiler(command=(name,))
    if has_zig():
        return HostCompiler(command=zig_cc())
    msg = (
        f"no C compiler for this machine: none of {', '.join(HOST_COMMANDS)} is on the PATH; "
        f"install one, or `pip install 'mcugen[sim]'`, or name one in {HOST_VARIABLE}"
    )
    raise ToolchainError(msg)


def has_zig() -> bool:
    """Whether the ziglang package is installed, which brings a C compiler."""
    return importlib.util.find_spec("ziglang") is not None


def zig_cc() -> tuple[str, ...]:
    """The C compiler of the ziglang package, as a command."""
    return (sys.executable, "-m", "ziglang", "cc")


def run_compiler(command: Sequence[str]) -> str:
    """What a compiler or linker prints on success.

    Raises:
        ToolchainError: It fails, cannot be started, or takes too long; with its first errors.
    """
    try:
        done = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=COMPILE_SECONDS,
            check=False,
        )
    except OSError as error:
        msg = f"{command[0]} cannot be started: {error.strerror}"
        raise ToolchainError(msg) from error
    except subprocess.TimeoutExpired as error:
        msg = f"{command[0]} did not finish within {COMPILE_SECONDS} s"
        raise ToolchainError(msg) from error
    if done.returncode != 0:
        lines = [f"{Path(command[0]).name} failed with {done.returncode}:", *_errors(done.stderr)]
        raise ToolchainError("\n  ".join(lines))
    return done.stdout


def _errors(text: str) -> list[str]:
    """The lines from the first error on; all lines where none says so."""
    lines = text.splitlines()
    first = next((i for i, line in enumerate(lines) if "error" in line or "undefined" in line), 0)
    return lines[first : first + ERROR_LINES]
