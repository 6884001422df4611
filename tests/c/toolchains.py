# SPDX-License-Identifier: Apache-2.0
"""The compilers that the generated C has to please, and the warnings that they must not give."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

import pytest

from mcugen.boards import core_named
from mcugen.ops.base import Target

Tool = Callable[[str], str]

WARNINGS = (
    "-pedantic",
    "-Wall",
    "-Wextra",
    "-Wconversion",
    "-Wsign-conversion",
    "-Wshadow",
    "-Wcast-qual",
    "-Wcast-align",
    "-Wundef",
    "-Wfloat-conversion",
    "-Wdouble-promotion",
    "-Wvla",
    "-Wwrite-strings",
    "-Werror",
)
C99 = ("-std=c99", *WARNINGS, "-Wstrict-prototypes", "-Wmissing-prototypes")
CXX17 = ("-std=c++17", *WARNINGS)
CXX20 = ("-std=c++20", *WARNINGS, "-Wmissing-declarations")
LEVELS = ("-O0", "-O2", "-O3", "-Os")

CORES = ("cortex-m0plus", "cortex-m3", "cortex-m4", "cortex-m7", "cortex-m33", "cortex-m55")
CROSS: Mapping[str, tuple[str, ...]] = {
    name: (core_named(name).core.gcc, *core_named(name).core.gcc_flags, "-ffreestanding")
    for name in (*CORES, "riscv32imc")
}
"""Command of each core's compiler; freestanding, so that no C library is needed or found."""
COMPILERS: Mapping[str, tuple[str, ...]] = {"gcc": ("gcc",), "clang": ("clang",), **CROSS}


FAST = ("gcc", "clang", "cortex-m0plus", "cortex-m4")
"""Compilers whose tests run at every check; those of the others are slow ones."""


def by_compiler(names: Iterable[str]) -> pytest.MarkDecorator:
    """Parametrizes a test by `compiler`."""
    marks = {name: () if name in FAST else pytest.mark.slow for name in names}
    return pytest.mark.parametrize("compiler", [pytest.param(n, marks=m) for n, m in marks.items()])


def target_of(core: str) -> Target:
    """What kernels are chosen for on a core."""
    return Target(core=core, features=core_named(core).core.features, optimize="speed")


def check_run(command: Sequence[str | Path], cwd: Path) -> str:
    """What a command prints; the assertion shows what it says where it fails."""
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{' '.join(map(str, command))}\n{done.stdout}{done.stderr}"
    return done.stdout
