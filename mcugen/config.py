# SPDX-License-Identifier: Apache-2.0
"""What a user may choose for a build, as one immutable value; the CLI and the API fill it in."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Literal, TypeAlias, get_args

from mcugen.errors import OptionError
from mcugen.pruning.options import BUDGET, PruneOptions
from mcugen.quantize.options import QuantOptions
from mcugen.tradeoff.budget import EXAMPLE, Budget

if TYPE_CHECKING:
    import numpy as np
    import torch
    from numpy.typing import NDArray

# samples: a .npz or .npy file, an array [N, ...], or one array for each input
Samples: TypeAlias = (
    "str | Path | NDArray[np.generic] | torch.Tensor | Sequence[NDArray[np.generic]]"
)
InputLayout: TypeAlias = Literal["nhwc", "nchw"]
Requant: TypeAlias = Literal["single", "double"]
Optimize: TypeAlias = Literal["balanced", "speed", "size", "ram"]
FastRam: TypeAlias = 'int | Literal["all"]'


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class BuildOptions:
    """One build. `calibration` and `evaluation` are paths or arrays; None means not given."""

    board: str
    out: Path | None = None  # build/NAME where not given
    name: str | None = None
    calibration: Samples | None = None
    evaluation: Samples | None = None
    input_shapes: tuple[tuple[int, ...], ...] | None = None  # batch axis included
    arch: str | None = None
    trust_pickle: bool = False
    input_layout: InputLayout = "nhwc"
    requant: Requant = "single"
    quant: QuantOptions = field(default_factory=QuantOptions)
    prune: PruneOptions | None = None  # at once, before quantization
    budget: Budget | None = None  # chooses the bits of each layer and its kernel
    max_drop: float | None = None  # the same, by points of accuracy that may be lost
    kernels: tuple[tuple[str, str], ...] = ()  # layers and variants that a search has chosen
    ram: int | None = None  # bytes that the arena shall fit in, where the board has more
    optimize: Optimize = "balanced"
    fast_ram: FastRam = 0  # bytes of the board's fast RAM that the network may use
    row_input: bool = False  # the caller gives the input image row by row
    skip_passes: frozenset[str] = frozenset()
    sanitize: bool = False
    simulate: int = 16  # inputs compared on the simulated core, 0 to leave it out
    dump_dir: Path | None = None

    def __post_init__(self) -> None:
        """Raise OptionError for a choice that is none of those offered."""
        offered = {"input_layout": InputLayout, "requant": Requant, "optimize": Optimize}
        for name, choices in offered.items():
            if getattr(self, name) not in get_args(choices):
                expected = ", ".join(get_args(choices))
                msg = f"{name} is {getattr(self, name)!r}; expected one of {expected}"
                raise OptionError(msg)
        if self.fast_ram != "all" and not (isinstance(self.fast_ram, int) and self.fast_ram >= 0):
            msg = f"fast_ram is {self.fast_ram!r}; expected a number of bytes, or 'all'"
            raise OptionError(msg)
        if self.allocates and self.budget is None:
            msg = f"the allocation {BUDGET} needs what may be used: add --budget, as in {EXAMPLE}"
            raise OptionError(msg)
        if self.searches and self.quant.weights and not self.allocates:
            given = ",".join(self.quant.weights)
            msg = f"--weights {given}: with --budget or --max-drop the search chooses the bits"
            raise OptionError(msg)
        if self.max_drop is not None and self.prune is not None:
            msg = (
                "--max-drop is told against the float network, which --prune changes: leave one of "
                "them out, or let `mcugen search --max-drop` choose the zeros as well"
            )
            raise OptionError(msg)
        if self.simulate < 0:
            msg = f"simulate is {self.simulate}; expected a number of inputs, or 0 for none"
            raise OptionError(msg)

    @property
    def allocates(self) -> bool:
        """How much of each layer becomes zero is to be found; bits stay as they are."""
        return self.prune is not None and self.prune.allocation == BUDGET

    @property
    def searches(self) -> bool:
        """Bits and kernels are to be chosen."""
        return self.budget is not None or self.max_drop is not None


def parse_shape(text: str) -> tuple[int, ...]:
    """`1,1,28,28` as a tuple. Raises ValueError for anything else."""
    sizes = tuple(int(part) for part in text.replace("x", ",").split(","))
    if min(sizes) < 1:
        msg = "sizes must be 1 or more"
        raise ValueError(msg)
    return sizes


def parse_fast_ram(text: str) -> FastRam:
    """`16384`, `16K`, `16 KiB` or `all`. Raises ValueError for anything else."""
    if text == "all":
        return "all"
    match = _BYTES.fullmatch(text)
    if match is None:
        msg = "not a size"
        raise ValueError(msg)
    return int(match[1]) * {"": 1, "K": 1024, "M": 1024**2}[(match[2] or "")[:1].upper()]


_BYTES = re.compile(r"([0-9]{1,10}) ?(?:(K|M|KiB|MiB))?", re.IGNORECASE)


def shapes_text(shapes: Sequence[Sequence[int]]) -> str:
    """Shapes as the command line takes them."""
    return " ".join(",".join(map(str, shape)) for shape in shapes)
