# SPDX-License-Identifier: Apache-2.0
"""Chains: layers that are computed together, a few rows at a time; no tensor between is whole.

Every step of a chain lets each layer make as many rows as the next one will take: one row of the
last layer, twice as many where a stride of 2 lies between. A tensor within the chain is a row
buffer, whose rows move up by one step's rows before new ones come below; rows outside of the tensor
are in it as padding. So each call of a kernel reads and writes at the same place in every step, and
a layer begins once its windows are complete.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TypeAlias

from mcugen.ir.graph import Graph, Node
from mcugen.ops.base import IntOp, Striped
from mcugen.plan.lifetimes import ALIGNMENT, in_flash


@dataclass(frozen=True, slots=True, kw_only=True)
class RowBuffer:
    """Rows of one tensor within a chain.

    `rows` are held, of `row_bytes` each; `step_rows` come in each step, in the steps from `start`
    on, `runs` times. `excess_rows` of the last ones lie below the tensor and become padding, as
    do those that come later; `pad_value` is what padding holds, an integer of `element_bytes`.
    """

    rows: int
    row_bytes: int
    step_rows: int
    start: int
    runs: int
    excess_rows: int
    pad_value: int
    element_bytes: int = 1

    @property
    def size_bytes(self) -> int:
        """All rows."""
        return self.rows * self.row_bytes

    @property
    def step_bytes(self) -> int:
        """What comes in each step."""
        return self.step_rows * self.row_bytes

    @property
    def aligned(self) -> bool:
        """Rows move by words."""
        return not (self.step_bytes % ALIGNMENT or self.kept_bytes % ALIGNMENT)

    @property
    def kept_bytes(self) -> int:
        """What moves up in each step; new rows go behind it."""
        return self.size_bytes - self.step_bytes


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ChainLayer:
    """One layer of a chain: the operator over a stripe of rows, and where it reads.

    `offsets` are bytes from the start of each operand's row buffer. `aligned`: in all steps it
    reads and writes from words on.
    """

    node: Node
    op: IntOp
    input_shapes: tuple[tuple[int, ...], ...]
    shape: tuple[int, ...]
    offsets: tuple[int, ...]
    aligned: bool


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Chain:
    """Consecutive layers, computed together in `steps` steps.

    `operand` is the one tensor that comes from outside. `buffers` has a row buffer for it and for
    the tensor of every layer but the last; `output` says when the last layer's rows come.
    """

    operand: str
    layers: tuple[ChainLayer, ...]
    buffers: Mapping[str, RowBuffer]
    output: RowBuffer
    steps: int

    @property
    def name(self) -> str:
        """The last layer's, whose tensor is the chain's."""
        return self.layers[-1].node.name

    @property
    def nodes(self) -> frozenset[str]:
        """The layers' names."""
        return frozenset(layer.node.name for layer in self.layers)

    def runs(self) -> dict[str, int]:
        """How often each layer is called."""
        names = [layer.node.name for layer in self.layers]
        return {name: self.buffers.get(name, self.output).runs for name in names}

    def distance(self) -> int:
        """How far below the operand the output must lie at least where both overlap, in bytes.

        Every step copies the operand's rows before it writes a row of the output.
        """
        read, out = self.buffers[self.operand], self.output
        total = read.runs * read.step_bytes - read.excess_rows * read.row_bytes
        return max(
            (step - out.start + 1) * out.step_bytes - min((step + 1) * read.step_bytes, total)
            for step in range(out.start, self.steps)
        )


