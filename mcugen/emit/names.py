# SPDX-License-Identifier: Apache-2.0
"""Names that the generated C, its files and its folder may bear."""

from __future__ import annotations

import re

from mcugen.errors import OutputError

MAX_NAME = 48

_KEYWORDS = """
    auto break case char const continue default do double else enum extern float for goto if inline
    int long register restrict return short signed sizeof static struct switch typedef union
    unsigned void volatile while asm bool catch class delete explicit export false friend mutable
    namespace new operator private protected public template this throw true try typeid typename
    using virtual and or not xor bitand bitor compl main mcugen
"""
# NAME.h must not hide a header of the C library, nor the library's target one of CMake's own
_HEADERS = """
    assert complex ctype errno fenv float inttypes iso646 limits locale math setjmp signal stdalign
    stdarg stdatomic stdbool stddef stdint stdio stdlib stdnoreturn string tgmath threads time uchar
    wchar wctype features unistd memory endian alloca malloc new
"""
_TARGETS = "all clean edit_cache help install package rebuild_cache test"
_RESERVED = frozenset(f"{_KEYWORDS} {_HEADERS} {_TARGETS}".split())


def check_name(name: str) -> str:
    """Return `name`, or raise OutputError: lower-case C identifier, not reserved, 1 to 48 long."""
    if not re.fullmatch(r"[a-z][a-z0-9_]*", name) or len(name) > MAX_NAME:
        shown = name if len(name) <= MAX_NAME else f"{name[:20]}... ({len(name)} characters)"
        msg = (
            f"name {shown!r} cannot be used in C: expected a lower-case letter, then lower-case "
            f"letters, digits or _, at most {MAX_NAME} in all; pass another one with --name"
        )
        raise OutputError(msg)
    if name in _RESERVED or name.startswith("mcugen_"):
        msg = f"name {name!r} is taken in C, C++, CMake or mcugen; pass another one with --name"
        raise OutputError(msg)
    return name


def default_name(stem: str) -> str:
    """A usable name from a file's or class's name, `My-Net.v2` to `my_net_v2`.

    Raises OutputError where nothing usable is left.
    """
    spaced = re.sub(r"(?<=[a-z0-9])(?=[A-Z][a-z])", "_", stem)
    name = re.sub(r"[^a-z0-9]+", "_", spaced.lower()).strip("_")
    if name and not name[0].isalpha():
        name = f"net_{name}"
    return check_name(name[:MAX_NAME].rstrip("_"))
