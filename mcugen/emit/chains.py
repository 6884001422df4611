# SPDX-License-Identifier: Apache-2.0
"""Chains as finished C text: functions that make one step, and what the invoke function says."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from mcugen.emit import layout
from mcugen.emit.blocks import blocks_of, place
from mcugen.emit.literals import INDENT, integer
from mcugen.plan.arena import Plan
from mcugen.plan.chains import Chain, ChainLayer, RowBuffer
from mcugen.plan.lifetimes import ROWS

HEADER = "mcugen_rows.h"
INNER = 2 * INDENT

CallsOf = Callable[[str, Sequence[str], str, str], Sequence[str]]
"""The kernel calls of a layer: its name, C pointers to operands and output, and the indentation."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ChainView:
    """The functions of one chain, and the lines that run it."""

    comment: str
    take_head: str  # copies the operand's rows of a step
    take: tuple[str, ...]
    step_head: str  # computes a step
    step: tuple[str, ...]
    calls: tuple[str, ...]  # all steps, or those that row `y` of the operand makes possible
    is_fed: bool  # the operand comes row by row: row `y` at `row`
    operand_rows: int
    row_len: int  # integers of the operand's
    row_type: str  # "int8_t"


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ChainText:
    """What the text of one chain is made from.

    `plan` says where the row buffers lie, `source` and `target` are C pointers to operand and
    output, `numbers` those of the layers, and `name` is what the functions' names begin with.
    Where `source` is empty, the operand's rows come one by one; there are `operand_rows`.
    """

    chain: Chain
    plan: Plan
    operand_rows: int
    source: str
    target: str
    numbers: Mapping[str, int]
    name: str
    calls_of: CallsOf

    def view(self) -> ChainView:
        """The finished text."""
        chain = self.chain
        first, last = chain.layers[0].node.name, chain.name
        take, step = tuple(self._take()) if self.source else (), tuple(self._step())
        blocks = ", ".join(self._used(step))
        rows = chain.buffers[chain.operand]
        return ChainView(
            comment=layout.comment(
                f"Layers {self.numbers[first]} to {self.numbers[last]} together: rows of "
                f"{chain.operand} come in, a row of {last} comes out."
            ),
            take_head=self._head("take", take),
            take=take,
            step_head=self._head("step", step),
            step=step,
            calls=tuple(self._run(take, blocks) if self.source else self._push(blocks)),
            is_fed=not self.source,
            operand_rows=self.operand_rows,
            row_len=rows.row_bytes // rows.element_bytes,
            row_type=f"int{8 * rows.element_bytes}_t",
        )

    def _place(self, tensor: str, offset: int = 0) -> str:
        """A C pointer into a row buffer."""
        buffer = self.chain.name + ROWS if tensor == self.chain.operand else tensor
        return place(self.plan, buffer, offset)

    def _used(self, lines: Sequence[str]) -> list[str]:
        """The pointers to blocks of RAM that a function needs."""
        return [block.pointer for block in blocks_of(self.plan) if block.is_used(lines)]

    def _head(self, what: str, lines: Sequence[str]) -> str:
        pointers = [f"int8_t *{pointer}" for pointer in self._used(lines)]
        return layout.call(f"static void {self.name}_{what}", [*pointers, "uint32_t step"], "")

    def _begin(self, indent: str) -> Iterator[str]:
        """Padding lies above all tensors."""
        for tensor, rows in self.chain.buffers.items():
            if rows.kept_bytes:
                yield _fill(self._place(tensor), rows, rows.size_bytes, indent)

    def _run(self, take: Sequence[str], blocks: str) -> Iterator[str]:
        yield from self._begin(INDENT)
        yield f"{INDENT}for (uint32_t step = 0u; step < {self.chain.steps}u; step++) {{"
        yield f"{INNER}{self.name}_take({', '.join(self._used(take))}, step);"
        yield f"{INNER}{self.name}_step({blocks}, step);"
        yield f"{INDENT}}}"

    def _push(self, blocks: str) -> Iterator[str]:
        """Rows that complete a step make it; the last row makes all that remain."""
        tensor = self.chain.operand
        rows = self.chain.buffers[tensor]
        if rows.kept_bytes:
            yield f"{INDENT}if (y == 0u) {{"
            yield from self._begin(INNER)
            yield f"{INDENT}}}"
        read = rows.runs * rows.step_rows
        if read < self.operand_rows:
            yield f"{INDENT}if (y >= {read}u) {{ /* rows that no window reads */"
            yield f"{INNER}if (y < {self.operand_rows - 1}u) {{"
            yield f"{INNER}{INDENT}return 0;"
            yield f"{INNER}}}"
            yield f"{INDENT}}} else {{"
            yield from (INDENT + line for line in self._push_row(blocks))
            yield f"{INDENT}}}"
        else:
            yield from self._push_row(blocks)
        yield from self._flush(blocks)

    def _push_row(self, blocks: str) -> Iterator[str]:
        tensor = self.chain.operand
        rows = self.chain.buffers[tensor]
        place, count, size = self._place(tensor, rows.kept_bytes), rows.step_rows, rows.row_bytes
        row = "row" if rows.element_bytes == 1 else "(const int8_t *)row"
        if count == 1:
            yield from self._move(tensor)
            yield layout.call("mcugen_rows_copy", [place, row, f"{size}u"], ";", INDENT)
            yield f"{INDENT}{self.name}_step({blocks}, y);"
        else:
            if rows.kept_bytes:
                yield f"{INDENT}if ((y % {count}u) == 0u) {{"
                yield from self._move(tensor, INNER)
                yield f"{INDENT}}}"
            target = _moving(place, f"(y % {count}u)", size)
            yield layout.call("mcugen_rows_copy", [target, row, f"{size}u"], ";", INDENT)
            yield f"{INDENT}if ((y % {count}u) == {count - 1}u) {{"
            yield f"{INNER}{self.name}_step({blocks}, y / {count}u);"
            yield f"{INDENT}}}"
        yield f"{INDENT}if (y < {self.operand_rows - 1}u) {{"
        yield f"{INNER}return 0;"
        yield f"{INDENT}}}"

    def _flush(self, blocks: str) -> Iterator[str]:
        tensor = self.chain.operand
        rows = self.chain.buffers[tensor]
        place = self._place(tensor, rows.kept_bytes)
        if rows.excess_rows:
            excess = rows.excess_rows * rows.row_bytes
            yield _fill(self._place(tensor, rows.size_bytes - excess), rows, excess, INDENT)
            yield f"{INDENT}{self.name}_step({blocks}, {rows.runs - 1}u);"
        if rows.runs < self.chain.steps:
            yield (
                f"{INDENT}for (uint32_t step = {rows.runs}u; step < {self.chain.steps}u; step++) {{"
            )
            yield from self._move(tensor, INNER)
            yield _fill(place, rows, rows.step_bytes, INNER)
            yield f"{INNER}{self.name}_step({blocks}, step);"
            yield f"{INDENT}}}"

    def _take(self) -> Iterator[str]:
        tensor = self.chain.operand
        rows = self.chain.buffers[tensor]
        place = self._place(tensor, rows.kept_bytes)
        source = _moving(self.source, "step", rows.step_bytes)
        whole = rows.runs - 1 if rows.excess_rows else rows.runs
        yield from self._move(tensor)
        yield f"{INDENT}if (step < {whole}u) {{"
        yield layout.call("mcugen_rows_copy", [place, source, f"{rows.step_bytes}u"], ";", INNER)
        yield f"{INDENT}}} else {{"
        yield _fill(place, rows, rows.step_bytes, INNER)
        yield f"{INDENT}}}"
        if rows.excess_rows:
            rest = rows.step_bytes - rows.excess_rows * rows.row_bytes
            yield f"{INDENT}if (step == {whole}u) {{"
            yield layout.call("mcugen_rows_copy", [place, source, f"{rest}u"], ";", INNER)
            yield f"{INDENT}}}"

    def _step(self) -> Iterator[str]:
        for layer in self.chain.layers:
            if layer is not self.chain.layers[0]:
                yield ""
            yield from self._layer(layer)

    def _layer(self, layer: ChainLayer) -> Iterator[str]:
        name = layer.node.name
        last = name == self.chain.name
        rows = self.chain.output if last else self.chain.buffers[name]
        operands = zip(layer.node.inputs, layer.offsets, strict=True)
        sources = [self._place(tensor, offset) for tensor, offset in operands]
        target = (
            _moving(self.target, _since(rows), rows.step_bytes)
            if last
            else self._place(name, rows.kept_bytes)
        )
        yield _title(layer, rows)
        if not last:
            yield from self._move(name)
        yield f"{INDENT}if ({_since(rows)} < {rows.runs}u) {{"
        yield from self.calls_of(name, sources, target, INNER)
        if not last:
            yield from self._traced_or_padded(name, rows, target)
        yield f"{INDENT}}}"
        if rows.excess_rows:
            excess = rows.excess_rows * rows.row_bytes
            yield f"{INDENT}if ({_since(rows)} == {rows.runs - 1}u) {{"
            yield _fill(self._place(name, rows.size_bytes - excess), rows, excess, INNER)
            yield f"{INDENT}}}"

    def _traced_or_padded(self, name: str, rows: RowBuffer, target: str) -> Iterator[str]:
        traced = [f"{self.numbers[name]}u", target, f"{rows.step_bytes}u"]
        yield layout.call("MCUGEN_TRACE_ROWS", traced, ";", INNER)
        yield f"{INDENT}}} else {{"
        yield _fill(target, rows, rows.step_bytes, INNER)

    def _move(self, tensor: str, indent: str = INDENT) -> Iterator[str]:
        rows = self.chain.buffers[tensor]
        if rows.kept_bytes:
            sizes = [f"{rows.step_bytes}u", f"{rows.kept_bytes}u"]
            yield layout.call("mcugen_rows_move", [self._place(tensor), *sizes], ";", indent)


def _moving(pointer: str, count: str, size: int) -> str:
    """`&base[8]` as `&base[8u + (count * size)]`."""
    return f"{pointer[:-1]}u + ({count} * {size}u)]"


def _title(layer: ChainLayer, rows: RowBuffer) -> str:
    shapes = ", ".join(str(list(shape)) for shape in layer.input_shapes)
    text = f"{layer.node.name}: {layer.node.op.kind} {shapes} -> {list(layer.shape)}"
    return layout.comment(f"{text}, from step {rows.start} on", INDENT)


def _since(rows: RowBuffer) -> str:
    """Steps since a tensor's first rows; huge before them, because unsigned numbers wrap."""
    return f"(step - {rows.start}u)" if rows.start else "step"


def _fill(place: str, rows: RowBuffer, size: int, indent: str) -> str:
    arguments = [place, integer(rows.pad_value), f"{size}u"]
    function = "mcugen_rows_fill" if rows.element_bytes == 1 else "mcugen_rows_fill_s16"
    return layout.call(function, arguments, ";", indent)
