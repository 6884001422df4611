# SPDX-License-Identifier: Apache-2.0
"""The function of the C API that computes: on whole inputs, or on one more row of the input."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from mcugen.emit import layout
from mcugen.emit.blocks import Block, parameters, passed
from mcugen.emit.chains import ChainView
from mcugen.emit.literals import INDENT


@dataclass(frozen=True, slots=True, kw_only=True)
class EntryView:
    """The function as C text, and how others use it."""

    header: str  # the template of its part of the header
    declaration: str
    check: str  # the line that finds wrong arguments
    result: int  # what it returns where the outputs are ready
    run: tuple[str, ...]  # the lines that compute in NAME_run
    example: tuple[str, ...]  # the lines that compute in the header's example


def invoke_entry(
    name: str, blocks: Sequence[Block], tensors: Sequence[tuple[str, str, int]]
) -> EntryView:
    """`NAME_invoke(arena)`; `tensors` are (name, copying line, length) of the inputs."""
    arena = passed(blocks)
    checks = [f"{block.pointer} == NULL" for block in blocks]
    return EntryView(
        header="invoke.h.j2",
        declaration=layout.call(f"int {name}_invoke", parameters(blocks), ";"),
        check=condition(checks),
        result=0,
        run=(*(copy for _, copy, _ in tensors), f"{INDENT}(void){name}_invoke({arena});"),
        example=(
            *(f"fill({name}_{own}({arena}), {length});" for own, _, length in tensors),
            f"if ({name}_invoke({arena}) == 0) {{",
        ),
    )


def push_row_entry(name: str, blocks: Sequence[Block], chain: ChainView, source: str) -> EntryView:
    """`NAME_push_row(arena, row, y)`; `source` is what NAME_run calls the input."""
    arena = passed(blocks)
    all_parameters = [*parameters(blocks), f"const {chain.row_type} *row", "uint32_t y"]
    checks = [f"{block.pointer} == NULL" for block in blocks]
    row = f"&{source}[y * {chain.row_len}u]"
    return EntryView(
        header="push_row.h.j2",
        declaration=layout.call(f"int {name}_push_row", all_parameters, ";"),
        check=condition([*checks, "row == NULL", f"y >= {chain.operand_rows}u"]),
        result=1,
        run=(
            f"{INDENT}for (uint32_t y = 0u; y < {chain.operand_rows}u; y++) {{",
            layout.call(f"(void){name}_push_row", [arena, row, "y"], ";", 2 * INDENT),
            f"{INDENT}}}",
        ),
        example=(
            f"for (uint32_t y = 0; y < {name.upper()}_ROWS; y++) {{",
            f"{INDENT}camera_line(row);",
            f"{INDENT}ready = {name}_push_row({arena}, row, y);",
            "}",
            "if (ready == 1) {",
        ),
    )


def condition(terms: Sequence[str]) -> str:
    """`if (one || other) {`, each in brackets where there are several."""
    several = [f"({term})" for term in terms] if len(terms) > 1 else list(terms)
    return layout.condition("if", several, "{", INDENT)
