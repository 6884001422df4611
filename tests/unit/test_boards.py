# SPDX-License-Identifier: Apache-2.0
"""The shipped boards are sane and real tools accept them; names, aliases and paths resolve."""

from __future__ import annotations

import shutil
import subprocess
import sys
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

import pytest

from mcugen.boards import FEATURES, Board, list_boards, load_board
from mcugen.errors import BoardError
from mcugen.resources import data_dir

BOARDS = list_boards()
CORES = [board for board in BOARDS if board.is_core]
PARTS = [board for board in BOARDS if not board.is_core]
EMPTY_UNIT = (
    "int mcugen_board_test(int a, int b);\nint mcugen_board_test(int a, int b) { return a * b; }\n"
)


def named(boards: list[Board]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("board", boards, ids=lambda board: board.name)


def test_the_seven_cores_and_fourteen_parts_ship() -> None:
    assert [board.name for board in CORES] == [
        "cortex-m0plus",
        "cortex-m3",
        "cortex-m4",
        "cortex-m7",
        "cortex-m33",
        "cortex-m55",
        "riscv32imc",
    ]
    assert len(PARTS) >= 14
    assert {board.core.name for board in PARTS} == {board.name for board in CORES}


def test_every_file_is_a_board_of_its_own_name() -> None:
    files = {path.stem for path in data_dir("boards").glob("*")}
    assert files == {board.name for board in BOARDS}


def test_no_two_boards_answer_to_one_name() -> None:
    names = [name for board in BOARDS for name in (board.name, *board.aliases)]
    assert len({name.replace("-", "") for name in names}) == len(names)


@named(BOARDS)
def test_numbers_are_plausible_and_each_has_a_source(board: Board) -> None:
    assert 16 << 10 <= board.flash_bytes <= 32 << 20
    assert 4 << 10 <= board.ram_bytes <= 16 << 20
    assert 8_000_000 <= board.clock_hz <= 1_000_000_000
    assert all(region.origin % 4 == 0 for region in board.regions)
    for what in ("core", "simulator", "clock", *(f"memory {r.name}" for r in board.regions)):
        assert len(board.source_of(what)) > 10, what
    assert len(board.sources) == 3 + len(board.regions)


@named(BOARDS)
def test_ram_is_the_largest_region_and_flash_the_sum(board: Board) -> None:
    sizes = [region.size_bytes for region in board.regions if region.kind == "ram"]
    assert board.ram_bytes in sizes
    assert all(size <= board.ram_bytes for size in sizes)
    assert board.flash_bytes + sum(sizes) == sum(region.size_bytes for region in board.regions)


def test_numbers_of_some_parts() -> None:
    kib = {
        name: (load_board(name).flash_bytes / 1024, load_board(name).ram_bytes / 1024)
        for name in ("stm32f407vg", "stm32h743zi", "nrf52840", "rp2350", "esp32-c3", "gd32vf103cb")
    }
    assert kib == {
        "stm32f407vg": (1024, 128),
        "stm32h743zi": (2048, 512),
        "nrf52840": (1024, 256),
        "rp2350": (4096, 512),
        "esp32-c3": (4096, 384),
        "gd32vf103cb": (128, 32),
    }
    assert load_board("stm32f407vg").clock_hz == 168_000_000


def test_tightly_coupled_memory_is_marked() -> None:
    fast = {r.name: r.fast for r in load_board("stm32h743zi").regions}
    assert fast["dtcm"] and fast["itcm"]
    assert not fast["axi-sram"] and not fast["flash"]
    assert [r.name for r in load_board("stm32f407vg").regions if r.fast] == ["ccm"]


@named(CORES)
def test_features_agree_with_the_compiler(board: Board) -> None:
    """What the file claims of a core is what GCC's predefined macros say of the flags."""
    core = board.core
    if shutil.which(core.gcc) is None:
        pytest.skip(f"{core.gcc} is not installed")
    command = [core.gcc, *core.gcc_flags, "-dM", "-E", "-x", "c", "-"]
    macros = subprocess.run(command, input="", capture_output=True, text=True, check=True).stdout
    assert core.features <= FEATURES.keys()
    for feature, macro in {
        "thumb2": "__ARM_ARCH_ISA_THUMB 2",
        "dsp": "__ARM_FEATURE_DSP 1",
        "mve": "__ARM_FEATURE_MVE ",
        "fpu": "__ARM_FP ",
        "rv32c": "__riscv_compressed 1",
    }.items():
        assert (macro in macros) == (feature in core.features), feature
    assert "mul32" in core.features
    armv6m = "__ARM_ARCH_6M__" in macros  # alone in having no long multiply
    assert ("mul64" in core.features) != armv6m
    assert armv6m or "__ARM_ARCH_ISA_THUMB 2" in macros or "__riscv_mul 1" in macros


@named(CORES)
def test_gcc_accepts_the_flags(board: Board, tmp_path: Path) -> None:
    core = board.core
    if shutil.which(core.gcc) is None:
        pytest.skip(f"{core.gcc} is not installed")
    compile_with([core.gcc, *core.gcc_flags, *core.optimize], tmp_path)


@named(CORES)
def test_zig_accepts_target_and_processor(board: Board, tmp_path: Path) -> None:
    core = board.core
    if find_spec("ziglang") is None:
        pytest.skip("the ziglang package is not installed")
    zig = [sys.executable, "-m", "ziglang", "cc", "-target", core.zig_target]
    elf = compile_with([*zig, f"-mcpu={core.zig_cpu}", *core.optimize], tmp_path)
    assert elf[:5] == b"\x7fELF\x01"  # 32-bit
    assert int.from_bytes(elf[18:20], "little") == (243 if core.zig_target[:5] == "riscv" else 40)


def compile_with(command: list[str], folder: Path) -> bytes:
    (folder / "unit.c").write_text(EMPTY_UNIT)
    command = [*command, "-std=c99", "-Wall", "-Werror", "-c", "unit.c", "-o", "unit.o"]
    result = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    return (folder / "unit.o").read_bytes()


@named(CORES)
def test_qemu_has_the_machine(board: Board) -> None:
    simulator = board.core.simulator
    if shutil.which(simulator.qemu) is None:
        pytest.skip(f"{simulator.qemu} is not installed")
    command = [simulator.qemu, "-M", "help"]
    machines = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert simulator.machine in machines.split()


@named(CORES)
def test_unicorn_has_the_processor(board: Board) -> None:
    if find_spec("unicorn") is None:
        pytest.skip("the unicorn package is not installed")
    name = board.core.simulator.unicorn
    assert (name is None) == (board.name in ("cortex-m55", "riscv32imc"))
    if name is not None:
        assert isinstance(getattr(import_module("unicorn.arm_const"), name), int)


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("cortex-m4", "cortex-m4"),
        ("CORTEX_M4", "cortex-m4"),
        ("Cortex M4F", "cortex-m4"),
        ("m0+", "cortex-m0plus"),
        ("Cortex-M0+", "cortex-m0plus"),
        ("m55", "cortex-m55"),
        ("rv32imc", "riscv32imc"),
        ("STM32F407VG", "stm32f407vg"),
        ("stm32f407vgt6", "stm32f407vg"),
        ("nano33ble", "arduino-nano-33-ble"),
        ("ESP32C3", "esp32-c3"),
        ("pico2", "rp2350"),
    ],
)
def test_names_and_aliases(text: str, name: str) -> None:
    assert load_board(text).name == name


