# SPDX-License-Identifier: Apache-2.0
"""What the compiled objects hold: no variables, no float, nothing of a C library but memcpy."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest

from mcugen.simulate.elf import read_elf
from tests.c.networks import Folder, write_both
from tests.c.toolchains import CROSS, FAST, Tool, check_run, target_of

PUBLIC = re.compile(r"(picture|rows)_(run|invoke|(input|output)[0-9]?)")
# what a freestanding compiler may call by itself, and libgcc's integer arithmetic
HELPERS = re.compile(
    r"mem(cpy|set|move)"
    r"|__aeabi_(mem(cpy|set|move|clr)[48]?|lmul|u?ldivmod|u?idiv(mod)?|llsl|llsr|lasr)"
    r"|__(ashl|ashr|lshr|mul|div|udiv)di3"
    r"|__gnu_thumb1_case_\w+"
)
# vadd.f32 and vcvt.s32.f32, but not vadd.i32, which is an integer vector; fadd.s on RISC-V
FLOAT = re.compile(r"\tv\w+(\.\w+)*\.f(16|32|64)\b|\tf[a-z]+\.[sd]\b")


@dataclass(frozen=True, slots=True, kw_only=True)
class Objects:
    """Both networks, compiled for a core."""

    files: tuple[Path, ...]
    prefix: str  # of the toolchain's programs: "arm-none-eabi-"

    def ask(self, program: str, *flags: str) -> list[str]:
        """The lines that nm or objdump prints about the objects."""
        return check_run([self.prefix + program, *flags, *self.files], Path.cwd()).splitlines()


CASES = [
    pytest.param((core, level), marks=() if core in FAST else pytest.mark.slow, id=core + level)
    for core in CROSS
    for level in ("-O3", "-Os")
]


@pytest.fixture(scope="module")
def tailored(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Folder]:
    """The networks with the kernels of a core, by its name."""

    @cache
    def made(core: str) -> Folder:
        return write_both(tmp_path_factory.mktemp(core), target_of(core))

    return made


@pytest.fixture(scope="module", params=CASES)
def objects(
    request: pytest.FixtureRequest,
    tailored: Callable[[str], Folder],
    tool: Tool,
    tmp_path_factory: pytest.TempPathFactory,
) -> Objects:
    """Compiled once for each core and level."""
    core, level = request.param
    command, *flags = CROSS[core]
    compiler = tool(command)
    folder = tailored(core)
    path = tmp_path_factory.mktemp("objects")
    sources = [folder.path / name for name in folder.sources]
    check_run([compiler, *flags, "-std=c99", level, "-c", *sources], path)
    files = tuple(sorted(path.glob("*.o")))
    assert len(files) == 2
    return Objects(files=files, prefix=command.removesuffix("gcc"))


def test_there_are_no_variables(objects: Objects) -> None:
    for path in objects.files:
        elf = read_elf(path)
        assert elf.ram_bytes == 0
        assert elf.flash_bytes > 1000


def test_only_the_api_is_visible(objects: Objects) -> None:
    names = {line.split()[-1] for line in objects.ask("nm", "--defined-only", "-g") if " " in line}
    assert [name for name in names if not PUBLIC.fullmatch(name)] == []
    assert {"picture_run", "picture_input1", "picture_output0", "rows_input"} <= names


def test_nothing_is_called_but_the_compilers_helpers(objects: Objects) -> None:
    names = {line.split()[-1] for line in objects.ask("nm", "-u") if " U " in line}
    assert [name for name in names if not HELPERS.fullmatch(name)] == []


def test_no_instruction_computes_in_float(objects: Objects) -> None:
    listing = objects.ask("objdump", "-d")
    assert len(listing) > 1000
    assert [line for line in listing if FLOAT.search(line)] == []


@pytest.mark.parametrize(
    ("line", "is_float"),
    [
        ("  4a:\tee30 0a20 \tvadd.f32\ts0, s0, s1", True),
        ("  4a:\teeb8 0ac0 \tvcvt.f32.s32\ts0, s0", True),
        ("  4a:\tef22 4844 \tvadd.i32\tq2, q1, q2", False),
        ("  4a:\tec51 0b10 \tvmov\tr0, r1, d0", False),
        ("  4a:\t00b57553 \tfadd.d\tfa0,fa0,fa1", True),
        ("  4a:\t0ff0000f \tfence", False),
    ],
)
def test_float_instructions_are_recognised(line: str, is_float: bool) -> None:
    assert bool(FLOAT.search(line)) == is_float
