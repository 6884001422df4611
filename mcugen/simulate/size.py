# SPDX-License-Identifier: Apache-2.0
"""What a network takes of a core's memories, from linked programs; runs nothing."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path

from mcugen.boards import Core
from mcugen.simulate.firmware import Firmware, compile_firmware
from mcugen.simulate.program import Program

TEST_PROGRAM = ("profile_main.c", "trace_mark.c")


@dataclass(frozen=True, slots=True, kw_only=True)
class Size:
    """What a program takes more with the network than without it, in bytes."""

    flash_bytes: int  # code and constants, with what they take from the compiler's libraries
    static_ram_bytes: int  # variables; the arena is the caller's and not among them
    compiler: str  # "arm-none-eabi-gcc 12.2.1"


def network_size(program: Program, core: Core) -> Size:
    """Compile and link for a core.

    Raises:
        MissingToolError: There is no compiler for the core.
        ToolchainError: The code does not compile.
    """
    with tempfile.TemporaryDirectory(prefix="mcugen-") as temporary:
        return linked_size(compile_firmware(program, core, TEST_PROGRAM, Path(temporary)))


def linked_size(firmware: Firmware) -> Size:
    """The size of a network whose test program is compiled."""
    elf, empty = firmware.link()[1], firmware.link_without_network()
    return Size(
        flash_bytes=elf.flash_bytes - empty.flash_bytes,
        static_ram_bytes=elf.ram_bytes - empty.ram_bytes,
        compiler=firmware.compiler.title,
    )
