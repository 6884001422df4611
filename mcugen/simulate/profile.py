# SPDX-License-Identifier: Apache-2.0
"""What one inference costs on a simulated core: instructions, model cycles, stack, flash, RAM."""

from __future__ import annotations

import struct
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from mcugen.boards import Core
from mcugen.errors import ToolchainError
from mcugen.simulate.counts import Times, disassemble, executed, model_cycles
from mcugen.simulate.elf import Elf
from mcugen.simulate.engine import SECONDS, Engine, engine_for
from mcugen.simulate.firmware import Firmware, compile_firmware
from mcugen.simulate.program import RESULTS, Program

TEST_PROGRAM = ("profile_main.c", "trace_mark.c")
MARK = "mcugen_trace"
NOT_THE_NETWORK = ("main", MARK)


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """Executed instructions and model cycles."""

    instructions: int
    cycles: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    """One inference. The layers come from a build with the trace hook, the totals from one without.

    So the sum of the layers may differ a little from the totals: the hook is a call that takes a
    few instructions, and that the compiler cannot move code across.
    """

    engine: str  # "QEMU 7.2.22 mps2-an386"
    compiler: str  # "arm-none-eabi-gcc 12.2.1"
    instructions: int
    cycles: int
    layers: tuple[Cost, ...]
    stack_bytes: int  # deepest use below the caller of invoke
    flash_bytes: int  # code and constants, with what they take from the compiler's libraries
    static_ram_bytes: int  # variables; the arena is the caller's and not among them
    checksum: int  # FNV-1a of the outputs for the fixed random input, the same on every core


def profile_target(program: Program, core: Core, seconds: float = SECONDS) -> Profile:
    """Count one inference on a fixed pseudo-random input.

    Raises:
        MissingToolError: No compiler, simulator or disassembler for the core.
        ToolchainError: One of them failed.
        MismatchError: The network stopped with a fault.
    """
    engine = engine_for(core)
    with tempfile.TemporaryDirectory(prefix="mcugen-") as temporary:
        plain, traced = (Path(temporary) / name for name in ("plain", "traced"))
        firmware = _compile(program, core, plain, traced=False)
        total = _count(firmware, engine, seconds, phases=1)[0]
        # what follows the last layer is a phase of its own, in which nothing is computed
        layers = _count(
            _compile(program, core, traced, traced=True),
            engine,
            seconds,
            phases=len(program.layer_lens) + 1,
        )[:-1]
        stack, checksum = struct.unpack("<2I", (plain / RESULTS).read_bytes())
        elf, empty = firmware.link()[1], firmware.link_without_network()
    return Profile(
        engine=engine.title,
        compiler=firmware.compiler.title,
        instructions=total.instructions,
        cycles=total.cycles,
        layers=tuple(layers),
        stack_bytes=stack,
        flash_bytes=elf.flash_bytes - empty.flash_bytes,
        static_ram_bytes=elf.ram_bytes - empty.ram_bytes,
        checksum=checksum,
    )


def _compile(program: Program, core: Core, folder: Path, *, traced: bool) -> Firmware:
    folder.mkdir()
    return compile_firmware(program, core, TEST_PROGRAM, folder, traced=traced)


def _count(firmware: Firmware, engine: Engine, seconds: float, phases: int) -> list[Cost]:
    """What the network costs in each phase between the first and the last mark."""
    path, elf = firmware.link()
    blocks = engine.count(path, elf.function(MARK).address, seconds)
    times = [executed(phase, elf, firmware.core) for phase in blocks]
    if len(times) != phases + 2:
        msg = f"{engine.title}: the trace hook was called {len(times) - 1} times, not {phases + 1}"
        raise ToolchainError(msg)
    everything: Times = sum(times, start=Times())
    listing = disassemble(path, elf, firmware.compiler, firmware.core, everything)
    cycles = model_cycles(everything, listing, elf, firmware.core)
    return [_cost(phase, cycles, elf) for phase in times[1:-1]]


def _cost(times: Times, cycles: Mapping[int, int], elf: Elf) -> Cost:
    own = {a: n for a, n in times.items() if elf.owner(a) not in NOT_THE_NETWORK}
    return Cost(instructions=sum(own.values()), cycles=sum(n * cycles[a] for a, n in own.items()))
