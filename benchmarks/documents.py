# SPDX-License-Identifier: Apache-2.0
"""What was measured, in the documents: text between two markers."""

from __future__ import annotations


def with_block(text: str, block: str, document: str) -> str:
    """The text of `document` with `block` in place of what stood between its markers.

    Markers are the first and the last line of the block. Raises ValueError where the text has none.
    """
    begin, end = block.splitlines()[0], block.splitlines()[-1]
    before, found, rest = text.partition(begin)
    _, closed, after = rest.partition(end)
    if not found or not closed:
        msg = f"{document} lacks {begin} ... {end}"
        raise ValueError(msg)
    return before + block + after
