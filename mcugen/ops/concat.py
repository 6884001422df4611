# SPDX-License-Identifier: Apache-2.0
"""Tensors one after the other along one axis."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from mcugen.fixed_point import IntArray
from mcugen.ir.graph import Shape
from mcugen.ops.base import Interval, IntOp, KernelCall, Lowering, Op
from mcugen.ops.channels import ChannelLinks, Kept, linked

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True, slots=True, kw_only=True)
class Concat(Op):
    """The operands one after the other along `axis`."""

    kind: ClassVar[str] = "concat"
    keeps_scale: ClassVar[bool] = True
    axis: int

    def infer(self, inputs: Sequence[Shape]) -> Shape:
        """The operands' lengths along the axis add up; all else is alike."""
        rests = {(*shape[: self.axis], *shape[self.axis + 1 :]) for shape in inputs}
        if len(rests) != 1:
            msg = f"operands of {list(inputs)} differ in other axes than {self.axis}"
            raise ValueError(msg)
        first = inputs[0]
        total = sum(shape[self.axis] for shape in inputs)
        return (*first[: self.axis], total, *first[self.axis + 1 :])

    def forward(self, inputs: Sequence[torch.Tensor]) -> torch.Tensor:
        """Source: torch.cat; a constant's batch axis of 1 grows to that of the others."""
        import torch

        batch = max(len(x) for x in inputs)
        same = [x.expand(batch, *x.shape[1:]) for x in inputs]
        return torch.cat(same, self.axis + 1)

    def lower(self, ctx: Lowering) -> ConcatS8:
        """Copies: lowering has brought the operands to the output's quantization."""
        return ConcatS8(axis=self.axis)

    def is_identity(self, inputs: Sequence[Shape]) -> bool:
        """One operand alone."""
        return len(inputs) == 1


@dataclass(frozen=True, slots=True, kw_only=True)
class ConcatS8(IntOp):
    """The operands one after the other along `axis`."""

    kind: ClassVar[str] = "concat"
    axis: int

    def reference(self, inputs: Sequence[IntArray]) -> IntArray:
        """The same values; a constant's batch axis of 1 grows to that of the others."""
        batch = max(len(x) for x in inputs)
        same = [np.broadcast_to(x, (batch, *x.shape[1:])) for x in inputs]
        return np.concatenate(same, self.axis + 1)

    def bounds(self, inputs: Sequence[Interval], output: Shape) -> Interval:
        """Those of the operands."""
        low, high = (np.concatenate(ends, self.axis) for ends in zip(*inputs, strict=True))
        return low, high

    def channel_links(self, inputs: Sequence[Shape], output: Shape) -> ChannelLinks | None:
        """Each operand's channels are their own in the output, or all operands share theirs."""
        if self.axis < len(output) - 1:
            return linked(len(inputs), output[-1])
        ids = np.arange(output[-1])
        starts = np.cumsum([shape[-1] for shape in inputs])[:-1]
        return ChannelLinks(
            inputs=tuple(np.split(ids, starts)), output=ids, reads=(None,) * len(inputs)
        )

    def take_channels(self, kept: Kept) -> ConcatS8:
        """The operands know their channels."""
        return self

    def kernels(self, inputs: Sequence[Shape], output: Shape) -> tuple[KernelCall, ...]:
        """One call for each operand."""
        rows = int(np.prod(output[: self.axis]))
        out_row = int(np.prod(output[self.axis :]))
        lens = [int(np.prod(shape[self.axis :])) for shape in inputs]
        starts = np.cumsum([0, *lens]).tolist()
        return tuple(
            copy_call(
                self,
                sizes=(1, rows, length),
                source=(0, 0, length),
                target=(start, 0, out_row),
                operand=position,
            )
            for position, (length, start) in enumerate(zip(lens, starts, strict=False))
        )


def copy_call(
    op: IntOp,
    *,
    sizes: tuple[int, int, int],
    source: tuple[int, int, int],
    target: tuple[int, int, int],
    operand: int = 0,
) -> KernelCall:
    """A copy of planes, rows, len = `sizes`; each side has a start, a plane and a row stride."""
    values = (*sizes, *source, *target)
    sides = [f"{side}_{part}" for side in ("in", "out") for part in ("start", "plane", "row")]
    names = ("planes", "rows", "len", *sides)
    function, header = op.typed("mcugen_copy")
    return KernelCall(
        function=function,
        header=header,
        fields=tuple(zip(names, values, strict=True)),
        operands=(operand,),
    )
