# SPDX-License-Identifier: Apache-2.0
"""The command line inside this process: fast, and with every output looked at."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

from click.testing import CliRunner, Result

from mcugen.cli import main


def mcugen(*arguments: object) -> Result:
    """Run a command; whatever it says, it never shows a traceback."""
    result = CliRunner().invoke(main, [str(argument) for argument in arguments])
    assert "Traceback" not in result.output
    return result


def refused(*arguments: object, code: int = 2) -> str:
    """The one message of a command that fails for the user's mistake."""
    result = mcugen(*arguments)
    assert result.exit_code == code, result.output
    assert result.stdout == ""
    assert len(re.findall(r"(?m)^(?:error|Error|internal error): ", result.stderr)) == 1
    return result.stderr


def build(
    model: Path, *options: object, out: Path, board: str = "cortex-m4", simulate: int = 0
) -> Path:
    """Build a folder, without simulation, and return it."""
    fixed = ("--board", board, "--out", out, "--simulate", simulate, "--quiet")
    result = mcugen("build", model, *fixed, *options)
    assert result.exit_code == 0, result.output
    assert result.stdout == ""
    return out


def contents(folder: Path) -> dict[str, str]:
    """Every file below a folder with a digest of its bytes."""
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }
