# SPDX-License-Identifier: Apache-2.0
"""Line breaks of the generated C: whatever the names, no line is longer than 100 columns."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence

from mcugen.emit.literals import INDENT, WIDTH


def fill(head: str, items: Sequence[str], separator: str, tail: str, hang: str) -> str:
    """`head`, the items and `tail`; what does not fit a line goes on below, indented by `hang`."""
    lines, line, room = [], head, ""
    for item in [*(item + separator for item in items[:-1]), *items[-1:]]:
        ended = item if item.endswith(separator) else item + tail
        if line.strip() and len(line) + len(room) + len(ended) > WIDTH:
            lines.append(line)
            line, room = hang, ""
        line, room = line + room + ended, " "
    return "\n".join([*lines, line])


def call(head: str, arguments: Sequence[str], tail: str, indent: str = "") -> str:
    """`head(arguments)tail`: a call or a function's head."""
    return fill(f"{indent}{head}(", arguments, ",", f"){tail}", indent + INDENT)


def condition(head: str, terms: Sequence[str], tail: str, indent: str) -> str:
    """`head (terms) tail`, the terms joined by ||."""
    return fill(f"{indent}{head} (", terms, " ||", f") {tail}", indent + INDENT)


def definition(kind: str, name: str) -> str:
    """`kind name = {`, the first line or lines of a constant."""
    line = f"{kind} {name} = {{"
    return line if len(line) <= WIDTH else f"{kind}\n{INDENT}{name} = {{"


def member(name: str, value: str) -> str:
    """`.name = value`, one member of an initialiser that is indented once."""
    line = f".{name} = {value}"
    fits = len(INDENT) + len(line) + len(",") <= WIDTH
    return line if fits else f".{name} =\n{2 * INDENT}{value}"


def comment(text: str, indent: str = "") -> str:
    """`text` between /* and */, on as many lines as it takes."""
    lines = textwrap.wrap(
        text,
        WIDTH - len(indent) - len(" *  */"),
        break_long_words=False,
        break_on_hyphens=False,
    )
    return f"\n{indent} * ".join([f"{indent}/* {lines[0]}", *lines[1:]]) + " */"
