# SPDX-License-Identifier: Apache-2.0
"""Sizes in an exported program's own text: numbers, or expressions over named symbols.

torch would evaluate such an expression as Python code; here it is parsed, and only sums, products
and the few functions below are computed.
"""

from __future__ import annotations

import ast
import math
from collections.abc import Callable, Mapping
from typing import Any

from mcugen.errors import ModelError

_MAX_TEXT = 400
_MAX_SIZE = 1 << 40

_FUNCTIONS: dict[str, Callable[..., int]] = {
    "Integer": lambda value: value,
    "Add": lambda *terms: sum(terms),
    "Mul": lambda *factors: math.prod(factors),
    "Max": lambda *terms: max(terms),
    "Min": lambda *terms: min(terms),
    "FloorDiv": lambda a, b: a // b,
    "CleanDiv": lambda a, b: a // b,
    "CeilDiv": lambda a, b: -(-a // b),
    "Mod": lambda a, b: a % b,
    "PythonMod": lambda a, b: a % b,
}
_OPERATORS: dict[type[ast.operator], Callable[[int, int], int]] = {
    ast.Add: lambda a, b: a + b,
    ast.Sub: lambda a, b: a - b,
    ast.Mult: lambda a, b: a * b,
    ast.FloorDiv: lambda a, b: a // b,
    ast.Mod: lambda a, b: a % b,
}

Bindings = Mapping[str, int]


def symbol_of(size: Mapping[str, Any]) -> str | None:
    """The symbol's name where a size is one symbol and nothing else, as a dynamic batch is."""
    if "as_expr" not in size:
        return None
    tree = _parse(size["as_expr"]["expr_str"])
    return _symbol_name(tree) or None


def size_value(size: Mapping[str, Any], bindings: Bindings) -> int:
    """The number that a size stands for. Raises ModelError where a symbol has no binding."""
    if "as_int" in size:
        return checked_int(size["as_int"])
    text = size["as_expr"]["expr_str"]
    return checked_int(_value(_parse(text), bindings, text))


def checked_int(value: object) -> int:
    """An int of believable magnitude. Raises ModelError for anything else."""
    if isinstance(value, bool) or not isinstance(value, int) or abs(value) > _MAX_SIZE:
        msg = f"the archive has {value!r} where a size is expected"
        raise ModelError(msg)
    return value


def _parse(text: object) -> ast.expr:
    if not isinstance(text, str) or len(text) > _MAX_TEXT:
        msg = "the archive has no text where an expression of sizes is expected"
        raise ModelError(msg)
    try:
        return ast.parse(text, mode="eval").body
    except (SyntaxError, ValueError, MemoryError, RecursionError) as error:
        msg = f"the archive has a malformed expression of sizes: {text[:60]!r}"
        raise ModelError(msg) from error


def _symbol_name(tree: ast.expr) -> str:
    """`s0` of `s0` and of `Symbol('s0', positive=True, integer=True)`, else nothing."""
    if isinstance(tree, ast.Name):
        return tree.id
    if isinstance(tree, ast.Call) and isinstance(tree.func, ast.Name) and tree.func.id == "Symbol":
        first = tree.args[0] if tree.args else None
        if isinstance(first, ast.Constant) and isinstance(first.value, str):
            return first.value
    return ""


def _value(tree: ast.expr, bindings: Bindings, text: str) -> int:
    if isinstance(tree, ast.Constant) and type(tree.value) is int:
        return tree.value
    if (name := _symbol_name(tree)) in bindings:
        return bindings[name]
    if isinstance(tree, ast.UnaryOp) and isinstance(tree.op, ast.USub):
        return -_value(tree.operand, bindings, text)
    if isinstance(tree, ast.BinOp) and type(tree.op) in _OPERATORS:
        left, right = (_value(side, bindings, text) for side in (tree.left, tree.right))
        return _apply(_OPERATORS[type(tree.op)], [left, right], text)
    if isinstance(tree, ast.Call) and isinstance(tree.func, ast.Name) and not tree.keywords:
        function = _FUNCTIONS.get(tree.func.id)
        if function is not None:
            return _apply(function, [_value(arg, bindings, text) for arg in tree.args], text)
    msg = f"a size in the network is not known: {text[:80]!r}; export it with static shapes"
    raise ModelError(msg)


def _apply(function: Callable[..., int], values: list[int], text: str) -> int:
    try:
        return checked_int(function(*values))
    except (ZeroDivisionError, TypeError, ValueError) as error:
        msg = f"the archive has a malformed expression of sizes: {text[:60]!r}"
        raise ModelError(msg) from error
