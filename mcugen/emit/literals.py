# SPDX-License-Identifier: Apache-2.0
"""C literals: every number of the generated code is printed here, so that it reads back equal."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

WIDTH = 100
INDENT = "    "

C_TYPES = {
    "int8": "int8_t",
    "uint8": "uint8_t",
    "int16": "int16_t",
    "uint16": "uint16_t",
    "int32": "int32_t",
    "uint32": "uint32_t",
    "int64": "int64_t",
}


def integer(value: int) -> str:
    """A signed literal; the smallest one of 32 bits has none in C and goes by name."""
    return "INT32_MIN" if value == -(2**31) else str(value)


def real(value: float) -> str:
    """A float literal that reads back as the same float32."""
    text = f"{np.float32(value):.9g}"
    return f"{text}f" if any(mark in text for mark in ".en") else f"{text}.0f"


def array_type(values: NDArray[np.generic]) -> str:
    """The C element type of an integer array."""
    return C_TYPES[values.dtype.name]


def array_rows(values: NDArray[np.generic]) -> str:
    """The initialiser's lines, aligned in columns, at most 100 characters wide."""
    suffix = "u" if values.dtype.kind == "u" else ""
    texts = [integer(v) + suffix for v in values.ravel().tolist()]
    width = max(map(len, texts), default=1)
    per_line = max(1, (WIDTH - len(INDENT)) // (width + 2))
    return "\n".join(_lines(texts, width, per_line))


def _lines(texts: Sequence[str], width: int, per_line: int) -> Iterator[str]:
    for start in range(0, len(texts), per_line):
        row = ", ".join(text.rjust(width) for text in texts[start : start + per_line])
        yield f"{INDENT}{row},"
