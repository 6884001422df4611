# SPDX-License-Identifier: Apache-2.0
"""The cycle models: each row is one instruction, before it another one, and its cycles."""

from __future__ import annotations

import pytest

from mcugen.simulate.cycles import Instruction, arm_cycles, riscv_cycles

ADDRESS = 0x100


def parse(text: str) -> Instruction | None:
    mnemonic, _, operands = text.partition(" ")
    return Instruction(mnemonic, operands) if text else None


@pytest.mark.parametrize(
    ("core", "previous", "text", "cycles"),
    [
        ("cortex-m4", "", "adds r0, #1", 1),
        ("cortex-m4", "", "smlad r0, r1, r2, r3", 1),
        ("cortex-m4", "", "ldr r0, [r1, #4]", 2),
        ("cortex-m4", "ldr r2, [r1, #0]", "ldr r0, [r1, #4]", 1),
        ("cortex-m4", "str r2, [r1, #0]", "ldrsb.w r0, [r1, #4]", 1),
        ("cortex-m4", "adds r0, #1", "ldr r0, [r1, #4]", 2),
        ("cortex-m4", "", "ldr pc, [r1, #4]", 4),
        ("cortex-m4", "", "str r0, [r1, #4]", 1),
        ("cortex-m4", "", "ldrd r0, r1, [sp]", 3),
        ("cortex-m4", "ldr r2, [r1, #0]", "strd r0, r1, [sp]", 2),
        ("cortex-m4", "", "push {r4, r5, lr}", 4),
        ("cortex-m4", "", "stmdb sp!, {r4, r5, r6, r7, r8, r9, sl, fp, lr}", 10),
        ("cortex-m4", "", "pop {r4, pc}", 5),
        ("cortex-m4", "", "vpush {d8-d11}", 5),
        ("cortex-m4", "", "b.n 200 <f>", 3),
        ("cortex-m4", "", "bl 200 <f>", 3),
        ("cortex-m4", "", "bx lr", 3),
        ("cortex-m4", "", "bne.n fe <loop>", 3),
        ("cortex-m4", "", "bne #0xfe", 3),
        ("cortex-m4", "", "bne.n 200 <behind>", 2),
        ("cortex-m4", "", "cbz r0, 200 <behind>", 2),
        ("cortex-m4", "", "cbz r0, #0x200", 2),
        ("cortex-m4", "", "bic.w r0, r1, r2", 1),
        ("cortex-m4", "", "bfi r0, r1, #2, #3", 1),
        ("cortex-m4", "", "tbb [pc, r0]", 4),
        ("cortex-m4", "", "sdiv r0, r1, r2", 7),
        ("cortex-m4", "", "smull r0, r1, r2, r3", 1),
        ("cortex-m3", "", "smull r0, r1, r2, r3", 5),
        ("cortex-m3", "", "mla r0, r1, r2, r3", 2),
        ("cortex-m3", "", "mul r0, r1, r2", 1),
        ("cortex-m0plus", "ldr r2, [r1, #0]", "ldr r0, [r1, #4]", 2),
        ("cortex-m0plus", "", "str r0, [r1, #4]", 2),
        ("cortex-m0plus", "", "b.n 200 <f>", 2),
    ],
)
def test_arm(core: str, previous: str, text: str, cycles: int) -> None:
    instruction = parse(text)
    assert instruction is not None
    assert arm_cycles(core, instruction, ADDRESS, parse(previous)) == cycles


@pytest.mark.parametrize(
    ("previous", "text", "cycles"),
    [
        ("", "add a0,a0,a1", 1),
        ("", "mul a0,a0,a1", 1),
        ("", "mulh a0,a0,a1", 5),
        ("", "div a0,a0,a1", 35),
        ("", "lb a0,0(a1)", 1),
        ("lb a0,0(a1)", "mul a2,a0,a3", 2),
        ("lb a0,0(a1)", "mul a2,a4,a3", 1),
        ("lb a0,0(a1)", "addi a0,a4,1", 1),
        ("lw a0,0(a1)", "sw a0,4(a1)", 2),
        ("lw a0,0(a1)", "bne a0,zero,fe <loop>", 4),
        ("lw a0,0(a1)", "slli a0,a2,3", 1),
        ("", "bne a0,a1,200 <behind>", 2),
        ("", "bnez a0,fe <loop>", 3),
        ("", "jal ra,200 <f>", 2),
        ("", "ret", 2),
    ],
)
def test_riscv(previous: str, text: str, cycles: int) -> None:
    instruction = parse(text)
    assert instruction is not None
    assert riscv_cycles(instruction, ADDRESS, parse(previous)) == cycles
