# SPDX-License-Identifier: Apache-2.0
"""Parts from the modm-devices database, which also checks the numbers of the shipped boards."""

from __future__ import annotations

import shutil
import subprocess
import sys
from importlib.metadata import version
from importlib.util import find_spec
from itertools import pairwise
from pathlib import Path

import pytest

from mcugen import boards_modm
from mcugen.boards import Board, core_named, list_boards, load_board, squash
from mcugen.boards_modm import find_part
from mcugen.errors import BoardError

installed = pytest.mark.skipif(
    find_spec("modm_devices") is None, reason="the modm-devices package is not installed"
)


def part(name: str) -> Board:
    board = find_part(squash(name))
    assert board is not None
    return board


def memories(board: Board) -> dict[int, tuple[str, int]]:
    return {region.origin: (region.kind, region.size_bytes) for region in board.regions}


@installed
@pytest.mark.parametrize(
    "name",
    [
        "stm32f030r8",
        "stm32f103c8",
        "stm32f407vg",
        "stm32f746zg",
        "stm32h743zi",
        "stm32l476rg",
        "stm32l552ze",
        "nrf52840",
        "nrf5340-clxx",
        "samd21g18",
    ],
)
def test_the_database_agrees_with_the_shipped_board(name: str) -> None:
    """Same core, clock, and memories at the same addresses; each written down independently."""
    theirs = part("nrf5340-claa@app" if name == "nrf5340-clxx" else name)
    ours = load_board(name.removesuffix("-clxx"))
    assert theirs.core == ours.core
    assert theirs.clock_hz == ours.clock_hz
    assert memories(theirs) == memories(ours)
    assert ours.sources[0] == theirs.sources[0]  # the core's
    assert all("modm" not in source for source in ours.sources)


@installed
def test_a_part_without_a_file_of_its_own() -> None:
    board = load_board("STM32F411RE")
    assert board.name == "stm32f411re"
    assert board.core == core_named("cortex-m4").core
    assert (board.flash_bytes, board.ram_bytes) == (512 << 10, 128 << 10)
    assert board.clock_hz == 100_000_000
    assert not board.is_core
    says = f"modm-devices {version('modm-devices')}, stm32f411ret6"
    assert board.source_of("memory flash") == board.source_of("memory sram") == says
    assert board.source_of("clock").startswith(says)
    assert board.source_of("core") == core_named("cortex-m4").source_of("core")


@installed
@pytest.mark.parametrize(
    ("name", "core", "mhz", "flash_kib", "ram_kib"),
    [
        ("samd51p20a", "cortex-m4", 120, 1024, 256),
        ("same70q21b", "cortex-m7", 300, 2048, 384),
        ("nrf52832-qfaa", "cortex-m4", 64, 512, 64),
        ("nrf51822-xxaa", "cortex-m0plus", 16, 256, 16),
        ("stm32g0b1re", "cortex-m0plus", 64, 512, 144),
        ("stm32f207zg", "cortex-m3", 120, 1024, 128),
        ("stm32u575zi", "cortex-m33", 160, 2048, 768),
        ("stm32h745zit6@m4", "cortex-m4", 240, 1024, 288),
        ("stm32h745zit6@m7", "cortex-m7", 480, 1024, 512),
    ],
)
def test_parts_of_several_families(
    name: str, core: str, mhz: int, flash_kib: int, ram_kib: int
) -> None:
    board = load_board(name)
    assert (board.core.name, board.clock_hz) == (core, mhz * 1_000_000)
    assert (board.flash_bytes, board.ram_bytes) == (flash_kib << 10, ram_kib << 10)


@installed
@pytest.mark.parametrize("name", ["nrf52810", "nrf5340-claa@net", "stm32wle5jc"])
def test_a_core_without_fpu_is_compiled_without(name: str, tmp_path: Path) -> None:
    core = part(name).core
    assert "fpu" not in core.features
    assert ("dsp" in core.features) == (core.name == "cortex-m4")
    if shutil.which(core.gcc) is None:
        pytest.skip(f"{core.gcc} is not installed")
    command = [core.gcc, *core.gcc_flags, "-dM", "-E", "-x", "c", "-"]
    macros = subprocess.run(command, input="", capture_output=True, text=True, check=True).stdout
    assert "__ARM_FP " not in macros
    assert ("__ARM_FEATURE_DSP 1" in macros) == ("dsp" in core.features)


@installed
@pytest.mark.parametrize("name", ["nrf52810", "nrf5340-claa@net"])
def test_zig_compiles_without_fpu_too(name: str, tmp_path: Path) -> None:
    if find_spec("ziglang") is None:
        pytest.skip("the ziglang package is not installed")
    core = part(name).core
    (tmp_path / "unit.c").write_text("float f(float a, float b) { return a * b; }\n")
    zig = [sys.executable, "-m", "ziglang", "cc", "-target", core.zig_target]
    command = [*zig, f"-mcpu={core.zig_cpu}", "-O3", "-S", "unit.c", "-o", "unit.s"]
    subprocess.run(command, cwd=tmp_path, check=True)
    assert "__aeabi_fmul" in (tmp_path / "unit.s").read_text()


@installed
@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("stm32f4", r"fits \d+ parts .* give more of the part number: stm32f4"),
        ("stm32h745zi", r"fits \d+ parts .*: stm32h745zit3@m4, stm32h745zit3@m7$"),
        ("stm32f103r", r"fits \d+ parts of different memories or cores"),
        ("atmega328p", "its core is avr8; mcugen compiles for cortex-m0, "),
        ("samd20e14a", "does not say its ram; write a board file"),
        ("stm32f411rx", r"no part of that name in modm-devices [\d.]+; close parts: stm32f411re"),
        ("lpc55s69", r"no part of that name in modm-devices [\d.]+\n"),
    ],
)
def test_what_cannot_be_a_target(name: str, says: str) -> None:
    with pytest.raises(BoardError, match=says) as caught:
        load_board(name)
    assert len(str(caught.value)) < 2_000


@installed
@pytest.mark.slow
def test_parts_all_over_the_database_give_a_board_or_an_error() -> None:
    names = sorted(boards_modm._files())[::25]
    boards = 0
    for name in names:
        try:
            board = part(name)
        except BoardError:
            continue
        boards += 1
        assert board.flash_bytes >= 8 << 10 and board.ram_bytes >= 1 << 10, name
        assert 1_000_000 <= board.clock_hz <= 1_000_000_000, name
        ends = [(r.origin, r.origin + r.size_bytes) for r in board.regions]
        assert all(a[1] <= b[0] for a, b in pairwise(ends)), name
    assert boards > 0.8 * len(names)


def test_without_the_package_the_error_says_how_to_install(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(boards_modm, "_files", dict)
    with pytest.raises(BoardError, match=r"pip install -U 'mcugen\[parts\]'"):
        load_board("stm32f411re")
    assert len(list_boards()) > 20
