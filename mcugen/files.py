# SPDX-License-Identifier: Apache-2.0
"""Reading a user's file whole, but not one that never ends; writing one whole or not at all."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

MAX_BYTES = 2 << 30


def read_file(path: Path, max_bytes: int) -> bytes:
    """A file's content.

    Raises OSError where it cannot be read, is longer than `max_bytes`, or is a device or a pipe,
    which need not end.
    """
    if not path.is_file() and not path.is_dir() and path.exists():
        msg = "it is a device or a pipe, not a file"
        raise OSError(msg)
    size = path.stat().st_size
    if size > max_bytes:
        msg = f"it is {size:,} bytes long; at most {max_bytes:,} are read"
        raise OSError(msg)
    return path.read_bytes()


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A temporary file beside `path`, which takes its place in one step, or is removed on an error.

    Raises OSError where the folder cannot be written.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    os.close(handle)
    temporary = Path(name)
    try:
        yield temporary
        temporary.chmod(0o644)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
