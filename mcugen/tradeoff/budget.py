# SPDX-License-Identifier: Apache-2.0
"""What a network may cost, as a user says it: `flash=64K,ram=20K,cycles=5M`. Imports no torch."""

from __future__ import annotations

import re
from dataclasses import dataclass

from mcugen.errors import OptionError

# a kilobyte of memory has 1024 bytes, a thousand cycles are 1000
_UNITS = {
    "flash": {"": 1, "K": 1024, "M": 1024**2},
    "ram": {"": 1, "K": 1024, "M": 1024**2},
    "cycles": {"": 1, "K": 1000, "M": 1000**2, "G": 1000**3},
}
_NUMBER = re.compile(r"([0-9]+(?:\.[0-9]+)?) ?([KMG]?)(?:i?B)?", re.IGNORECASE)
EXAMPLE = "flash=64K,ram=20K,cycles=5M"


@dataclass(frozen=True, slots=True, kw_only=True)
class Budget:
    """Bounds of the finished network, None where there is none.

    flash: bytes of code and constants. ram: bytes of the arena. cycles: of one inference, in the
    unit of the core's cost model, which are instructions on the Cortex-M55.
    """

    flash: int | None = None
    ram: int | None = None
    cycles: int | None = None

    def __post_init__(self) -> None:
        """Raise OptionError for a budget without bounds, or with one below 1."""
        problems = [
            f"budget: {name} is {bound}; expected 1 or more"
            for name, bound in self.bounds().items()
            if bound < 1
        ]
        if not self.bounds():
            problems.append(f"the budget bounds nothing; expected some of {EXAMPLE}")
        if problems:
            raise OptionError("\n".join(problems))

    def bounds(self) -> dict[str, int]:
        """The bounds that there are, by name."""
        named = {"flash": self.flash, "ram": self.ram, "cycles": self.cycles}
        return {name: bound for name, bound in named.items() if bound is not None}

    def text(self) -> str:
        """As `parse_budget` takes it, in bytes and cycles."""
        return ",".join(f"{name}={bound}" for name, bound in self.bounds().items())


def parse_budget(text: str) -> Budget:
    """`flash=64K,ram=20K,cycles=5M` or some of them. Raises OptionError listing all faults."""
    found: dict[str, int] = {}
    problems = []
    for part in text.split(","):
        name, equals, amount = (word.strip() for word in part.partition("="))
        number = _NUMBER.fullmatch(amount)
        if name not in _UNITS or not equals:
            problems.append(f"budget {part.strip()!r} is not known; expected some of {EXAMPLE}")
        elif number is None or number[2].upper() not in _UNITS[name]:
            units = ", ".join(unit for unit in _UNITS[name] if unit)
            problems.append(
                f"budget {name}: {amount!r} is no number, with {units} behind it or not"
            )
        elif name in found:
            problems.append(f"budget: {name} is given twice")
        else:
            found[name] = int(float(number[1]) * _UNITS[name][number[2].upper()])
    if problems:
        raise OptionError("\n".join(problems))
    return Budget(**found)
