# SPDX-License-Identifier: Apache-2.0
"""Mean and sum over whole axes; global average pooling is the mean over height and width."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from mcugen.fixed_point import IntArray, Requantize
from mcugen.ir.graph import Shape
from mcugen.ops import dsp, mve
from mcugen.ops.base import (
    NO_CLAMP,
    Clamp,
    Interval,
    IntOp,
    Kernel,
    KernelCall,
    Lowering,
    Op,
    Target,
)
from mcugen.ops.channels import ChannelLinks, Kept, linked
from mcugen.ops.scalar import UNROLLED, by_core
from mcugen.ops.weights import proved_requantize, requantize_tables, swing

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True, slots=True, kw_only=True)
class Mean(Op):
    """Mean over the axes from `first` up to, not including, `last`, which vanish."""

    kind: ClassVar[str] = "mean"
    first: int
    last: int
    clamp: Clamp = NO_CLAMP

    def infer(self, inputs: Sequence[Shape]) -> Shape:
        """The operand's shape without those axes."""
        return (*inputs[0][: self.first], *inputs[0][self.last :])

    @property
    def torch_dims(self) -> tuple[int, ...]:
        """The axes as torch counts them, batch in front."""
        return tuple(range(1 + self.first, 1 + self.last))

    def forward(self, inputs: Sequence[torch.Tensor]) -> torch.Tensor:
        """Source: torch.mean."""
        return self.clamp.apply(inputs[0].mean(self.torch_dims))

    def with_clamp(self, clamp: Clamp) -> Mean:
        """The same mean, clamped."""
        return replace(self, clamp=self.clamp.intersect(clamp))

    def divisor(self, count: int) -> int:
        """By what the sum of `count` values is divided."""
        return count

    def lower(self, ctx: Lowering) -> MeanS8:
        """Sum in int32, then one requantization."""
        source, target = ctx.inputs[0].qparams, ctx.output.qparams
        count = int(np.prod(ctx.inputs[0].shape[self.first : self.last]))
        real = np.array([source.scale / (target.scale * self.divisor(count))])
        bound = np.array([swing(ctx) * count], np.int64)
        return MeanS8(
            first=self.first,
            last=self.last,
            bias=-source.zero_point * count,
            requantize=proved_requantize(real, bound, self.clamp, ctx),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Sum(Mean):
    """Sum over the axes from `first` up to, not including, `last`, which vanish."""

    kind: ClassVar[str] = "sum"

    def forward(self, inputs: Sequence[torch.Tensor]) -> torch.Tensor:
        """Source: torch.sum."""
        return self.clamp.apply(inputs[0].sum(self.torch_dims))

    def divisor(self, count: int) -> int:
        """A sum is not divided."""
        return 1


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class MeanS8(IntOp):
    """y = requantize(bias + sum of x over the axes from `first` to `last`), the end excluded."""

    kind: ClassVar[str] = "mean"
    first: int
    last: int
    bias: int
    requantize: Requantize

    def reference(self, inputs: Sequence[IntArray]) -> IntArray:
        """One sum, one rounding."""
        axes = tuple(range(1 + self.first, 1 + self.last))
        return self.requantize(self.bias + inputs[0].sum(axis=axes))

    def in_place_operands(self, inputs: Sequence[Shape], output: Shape) -> tuple[int, ...]:
        """A value is stored where one of those was that it is the sum of, or before them."""
        return (0,)

    def bounds(self, inputs: Sequence[Interval], output: Shape) -> Interval:
        """Exact: the sum grows with every value."""
        low, high = (self.reference([x[None]])[0] for x in inputs[0])
        return low, high

    def channel_links(self, inputs: Sequence[Shape], output: Shape) -> ChannelLinks | None:
        """Channel by channel, unless the channels themselves are summed."""
        return None if self.last == len(inputs[0]) else linked(1, output[-1])

    def take_channels(self, kept: Kept) -> MeanS8:
        """The channels are not summed: every other one stays as it is."""
        return self

    def implementations(
        self, inputs: Sequence[Shape], output: Shape, target: Target
    ) -> tuple[Kernel, ...]:
        """The portable kernel and those of the core's extensions."""
        plain = self._plain_cycles(inputs[0], output, target)
        found = [replace(self.portable(inputs, output), cycles=plain)]
        if self.has_int16:
            return tuple(found)
        single = self.requantize.mode == "single"
        if single and self.last < len(inputs[0]) and mve.FEATURE in target.features:
            found.append(mve.twin(found[0], self._instructions(inputs[0])))
        many = math.prod(inputs[0][self.last :]) >= dsp.QUAD
        if single and many and dsp.FEATURE in target.features:
            found.append(dsp.twin(found[0], self._cycles(inputs[0])))
        return tuple(found)

    def _plain_cycles(self, source: Shape, output: Shape, target: Target) -> float:
        """Of the portable kernel: a value that is added, and what surrounds the loop of one sum."""
        count = math.prod(source[self.first : self.last])
        unrolled = count <= UNROLLED
        value, around = by_core(
            target,
            armv6m=(8.2, 50.0),
            armv7m=(3.0, 19.0) if unrolled else (8.0, 33.0),
            riscv=(1.9, 18.0) if unrolled else (6.0, 35.0),
        )
        return math.prod(output) * (around + value * count)

    def _cycles(self, source: Shape) -> float:
        """Of the kernel that sums four neighbours in two words."""
        quads = math.prod(source[: self.first]) * -(-math.prod(source[self.last :]) // dsp.QUAD)
        return 40.0 + quads * (375.0 + 6.5 * math.prod(source[self.first : self.last]))

    def _instructions(self, source: Shape) -> float:
        """Of the vector kernel: four neighbours take all values that are summed."""
        inner = math.prod(source[self.last :])
        vectors = math.prod(source[: self.first]) * -(-inner // mve.LANES)
        return 60.0 + vectors * (30.0 + 5.0 * math.prod(source[self.first : self.last]))

    def kernels(self, inputs: Sequence[Shape], output: Shape) -> tuple[KernelCall, ...]:
        """One call over the operand as [outer, count, inner]."""
        shape = inputs[0]
        requant_fields, requant_tables = requantize_tables(self.requantize, "")
        function, header = self.typed("mcugen_mean")
        call = KernelCall(
            function=function,
            header=header,
            fields=(
                ("outer", int(np.prod(shape[: self.first]))),
                ("count", int(np.prod(shape[self.first : self.last]))),
                ("inner", int(np.prod(shape[self.last :]))),
                ("bias", self.bias),
                *requant_fields,
            ),
            tables=requant_tables,
        )
        return (call,)
