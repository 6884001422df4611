# SPDX-License-Identifier: Apache-2.0
"""The same inputs on every target there is: this machine, sanitizers, the simulated core."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from mcugen.boards import Core
from mcugen.errors import MissingToolError
from mcugen.ir.graph import Graph
from mcugen.simulate.program import Program
from mcugen.verify.compare import Verification, compare
from mcugen.verify.host import HostNetwork
from mcugen.verify.inputs import Batch
from mcugen.verify.sanitized import SanitizedNetwork
from mcugen.verify.target import TargetNetwork

SANITIZED_INPUTS = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Proof:
    """What was compared, with no mismatch, and what could not be and why."""

    verified: tuple[Verification, ...]
    missing: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Targets:
    """Where to verify beside this machine."""

    core: Core
    simulate: int  # inputs on the simulated core, 0 for none
    sanitize: bool = False


def verify_everywhere(
    graph: Graph,
    program: Program,
    host: HostNetwork,
    inputs: Batch,
    targets: Targets,
    progress: Callable[[str], None] = lambda _: None,
) -> Proof:
    """Compare the reference with the C on all targets; all inputs on this machine, some on others.

    Raises MismatchError at the first difference. A missing simulator or cross compiler is noted, a
    missing host compiler raises.
    """
    progress(f"verifying on this machine, {len(inputs[0])} inputs")
    verified, missing = [compare(graph, host, inputs)], []
    if targets.sanitize:
        progress("verifying with sanitizers")
        with SanitizedNetwork(program) as sanitized:
            verified.append(compare(graph, sanitized, spread(inputs, SANITIZED_INPUTS)))
    if targets.simulate:
        progress(f"verifying on the simulated {targets.core.name}")
        try:
            with TargetNetwork(program, targets.core) as simulated:
                verified.append(compare(graph, simulated, spread(inputs, targets.simulate)))
        except MissingToolError as error:
            missing.append(f"{targets.core.name}: {error}")
    return Proof(verified=tuple(verified), missing=tuple(missing))


def spread(inputs: Batch, count: int) -> Batch:
    """At most `count` of the samples, evenly spread: some of each kind."""
    total = len(inputs[0])
    chosen = np.unique(np.linspace(0, total - 1, min(count, total)).round().astype(int))
    return tuple(x[chosen] for x in inputs)