@pytest.mark.parametrize("board", BOARDS, ids=lambda board: board.name)
def test_a_path_gives_what_the_name_gives(board: Board) -> None:
    path = data_dir("boards") / f"{board.name}.toml"
    assert load_board(str(path)) == load_board(board.name) == board


def test_an_unknown_name_lists_close_and_all_boards() -> None:
    with pytest.raises(BoardError) as caught:
        load_board("cortex-m44")
    lines = str(caught.value).splitlines()
    assert lines[0] == "unknown board 'cortex-m44'"
    assert "cortex-m4" in lines[1] and lines[1].startswith("  close matches: ")
    assert all(board.name in str(caught.value) for board in BOARDS)


@pytest.mark.parametrize("name", ["", " ", "..", "-", "*", "a\0b", "straße", "x" * 10_000, "int"])
def test_no_strange_name_is_a_board(name: str) -> None:
    with pytest.raises(BoardError, match="unknown board") as caught:
        load_board(name)
    assert len(str(caught.value)) < 2_000


@pytest.mark.parametrize("name", ["../boards/cortex-m4", "./cortex-m4", "cortex-m4/", "..\\x"])
def test_a_name_with_a_separator_is_a_path_and_never_a_shipped_board(name: str) -> None:
    with pytest.raises(BoardError, match="cannot read board file"):
        load_board(name)
