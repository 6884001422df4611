# SPDX-License-Identifier: Apache-2.0
"""Finds the data folders beside the package, in a checkout or in a wheel; reads nothing in them."""

from __future__ import annotations

from pathlib import Path

from mcugen.errors import InternalError

_PACKAGE = Path(__file__).resolve().parent


def data_dir(name: str) -> Path:
    """The folder `templates`, `runtime_c` or `boards`, wherever this mcugen runs from.

    Raises:
        InternalError: The folder is neither in the wheel nor in the checkout.
    """
    # The wheel's copy first: a folder next to an installed package may belong to somebody else.
    candidates = (_PACKAGE / "_data" / name, _PACKAGE.parent / name)
    for candidate in candidates:
        if candidate.is_dir():
            return candidate
    places = " or ".join(str(candidate) for candidate in candidates)
    msg = f"data folder '{name}' is missing from this installation: expected {places}"
    raise InternalError(msg)
