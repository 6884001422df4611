# SPDX-License-Identifier: Apache-2.0
"""Functions of one number: ReLU and its kin, which fuse, and curved ones, which become tables."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np
from numpy.typing import NDArray

from mcugen.fixed_point import IntArray, round_half_up
from mcugen.ir.graph import Shape
from mcugen.ops import mve
from mcugen.ops.base import (
    Clamp,
    ConstTable,
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
from mcugen.ops.channels import ChannelLinks, Kept, linked

if TYPE_CHECKING:
    import torch


class Pointwise(Op):
    """Base of the element-wise functions: only `forward` differs."""

    def infer(self, inputs: Sequence[Shape]) -> Shape:
        """The shape of the operand."""
        return inputs[0]

    def lower(self, ctx: Lowering) -> TableS8:
        """Tabulate the function."""
        return tabulate(self, ctx)


def tabulate(op: Op, ctx: Lowering) -> TableS8:
    """A function of one number over all 256 int8 values, evaluated in float64."""
    import torch

    source, target = ctx.inputs[0].qparams, ctx.output.qparams
    steps = np.arange(-128, 128)
    real = (steps - source.zero_point) * source.scale
    with torch.no_grad():
        image = op.forward((torch.from_numpy(real),)).numpy()
    # what is far outside the output's range saturates; infinity has no integer
    steps_out = np.clip(image / target.scale, -(2.0**31), 2.0**31)
    out = round_half_up(steps_out) + target.zero_point
    return TableS8(table=np.clip(out, target.low, target.high).astype(np.int8))


@dataclass(frozen=True, slots=True, kw_only=True)
class Clip(Pointwise):
    """ReLU, ReLU6, hardtanh and clamp: y = min(max(x, low), high)."""

    kind: ClassVar[str] = "clip"
    low: float = -np.inf
    high: float = np.inf

    def forward(self, inputs: Sequence[torch.Tensor]) -> torch.Tensor:
        """Source: torch.clamp."""
        return Clamp(low=self.low, high=self.high).apply(inputs[0])

    def with_clamp(self, clamp: Clamp) -> Clip:
        """Two clamps are one."""
        both = Clamp(low=self.low, high=self.high).intersect(clamp)
        return Clip(low=both.low, high=both.high)

    def is_identity(self, inputs: Sequence[Shape]) -> bool:
        """No limit on either side."""
        return self.low == -np.inf and self.high == np.inf

    @property
    def clamp_only(self) -> Clamp:
        """The whole operator is a clamp."""
        return Clamp(low=self.low, high=self.high)


@dataclass(frozen=True, slots=True, kw_only=True)
class LeakyReLU(Pointwise):
    """y = x for x >= 0, slope * x below."""

    kind: ClassVar[str] = "leaky_relu"
    slope: float

    def forward(self, inputs: Sequence[torch.Tensor]) -> torch.Tensor:
        """Source: torch.nn.functional.leaky_relu."""
        from torch.nn import functional

        return functional.leaky_relu(inputs[0], self.slope)


@dataclass(frozen=True, slots=True, kw_only=True)
class Sigmoid(Pointwise):
    """y = 1 / (1 + e^-x)."""

    kind: ClassVar[str] = "sigmoid"

    def forward(self, inputs: Sequence[torch.Tensor]) -> torch.Tensor:
        """Source: torch.sigmoid."""
        return inputs[0].sigmoid()


@dataclass(frozen=True, slots=True, kw_only=True)
class Tanh(Pointwise):
    """Hyperbolic tangent."""

    kind: ClassVar[str] = "tanh"

    def forward(self, inputs: Sequence[torch.Tensor]) -> torch.Tensor:
        """Source: torch.tanh."""
        return inputs[0].tanh()


@dataclass(frozen=True, slots=True, kw_only=True)
class SiLU(Pointwise):
    """y = x * sigmoid(x)."""

    kind: ClassVar[str] = "silu"

    def forward(self, inputs: Sequence[torch.Tensor]) -> torch.Tensor:
        """Source: torch.nn.functional.silu."""
        from torch.nn import functional

        return functional.silu(inputs[0])


@dataclass(frozen=True, slots=True, kw_only=True)
class HardSwish(Pointwise):
    """y = x * relu6(x + 3) / 6."""

    kind: ClassVar[str] = "hard_swish"

    def forward(self, inputs: Sequence[torch.Tensor]) -> torch.Tensor:
        """Source: torch.nn.functional.hardswish."""
        from torch.nn import functional

        return functional.hardswish(inputs[0])


@dataclass(frozen=True, slots=True, kw_only=True)
class HardSigmoid(Pointwise):
    """y = relu6(x + 3) / 6."""

    kind: ClassVar[str] = "hard_sigmoid"

    def forward(self, inputs: Sequence[torch.Tensor]) -> torch.Tensor:
        """Source: torch.nn.functional.hardsigmoid."""
        from torch.nn import functional

        return functional.hardsigmoid(inputs[0])


@dataclass(frozen=True, slots=True, kw_only=True)
class GELU(Pointwise):
    """y = x * Phi(x); `approximate` is "none" (erf) or "tanh"."""

    kind: ClassVar[str] = "gelu"
    approximate: str = "none"

    def forward(self, inputs: Sequence[torch.Tensor]) -> torch.Tensor:
        """Source: torch.nn.functional.gelu."""
        from torch.nn import functional

        return functional.gelu(inputs[0], approximate=self.approximate)


@dataclass(frozen=True, slots=True, kw_only=True)
class ELU(Pointwise):
    """y = scale * (x for x > 0, alpha * (e^(input_scale x) - 1) below)."""

    kind: ClassVar[str] = "elu"
    alpha: float = 1.0
    scale: float = 1.0
    input_scale: float = 1.0

    def forward(self, inputs: Sequence[torch.Tensor]) -> torch.Tensor:
        """Source: torch.ops.aten.elu."""
        import torch

        return torch.ops.aten.elu(inputs[0], self.alpha, self.scale, self.input_scale)  # type: ignore[no-any-return]


@dataclass(frozen=True, slots=True, kw_only=True)
class Abs(Pointwise):
    """y = |x|."""

    kind: ClassVar[str] = "abs"

    def forward(self, inputs: Sequence[torch.Tensor]) -> torch.Tensor:
        """Source: torch.abs."""
        return inputs[0].abs()


@dataclass(frozen=True, slots=True, kw_only=True)
class Square(Pointwise):
    """y = x * x."""

    kind: ClassVar[str] = "square"

    def forward(self, inputs: Sequence[torch.Tensor]) -> torch.Tensor:
        """Source: torch.square."""
        return inputs[0].square()


@dataclass(frozen=True, slots=True, kw_only=True)
class Exp(Pointwise):
    """y = e^x."""

    kind: ClassVar[str] = "exp"

    def forward(self, inputs: Sequence[torch.Tensor]) -> torch.Tensor:
        """Source: torch.exp."""
        return inputs[0].exp()


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class TableS8(IntOp):
    """y = table[x + 128]. table: int8 [256]."""

    kind: ClassVar[str] = "table"
    table: NDArray[np.int8]

    def reference(self, inputs: Sequence[IntArray]) -> IntArray:
        """One look-up per element."""
        return self.table[inputs[0] + 128].astype(np.int64)

    def striped(self, inputs: Sequence[Shape], output: Shape, rows: int) -> Striped | None:
        """Element by element."""
        return by_element(self, inputs, output)

    def in_place_operands(self, inputs: Sequence[Shape], output: Shape) -> tuple[int, ...]:
        """Element by element."""
        return (0,)

    def bounds(self, inputs: Sequence[Interval], output: Shape) -> Interval:
        """Exact: least and largest table entry between the ends of the interval."""
        least, largest = _range_tables(self.table)
        low, high = inputs[0][0] + 128, inputs[0][1] + 128
        return least[low, high], largest[low, high]

    def channel_links(self, inputs: Sequence[Shape], output: Shape) -> ChannelLinks | None:
        """Channel by channel."""
        return linked(len(inputs), output[-1])

    def take_channels(self, kept: Kept) -> TableS8:
        """One table serves every channel."""
        return self

    def implementations(
        self, inputs: Sequence[Shape], output: Shape, target: Target
    ) -> tuple[Kernel, ...]:
        """The portable kernel and those of the core's extensions."""
        found = [self.portable(inputs, output)]
        if mve.FEATURE in target.features:
            found.append(mve.twin(found[0], 30.0 + 1.12 * math.prod(output)))
        return tuple(found)

    def kernels(self, inputs: Sequence[Shape], output: Shape) -> tuple[KernelCall, ...]:
        """One pass over the tensor."""
        call = KernelCall(
            function="mcugen_table_s8",
            header="mcugen_table.h",
            fields=(("len", int(np.prod(output))), ("table", "table")),
            tables=(ConstTable(suffix="table", values=self.table, comment="[x + 128]"),),
        )
        return (call,)


def _range_tables(table: NDArray[np.int8]) -> tuple[IntArray, IntArray]:
    """Minimum and maximum of table[i..j] for every i <= j: int64 [256, 256]."""
    grid = np.broadcast_to(table.astype(np.int64), (256, 256))
    after = np.triu(np.ones((256, 256), bool))
    least = np.minimum.accumulate(np.where(after, grid, 127), axis=1)
    largest = np.maximum.accumulate(np.where(after, grid, -128), axis=1)
    return least, largest
