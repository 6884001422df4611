# SPDX-License-Identifier: Apache-2.0
"""What the rooms of the house may not know: operators outside mcugen/ops, torch outside its own."""

from __future__ import annotations

import ast
import re
import resource
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "mcugen"
TEMPLATES = sorted((ROOT / "templates").rglob("*.j2"))
HELP_SECONDS = 0.3

ROOMS_WITHOUT_OPERATORS = ("ir", "plan", "emit", "verify", "simulate")
# File names in mcugen/ops that are everyday words of Python, numpy or C as well: for these the
# import rule has to do.
EVERYDAY = {"add", "concat", "constant", "mean", "pad", "pointwise", "reshape", "slice", "split"}
EVERYDAY |= {"max", "scale", "shift", "transpose", "arithmetic", "window", "clip", "input"}
EVERYDAY |= {"output", "affine", "quantize"}


def modules_of(room: str) -> list[Path]:
    return sorted((PACKAGE / room).rglob("*.py"))


def defines_operator(module: Path) -> bool:
    bases = {
        ast.unparse(base)
        for node in ast.walk(ast.parse(module.read_text("utf-8")))
        if isinstance(node, ast.ClassDef)
        for base in node.bases
    }
    return bool(bases & {"Op", "IntOp"})


OPERATORS = {path.stem for path in modules_of("ops") if defines_operator(path)} - {"base"}
OPERATOR_WORDS = {word for stem in OPERATORS for word in stem.split("_")} - EVERYDAY


def words(text: str) -> set[str]:
    """Lower-case words of an identifier or a text: `MaxPool2d_s8` is max, pool, d, s."""
    return {word.lower() for word in re.findall(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])", text)}


def run_time_nodes(node: ast.AST) -> Iterator[ast.AST]:
    """Every node below this one, except what only a type checker sees and docstrings."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.If) and "TYPE_CHECKING" in ast.unparse(child.test):
            continue
        if isinstance(child, ast.Expr) and isinstance(child.value, ast.Constant):
            continue
        yield child
        yield from run_time_nodes(child)


def spoken(node: ast.AST) -> str:
    """What this node itself names: an identifier, an attribute or a string."""
    fields = ("id", "attr", "arg", "name", "module", "value")
    return " ".join(
        value for field in fields if isinstance(value := getattr(node, field, None), str)
    )


def imports(module: Path) -> set[str]:
    """Dotted names that importing or running this module imports."""
    found: set[str] = set()
    for node in run_time_nodes(ast.parse(module.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
    return found


def in_tree(name: str, package: str) -> bool:
    return name == package or name.startswith(f"{package}.")


def each_module(*rooms: str) -> pytest.MarkDecorator:
    paths = [path for room in rooms for path in modules_of(room)]
    return pytest.mark.parametrize("module", paths, ids=lambda p: p.relative_to(PACKAGE).as_posix())


def test_the_operators_are_known() -> None:
    assert {"conv", "linear", "softmax"} <= OPERATOR_WORDS


@pytest.mark.parametrize("room", [*ROOMS_WITHOUT_OPERATORS, "frontend", "ops", "passes", "lower"])
def test_the_room_is_there(room: str) -> None:
    assert modules_of(room)


@each_module(*ROOMS_WITHOUT_OPERATORS)
def test_the_module_names_no_operator(module: Path) -> None:
    nodes = run_time_nodes(ast.parse(module.read_text("utf-8")))
    named = {text for node in nodes if words(text := spoken(node)) & OPERATOR_WORDS}
    assert named == set()


@each_module(*ROOMS_WITHOUT_OPERATORS)
def test_the_module_imports_no_operator(module: Path) -> None:
    forbidden = {f"mcugen.ops.{stem}" for stem in OPERATORS}
    assert {name for name in imports(module) if any(in_tree(name, op) for op in forbidden)} == set()


@pytest.mark.parametrize("template", TEMPLATES, ids=lambda path: path.name)
def test_the_template_names_no_operator(template: Path) -> None:
    assert words(template.read_text("utf-8")) & OPERATOR_WORDS == set()


@each_module("plan", "emit", "ir")
def test_the_module_never_imports_torch(module: Path) -> None:
    assert {name for name in imports(module) if in_tree(name, "torch")} == set()


def test_only_the_frontend_imports_torch_export() -> None:
    outside = [path for path in modules_of(".") if path.parent.name != "frontend"]
    found = {
        path.relative_to(PACKAGE).as_posix(): name
        for path in outside
        for name in imports(path)
        if in_tree(name, "torch.export") or in_tree(name, "torch.fx")
    }
    assert found == {}


IMPORT_ALL = """
import importlib, pkgutil, sys
package = importlib.import_module(sys.argv[1])
for found in pkgutil.walk_packages(getattr(package, "__path__", []), f"{package.__name__}."):
    importlib.import_module(found.name)
sys.exit("torch was imported" if "torch" in sys.modules else 0)
"""


@pytest.mark.slow
@pytest.mark.parametrize("package", ["mcugen.cli", "mcugen.boards", "mcugen.emit", "mcugen.plan"])
def test_importing_it_does_not_import_torch(package: str) -> None:
    command = [sys.executable, "-c", IMPORT_ALL, package]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def test_help_answers_at_once() -> None:
    """In processor time, so that a busy machine does not fail it; the best of five."""

    def seconds() -> float:
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run([sys.executable, "-m", "mcugen", "--help"], cwd=ROOT, check=True, stdout=-3)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        return after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime

    assert min(seconds() for _ in range(5)) < HELP_SECONDS


def test_words_splits_identifiers() -> None:
    assert words("mcugen_conv2d_s8") == {"mcugen", "conv", "d", "s"}
    assert words("MaxPool LeakyReLU") >= {"max", "pool", "leaky"}
    assert words("convert unconvinced") == {"convert", "unconvinced"}


def test_a_type_only_import_is_not_an_import(tmp_path: Path) -> None:
    module = tmp_path / "m.py"
    module.write_text("if TYPE_CHECKING:\n    import torch\ndef f():\n    from torch import fx\n")
    assert imports(module) == {"torch", "torch.fx"}
    module.write_text("if TYPE_CHECKING:\n    import torch\n")
    assert imports(module) == set()
