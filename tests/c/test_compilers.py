# SPDX-License-Identifier: Apache-2.0
"""Every compiler takes the generated C and the runtime at every level without a warning."""

from __future__ import annotations

from pathlib import Path

import pytest

from mcugen.boards import core_named
from mcugen.emit.render import render
from mcugen.emit.write import write_files
from mcugen.resources import data_dir
from tests.c.networks import Folder, kernels, reads_or_makes_int16, write_both
from tests.c.toolchains import (
    C99,
    COMPILERS,
    CORES,
    CROSS,
    CXX17,
    CXX20,
    LEVELS,
    Tool,
    by_compiler,
    check_run,
    target_of,
)
from tests.ops.int16_ops import networks

HEADERS = sorted(path.name for path in data_dir("runtime_c").glob("*.h"))


def test_the_networks_call_every_kernel(folder: Folder) -> None:
    """Those of int8; tests/ops/test_int16.py sees to the others."""
    there = {kernel for kernel in kernels() if not reads_or_makes_int16(kernel)}
    calls = [
        call for net in folder.networks.values() for layer in net.layers for call in layer.calls
    ]
    assert {call.function for call in calls} == there


@pytest.mark.slow
@pytest.mark.parametrize("level", LEVELS)
@by_compiler(COMPILERS)
def test_it_compiles_as_c99(
    folder: Folder, tool: Tool, compiler: str, level: str, tmp_path: Path
) -> None:
    command, *flags = COMPILERS[compiler]
    sources = [folder.path / name for name in folder.sources]
    check_run([tool(command), *flags, *C99, level, "-c", *sources], tmp_path)
    assert len(list(tmp_path.glob("*.o"))) == 2


@pytest.mark.parametrize("core", CORES)
def test_clang_takes_the_assembly_of_a_core(tool: Tool, core: str, tmp_path: Path) -> None:
    """Its assembler is stricter than GNU's. No function is static, so that all are compiled."""
    own = [
        name for name in HEADERS if "typed" not in name
    ]  # included by others, once for each type
    source = tmp_path / "all.c"
    source.write_text("".join(f'#include "{name}"\n' for name in own), "utf-8")
    flags = core_named(core).core.gcc_flags
    whole = (
        "-std=c99",
        "-ffreestanding",
        "-w",
        "-Dstatic=",
        "-Dinline=",
        f"-I{data_dir('runtime_c')}",
    )
    check_run([tool("clang"), "--target=arm-none-eabi", *flags, *whole, "-c", source], tmp_path)
    assert (tmp_path / "all.o").stat().st_size > 10_000


@pytest.mark.slow
@pytest.mark.parametrize("compiler", CROSS)
def test_the_kernels_for_a_core_compile_as_c99(tool: Tool, compiler: str, tmp_path: Path) -> None:
    """On their core at every level, and on a host, where the same meaning in plain C is."""
    folder = write_both(tmp_path / "generated", target_of(compiler))
    for command, *flags in (CROSS[compiler], ("gcc",), ("clang",)):
        for level in LEVELS:
            sources = [folder.path / name for name in folder.sources]
            check_run([tool(command), *flags, *C99, level, "-c", *sources], tmp_path)


@pytest.mark.slow
@by_compiler(COMPILERS)
def test_int16_compiles_as_c99(tool: Tool, compiler: str, tmp_path: Path) -> None:
    command, *flags = COMPILERS[compiler]
    for _, view in networks():
        write_files(tmp_path, render(view))
        check_run([tool(command), *flags, *C99, "-O2", "-c", tmp_path / "net.c"], tmp_path)


@by_compiler(COMPILERS)
def test_it_compiles_with_the_trace_hook(
    folder: Folder, tool: Tool, compiler: str, tmp_path: Path
) -> None:
    command, *flags = COMPILERS[compiler]
    sources = [folder.path / name for name in folder.sources]
    check_run([tool(command), *flags, *C99, "-DMCUGEN_TRACE", "-c", *sources], tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("level", ["-O0", "-O2"])
@pytest.mark.parametrize("compiler", ["g++", "clang++"])
def test_it_compiles_as_cpp20(
    folder: Folder, tool: Tool, compiler: str, level: str, tmp_path: Path
) -> None:
    sources = [folder.path / name for name in folder.sources]
    check_run([tool(compiler), *CXX20, level, "-x", "c++", "-c", *sources], tmp_path)


@pytest.mark.parametrize("standard", ["-std=c++11", "-std=c++14", "-std=c++20"])
@pytest.mark.parametrize("compiler", ["g++", "clang++"])
def test_cpp_of_any_age_takes_the_header(
    folder: Folder, tool: Tool, compiler: str, standard: str, tmp_path: Path
) -> None:
    (tmp_path / "main.cpp").write_text('#include "picture.h"\n#include "rows.h"\n')
    include = f"-I{folder.path}"
    check_run([tool(compiler), *CXX17, standard, include, "-fsyntax-only", "main.cpp"], tmp_path)


@pytest.mark.parametrize("standard", ["-std=c11", "-std=c17", "-std=gnu99", "-std=c2x"])
def test_it_compiles_as_later_c(folder: Folder, tool: Tool, standard: str, tmp_path: Path) -> None:
    sources = [folder.path / name for name in folder.sources]
    check_run([tool("gcc"), *C99, standard, "-c", *sources], tmp_path)


@pytest.mark.parametrize("header", HEADERS)
def test_a_header_needs_nothing_before_it(header: str, tool: Tool, tmp_path: Path) -> None:
    """Included alone and twice, in C and in C++."""
    include = f"-I{data_dir('runtime_c')}"
    text = f'#include "{header}"\n#include "{header}"\nint there;\n'
    (tmp_path / "main.c").write_text(text)
    check_run([tool("gcc"), *C99, include, "-fsyntax-only", "main.c"], tmp_path)
    check_run([tool("g++"), *CXX17, include, "-fsyntax-only", "-x", "c++", "main.c"], tmp_path)
