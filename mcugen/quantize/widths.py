# SPDX-License-Identifier: Apache-2.0
"""What may be said about the width of weights: int4, or int4 for some layers. Imports no torch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from mcugen.errors import OptionError

WIDTHS = {"int8": 8, "int4": 4, "int2": 2}
KEPT = ("first", "last", "depthwise")
PLACES = (*KEPT, "none")  # what `keep_int8` may name beside layers


class WidthRule(NamedTuple):
    """Weights of the layers that a pattern matches, of all layers where it is None."""

    pattern: str | None
    bits: int


@dataclass(frozen=True, slots=True, kw_only=True)
class WidthOptions:
    """The width of the weights: `int4`, or `PATTERN=int4` for some layers; later entries win.

    A pattern is a layer's name or the path of its module, with `*`, `?` and `[...]`. `keep_int8`
    exempts layers, unless they are named in full: `first`, `last` and `depthwise` ones, or
    patterns; `none` exempts none.
    """

    weights: tuple[str, ...] = ()
    keep_int8: tuple[str, ...] = KEPT

    def __post_init__(self) -> None:
        """Raise OptionError for widths that are none."""
        rules(self.weights)

    def text(self) -> str:
        """The choices in a line, empty where all weights are int8."""
        if not self.weights:
            return ""
        return f"{','.join(self.weights)} keep {','.join(self.keep_int8)}"


def split_list(texts: str | Sequence[str]) -> tuple[str, ...]:
    """Entries of options that may be given several times, or once with commas."""
    texts = [texts] if isinstance(texts, str) else texts
    return tuple(part.strip() for text in texts for part in text.split(",") if part.strip())


def rules(weights: Sequence[str]) -> tuple[WidthRule, ...]:
    """The entries of `WidthOptions.weights`, taken apart. Raises OptionError listing all faults."""
    found, problems = [], []
    for entry in weights:
        pattern, equals, width = entry.rpartition("=")
        if width in WIDTHS and (pattern or not equals):
            found.append(WidthRule(pattern if equals else None, WIDTHS[width]))
        else:
            problems.append(
                f"weights {entry!r} is not known; use {', '.join(WIDTHS)}, "
                "or PATTERN=int4 for the layers that a pattern matches"
            )
    if problems:
        raise OptionError("\n".join(problems))
    return tuple(found)
