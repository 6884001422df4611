# SPDX-License-Identifier: Apache-2.0
"""Operators whose kernels cost and allow what a test wants."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from mcugen.fixed_point import IntArray
from mcugen.ir.graph import Graph, Node, QParams, Shape
from mcugen.ops.base import ConstTable, InputS8, IntOp, Kernel, KernelCall, Overlap, Target

QPARAMS = QParams(scale=1.0, zero_point=0)


def kernel(cycles: float, tables: int, scratch: int, distance: int | None = None) -> Kernel:
    call = KernelCall(
        function="f",
        header="f.h",
        fields=(),
        tables=(ConstTable(suffix="t", values=np.zeros(tables, np.int8), comment=""),),
        scratch_bytes=scratch,
    )
    overlaps = () if distance is None else (Overlap(operand=0, distance=distance),)
    return Kernel(variant="", calls=(call,), cycles=cycles, overlaps=overlaps)


@dataclass(frozen=True, slots=True, kw_only=True)
class Offering(IntOp):
    """An operator with the kernels that a test wants."""

    kind: ClassVar[str] = "offering"
    offers: tuple[Kernel, ...]

    def reference(self, inputs: Sequence[IntArray]) -> IntArray:
        """Never called."""
        raise NotImplementedError

    def kernels(self, inputs: Sequence[Shape], output: Shape) -> tuple[KernelCall, ...]:
        """Never called."""
        raise NotImplementedError

    def implementations(
        self, inputs: Sequence[Shape], output: Shape, target: Target
    ) -> tuple[Kernel, ...]:
        """The given ones."""
        return self.offers


def network(sizes: Sequence[int], *layers: Sequence[Kernel]) -> Graph:
    """Layers in a row, from one of `sizes` to the next, in bytes."""
    nodes = [Node(name="x", op=InputS8(), inputs=(), shape=(sizes[0],), qparams=QPARAMS)]
    for k, (size, offers) in enumerate(zip(sizes[1:], layers, strict=True)):
        op = Offering(offers=tuple(offers))
        nodes.append(
            Node(name=f"y{k}", op=op, inputs=(nodes[-1].name,), shape=(size,), qparams=QPARAMS)
        )
    return Graph(
        name="net",
        inputs=("x",),
        outputs=(nodes[-1].name,),
        nodes=tuple(nodes),
        input_layouts=((0,),),
        output_layouts=((0,),),
    )
