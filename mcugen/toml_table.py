# SPDX-License-Identifier: Apache-2.0
"""Typed reading of TOML that notes every problem instead of stopping at the first one.

Knows nothing of boards: keys, patterns and limits come from the caller.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

from mcugen.errors import BoardError

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

_MISSING = object()
_MAX_FILE_BYTES = 1 << 20
_BARE_KEY = re.compile(r"[A-Za-z0-9_-]{1,40}")
_SIZE = re.compile(r"([1-9][0-9]{0,9}) (B|KiB|MiB)")
_UNIT_BYTES = {"B": 1, "KiB": 1 << 10, "MiB": 1 << 20}


def read_toml(path: Path) -> dict[str, object]:
    """The top table of a TOML file.

    Raises:
        BoardError: The file is missing, unreadable, too large or not TOML.
    """
    try:
        with path.open("rb") as file:
            content = file.read(_MAX_FILE_BYTES + 1)
    except (OSError, ValueError) as error:  # ValueError: a NUL in the name
        reason = getattr(error, "strerror", None) or str(error)
        msg = f"cannot read board file {str(path)!r}: {reason}"
        raise BoardError(msg) from error
    if len(content) > _MAX_FILE_BYTES:
        msg = f"{path}: larger than {_MAX_FILE_BYTES} bytes, so this is not a board file"
        raise BoardError(msg)
    try:
        return tomllib.loads(content.decode())
    except (ValueError, RecursionError) as error:  # ValueError: not UTF-8, or not TOML
        msg = f"{path}: not a TOML file: {error}"
        raise BoardError(msg) from error


class Table:
    """One TOML table; a value that is missing or wrong is noted and read as an empty one."""

    def __init__(self, values: object, where: str, problems: list[str]) -> None:
        """Read `values`, found at the dotted key `where`, and add to the shared `problems`."""
        self._values = values if isinstance(values, dict) else {}
        self._where = where
        self._asked: list[str] = []
        self.problems = problems
        if not isinstance(values, dict):
            self._note(where, "a table", values)
            self.problems = []  # that its keys are missing too is no news

    def has(self, key: str) -> bool:
        """Whether the key is there, whatever its value."""
        return key in self._values

    def holds_table(self, key: str) -> bool:
        """Whether the key is there and is a table."""
        return isinstance(self._values.get(key), dict)

    def text(self, key: str, pattern: re.Pattern[str], expected: str) -> str:
        """A string that matches `pattern` as a whole."""
        value = self._take(key)
        if isinstance(value, str) and pattern.fullmatch(value):
            return value
        self._note(self._path(key), expected, value)
        return ""

    def texts(self, key: str, pattern: re.Pattern[str], expected: str) -> tuple[str, ...]:
        """A list of strings that each match `pattern` as a whole."""
        value = self._take(key)
        if not isinstance(value, list):
            self._note(self._path(key), f"a list, each {expected}", value)
            return ()
        for item in value:
            if not (isinstance(item, str) and pattern.fullmatch(item)):
                self._note(self._path(key), expected, item)
        return tuple(item for item in value if isinstance(item, str))

    def number(self, key: str, low: int, high: int) -> int:
        """An integer in [low, high]."""
        value = self._take(key)
        if isinstance(value, int) and not isinstance(value, bool) and low <= value <= high:
            return value
        self._note(self._path(key), f"an integer from {low} to {high}", value)
        return low

    def flag(self, key: str) -> bool:
        """A boolean; false where the key is missing."""
        value = self._take(key)
        if value is not _MISSING and not isinstance(value, bool):
            self._note(self._path(key), "true or false", value)
        return value is True

    def size(self, key: str) -> int:
        """A size written as "64 KiB", in bytes."""
        text = self.text(key, _SIZE, 'a size such as "64 KiB" (units B, KiB, MiB)')
        match = _SIZE.fullmatch(text)
        return int(match[1]) * _UNIT_BYTES[match[2]] if match else 0

    def table(self, key: str) -> Table:
        """The table under a key."""
        value = self._take(key)
        return Table(value, self._path(key), self.problems)

    def tables(self, key: str) -> list[Table]:
        """The tables of a list of tables, which must not be empty."""
        value = self._take(key)
        if not isinstance(value, list) or not value:
            self._note(self._path(key), f"one [[{key}]] table or more", value)
            return []
        return [Table(v, f"{self._path(key)}[{i}]", self.problems) for i, v in enumerate(value)]

    def finish(self) -> None:
        """Note the keys that nobody asked for: a misspelt key must not be ignored."""
        known = ", ".join(dict.fromkeys(self._asked))
        for key in self._values:
            if key not in self._asked:
                name = key if _BARE_KEY.fullmatch(key) else _shown(key)
                self.problems.append(f"{self._path(name)}: unknown key; known: {known}")

    def _path(self, key: str) -> str:
        return f"{self._where}.{key}" if self._where else key

    def _take(self, key: str) -> object:
        self._asked.append(key)
        return self._values.get(key, _MISSING)

    def _note(self, path: str, expected: str, value: object) -> None:
        got = "is missing" if value is _MISSING else f"got {_shown(value)}"
        self.problems.append(f"{path}: expected {expected}, {got}")


def _shown(value: object) -> str:
    """The value as one short line of ASCII."""
    if isinstance(value, int) and value.bit_length() > 64:
        return f"a number of {value.bit_length()} bits"  # Python refuses to print the longest ones
    text = ascii(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
