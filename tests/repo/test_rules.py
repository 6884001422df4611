# SPDX-License-Identifier: Apache-2.0
"""Rules that hold for every file of the repository, whoever writes it."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

ROOT = Path(__file__).resolve().parents[2]
MAX_FILE_BYTES = 1 << 20
MAX_MODULE_LINES = 500
MAX_TEMPLATE_LINES = 120
SPDX = "SPDX-License-Identifier: Apache-2.0"
# Of whoever builds mcugen, wherever they do: absolute paths of homes, mounts and scratch folders.
MACHINE_PATH = re.compile(rb"(?<![\w./$}{)-])/(work|root|home|Users)/[\w.]+|/tmp/[a-z_]+\.md")
TEMPLATE_TAG = re.compile(r"{%-?\s*(\w+)")


def tracked_files() -> list[Path]:
    """What git holds and the work tree still has; nothing where this is no git checkout."""
    if shutil.which("git") is None or not (ROOT / ".git").exists():
        return []
    command = ["git", "-c", f"safe.directory={ROOT}", "-C", str(ROOT), "ls-files", "-z"]
    listing = subprocess.run(command, capture_output=True, check=True, text=True).stdout
    return [path for name in listing.split("\0") if name and (path := ROOT / name).is_file()]


TRACKED = tracked_files()
MODULES = sorted((ROOT / "mcugen").rglob("*.py"))
TEMPLATES = sorted((ROOT / "templates").rglob("*.j2"))


def name_of(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def names(paths: list[Path]) -> list[str]:
    return [name_of(path) for path in paths]


def tracked(*suffixes: str) -> list[Path]:
    if not TRACKED:
        pytest.skip("needs a git checkout and git")
    return [path for path in TRACKED if not suffixes or path.suffix in suffixes]


def test_no_file_is_larger_than_a_mebibyte() -> None:
    assert names([path for path in tracked() if path.stat().st_size > MAX_FILE_BYTES]) == []


def test_no_file_tells_on_whose_machine_it_was_made() -> None:
    found = {
        name_of(path): match.group().decode()
        for path in tracked()
        if (match := MACHINE_PATH.search(path.read_bytes()))
    }
    assert found == {}


@pytest.mark.parametrize(
    "text", [b'"/wo' + b'rk/main/x.py"', b" /ro" + b"ot/.cache", b"/tmp/" + b"notes.md"]
)
def test_a_machine_path_is_recognised(text: bytes) -> None:
    assert MACHINE_PATH.search(text)


@pytest.mark.parametrize(
    "text", [b"a.org/work/x", b"the ../shared/models", b"{tmp}/work/x", b"/tmp/x.c"]
)
def test_other_paths_are_not_machine_paths(text: bytes) -> None:
    assert not MACHINE_PATH.search(text)


def test_sources_begin_with_their_licence() -> None:
    def head(path: Path) -> str:
        return "".join(path.read_text(encoding="utf-8").splitlines(keepends=True)[:2])

    sources = tracked(".py", ".c", ".h", ".j2", ".S", ".ld")
    assert len(sources) > 50
    # An empty py.typed or __init__.py says nothing that could be licensed.
    assert names([p for p in sources if p.stat().st_size and SPDX not in head(p)]) == []


def test_text_ends_lines_as_unix_does() -> None:
    binary = {".pt", ".pt2", ".npz", ".npy", ".png"}
    text = [path for path in tracked() if path.suffix not in binary]
    assert names([path for path in text if b"\r" in path.read_bytes()]) == []


def test_what_is_left_to_do_names_its_issue() -> None:
    loose = re.compile(r"\b(?:TODO(?!\(#\d+\):)|FIX" + r"ME|XX" + r"X)\b")
    here = Path(__file__).resolve()
    sources = [path for path in tracked(".py", ".c", ".h", ".j2") if path != here]
    assert names([path for path in sources if loose.search(path.read_text("utf-8"))]) == []


def test_modules_are_short() -> None:
    lines = {name_of(path): len(path.read_text("utf-8").splitlines()) for path in MODULES}
    assert {name: count for name, count in lines.items() if count > MAX_MODULE_LINES} == {}


def test_there_are_templates() -> None:
    assert TEMPLATES


@pytest.mark.parametrize("template", TEMPLATES, ids=lambda path: path.name)
def test_a_template_decides_nothing(template: Path) -> None:
    text = template.read_text("utf-8")
    lines = len(text.splitlines())
    tags = TEMPLATE_TAG.findall(text)
    assert lines <= MAX_TEMPLATE_LINES
    assert tags.count("set") == tags.count("macro") == tags.count("elif") == 0
    assert deepest_if(tags) <= 1
    assert tags.count("if") <= max(1, 5 * lines / 100)


def deepest_if(tags: list[str]) -> int:
    depth = deepest = 0
    for tag in tags:
        depth += (tag == "if") - (tag == "endif")
        deepest = max(deepest, depth)
    return deepest


def test_deepest_if_counts_nesting() -> None:
    assert deepest_if(["if", "endif", "for", "if", "endif", "endfor"]) == 1
    assert deepest_if(["if", "for", "if", "endif", "endfor", "endif"]) == 2


def test_every_requirement_is_constrained() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    extras = [line for lines in project["optional-dependencies"].values() for line in lines]
    wanted = {requirement_name(line) for line in project["dependencies"] + extras} - {"mcugen"}
    lines = (ROOT / "constraints.txt").read_text("utf-8").splitlines()
    constrained = {requirement_name(line) for line in lines if line and not line.startswith("#")}
    assert wanted - constrained == set()


def requirement_name(line: str) -> str:
    match = re.match(r"[A-Za-z0-9-]+", line)
    assert match, line
    return match.group()
