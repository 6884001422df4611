# SPDX-License-Identifier: Apache-2.0
"""The ELF reader against binutils."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from mcugen.boards import core_named
from mcugen.errors import ToolchainError
from mcugen.simulate.elf import Elf, read_elf
from mcugen.simulate.firmware import Firmware, compile_firmware
from tests.tiny_network import write_tiny


@pytest.fixture
def firmware(tmp_path: Path, tool: Callable[[str], str]) -> Firmware:
    core = core_named("cortex-m4").core
    tool(core.gcc)
    (tmp_path / "net").mkdir()
    return compile_firmware(write_tiny(tmp_path / "net"), core, ["verify_main.c"], tmp_path)


@pytest.fixture
def linked(firmware: Firmware) -> tuple[Path, Elf]:
    return firmware.link()


def binutils(tool: str, path: Path, *options: str) -> str:
    command = [f"arm-none-eabi-{tool}", *options, str(path)]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def test_sizes_are_those_of_size(linked: tuple[Path, Elf]) -> None:
    path, elf = linked
    text, data, bss = map(int, binutils("size", path).splitlines()[1].split()[:3])
    assert (elf.flash_bytes, elf.ram_bytes) == (text + data, data + bss)


def test_functions_are_those_of_nm(linked: tuple[Path, Elf]) -> None:
    path, elf = linked
    rows = re.findall(r"^(\S+) (\S+) [Tt] (tiny_\w+|main)$", binutils("nm", path, "-S"), re.M)
    assert len(rows) == 5
    for address, size, name in rows:
        function = elf.function(name)
        assert (function.address, function.size) == (int(address, 16) & ~1, int(size, 16))
        assert elf.owner(function.address) == name
        assert elf.owner(function.address + function.size - 2) == name


def test_the_vectors_lead_to_reset(linked: tuple[Path, Elf]) -> None:
    elf = linked[1]
    stack, reset = (int.from_bytes(elf.code(at, 4), "little") for at in (0, 4))
    assert stack == 0x20000000 + (4 << 20)
    assert reset == elf.function("reset").address | 1


def test_what_is_not_there(linked: tuple[Path, Elf]) -> None:
    elf = linked[1]
    assert elf.owner(0xFFFFFF00) == ""
    assert elf.code(0xFFFFFF00, 4) == b""
    assert elf.section(".none") == b""
    with pytest.raises(ToolchainError, match="no function unknown"):
        elf.function("unknown")


def test_another_file_is_no_program(tmp_path: Path) -> None:
    other = tmp_path / "x.elf"
    other.write_bytes(b"\x7fELF\x02\x01" + bytes(60))
    with pytest.raises(ToolchainError, match=r"x\.elf is no 32-bit little-endian ELF file"):
        read_elf(other)


def test_without_the_network_less_is_left(firmware: Firmware) -> None:
    elf, empty = firmware.link()[1], firmware.link_without_network()
    assert elf.function("tiny_invoke").size < elf.flash_bytes - empty.flash_bytes < 1000
    assert elf.ram_bytes == empty.ram_bytes
