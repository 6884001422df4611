# SPDX-License-Identifier: Apache-2.0
"""What one inference costs on a simulated core: instructions, model cycles, stack, flash, RAM."""

from __future__ import annotations

import struct
import tempfile
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from mcugen.boards import Core
from mcugen.errors import ToolchainError
from mcugen.resources import data_dir
from mcugen.simulate.counts import Times, disassemble, executed, model_cycles
from mcugen.simulate.elf import Elf
from mcugen.simulate.engine import SECONDS, Engine, Marks, engine_for
from mcugen.simulate.firmware import Firmware, compile_firmware
from mcugen.simulate.program import RESULTS, Program
from mcugen.simulate.size import TEST_PROGRAM, linked_size

EDGE = "mcugen_trace"
NOT_THE_NETWORK = ("main", EDGE)
MARKED = ["-include", str(data_dir("runtime_c") / "firmware" / "layer_marks.h")]


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """Executed instructions and model cycles."""

    instructions: int
    cycles: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    """One inference. The layers come from a build with marks between them, the totals do not.

    So the sum of the layers may differ a little from the totals: a mark is no instruction, but the
    compiler does not move code across it. Layers that are computed together count with the last.
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
    count = len(program.layer_bytes)
    with tempfile.TemporaryDirectory(prefix="mcugen-") as temporary:
        plain, marked = (Path(temporary) / name for name in ("plain", "marked"))
        firmware = _compile(program, core, plain, [])
        (total,) = _count(firmware, engine, seconds, layers=0)
        # the last phase, from the last layer's end to the test program, computes nothing
        *layers, _ = _count(_compile(program, core, marked, MARKED), engine, seconds, layers=count)
        stack, checksum = struct.unpack("<2I", (plain / RESULTS).read_bytes())
        size = linked_size(firmware)
    return Profile(
        engine=engine.title,
        compiler=size.compiler,
        instructions=total.instructions,
        cycles=total.cycles,
        layers=tuple(layers),
        stack_bytes=stack,
        flash_bytes=size.flash_bytes,
        static_ram_bytes=size.static_ram_bytes,
        checksum=checksum,
    )


def _compile(program: Program, core: Core, folder: Path, flags: Sequence[str]) -> Firmware:
    folder.mkdir()
    return compile_firmware(program, core, TEST_PROGRAM, folder, flags)


def _count(firmware: Firmware, engine: Engine, seconds: float, layers: int) -> list[Cost]:
    """What the network costs up to the end of each layer, then up to its end."""
    path, elf = firmware.link()
    places = _marks(elf, firmware.program.name, layers)
    marked = [layer for layer, addresses in enumerate(places[1:-1]) if addresses]
    marks = [addresses for addresses in places if addresses]
    times = [executed(phase, elf, firmware.core) for phase in engine.count(path, marks, seconds)]
    if len(times) != len(marks) + 1:
        msg = f"{engine.title}: {len(times) - 1} of {len(marks)} marks were reached"
        raise ToolchainError(msg)
    everything: Times = sum(times, start=Counter())
    listing = disassemble(path, elf, firmware.compiler, firmware.core, everything)
    cycles = model_cycles(everything, listing, elf, firmware.core)
    costs = [Cost(instructions=0, cycles=0)] * (layers + 1)
    for layer, phase in zip([*marked, layers], times[1:-1], strict=True):
        costs[layer] = _cost(phase, cycles, elf)
    return costs


def _marks(elf: Elf, name: str, layers: int) -> Marks:
    """The begin of the inference, the end of each layer, the end of the inference."""
    edge = frozenset({elf.function(EDGE).address})
    places: list[set[int]] = [set() for _ in range(layers)]
    for layer, address in struct.iter_unpack("<2I", elf.section(".mcugen_marks")):
        # a copy of invoke may be part of run, which the test program does not call
        if elf.owner(address & ~1) != f"{name}_run":
            places[layer].add(address & ~1)
    return [edge, *map(frozenset, places), edge]


def _cost(times: Times, cycles: Mapping[int, int], elf: Elf) -> Cost:
    own = {a: n for a, n in times.items() if elf.owner(a) not in NOT_THE_NETWORK}
    return Cost(instructions=sum(own.values()), cycles=sum(n * cycles[a] for a, n in own.items()))
