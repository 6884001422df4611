# SPDX-License-Identifier: Apache-2.0
"""Whether a network fits a board, and what binds where it does not. Names no operator."""

from __future__ import annotations

from collections.abc import Sequence

from mcugen.boards import Board
from mcugen.errors import BudgetError
from mcugen.ir.graph import Graph
from mcugen.plan.arena import Plan
from mcugen.plan.choose import LayerKernel
from mcugen.plan.lifetimes import in_flash


def check_budget(
    board: Board, graph: Graph, layers: Sequence[LayerKernel], plan: Plan, flash_bytes: int
) -> None:
    """Raise BudgetError where arena or flash exceed the board; both are told at once.

    `flash_bytes` is what is known of the need so far: constant data, or constant data and code.
    """
    problems = []
    available = board.ram_bytes_beside_fast if plan.fast_bytes else board.ram_bytes
    if plan.arena_bytes > available:
        node = graph.by_name[plan.peak]
        live = ", ".join(
            f"{name} {graph.by_name[name].size_bytes}"
            for name in dict.fromkeys((*node.inputs, node.name))
            if not in_flash(graph.by_name[name])
        )
        problems.append(
            f"RAM: needed {plan.arena_bytes} bytes of arena, available {available}; "
            f"layer {node.name} ({node.origin or node.op.kind}) binds, its tensors are {live}"
        )
    if flash_bytes > board.flash_bytes:
        largest = max(layers, key=lambda layer: layer.kernel.table_bytes, default=None)
        what = (
            f"; layer {largest.node.name} ({largest.node.origin or largest.node.op.kind}) is the "
            f"largest with {largest.kernel.table_bytes} bytes"
            if largest
            else ""
        )
        problems.append(f"flash: needed {flash_bytes} bytes, available {board.flash_bytes}{what}")
    if problems:
        lines = "\n".join(f"  {p}" for p in problems)
        msg = f"the network does not fit {board.name}:\n{lines}\n  nothing was written"
        raise BudgetError(msg)
