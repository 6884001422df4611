# SPDX-License-Identifier: Apache-2.0
"""Builds one network for one core and counts one inference on the simulated core."""

from __future__ import annotations

import hashlib
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import mcugen
from benchmarks.networks import Network
from mcugen.boards import core_named
from mcugen.config import Optimize
from mcugen.ir.serialize import load as load_graph
from mcugen.network import REFERENCE
from mcugen.simulate.profile import Profile, profile_target
from mcugen.simulate.program import program_of


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """What is measured."""

    network: str
    core: str
    optimize: Optimize = "balanced"

    def __str__(self) -> str:
        """As in messages."""
        return f"{self.network} on {self.core}, {self.optimize}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One inference. All but `build_seconds` is exact and the same on every machine."""

    network: str
    core: str
    optimize: Optimize
    macs: int
    instructions: int
    cycles: int  # of an in-order core with zero-wait memory: mcugen/simulate/cycles.py
    arena_bytes: int
    stack_bytes: int
    flash_bytes: int
    build_seconds: float  # compiled, and verified on this machine
    compiler: str
    engine: str

    @property
    def case(self) -> Case:
        """What was measured."""
        return Case(network=self.network, core=self.core, optimize=self.optimize)

    @property
    def cycles_per_mac(self) -> float:
        """Cycles by multiply-accumulates."""
        return self.cycles / self.macs

    def values(self) -> dict[str, Any]:
        """As JSON holds it."""
        return asdict(self) | {"cycles_per_mac": round(self.cycles_per_mac, 3)}


class Meter:
    """Measures, and counts code once that several choices lead to."""

    def __init__(self) -> None:
        """Nothing is known yet."""
        self._profiles: dict[tuple[str, str], Profile] = {}

    def measure(self, network: Network, case: Case, folder: Path) -> Row:
        """Build into `folder`, which does not exist yet, and count.

        Raises McugenError as a build does, MissingToolError without compiler or simulator.
        """
        started = time.monotonic()
        report = mcugen.build(
            network.model(),
            board=case.core,
            calibration=network.samples(),
            name=network.name,
            out=folder,
            input_shapes=network.input_shapes,
            optimize=case.optimize,
            simulate=0,
        ).report
        seconds = time.monotonic() - started
        key = (case.core, _fingerprint(folder, str(report["digest"])))
        if key not in self._profiles:
            program = program_of(folder, load_graph(folder / REFERENCE))
            self._profiles[key] = profile_target(program, core_named(case.core).core)
        profile = self._profiles[key]
        return Row(
            network=case.network,
            core=case.core,
            optimize=case.optimize,
            macs=int(report["macs"]),
            instructions=profile.instructions,
            cycles=profile.cycles,
            arena_bytes=int(report["arena_bytes"]),
            stack_bytes=profile.stack_bytes,
            flash_bytes=profile.flash_bytes,
            build_seconds=round(seconds, 1),
            compiler=profile.compiler,
            engine=profile.engine,
        )


def _fingerprint(folder: Path, digest: str) -> str:
    """Of the C files, without the digest of the options that led to them."""
    text = "".join(path.read_text("utf-8") for path in sorted(folder.glob("*.[ch]")))
    return hashlib.sha256(text.replace(digest, "").encode()).hexdigest()
