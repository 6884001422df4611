# SPDX-License-Identifier: Apache-2.0
"""What a simulator can do: run a linked program to its end, and count what it executes."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol, TypeAlias

from mcugen.boards import Core
from mcugen.errors import MismatchError, MissingToolError, OptionError

ENGINE_VARIABLE = "MCUGEN_ENGINE"
ENGINES = ("qemu", "unicorn")
SECONDS = 600.0
HARNESS_MARK = "harness: "

Blocks: TypeAlias = Counter[tuple[int, int]]
"""How often straight lines of code ran: {(start, end): times}, end excluded."""

Marks: TypeAlias = Sequence[frozenset[int]]
"""Where phases end: one after the other, each at the first of its addresses that is reached."""


class Engine(Protocol):
    """A simulator of one core. Programs find their files in the folder they lie in."""

    title: str

    def run(self, program: Path, seconds: float = SECONDS) -> None:
        """Run to the end.

        Raises:
            MismatchError: The program stopped with a fault, or says that something is wrong.
            ToolchainError: The simulator failed, or took longer than `seconds`.
        """

    def count(self, program: Path, marks: Marks, seconds: float = SECONDS) -> list[Blocks]:
        """Run and count by phases, of which there is one more than marks that were reached.

        Raises as `run`.
        """


def engine_for(core: Core) -> Engine:
    """The simulator for a core: QEMU where it is on the PATH, else unicorn.

    The environment variable MCUGEN_ENGINE, "qemu" or "unicorn", leaves no choice.

    Raises:
        OptionError: MCUGEN_ENGINE is something else.
        MissingToolError: None is installed, or the chosen one cannot run this core.
    """
    # Late imports: both modules need this one.
    from mcugen.simulate.qemu import QemuEngine
    from mcugen.simulate.unicorn_engine import UnicornEngine

    chosen = os.environ.get(ENGINE_VARIABLE, "")
    if chosen and chosen not in ENGINES:
        msg = f"{ENGINE_VARIABLE} is {chosen!r}; expected one of {', '.join(ENGINES)}"
        raise OptionError(msg)
    if chosen != "unicorn" and QemuEngine.can_run(core):
        return QemuEngine(core)
    if chosen != "qemu" and UnicornEngine.can_run(core):
        return UnicornEngine(core)
    others = " or `pip install 'mcugen[sim]'`" if core.simulator.unicorn else ""
    msg = f"no simulator for {core.name}: install {core.simulator.qemu}{others}"
    raise MissingToolError(msg)


def complaint(title: str, output: str) -> MismatchError | None:
    """What a test program says to be wrong, as an error."""
    for line in output.splitlines():
        if HARNESS_MARK in line:
            return MismatchError(f"{title}: {line.partition(HARNESS_MARK)[2]}")
    return None
