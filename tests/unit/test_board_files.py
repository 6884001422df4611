# SPDX-License-Identifier: Apache-2.0
"""A user's board file: what it may hold, and one clear message for all that is wrong in it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from mcugen.boards import core_named, load_board
from mcugen.errors import BoardError
from mcugen.resources import data_dir

GOOD = """\
name = "my-board"
title = "A board of my own"
core = "cortex-m4"

[clock]
hz = 96_000_000
source = "schematic, sheet 3"

[[memory]]
name = "flash"
kind = "flash"
origin = 0x0800_0000
size = "512 KiB"
source = "datasheet, table 2"

[[memory]]
name = "sram"
kind = "ram"
origin = 0x2000_0000
size = "1 MiB"
source = "datasheet, table 2"
"""


def load_text(folder: Path, text: str | bytes) -> str:
    """The message that the text gives as a board file; empty where it loads."""
    path = folder / "mine.toml"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    try:
        load_board(str(path))
    except BoardError as error:
        return str(error)
    return ""


def test_a_good_file_loads(tmp_path: Path) -> None:
    path = tmp_path / "mine.TOML"
    path.write_text(GOOD)
    board = load_board(str(path))
    assert board.core == core_named("cortex-m4").core
    assert (board.flash_bytes, board.ram_bytes, board.clock_hz) == (1 << 19, 1 << 20, 96_000_000)
    assert board.source_of("memory sram") == "datasheet, table 2"
    assert board.source_of("core") == core_named("cortex-m4").source_of("core")
    assert board.aliases == () and not board.is_core
    assert not any(region.fast for region in board.regions)


def test_a_file_may_hold_its_own_core(tmp_path: Path) -> None:
    text = (data_dir("boards") / "cortex-m4.toml").read_text()
    text = text.replace('name = "cortex-m4"', 'name = "soft-m4"')
    text = text.replace(', "-mfloat-abi=hard", "-mfpu=fpv4-sp-d16"', ', "-mfloat-abi=soft"')
    path = tmp_path / "soft.toml"
    path.write_text(text.replace('"fpu", ', ""))
    core = load_board(str(path)).core
    assert core.name == "soft-m4"
    assert core.gcc_flags == ("-mcpu=cortex-m4", "-mthumb", "-mfloat-abi=soft")
    assert core.features == core_named("cortex-m4").core.features - {"fpu"}


@pytest.mark.parametrize(
    ("old", "new", "problem"),
    [
        ('name = "my-board"\n', "", "name: expected .*, is missing"),
        ('"my-board"', '"../x"', "name: expected .*, got '../x'"),
        ('"my-board"', '"a\\"b"', "name: expected .*, got 'a\"b'"),
        ('"my-board"', "7", "name: expected .*, got 7"),
        ('"my-board"', f'"{"x" * 200}"', "name: expected .*, got 'x{56}\\.\\.\\."),
        ('"A board of my own"', '"evil */ int"', "title: expected .*"),
        ('"A board of my own"', '"\\u00fc\\n"', r"title: expected .*, got '\\xfc\\n'"),
        ('"cortex-m4"', '"cortex-m9"', "core: expected .*cortex-m4.*, got 'cortex-m9'"),
        ('"cortex-m4"', '"stm32f407vg"', "core: expected .*, got 'stm32f407vg'"),
        ('"cortex-m4"', '"../cortex-m4"', "core: expected .*"),
        ('core = "cortex-m4"\n', "", "core: expected .*, is missing"),
        ("96_000_000", "-1", "clock.hz: expected an integer from .*, got -1"),
        ("96_000_000", "96e6", "clock.hz: expected an integer from .*, got 96000000.0"),
        ("96_000_000", "true", "clock.hz: expected an integer from .*, got True"),
        ("96_000_000", f"0x{'f' * 9000}", "clock.hz: .*, got a number of 36000 bits"),
        ('[clock]\nhz = 96_000_000\nsource = "schematic, sheet 3"\n', "", "clock: .* is missing"),
        ('source = "schematic, sheet 3"\n', "", "clock.source: expected .*, is missing"),
        ("hz =", "mhz = 96\nhz =", "clock.mhz: unknown key; known: hz, source"),
        ('title = "A', 'colour = "red"\ntitle = "A', "colour: unknown key; known: name, title, .*"),
        ('"512 KiB"', '"-512 KiB"', r"memory\[0\].size: expected a size .*, got '-512 KiB'"),
        ('"512 KiB"', '"0 KiB"', r"memory\[0\].size: expected a size .*"),
        ('"512 KiB"', '"512 KB"', r"memory\[0\].size: expected a size .*"),
        ('"512 KiB"', "524288", r"memory\[0\].size: expected a size .*, got 524288"),
        ("0x0800_0000", "-4", r"memory\[0\].origin: expected an integer from 0 .*"),
        ("0x2000_0000", "0xffff_0000", r"memory\[1\]: sram ends beyond the 32-bit .*"),
        ("0x2000_0000", "0x0800_1000", r"memory\[1\]: sram overlaps flash"),
        ('name = "sram"', 'name = "flash"', r"memory\[1\].name: flash is the name of two regions"),
        ('kind = "ram"', 'kind = "flash"', 'memory: .* of kind "ram", got none'),
        ('kind = "ram"', 'kind = "rom"', r"memory\[1\].kind: expected .*, got 'rom'"),
        ('kind = "ram"', 'kind = "ram"\nfast = 1', r"memory\[1\].fast: expected true or false, .*"),
    ],
)
def test_each_mistake_is_named_by_its_key(old: str, new: str, problem: str, tmp_path: Path) -> None:
    assert old in GOOD
    lines = load_text(tmp_path, GOOD.replace(old, new, 1)).splitlines()
    assert lines[0].startswith(f"board file {tmp_path / 'mine.toml'} has ")
    assert any(re.fullmatch(f"  {problem}", line) for line in lines), lines
    assert "stm32f407vg" in lines[-1]
    assert all(line.isascii() and line.isprintable() for line in lines[1:])


def test_all_problems_come_in_one_message(tmp_path: Path) -> None:
    text = GOOD.replace('"my-board"', "1").replace("96_000_000", "0").replace('"1 MiB"', "[]")
    message = load_text(tmp_path, text)
    assert message.startswith(f"board file {tmp_path / 'mine.toml'} has 3 problems:\n")
    assert all(f"\n  {key}: " in message for key in ("name", "clock.hz", "memory[1].size"))


def test_a_lone_problem_hides_no_other(tmp_path: Path) -> None:
    """A missing table is one problem, not one for each of its keys."""
    message = load_text(tmp_path, GOOD.split("[[memory]]")[0])
    assert "has 1 problem:\n  memory: expected one [[memory]] table or more, is missing" in message


CORE_MISTAKES = [
    ('"arm-none-eabi-gcc"', '"/bin/sh"', "core.gcc"),
    ('"arm-none-eabi-gcc"', '"sh -c"', "core.gcc"),
    ('"-mthumb"', '"-fplugin=x.so"', "core.gcc_flags"),
    ('"-mthumb"', '"@file"', "core.gcc_flags"),
    ('"-mthumb"', '"-mthumb -wrapper sh"', "core.gcc_flags"),
    ('"-mthumb"', '"-mthumb\\n"', "core.gcc_flags"),
    ('["-O3"]', '["-O3", "-fplugin=x"]', "core.optimize"),
    ('["-O3"]', '"-O3"', "core.optimize"),
    ('"dsp"', '"simd"', "core.features"),
    ('"thumb-freestanding-eabihf"', '"--help"', "core.zig_target"),
    ('"cortex_m4"', "[]", "core.zig_cpu"),
    ('"qemu-system-arm"', '"rm"', "simulator.qemu"),
    ('"mps2-an386"', '"x,dumpdtb=/tmp/x"', "simulator.machine"),
    ('"UC_CPU_ARM_CORTEX_M4"', '"__class__"', "simulator.unicorn"),
    ('ram_size = "4 MiB"', "ram_size = 4", "simulator.ram_size"),
]


@pytest.mark.parametrize(("old", "new", "key"), CORE_MISTAKES)
def test_a_core_cannot_smuggle_in_a_command(old: str, new: str, key: str, tmp_path: Path) -> None:
    text = (data_dir("boards") / "cortex-m4.toml").read_text()
    assert old in text
    message = load_text(tmp_path, text.replace(old, new, 1))
    assert f"has 1 problem:\n  {key}: expected " in message


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "has 5 problems"),
        (b"name = ", "not a TOML file"),
        (b"\xff\xfe\x00", "not a TOML file"),
        (GOOD.encode()[:100], "not a TOML file"),
        (b"a = " + b"[" * 100_000, "not a TOML file"),
        (b"#" * (1 << 20) + b"\n", "larger than 1048576 bytes"),
        (b"a = " + b"9" * 10_000, "not a TOML file"),
        (b"memory = 3\nclock = []\ncore = 1.5\nname = {}\ntitle = false", "has 5 problems"),
        (b"memory = [1, 2]", "memory[1]: expected a table, got 2"),
    ],
)
def test_what_is_no_board_file(content: bytes, says: str, tmp_path: Path) -> None:
    message = load_text(tmp_path, content)
    assert says in message and "mine.toml" in message
    assert len(message) < 2_000


def test_every_truncation_of_a_board_is_refused_or_loads(tmp_path: Path) -> None:
    loaded = [end for end in range(len(GOOD)) if not load_text(tmp_path, GOOD[:end])]
    assert all(GOOD[:end].rstrip() == GOOD.rstrip() or end > len(GOOD) - 20 for end in loaded)


def test_a_missing_file_and_a_folder(tmp_path: Path) -> None:
    with pytest.raises(BoardError, match=r"cannot read board file '.*no\.toml': No such file"):
        load_board(str(tmp_path / "no.toml"))
    with pytest.raises(BoardError, match=r"cannot read board file .*: Is a directory"):
        load_board(f"{tmp_path}/")
    with pytest.raises(BoardError, match=r"cannot read board file .*null byte"):
        load_board("a\0b.toml")
