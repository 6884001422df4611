# SPDX-License-Identifier: Apache-2.0
"""Writing a folder in one step: complete or not at all, and never over a user's own files."""

from __future__ import annotations

import ctypes
import json
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from mcugen.errors import OutputError

REPORT = "report.json"


def check_target(out: Path) -> None:
    """Raise OutputError where `out` exists and is not a folder that mcugen wrote and owns."""
    if Path.cwd() == out.resolve():
        msg = f"output {out} is the current folder, which cannot be replaced; choose another --out"
        raise OutputError(msg)
    if not out.exists() and not out.is_symlink():
        return
    if not out.is_dir() or out.is_symlink():
        msg = f"output {out} exists and is not a plain folder; choose another one with --out"
        raise OutputError(msg)
    present = {path.name for path in out.iterdir()}
    if not present:
        return
    foreign = sorted(present - _own_files(out))
    if foreign:
        shown = ", ".join(foreign[:5]) + (", ..." if len(foreign) > 5 else "")
        msg = (
            f"output folder {out} holds files that mcugen did not write ({shown}); "
            "nothing was changed: move them away or choose another folder with --out"
        )
        raise OutputError(msg)


def _own_files(out: Path) -> set[str]:
    """The files that the folder's own report claims."""
    try:
        report = json.loads((out / REPORT).read_text(encoding="utf-8"))
        files = report["files"]
        return {REPORT, *files} if isinstance(files, list) else set()
    except (OSError, ValueError, KeyError, TypeError):
        return set()


@contextmanager
def staging(out: Path) -> Iterator[Path]:
    """A temporary folder beside `out`, renamed to `out` on success and removed on failure.

    Raises OutputError where the disk is full or read-only; the old folder is then intact.
    """
    check_target(out)
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        temporary = Path(tempfile.mkdtemp(prefix=f".{out.name}.", dir=out.parent))
    except OSError as error:
        raise OutputError(_os_message(out, error)) from error
    try:
        temporary.chmod(0o755)
        yield temporary
        _swap(temporary, out)
    except OSError as error:
        raise OutputError(_os_message(out, error)) from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _swap(temporary: Path, out: Path) -> None:
    """Put `temporary` in the place of `out`, in one step where the system has one."""
    check_target(out)
    if not out.exists():
        temporary.rename(out)
        return
    if _exchange(temporary, out):
        return
    old = Path(tempfile.mkdtemp(prefix=f".{out.name}.old.", dir=out.parent))
    out.rename(old / "old")
    try:
        temporary.rename(out)
    except OSError:
        (old / "old").rename(out)
        raise
    finally:
        shutil.rmtree(old, ignore_errors=True)


def _exchange(one: Path, other: Path) -> bool:
    """Swap two folders atomically, so that a kill leaves the one or the other; False if it cannot.

    Source: renameat2(2), RENAME_EXCHANGE; file systems may lack it.
    """
    renameat2 = getattr(ctypes.CDLL(None), "renameat2", None) if os.name == "posix" else None
    if renameat2 is None:
        return False
    at_cwd, rename_exchange = -100, 2
    paths = (os.fsencode(one.absolute()), os.fsencode(other.absolute()))
    return bool(renameat2(at_cwd, paths[0], at_cwd, paths[1], rename_exchange) == 0)


def write_files(folder: Path, files: Mapping[str, str]) -> None:
    """Write text files with Unix line ends."""
    for name, text in files.items():
        with (folder / name).open("w", encoding="utf-8", newline="\n") as stream:
            stream.write(text)


def _os_message(out: Path, error: OSError) -> str:
    reason = error.strerror or str(error)
    return f"cannot write output folder {out}: {reason}; nothing was changed"
