# SPDX-License-Identifier: Apache-2.0
"""Compilers: which one is taken, how it is called, what its failures say."""

from __future__ import annotations

import ctypes
import re
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from mcugen import toolchains
from mcugen.boards import core_named
from mcugen.errors import MissingToolError, ToolchainError
from mcugen.toolchains import cross_compiler, host_compiler

CORES = ["cortex-m0plus", "cortex-m4", "cortex-m55", "riscv32imc"]


@pytest.fixture(autouse=True)
def forget_what_was_found() -> Iterator[None]:
    for found in (host_compiler, cross_compiler):
        found.cache_clear()
    yield
    for found in (host_compiler, cross_compiler):
        found.cache_clear()


@pytest.fixture
def empty_path(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv(toolchains.HOST_VARIABLE, raising=False)


@pytest.fixture
def answer(tmp_path: Path) -> Path:
    source = tmp_path / "answer.c"
    source.write_text("#include <stdint.h>\nint32_t answer(void) { return 42; }\n")
    return source


def test_the_variable_names_the_compiler(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(toolchains.HOST_VARIABLE, f"{sys.executable} -x")
    assert host_compiler().command == (sys.executable, "-x")


def test_a_variable_that_names_no_command(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(toolchains.HOST_VARIABLE, "no-such-compiler")
    with pytest.raises(MissingToolError, match="MCUGEN_CC is 'no-such-compiler'"):
        host_compiler()


@pytest.mark.usefixtures("empty_path")
def test_without_compilers_zig_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(toolchains, "has_zig", lambda: True)
    assert host_compiler().command == (sys.executable, "-m", "ziglang", "cc")


@pytest.mark.usefixtures("empty_path")
def test_without_anything_the_remedy_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(toolchains, "has_zig", lambda: False)
    with pytest.raises(MissingToolError, match=re.escape("pip install 'mcugen[sim]'")):
        host_compiler()
    with pytest.raises(MissingToolError, match="install arm-none-eabi-gcc"):
        cross_compiler(core_named("cortex-m4").core)


def test_a_shared_library(answer: Path, tool: Callable[[str], str]) -> None:
    tool("cc")
    library = answer.with_suffix(".so")
    host_compiler().shared_library([answer], library, flags=["-O1"])
    assert ctypes.CDLL(str(library)).answer() == 42


@pytest.mark.slow
@pytest.mark.usefixtures("empty_path")
def test_a_shared_library_by_zig(answer: Path) -> None:
    pytest.importorskip("ziglang", reason="needs the ziglang package")
    library = answer.with_suffix(".so")
    host_compiler().shared_library([answer], library, flags=["-O1"])
    assert ctypes.CDLL(str(library)).answer() == 42


def test_an_error_names_the_line(answer: Path, tool: Callable[[str], str]) -> None:
    tool("cc")
    answer.write_text("int answer(void) { return unknown; }\n")
    with pytest.raises(ToolchainError, match=r"answer\.c:1:27: error: .*unknown"):
        host_compiler().shared_library([answer], answer.with_suffix(".so"))


def test_a_compiler_that_cannot_be_started() -> None:
    with pytest.raises(ToolchainError, match="no-such-compiler cannot be started"):
        toolchains.run_compiler(["no-such-compiler"])


@pytest.mark.parametrize("name", CORES)
def test_gcc_for_a_core(name: str, answer: Path, tool: Callable[[str], str]) -> None:
    core = core_named(name).core
    tool(core.gcc)
    compiler = cross_compiler(core)
    assert re.fullmatch(rf"{core.gcc} \d+\.\d+\.\d+", compiler.title)
    target = compiler.object(answer, answer.with_suffix(".o"), include=[], flags=["-O2"])
    assert target.read_bytes()[:5] == b"\x7fELF\x01"


@pytest.mark.slow
@pytest.mark.usefixtures("empty_path")
@pytest.mark.parametrize("name", CORES)
def test_zig_for_a_core(name: str, answer: Path) -> None:
    pytest.importorskip("ziglang", reason="needs the ziglang package")
    compiler = cross_compiler(core_named(name).core)
    assert re.fullmatch(r"zig cc \d+\.\d+\.\d+\S*", compiler.title)
    target = compiler.object(answer, answer.with_suffix(".o"), include=[], flags=["-O2"])
    assert target.read_bytes()[:5] == b"\x7fELF\x01"
