# SPDX-License-Identifier: Apache-2.0
"""What a kernel is: calls of C functions with their tables, what they cost, what they run on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

AnyArray: TypeAlias = "NDArray[np.generic]"


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ConstTable:
    """A constant array of the generated C.

    `suffix` completes the layer's name ("weight"), `comment` names the axes ("[out_ch, in_ch]").
    """

    suffix: str
    values: AnyArray  # int8 to int64 or uint8 to uint32, of any rank
    comment: str


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class KernelCall:
    """One call of a kernel: `function(&params, operands..., output[, scratch])`.

    `fields` are the members of `<function>_params_t` in order: an int, or the suffix of one of
    `tables` (a pointer to it), or None for a null pointer. `operands` are positions in the node's
    inputs.
    """

    function: str
    header: str  # "mcugen_conv.h"
    fields: tuple[tuple[str, int | str | None], ...]
    tables: tuple[ConstTable, ...] = ()
    operands: tuple[int, ...] = (0,)
    scratch_bytes: int = 0


Optimize: TypeAlias = Literal["balanced", "speed", "size", "ram"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """What kernels may be chosen for."""

    core: str = "portable"  # "cortex-m4"
    features: frozenset[str] = frozenset()  # of mcugen.boards.FEATURES
    optimize: Optimize = "balanced"
    chosen: tuple[tuple[str, str], ...] = ()  # layers whose kernel's variant is settled


PORTABLE = Target()


@dataclass(frozen=True, slots=True, kw_only=True)
class Overlap:
    """The output may share bytes with an operand that nobody reads later.

    Allowed where output_start + distance <= operand_start, in bytes: a kernel that runs forward has
    then read each byte before it is overwritten. A negative distance lets the output start later.
    """

    operand: int
    distance: int


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Kernel:
    """One way to compute a node: calls of C functions, and what they cost and allow."""

    variant: str  # "portable", "dsp_2x4"
    calls: tuple[KernelCall, ...]
    cycles: float  # estimate on the target's core
    overlaps: tuple[Overlap, ...] = ()
    skips_zeros: bool = False  # weights of zero cost no multiplication
    any_place: bool = False  # operands and output need not begin at words

    @property
    def scratch_bytes(self) -> int:
        """Arena that is needed while the node runs; its calls use it one after the other."""
        return max((call.scratch_bytes for call in self.calls), default=0)

    @property
    def table_bytes(self) -> int:
        """Constant data."""
        return sum(table.values.nbytes for call in self.calls for table in call.tables)