def make_chain(graph: Graph, nodes: Sequence[Node]) -> Chain | None:
    """The chain of these consecutive nodes, None where they cannot be computed row by row.

    They must read one tensor from outside, and the last one's alone may be read outside.
    """
    inside = {node.name for node in nodes}
    outside = {name for node in nodes for name in node.inputs if name not in inside}
    leaving = {
        node.name
        for node in nodes[:-1]
        if node.name in graph.outputs
        or any(reader.name not in inside for reader in graph.consumers[node.name])
    }
    if len(outside) != 1 or leaving or in_flash(graph.by_name[next(iter(outside))]):
        return None
    operand = next(iter(outside))
    stripes = _stripes(graph, nodes)
    buffers = stripes and _buffers(graph, nodes, operand, stripes)
    if not stripes or not buffers:
        return None
    output = _output(nodes[-1], stripes[nodes[-1].name])
    return Chain(
        operand=operand,
        layers=tuple(_layer(graph, node, stripes[node.name], buffers, output) for node in nodes),
        buffers=buffers,
        output=output,
        steps=output.start + output.runs,
    )


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Stripe:
    """A layer that makes `rows` rows in each of `runs` steps, from step `start` on."""

    of: Striped
    rows: int
    runs: int
    start: int = 0

    @property
    def taken(self) -> int:
        """Rows of an operand by which the windows move in a step."""
        return self.rows * self.of.step

    @property
    def window(self) -> int:
        """Rows of an operand that a step reads."""
        return (self.rows - 1) * self.of.step + self.of.span

    def needed(self, height: int) -> int:
        """Rows of an operand of that height that are read at all."""
        return min(height, (self.runs - 1) * self.taken + self.window - self.of.pad)

    def delay(self) -> int:
        """Steps after its operand's first in which this layer's first windows are complete."""
        missing = self.window - self.of.pad - self.taken
        return max(0, -(-missing // self.taken))


_Stripes: TypeAlias = Mapping[str, _Stripe]


def _stripes(graph: Graph, nodes: Sequence[Node]) -> dict[str, _Stripe] | None:
    """Every layer's stripe, None where there is none or where readers want different rows."""
    backwards: dict[str, _Stripe] = {}
    for node in reversed(nodes):
        readers = [backwards[n.name] for n in graph.consumers[node.name] if n.name in backwards]
        stripe = _stripe(graph, node, readers)
        if stripe is None:
            return None
        backwards[node.name] = stripe
    found: dict[str, _Stripe] = {}
    for node in nodes:
        stripe = backwards[node.name]
        before = max((found[name].start for name in node.inputs if name in found), default=0)
        found[node.name] = replace(stripe, start=before + stripe.delay())
    return found


def _stripe(graph: Graph, node: Node, readers: Sequence[_Stripe]) -> _Stripe | None:
    """The stripe that serves those that read it; the last layer, read by none, makes one row."""
    shapes = graph.input_shapes(node)
    rows = {reader.taken for reader in readers} or {1}
    images = all(len(shape) == 3 for shape in (*shapes, node.shape))
    if not images or len(rows) != 1 or not node.op.computes:
        return None
    assert isinstance(node.op, IntOp)
    (count,) = rows
    striped = None if node.op.is_view else node.op.striped(shapes, node.shape, count)
    if striped is None:
        return None
    height = node.shape[0]
    needed = max((reader.needed(height) for reader in readers), default=height)
    return _Stripe(of=striped, rows=count, runs=-(-needed // count))


def _buffers(
    graph: Graph, nodes: Sequence[Node], operand: str, stripes: _Stripes
) -> dict[str, RowBuffer] | None:
    """Row buffers of all tensors but the last; None where readers want different ones."""
    found: dict[str, RowBuffer] = {}
    for name in (operand, *(node.name for node in nodes[:-1])):
        readers = [stripes[node.name] for node in nodes if name in node.inputs]
        pads = {reader.of.pad_value for reader in readers} - {None}
        if len(pads) > 1 or len({reader.taken for reader in readers}) > 1:
            return None
        height, width, channels = graph.by_name[name].shape
        element_bytes = graph.by_name[name].element_bytes
        start = stripes[name].start if name in stripes else 0
        count = readers[0].taken
        runs = -(-max(reader.needed(height) for reader in readers) // count)
        if name != operand and runs * count < height:
            return None  # rows that nobody reads would not be made, nor verified
        found[name] = RowBuffer(
            rows=max((r.start - start + 1) * count + r.of.pad for r in readers),
            row_bytes=width * channels * element_bytes,
            step_rows=count,
            start=start,
            runs=runs,
            excess_rows=max(0, runs * count - height),
            pad_value=next(iter(pads), None) or 0,
            element_bytes=element_bytes,
        )
    return found


def _output(node: Node, stripe: _Stripe) -> RowBuffer:
    height, width, channels = node.shape
    return RowBuffer(
        rows=height,
        row_bytes=width * channels * node.element_bytes,
        step_rows=1,
        start=stripe.start,
        runs=height,
        excess_rows=0,
        pad_value=0,
    )


def _layer(
    graph: Graph,
    node: Node,
    stripe: _Stripe,
    buffers: Mapping[str, RowBuffer],
    output: RowBuffer,
) -> ChainLayer:
    def offset(buffer: RowBuffer) -> int:
        waited = stripe.start - buffer.start + 1
        first = buffer.rows - waited * buffer.step_rows - stripe.of.pad
        return first * buffer.row_bytes

    offsets = tuple(offset(buffers[name]) for name in node.inputs)
    written = buffers[node.name].kept_bytes if node.name in buffers else output.step_bytes
    return ChainLayer(
        node=node,
        op=stripe.of.op,
        input_shapes=tuple((stripe.window, *shape[1:]) for shape in graph.input_shapes(node)),
        shape=(stripe.rows, *node.shape[1:]),
        offsets=offsets,
        aligned=not any(place % ALIGNMENT for place in (*offsets, written)),
    )
