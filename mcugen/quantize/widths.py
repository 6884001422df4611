# SPDX-License-Identifier: Apache-2.0
"""What may be said about the width of weights and activations, layer by layer. Imports no torch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from mcugen.errors import OptionError

WIDTHS = {"int8": 8, "int4": 4, "int2": 2}
ACTIVATIONS = {"int8": 8, "int16": 16}
KEPT = ("first", "last", "depthwise")
PLACES = (*KEPT, "none")  # what `keep_int8` may name beside layers


class WidthRule(NamedTuple):
    """What belongs to the layers that a pattern matches, to all layers where it is None."""

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
    return _rules("weights", weights, WIDTHS, "int4")


def activation_rules(activations: Sequence[str]) -> tuple[WidthRule, ...]:
    """The entries of `QuantOptions.activations`, likewise."""
    return _rules("activations", activations, ACTIVATIONS, "int16")


def _rules(
    option: str, entries: Sequence[str], widths: Mapping[str, int], example: str
) -> tuple[WidthRule, ...]:
    found, problems = [], []
    for entry in entries:
        pattern, equals, width = entry.rpartition("=")
        if width in widths and (pattern or not equals):
            found.append(WidthRule(pattern if equals else None, widths[width]))
        else:
            problems.append(
                f"{option} {entry!r} is not known; use {', '.join(widths)}, "
                f"or PATTERN={example} for the layers that a pattern matches"
            )
    if problems:
        raise OptionError("\n".join(problems))
    return tuple(found)
