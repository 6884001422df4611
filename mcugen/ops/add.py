# SPDX-License-Identifier: Apache-2.0
"""Weighted sum of two tensors with broadcasting: addition, subtraction and residual connections."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from mcugen.fixed_point import Affine, IntArray
from mcugen.ir.graph import Shape
from mcugen.ops import dsp, mve
from mcugen.ops.affine import affine_bounds, lower_affine
from mcugen.ops.base import (
    NO_CLAMP,
    Clamp,
    Interval,
    IntOp,
    Kernel,
    KernelCall,
    Lowering,
    Op,
    Striped,
    Target,
    by_element,
)
from mcugen.ops.broadcast import (
    broadcast_fields,
    broadcast_links,
    broadcast_shape,
    full_size_operands,
    same_rank,
    same_rank_int,
)
from mcugen.ops.channels import ChannelLinks, Kept
from mcugen.ops.scalar import by_core

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True, slots=True, kw_only=True)
class Add(Op):
    """y = factors[0] * left + factors[1] * right."""

    kind: ClassVar[str] = "add"
    factors: tuple[float, float] = (1.0, 1.0)
    clamp: Clamp = NO_CLAMP

    def infer(self, inputs: Sequence[Shape]) -> Shape:
        """The broadcast shape."""
        return broadcast_shape(inputs)

    def forward(self, inputs: Sequence[torch.Tensor]) -> torch.Tensor:
        """Source: torch.add."""
        left, right = same_rank(inputs)
        return self.clamp.apply(self.factors[0] * left + self.factors[1] * right)

    def with_clamp(self, clamp: Clamp) -> Add:
        """The same sum, clamped."""
        return replace(self, clamp=self.clamp.intersect(clamp))

    def lower(self, ctx: Lowering) -> AddS8:
        """Both scales and factors in one linear form."""
        factors = np.array(self.factors, np.float64)[:, None]
        return AddS8(affine=lower_affine(factors, np.zeros(1), self.clamp, ctx))


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class AddS8(IntOp):
    """y = affine(left, right), the same linear form for all channels."""

    kind: ClassVar[str] = "add"
    affine: Affine

    @property
    def has_wide_sums(self) -> bool:
        """Where an int16 result keeps all figures of int16 operands."""
        return self.operand_bits == self.result_bits == 16

    def reference(self, inputs: Sequence[IntArray]) -> IntArray:
        """The linear form over broadcast operands."""
        return self.affine(*same_rank_int(inputs))

    def striped(self, inputs: Sequence[Shape], output: Shape, rows: int) -> Striped | None:
        """Element by element."""
        return by_element(self, inputs, output)

    def in_place_operands(self, inputs: Sequence[Shape], output: Shape) -> tuple[int, ...]:
        """Operands of the output's size."""
        return full_size_operands(inputs, output)

    def bounds(self, inputs: Sequence[Interval], output: Shape) -> Interval:
        """Exact for independent operands: a linear form is monotone in each."""
        return affine_bounds(self.affine, inputs)

    def channel_links(self, inputs: Sequence[Shape], output: Shape) -> ChannelLinks | None:
        """Channel by channel."""
        return broadcast_links(inputs, output)

    def take_channels(self, kept: Kept) -> AddS8:
        """One linear form serves every channel."""
        return self

    def implementations(
        self, inputs: Sequence[Shape], output: Shape, target: Target
    ) -> tuple[Kernel, ...]:
        """The portable kernel and those of the core's extensions."""
        value = by_core(target, armv6m=30.0, armv7m=19.0, riscv=18.0)
        found = [replace(self.portable(inputs, output), cycles=value * math.prod(output))]
        if self.has_int16:
            return tuple(found)
        if len(full_size_operands(inputs, output)) == 2:
            if mve.FEATURE in target.features:
                found.append(mve.twin(found[0], 30.0 + 2.25 * math.prod(output)))
            if dsp.FEATURE in target.features:
                found.append(dsp.twin(found[0], 60.0 + 10.0 * math.prod(output)))
        return tuple(found)

    def kernels(self, inputs: Sequence[Shape], output: Shape) -> tuple[KernelCall, ...]:
        """One pass over the output."""
        function, header = self.typed("mcugen_add")
        call = KernelCall(
            function=function,
            header=header,
            fields=(
                *broadcast_fields(inputs, output),
                ("left_factor", int(self.affine.factors[0, 0])),
                ("right_factor", int(self.affine.factors[1, 0])),
                ("bias", int(self.affine.bias[0])),
                ("shift", int(self.affine.shift[0])),
                ("low", self.affine.low),
                ("high", self.affine.high),
            ),
            operands=(0, 1),
        )
        return (call,)
