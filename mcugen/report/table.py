# SPDX-License-Identifier: Apache-2.0
"""Rows to aligned text, and numbers as people read them."""

from __future__ import annotations

from collections.abc import Collection, Sequence


def columns(rows: Sequence[Sequence[str]], right: Collection[int] = ()) -> list[str]:
    """The rows as lines, each column as wide as its longest cell, no blanks at the end.

    `right` are the columns that stand flush right.
    """
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        "  ".join(
            cell.rjust(width) if k in right else cell.ljust(width)
            for k, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    ]


def size_text(size_bytes: int) -> str:
    """A size in the largest unit that shows it in full, or in KiB with one decimal."""
    if size_bytes and size_bytes % (1 << 20) == 0:
        return f"{size_bytes >> 20} MiB"
    return f"{size_bytes / 1024:.1f}".removesuffix(".0") + " KiB"


def shape_text(shape: Sequence[int]) -> str:
    """`[28, 28, 1]`."""
    return f"[{', '.join(map(str, shape))}]"
