# SPDX-License-Identifier: Apache-2.0
"""Blocks to instructions and cycles: sizes, disassemblers, and the public measurement."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest

from mcugen.boards import core_named
from mcugen.errors import MissingToolError
from mcugen.simulate.counts import Times, disassemble, executed, model_cycles
from mcugen.simulate.engine import Blocks
from mcugen.simulate.firmware import Firmware, compile_firmware
from mcugen.simulate.profile import profile_target
from mcugen.simulate.program import Program
from tests.tiny_network import write_tiny

CORES = ["cortex-m0plus", "cortex-m3", "cortex-m4", "cortex-m7", "cortex-m33", "riscv32imc"]
ONE_INPUT = (
    ("int8_t *tiny_input1(void *arena);", ""),
    ("int8_t *tiny_input1(void *arena) { return (int8_t *)arena + 40; }", ""),
    ("tiny_input0", "tiny_input"),
    ("TINY_ARENA_BYTES 128", "TINY_ARENA_BYTES 128\n#define TINY_INPUT_LEN 80"),
    ("TINY_ARENA_BYTES 128", "TINY_ARENA_BYTES 128\n#define TINY_OUTPUT_LEN 40"),
)


def compiled(name: str, folder: Path, tool: Callable[[str], str]) -> Firmware:
    core = core_named(name).core
    tool(core.gcc)
    (folder / "net").mkdir()
    return compile_firmware(write_tiny(folder / "net"), core, ["verify_main.c"], folder)


@pytest.mark.parametrize("name", CORES)
def test_both_disassemblers_give_the_same_cycles(
    name: str, tmp_path: Path, tool: Callable[[str], str]
) -> None:
    pytest.importorskip("capstone", reason="needs the capstone package")
    firmware = compiled(name, tmp_path, tool)
    path, elf = firmware.link()
    listing = disassemble(path, elf, firmware.compiler, firmware.core, [])
    words = (".word", ".short", ".byte")  # constants between the instructions
    times = Times(
        a for a, row in listing.items() if elf.owner(a) and not row.mnemonic.startswith(words)
    )
    assert len(times) > 100
    without = replace(firmware.compiler, objdump=None)
    by_capstone = disassemble(path, elf, without, firmware.core, times)
    cycles = model_cycles(times, listing, elf, firmware.core)
    assert model_cycles(times, by_capstone, elf, firmware.core) == cycles


def test_instructions_of_a_block_are_counted(tmp_path: Path, tool: Callable[[str], str]) -> None:
    firmware = compiled("cortex-m4", tmp_path, tool)
    path, elf = firmware.link()
    main = elf.function("main")
    listing = disassemble(path, elf, firmware.compiler, firmware.core, [])
    inside = [a for a in listing if main.address <= a < main.address + 20]
    assert {4, 2} == {b - a for a, b in pairwise(inside)}
    blocks = Blocks({(main.address, inside[-1] + 1): 3, (main.address, main.address + 1): 4})
    times = executed(blocks, elf, firmware.core)
    assert times == Times({a: 3 for a in inside}) + Times({main.address: 4})


def test_without_a_disassembler_the_remedy_is_told(
    tmp_path: Path, tool: Callable[[str], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    firmware = compiled("cortex-m4", tmp_path, tool)
    path, elf = firmware.link()
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    without = replace(firmware.compiler, objdump=None)
    with pytest.raises(MissingToolError, match="no disassembler"):
        disassemble(path, elf, without, firmware.core, [])


@pytest.mark.slow
@pytest.mark.parametrize("short", ["m0", "m3", "m4", "m7", "m33", "m55"])
def test_it_agrees_with_the_public_measurement(
    short: str, tmp_path: Path, shared: Path, tool: Callable[[str], str]
) -> None:
    for name in ("arm-none-eabi-gcc", "qemu-system-arm", "gcc"):
        tool(name)
    program = write_tiny(tmp_path, *ONE_INPUT)
    program = replace(program, input_bytes=(80,))
    command = [sys.executable, str(shared / "measure" / "measure.py"), str(tmp_path), "--json"]
    done = subprocess.run(
        [*command, "--core", short, "--name", "tiny"], capture_output=True, text=True, check=True
    )
    wanted = json.loads(done.stdout)
    core = core_named("cortex-m0plus" if short == "m0" else f"cortex-{short}").core
    profile = profile_target(program, core)
    assert f"{profile.checksum:08x}" == wanted["hash"]
    assert profile.stack_bytes == wanted["stack"]
    # the measurement takes its second input, whose values take other branches
    assert profile.instructions == pytest.approx(wanted["instructions"], rel=0.01)
    assert profile.cycles == pytest.approx(wanted["cycles"], rel=0.01)
    # it counts its own test program as flash, less what a printing one takes
    assert 0 <= wanted["flash"] - profile.flash_bytes < 500


def test_a_program_knows_its_functions(tmp_path: Path) -> None:
    program = Program(
        folder=tmp_path, name="net", input_bytes=(3,), output_bytes=(2, 5), layer_bytes=(7, 8)
    )
    assert program.inputs == (("net_input", 3),)
    assert program.outputs == (("net_output0", 2), ("net_output1", 5))
    assert program.trace_bytes == 15
