# SPDX-License-Identifier: Apache-2.0
"""Cycles of one instruction in a model of an in-order core with zero-wait memory.

The models compare pieces of code with each other; they predict no board, on which caches, flash
wait states and buses have their say.
"""

from __future__ import annotations

import re
from typing import NamedTuple


class Instruction(NamedTuple):
    """One instruction as a disassembler prints it."""

    mnemonic: str
    operands: str


_DIVIDE_CYCLES_ARM = 7  # of 2 to 12, by the operands
_DIVIDE_CYCLES_RISCV = 35  # of 3 to 35, by the operands
_HALF_TAKEN = 2  # a branch forward, between taken and not taken


def arm_cycles(
    core: str, instruction: Instruction, address: int, previous: Instruction | None
) -> int:
    """Cycles on a Cortex-M; `previous` is the instruction before it where that was executed.

    Source: Arm DDI 0439, table 3-1 (Cortex-M4), for the Cortex-M3 DDI 0337 and for the Cortex-M0+
    DDI 0484 where they differ; M7, M33 and M55 count as an M4.
    """
    base, operands = instruction.mnemonic.split(".")[0], instruction.operands
    if base.startswith(("ldm", "pop", "stm", "push", "vpop", "vpush", "vldm", "vstm")):
        return 1 + _listed_registers(operands) + (2 if "pc" in _register_list(operands) else 0)
    if base.startswith(("ldr", "str", "vldr", "vstr")):
        return _arm_memory_cycles(core, base, operands, previous)
    if base.startswith("b") and base not in ("bic", "bfi", "bfc", "bics"):
        return _arm_branch_cycles(core, base, operands, address)
    return _arm_arithmetic_cycles(core, base, operands, address)


def _register_list(operands: str) -> str:
    return operands[operands.find("{") :]


def _listed_registers(operands: str) -> int:
    listed = _register_list(operands)
    ranges = re.findall(r"[rsd](\d+)(?:-[rsd](\d+))?", listed)
    named = sum(name in listed for name in ("lr", "pc", "sl", "fp", "ip"))
    return named + sum(int(last) - int(first) + 1 if last else 1 for first, last in ranges)


def _arm_memory_cycles(core: str, base: str, operands: str, previous: Instruction | None) -> int:
    follows = previous is not None and is_memory(previous)
    if base.startswith(("ldrd", "strd")):
        return 2 if follows else 3
    if base.startswith(("str", "vstr")):
        return 2 if core == "cortex-m0plus" else 1
    loads_pc = 2 if operands.startswith("pc") else 0
    return loads_pc + (1 if follows and core != "cortex-m0plus" else 2)


def is_memory(instruction: Instruction) -> bool:
    """Whether a following single load is pipelined with it."""
    return instruction.mnemonic.startswith(("ldr", "str", "vldr", "vstr"))


def _arm_branch_cycles(core: str, base: str, operands: str, address: int) -> int:
    if base in ("b", "bl", "blx", "bx"):
        return 2 if core == "cortex-m0plus" else 3
    if len(base) == 3:
        return _conditional_cycles(operands, address)
    return 1


def _conditional_cycles(operands: str, address: int) -> int:
    """Backward branches close loops and count as taken."""
    target = re.search(r"(?:#0x|\b)([0-9a-f]+)(?: <.*)?$", operands)
    return 3 if target is not None and int(target[1], 16) <= address else _HALF_TAKEN


def _arm_arithmetic_cycles(core: str, base: str, operands: str, address: int) -> int:
    if base.startswith(("cbz", "cbnz")):
        return _conditional_cycles(operands, address)
    if base.startswith(("tbb", "tbh")):
        return 4
    if base.startswith(("udiv", "sdiv")):
        return _DIVIDE_CYCLES_ARM
    if base.startswith(("vdiv", "vsqrt")):
        return 14
    if base.startswith(("vmla", "vmls", "vfma", "vnmla")):
        return 3
    if core == "cortex-m3":
        return _m3_multiply_cycles(base)
    return 1


def _m3_multiply_cycles(base: str) -> int:
    if base.startswith(("smull", "umull", "smlal", "umlal")):
        return 5
    return 2 if base.startswith(("mla", "mls")) else 1


def riscv_cycles(instruction: Instruction, address: int, previous: Instruction | None) -> int:
    """Cycles on a four-stage in-order RV32IMC core.

    Source: OpenHW CV32E40P user manual, "Pipeline Details".
    """
    base = instruction.mnemonic.removeprefix("c.")
    return _riscv_base_cycles(base, instruction, address) + _load_use(base, instruction, previous)


def _riscv_base_cycles(base: str, instruction: Instruction, address: int) -> int:
    if base in ("j", "jal", "jr", "jalr", "ret"):
        return 2
    if base.startswith("b"):
        return _conditional_cycles(instruction.operands, address)
    if base.startswith("mulh"):
        return 5
    return _DIVIDE_CYCLES_RISCV if base.startswith(("div", "rem")) else 1


def _load_use(base: str, instruction: Instruction, previous: Instruction | None) -> int:
    """One cycle where the instruction reads what the one before it loads."""
    if previous is None or not re.fullmatch(r"(?:c\.)?l[bhw]u?(?:sp)?", previous.mnemonic):
        return 0
    loaded = previous.operands.split(",")[0].strip()
    reads_first = base.startswith(("b", "s")) and not base.startswith(("sl", "sr", "sub", "set"))
    operands = instruction.operands.split(" <")[0]
    sources = operands if reads_first else operands.partition(",")[2]
    return int(re.search(rf"\b{loaded}\b", sources) is not None)
