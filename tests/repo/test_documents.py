# SPDX-License-Identifier: Apache-2.0
"""The documents tell the truth: links lead somewhere, and the commands they show exist."""

from __future__ import annotations

import re
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

from tests.c.networks import kernels

ROOT = Path(__file__).resolve().parents[2]
DOCUMENTS = sorted(
    path
    for folder in (".", "docs", "examples", "benchmarks")
    for path in (ROOT / folder).glob("*.md" if folder == "." else "**/*.md")
)
LINK = re.compile(r"\]\((?!https?://|mailto:|#)([^)#\s]+)")
FENCE = re.compile(r"^```.*?^```", re.MULTILINE | re.DOTALL)
COMMANDS = (
    "build",
    "quantize",
    "finetune",
    "prune",
    "search",
    "inspect",
    "verify",
    "run",
    "profile",
    "boards",
)
COMMAND = re.compile(rf"(?:^|[\s/`])mcugen ({'|'.join(COMMANDS)})\b([^\n`]*)")
FLAG = re.compile(r"(?<![\w-])--[a-z][a-z-]*")


def named(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


each_document = pytest.mark.parametrize("document", DOCUMENTS, ids=named)


@each_document
def test_its_links_lead_somewhere(document: Path) -> None:
    targets = LINK.findall(document.read_text("utf-8"))
    assert [target for target in targets if not (document.parent / target).exists()] == []


@each_document
def test_its_commands_exist(document: Path) -> None:
    unknown = {
        f"mcugen {command} {flag}"
        for command, rest in commands(document.read_text("utf-8"))
        for flag in FLAG.findall(rest)
        if flag not in FLAG.findall(help_of(command))
    }
    assert unknown == set()


def commands(text: str) -> list[tuple[str, str]]:
    """Each `mcugen COMMAND` with the rest of its line, continued lines joined."""
    return COMMAND.findall(text.replace("\\\n", " "))


@cache
def help_of(command: str) -> str:
    call = [sys.executable, "-m", "mcugen", command, "--help"]
    return subprocess.run(call, capture_output=True, check=True, text=True, cwd=ROOT).stdout


def test_the_readme_shows_every_command() -> None:
    shown = {command for command, _ in commands((ROOT / "README.md").read_text("utf-8"))}
    assert shown == set(COMMANDS)


def test_the_readme_has_two_commands_for_a_fresh_machine() -> None:
    """These are what .ci/run takes from the README and runs."""
    blocks = [
        block
        for block in FENCE.findall((ROOT / "README.md").read_text("utf-8"))
        if block.startswith("```sh fresh\n")
    ]
    assert len(blocks) == 2
    assert "mcugen build examples/mnist/model.pt" in blocks[0]
    assert "pytest" in blocks[1]


def test_the_numerics_are_told_of_every_portable_kernel() -> None:
    """Of those that are there for several types, the one of int8 is."""
    told = (ROOT / "docs" / "NUMERICS.md").read_text("utf-8")
    there = kernels()
    assert len(there) > 60
    families = {name: re.sub(r"(_s8|_s16)+(_wide)?$", "_s8", name) for name in there}
    missing = {
        name
        for name, int8 in families.items()
        if f"`{name}`" not in told and not (int8 in there and f"`{int8}`" in told)
    }
    assert missing == set()


def test_commands_are_found_in_text() -> None:
    text = (
        "x\n    .venv/bin/mcugen build m.pt \\\n  --board a\nand `mcugen boards`, not mcugen itself"
    )
    assert [(command, rest.split()) for command, rest in commands(text)] == [
        ("build", ["m.pt", "--board", "a"]),
        ("boards", []),
    ]
