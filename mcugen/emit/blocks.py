# SPDX-License-Identifier: Apache-2.0
"""The blocks of RAM that the caller passes, as C text: one arena, or one more in fast memory."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from mcugen.plan.arena import Plan


@dataclass(frozen=True, slots=True, kw_only=True)
class Block:
    """One block: what it is called in C, and its size."""

    macro: str  # "ARENA", of NAME_ARENA_BYTES
    parameter: str  # "arena", of the API's functions
    pointer: str  # "base", by which tensors are found in it
    size_bytes: int
    about: str  # for the header

    @property
    def base(self) -> str:
        """The line that makes the pointer from the parameter."""
        return f"int8_t *const {self.pointer} = (int8_t *){self.parameter};"

    def is_used(self, lines: Iterable[str]) -> bool:
        """Some line reads or writes this block."""
        return any(f"&{self.pointer}[" in line for line in lines)


def blocks_of(plan: Plan) -> tuple[Block, ...]:
    """The blocks that a plan needs, in the order of the API's parameters."""
    arena = Block(
        macro="ARENA",
        parameter="arena",
        pointer="base",
        size_bytes=plan.arena_bytes,
        about="All the RAM that a run needs beside the stack: plain memory, aligned to 16 bytes.",
    )
    if not plan.fast_bytes:
        return (arena,)
    fast = Block(
        macro="FAST_ARENA",
        parameter="fast_arena",
        pointer="fast",
        size_bytes=plan.fast_bytes,
        about="And RAM in fast memory, for what is used most; aligned to 16 bytes as well.",
    )
    return arena, fast


def place(plan: Plan, name: str, offset: int = 0) -> str:
    """A C pointer to a tensor, scratch or row buffer, or to a byte in it."""
    start = plan.offsets[name]
    if start < plan.arena_bytes:
        return f"&base[{start + offset}]"
    return f"&fast[{start - plan.arena_bytes + offset}]"


def base_lines(blocks: Sequence[Block], text: str) -> tuple[str, ...]:
    """The lines that begin a function of the API whose one use of the blocks is `text`."""
    return tuple(
        block.base if block.is_used([text]) else f"(void){block.parameter};" for block in blocks
    )


def parameters(blocks: Sequence[Block]) -> list[str]:
    """The blocks as parameters of a function of the API."""
    return [f"void *{block.parameter}" for block in blocks]


def passed(blocks: Sequence[Block]) -> str:
    """The blocks as arguments of a call of the API."""
    return ", ".join(block.parameter for block in blocks)
