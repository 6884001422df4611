# SPDX-License-Identifier: Apache-2.0
"""Builds the programs that a simulated core runs: a network, a test program, start-up code."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from mcugen.boards import Core
from mcugen.emit.render import environment
from mcugen.simulate.elf import Elf, read_elf
from mcugen.simulate.program import Program, harness_include, harness_sources
from mcugen.toolchains import CrossCompiler, cross_compiler

SUPPORT = ("startup.c", "harness_semihosting.c")


@dataclass(frozen=True, slots=True, kw_only=True)
class Firmware:
    """Objects for one core in one folder, ready to be linked."""

    folder: Path
    core: Core
    compiler: CrossCompiler
    program: Program
    harness: tuple[Path, ...]
    network: tuple[Path, ...]

    def link(self) -> tuple[Path, Elf]:
        """The whole program, as file and as read."""
        return self._link([*self.harness, *self.network], "program.elf")

    def link_without_network(self) -> Elf:
        """What the test program takes by itself; it cannot be run."""
        (names,) = harness_sources("no_network.c")
        include = [self.folder, self.program.folder]
        stub = self.compiler.object(names, self.folder / "stub.o", include=include, flags=[])
        return self._link([*self.harness, stub], "empty.elf")[1]

    def _link(self, objects: Sequence[Path], name: str) -> tuple[Path, Elf]:
        script = self.folder / "simulator.ld"
        template = environment().get_template("firmware/simulator.ld.j2")
        script.write_text(template.render(core=self.core), encoding="utf-8")
        path = self.compiler.link(objects, self.folder / name, script=script)
        return path, read_elf(path)


def compile_firmware(
    program: Program, core: Core, mains: Sequence[str], folder: Path, flags: Sequence[str] = ()
) -> Firmware:
    """Compile the network and a test program, C files of runtime_c/firmware, into `folder`.

    `flags` are for the network, beside those that the core asks for.

    Raises:
        MissingToolError: There is no compiler for the core.
        ToolchainError: The code does not compile.
    """
    compiler = cross_compiler(core)
    include = harness_include(program, folder)
    optimize = list(core.optimize)
    support = [*SUPPORT, *(() if compiler.has_libc else ("memory.c",))]

    def objects(role: str, sources: Sequence[Path], more: Sequence[str]) -> tuple[Path, ...]:
        targets = [folder / f"{role}_{source.stem}.o" for source in sources]
        return tuple(
            compiler.object(source, target, include=include, flags=[*optimize, *more])
            for source, target in zip(sources, targets, strict=True)
        )

    return Firmware(
        folder=folder,
        core=core,
        compiler=compiler,
        program=program,
        harness=objects("harness", harness_sources(*mains, *support), []),
        network=objects("network", program.sources, flags),
    )
