# SPDX-License-Identifier: Apache-2.0
"""The folder in the hands of an application: cc, C++, CMake, static analysis."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import numpy as np
import pytest

from mcugen.resources import data_dir
from tests.c.networks import Folder, reference
from tests.c.toolchains import C99, CXX17, CXX20, Tool, check_run

# Reads the inputs of both networks and writes their outputs, first by run, then without a copy.
MAIN = r"""
#include "picture.h"
#include "rows.h"

#include <stdio.h>
#include <string.h>

/* picture's arena is the larger one, and serves both networks in turn */
static int8_t arena[PICTURE_ARENA_BYTES] __attribute__((aligned(16)));
typedef char rows_fits[ROWS_ARENA_BYTES <= PICTURE_ARENA_BYTES ? 1 : -1];

static int8_t image[PICTURE_INPUT0_LEN];
static int8_t mask[PICTURE_INPUT1_LEN];
static int8_t odds[PICTURE_OUTPUT0_LEN];
static int8_t pooled[PICTURE_OUTPUT1_LEN];

int main(void)
{
    int bad = fread(image, 1, sizeof(image), stdin) != sizeof(image);

    bad |= fread(mask, 1, sizeof(mask), stdin) != sizeof(mask);
    bad |= picture_run(image, mask, odds, pooled, arena);
    fwrite(odds, 1, sizeof(odds), stdout);
    fwrite(pooled, 1, sizeof(pooled), stdout);

    bad |= fread(rows_input(arena), 1, ROWS_INPUT_LEN, stdin) != ROWS_INPUT_LEN;
    bad |= rows_invoke(arena);
    fwrite(rows_output(arena), 1, ROWS_OUTPUT_LEN, stdout);
    return bad;
}
"""
CMAKE = """
cmake_minimum_required(VERSION 3.13)
project(app C)
add_subdirectory(${NETWORK} network)
add_executable(app main.c)
target_link_libraries(app PRIVATE rows)
"""
CMAKE_MAIN = """
#include "rows.h"
int main(void)
{
    static int8_t arena[ROWS_ARENA_BYTES] __attribute__((aligned(16)));
    return rows_invoke(arena);
}
"""


@pytest.fixture
def app(folder: Folder, tmp_path: Path) -> Path:
    """The folder's files and an application's main.c beside them."""
    shutil.copytree(folder.path, tmp_path, dirs_exist_ok=True)
    (tmp_path / "main.c").write_text(MAIN)
    return tmp_path


def check_program(folder: Folder, program: Path) -> None:
    """Assert that the program computes what the reference does."""
    given, wanted = b"", b""
    for network in folder.networks.values():
        inputs, outputs = reference(network, 1, seed=6)
        given += b"".join(np.ascontiguousarray(x).tobytes() for x in inputs)
        wanted += b"".join(np.ascontiguousarray(y).tobytes() for y in outputs)
    (program.parent / "in.bin").write_bytes(given)
    check_run(["sh", "-c", f"./{program.name} < in.bin > out.bin"], program.parent)
    assert (program.parent / "out.bin").read_bytes() == wanted


@pytest.mark.parametrize("compiler", ["cc", "clang"])
def test_cc_star_dot_c_is_enough(folder: Folder, tool: Tool, compiler: str, app: Path) -> None:
    check_run(["sh", "-c", f"{tool(compiler)} *.c -o app"], app)
    check_program(folder, app / "app")


@pytest.mark.slow
@pytest.mark.parametrize(("c", "cxx"), [("gcc", "g++"), ("clang", "clang++"), ("gcc", "clang++")])
def test_cpp_links_with_the_c(folder: Folder, tool: Tool, c: str, cxx: str, app: Path) -> None:
    """The header gives the functions C linkage."""
    check_run([tool(c), *C99, "-O2", "-c", *folder.sources], app)
    shutil.move(app / "main.c", app / "main.cpp")
    flags = [flag for flag in CXX17 if flag != "-Werror"]
    check_run([tool(cxx), *flags, "-Werror", "main.cpp", "picture.o", "rows.o", "-o", "app"], app)
    check_program(folder, app / "app")


@pytest.mark.slow
@pytest.mark.parametrize("cxx", ["g++", "clang++"])
def test_c_links_with_the_network_compiled_as_cpp(
    folder: Folder, tool: Tool, cxx: str, app: Path
) -> None:
    check_run([tool(cxx), *CXX20, "-O2", "-x", "c++", "-c", *folder.sources], app)
    check_run([tool("gcc"), "main.c", "picture.o", "rows.o", "-o", "app"], app)
    check_program(folder, app / "app")


def test_both_networks_in_one_translation_unit(folder: Folder, tool: Tool, app: Path) -> None:
    """As unity builds do it: no private name clashes."""
    unity = "".join(f'#include "{name}"\n' for name in (*folder.sources, "main.c"))
    (app / "all.c").write_text(unity)
    check_run([tool("gcc"), "-std=c99", "-Wall", "-Werror", "all.c", "-o", "app"], app)
    check_program(folder, app / "app")


@pytest.mark.slow
def test_cmake_builds_it_as_a_library(folder: Folder, tool: Tool, tmp_path: Path) -> None:
    cmake = tool("cmake")
    (tmp_path / "CMakeLists.txt").write_text(CMAKE)
    (tmp_path / "main.c").write_text(CMAKE_MAIN)
    check_run([cmake, "-S", ".", "-B", "build", f"-DNETWORK={folder.path}"], tmp_path)
    check_run([cmake, "--build", "build"], tmp_path)
    check_run(["build/app"], tmp_path)


def test_headers_of_another_version_are_refused(folder: Folder, tool: Tool, app: Path) -> None:
    header = app / "mcugen.h"
    text, count = re.subn(r"(#define MCUGEN_RUNTIME_ABI) \d+", r"\1 999", header.read_text("utf-8"))
    assert count == 1
    header.write_text(text)
    with pytest.raises(AssertionError, match=r"mcugen\.h is of another version"):
        check_run([tool("gcc"), "-c", "rows.c"], app)


def test_files_include_nothing_but_stdint_stddef_and_each_other(folder: Folder) -> None:
    own = {path.name for path in folder.path.glob("*.[ch]")}
    for name in own:
        lines = (folder.path / name).read_text("utf-8")
        included = re.findall(r"^\s*#\s*include\s+(\S+)", lines, re.MULTILINE)
        foreign = {text for text in included if text.strip('"') not in own}
        assert foreign <= {"<stdint.h>", "<stddef.h>"}, name


def test_cppcheck_finds_nothing(folder: Folder, tool: Tool, tmp_path: Path) -> None:
    command = [
        *(tool("cppcheck"), "--enable=warning,portability,performance", "--error-exitcode=1"),
        *("--std=c99", "--inline-suppr", "--quiet", "-D__GNUC__=12", "-UMCUGEN_TRACE"),
        *(f"-I{folder.path}", *(str(folder.path / name) for name in folder.sources)),
    ]
    check_run(command, tmp_path)


def test_the_runtime_is_formatted(tool: Tool, root: Path) -> None:
    headers = sorted(data_dir("runtime_c").rglob("*.[ch]"))
    check_run([tool("clang-format"), "--dry-run", "-Werror", "--style=file", *headers], root)
