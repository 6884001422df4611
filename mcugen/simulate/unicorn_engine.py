# SPDX-License-Identifier: Apache-2.0
"""unicorn as simulator of Arm cores, for machines without QEMU: memories, reset, semihosting."""

from __future__ import annotations

import importlib
import importlib.util
import struct
import time
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any, BinaryIO

from mcugen.boards import Core
from mcugen.errors import ToolchainError
from mcugen.simulate.elf import read_elf
from mcugen.simulate.engine import SECONDS, Blocks, Marks, complaint
from mcugen.simulate.program import INPUTS, RESULTS

_SYSTEM_SPACE = 0xE000E000  # system control space, of which start-up code writes CPACR
_PAGE = 0x1000
_BREAKPOINT = 7  # unicorn's number of the exception that BKPT raises
_OPEN, _WRITE0, _WRITE, _READ, _EXIT = 0x01, 0x04, 0x05, 0x06, 0x18
_APPLICATION_EXIT = 0x20026
_MODES = {INPUTS: "rb", RESULTS: "wb"}


class UnicornEngine:
    """unicorn with the core's memories; unlike QEMU it lets a Cortex-M0+ do unaligned accesses."""

    def __init__(self, core: Core) -> None:
        """Nothing is started yet."""
        self.title = f"unicorn {version('unicorn')} {core.name}"
        self._core = core

    @staticmethod
    def can_run(core: Core) -> bool:
        """Whether unicorn is installed and has a model of the core."""
        return core.simulator.unicorn is not None and (
            importlib.util.find_spec("unicorn") is not None
        )

    def run(self, program: Path, seconds: float = SECONDS) -> None:
        """Run to the end; see Engine."""
        _Run(self._core, self.title, program).run(seconds)

    def count(self, program: Path, marks: Marks, seconds: float = SECONDS) -> list[Blocks]:
        """Run and count by phases; see Engine."""
        phases = [Blocks()]
        run = _Run(self._core, self.title, program)
        run.on_block(lambda address, size: _note(phases, marks, address, address + size))
        run.run(seconds)
        return phases


def _note(phases: list[Blocks], marks: Marks, start: int, end: int) -> None:
    """Count a block, in a new phase for each next mark that it holds."""
    position = start
    while len(phases) <= len(marks):
        reached = [at for at in marks[len(phases) - 1] if position <= at < end]
        if not reached:
            break
        phases.append(Blocks())
        position = min(reached) + 1
    phases[-1][start, end] += 1


class _Run:
    """One program from reset to exit."""

    def __init__(self, core: Core, title: str, program: Path) -> None:
        # By name: the package has annotations, but they leave out the half of it.
        self._unicorn: Any = importlib.import_module("unicorn")
        self._arm: Any = importlib.import_module("unicorn.arm_const")
        self._title, self._folder = title, program.parent
        self._files: list[BinaryIO] = []
        self._output = ""
        self._exit: int | None = None
        self._uc: Any = self._new(getattr(self._arm, core.simulator.unicorn or ""))
        self._uc.hook_add(self._unicorn.UC_HOOK_INTR, self._on_exception)
        self._load(core, program)

    def _new(self, model: int) -> Any:
        mode = self._unicorn.UC_MODE_THUMB | self._unicorn.UC_MODE_MCLASS
        uc = self._unicorn.Uc(self._unicorn.UC_ARCH_ARM, mode)
        uc.ctl_set_cpu_model(model)
        return uc

    def _load(self, core: Core, program: Path) -> None:
        simulator = core.simulator
        self._uc.mem_map(simulator.flash_origin, simulator.flash_bytes)
        self._uc.mem_map(simulator.ram_origin, simulator.ram_bytes)
        self._uc.mem_map(_SYSTEM_SPACE, _PAGE)
        for address, content in read_elf(program).segments:
            self._uc.mem_write(address, content)
        stack, self._reset = struct.unpack("<2I", self._uc.mem_read(simulator.flash_origin, 8))
        self._uc.reg_write(self._arm.UC_ARM_REG_SP, stack)

    def on_block(self, note: Callable[[int, int], None]) -> None:
        """Call `note(address, bytes)` for each block that is executed."""
        self._uc.hook_add(
            self._unicorn.UC_HOOK_BLOCK, lambda _uc, address, size, _data: note(address, size)
        )

    def run(self, seconds: float) -> None:
        """Run to the end. Raises as Engine.run."""
        started = time.monotonic()
        try:
            self._uc.emu_start(self._reset | 1, 0xFFFFFFFF, timeout=int(seconds * 1e6))
        except self._unicorn.UcError as error:
            self._output += f"harness: the core stopped with a fault ({error})"
        finally:
            for file in self._files:
                file.close()
        wrong = complaint(self._title, self._output)
        if wrong is not None:
            raise wrong
        if self._exit is None and time.monotonic() - started >= seconds:
            msg = f"{self._title}: the program did not finish within {seconds:g} s"
            raise ToolchainError(msg)
        if self._exit != 0:
            msg = f"{self._title}: the program ended with {self._exit}"
            raise ToolchainError(msg)

    def _on_exception(self, _uc: object, number: int, _data: object) -> None:
        if number != _BREAKPOINT:
            self._output += f"harness: the core stopped with a fault (exception {number})"
            self._uc.emu_stop()
            return
        operation = self._uc.reg_read(self._arm.UC_ARM_REG_R0)
        argument = self._uc.reg_read(self._arm.UC_ARM_REG_R1)
        self._uc.reg_write(self._arm.UC_ARM_REG_R0, self._semihosting(operation, argument))
        self._uc.reg_write(
            self._arm.UC_ARM_REG_PC, (self._uc.reg_read(self._arm.UC_ARM_REG_PC) + 2) | 1
        )

    def _semihosting(self, operation: int, argument: int) -> int:
        """Do what the program asks for. Source: Arm, Semihosting for AArch32 and AArch64."""
        if operation == _EXIT:
            self._exit = 0 if argument == _APPLICATION_EXIT else 1
            self._uc.emu_stop()
            return 0
        if operation == _WRITE0:
            self._output += self._text(argument)
            return 0
        return self._file(operation, *struct.unpack("<3I", self._uc.mem_read(argument, 12)))

    def _file(self, operation: int, first: int, second: int, third: int) -> int:
        if operation == _OPEN:
            name = self._uc.mem_read(first, third).decode()
            self._files.append((self._folder / name).open(_MODES[name]))
            return len(self._files) - 1
        if operation == _WRITE:
            self._files[first].write(self._uc.mem_read(second, third))
            return 0
        data = self._files[first].read(third)
        self._uc.mem_write(second, data)
        return third - len(data)

    def _text(self, address: int) -> str:
        text = bytes(self._uc.mem_read(address, 128))
        return text[: text.index(0)].decode(errors="replace")
