# SPDX-License-Identifier: Apache-2.0
"""Executed blocks to instructions and model cycles: disassembly and in-order pipeline models."""

from __future__ import annotations

import importlib
import importlib.util
import re
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, TypeAlias

from mcugen.boards import Core
from mcugen.errors import MissingToolError
from mcugen.simulate.cycles import Instruction, arm_cycles, riscv_cycles
from mcugen.simulate.elf import Elf
from mcugen.simulate.engine import Blocks
from mcugen.toolchains import CrossCompiler, run_compiler

Listing = Mapping[int, Instruction]
Times: TypeAlias = Counter[int]
"""How often the instruction at each address was executed."""


def executed(blocks: Blocks, elf: Elf, core: Core) -> Times:
    """Executions of each instruction."""
    times: Times = Counter()
    for (start, end), count in blocks.items():
        address = start
        while address < end:
            times[address] += count
            address += instruction_bytes(elf, core, address)
    return times


def instruction_bytes(elf: Elf, core: Core, address: int) -> int:
    """2 or 4.

    Source: Armv7-M Architecture Reference Manual, A5.1, bits [15:11] are 11101, 11110 or 11111;
    RISC-V Instruction Set Manual volume I, 1.5, the lowest two bits are set.
    """
    half = int.from_bytes(elf.code(address, 2), "little")
    wide = half & 3 == 3 if _is_riscv(core) else half >> 11 > 0b11100
    return 4 if wide else 2


def _is_riscv(core: Core) -> bool:
    return "rv32c" in core.features


def model_cycles(times: Times, listing: Listing, elf: Elf, core: Core) -> dict[int, int]:
    """Cycles of one execution of each executed instruction."""
    cycles: dict[int, int] = {}
    previous, ends_at = None, 0
    for address in sorted(times):
        instruction = listing.get(address, Instruction("?", ""))
        before = previous if ends_at == address else None
        cycles[address] = (
            riscv_cycles(instruction, address, before)
            if _is_riscv(core)
            else arm_cycles(core.name, instruction, address, before)
        )
        previous, ends_at = instruction, address + instruction_bytes(elf, core, address)
    return cycles


def disassemble(
    path: Path, elf: Elf, compiler: CrossCompiler, core: Core, addresses: Iterable[int]
) -> Listing:
    """The instructions of a program, by the toolchain's objdump, else by capstone at `addresses`.

    Raises MissingToolError where there is neither.
    """
    if compiler.objdump is not None:
        command = [compiler.objdump, "-d", "--no-show-raw-insn", str(path)]
        return _parse_listing(run_compiler(command).splitlines())
    if importlib.util.find_spec("capstone") is None:
        msg = "no disassembler for model cycles: `pip install 'mcugen[sim]'`"
        raise MissingToolError(msg)
    return _decode(elf, core, addresses)


def _parse_listing(lines: Iterable[str]) -> Listing:
    rows = (re.match(r"\s*([0-9a-f]+):\s+(\S+)\s*(.*)", line) for line in lines)
    return {int(row[1], 16): Instruction(row[2], row[3]) for row in rows if row is not None}


def _decode(elf: Elf, core: Core, addresses: Iterable[int]) -> Listing:
    capstone: Any = importlib.import_module("capstone")
    if _is_riscv(core):
        decoder = capstone.Cs(
            capstone.CS_ARCH_RISCV, capstone.CS_MODE_RISCV32 | capstone.CS_MODE_RISCVC
        )
    else:
        mode = capstone.CS_MODE_THUMB | capstone.CS_MODE_MCLASS | capstone.CS_MODE_V8
        decoder = capstone.Cs(capstone.CS_ARCH_ARM, mode)
    found: dict[int, Instruction] = {}
    for address in addresses:
        for _, _, mnemonic, operands in decoder.disasm_lite(elf.code(address, 4), address, 1):
            is_relative = _is_riscv(core) and mnemonic.removeprefix("c.").startswith(("b", "j"))
            text = _as_in_binutils(address, operands, is_relative)
            found[address] = Instruction(mnemonic, text)
    return found


def _as_in_binutils(address: int, operands: str, is_relative: bool) -> str:
    """Operands with absolute branch targets, and r9 by that name."""
    if not is_relative:
        return re.sub(r"\bsb\b", "r9", operands)
    offset = r"(^|, )(-?(?:0x[0-9a-f]+|[0-9]+))$"
    return re.sub(offset, lambda m: f"{m[1]}{address + int(m[2], 0):x}", operands)
