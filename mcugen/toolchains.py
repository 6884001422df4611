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

from mcugen.boards import Core
from mcugen.errors import MissingToolError, ToolchainError

HOST_VARIABLE = "MCUGEN_CC"
HOST_COMMANDS = ("cc", "gcc", "clang")
SANITIZE = (
    "-g",
    "-fno-omit-frame-pointer",
    "-fsanitize=address,undefined",
    "-fno-sanitize-recover=all",
)
_LEAN = ("-fomit-frame-pointer", "-fno-unwind-tables", "-fno-asynchronous-unwind-tables")
"""What cross GCCs do by themselves."""
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
        files = [str(source) for source in sources]
        command = [*self.command, "-std=c99", *flags, *_folders(include), *files]
        run_compiler([*command, "-o", str(target)])


@dataclass(frozen=True, slots=True, kw_only=True)
class CrossCompiler:
    """A C compiler for a core, with its machine flags."""

    title: str  # "arm-none-eabi-gcc 12.2.1"
    command: tuple[str, ...]
    link_flags: tuple[str, ...]
    has_libc: bool  # else the program brings memcpy and its like
    objdump: str | None  # disassembler of the same toolchain

    def object(
        self, source: Path, target: Path, *, include: Sequence[Path], flags: Sequence[str]
    ) -> Path:
        """Compile one C file; `target` again. Raises ToolchainError where that fails."""
        sections = ["-ffunction-sections", "-fdata-sections"]
        command = [*self.command, "-O2", *sections, *flags, *_folders(include)]
        run_compiler([*command, "-c", str(source), "-o", str(target)])
        return target

    def link(self, objects: Sequence[Path], program: Path, *, script: Path) -> Path:
        """Link by a linker script; `program` again. Raises ToolchainError where that fails."""
        files = [str(path) for path in objects]
        command = [*self.command, *self.link_flags, "-Wl,--gc-sections", "-T", str(script)]
        run_compiler([*command, *files, "-o", str(program)])
        return program


@cache
def host_compiler() -> HostCompiler:
    """The C compiler for this machine: MCUGEN_CC, cc, gcc, clang, or the ziglang package.

    Raises:
        MissingToolError: None of them is there, or MCUGEN_CC names no command.
    """
    text = os.environ.get(HOST_VARIABLE, "")
    try:
        chosen = shlex.split(text)
    except ValueError as error:  # a quote that is not closed
        msg = f"{HOST_VARIABLE} is {text!r}, which is no command: {error}"
        raise MissingToolError(msg) from error
    if chosen:
        if shutil.which(chosen[0]) is None:
            msg = f"{HOST_VARIABLE} is {chosen[0]!r}, which is no command on the PATH"
            raise MissingToolError(msg)
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
    raise MissingToolError(msg)


@cache
def cross_compiler(core: Core) -> CrossCompiler:
    """The C compiler for a core: its GCC where that is on the PATH, else the ziglang package.

    Raises:
        MissingToolError: Neither is there.
    """
    if shutil.which(core.gcc) is not None:
        return _cross_gcc(core)
    if has_zig():
        return _cross_zig(core)
    msg = f"no C compiler for {core.name}: install {core.gcc}, or `pip install 'mcugen[sim]'`"
    raise MissingToolError(msg)


def _cross_gcc(core: Core) -> CrossCompiler:
    machine = (core.gcc, *core.gcc_flags)
    # GCC prints the bare name of a file that it does not have.
    has_libc = run_compiler([*machine, "-print-file-name=libc.a"]).strip() != "libc.a"
    objdump = core.gcc.removesuffix("gcc") + "objdump"
    return CrossCompiler(
        title=f"{core.gcc} {run_compiler([core.gcc, '-dumpfullversion']).strip()}",
        command=machine if has_libc else (*machine, "-ffreestanding"),
        link_flags=("-nostartfiles",) if has_libc else ("-nostdlib", "-lgcc"),
        has_libc=has_libc,
        objdump=objdump if shutil.which(objdump) is not None else None,
    )


def _cross_zig(core: Core) -> CrossCompiler:
    version = run_compiler([*zig_cc()[:-1], "version"]).strip()
    machine = ("-target", core.zig_target, f"-mcpu={core.zig_cpu}")
    return CrossCompiler(
        title=f"zig cc {version}",
        command=(*zig_cc(), *machine, "-ffreestanding", *_LEAN),
        link_flags=(),
        has_libc=False,
        objdump=None,
    )


def has_zig() -> bool:
    """Whether the ziglang package is installed, which brings a C compiler."""
    return importlib.util.find_spec("ziglang") is not None


def zig_cc() -> tuple[str, ...]:
    """The C compiler of the ziglang package, as a command."""
    return (sys.executable, "-m", "ziglang", "cc")


def _folders(include: Sequence[Path]) -> list[str]:
    return [f"-I{folder}" for folder in include]


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
        name = "zig cc" if "ziglang" in command else Path(command[0]).name
        lines = [f"{name} failed with {done.returncode}:", *_errors(done.stderr)]
        raise ToolchainError("\n  ".join(lines))
    return done.stdout


def _errors(text: str) -> list[str]:
    """The lines from the first error on; all lines where none says so."""
    lines = text.splitlines()
    first = next((i for i, line in enumerate(lines) if "error" in line or "undefined" in line), 0)
    return lines[first : first + ERROR_LINES]
