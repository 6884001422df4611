# SPDX-License-Identifier: Apache-2.0
"""Functions of one number: ReLU and its kin, which fuse, and curved ones, which become tables."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from mcugen.ir.graph import Shape
from mcugen.ops.base import NO_CLAMP, Clamp, IntOp, Lowering, Op
from mcugen.ops.prelu import two_sided
from mcugen.ops.scale_shift import scaled_and_shifted
from mcugen.ops.tabulate import tabulate

if TYPE_CHECKING:
    import torch


class Pointwise(Op):
    """Base of the element-wise functions: only `forward` differs."""

    def infer(self, inputs: Sequence[Shape]) -> Shape:
        """The shape of the operand."""
        return inputs[0]

    def lower(self, ctx: Lowering) -> IntOp:
        """Tabulate the function."""
        return tabulate(self, ctx)


@dataclass(frozen=True, slots=True, kw_only=True)
class Clip(Pointwise):
    """ReLU, ReLU6, hardtanh and clamp: y = min(max(x, low), high)."""

    kind: ClassVar[str] = "clip"
    low: float = -np.inf
    high: float = np.inf

    def forward(self, inputs: Sequence[torch.Tensor]) -> torch.Tensor:
        """Source: torch.clamp."""
        return Clamp(low=self.low, high=self.high).apply(inputs[0])

    def lower(self, ctx: Lowering) -> IntOp:
        """A table of int8, a clamped change of scale for int16."""
        if not ctx.has_int16:
            return tabulate(self, ctx)
        return scaled_and_shifted(np.ones(1), np.zeros(1), self.clamp_only, ctx)

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

    def lower(self, ctx: Lowering) -> IntOp:
        """A table of int8, a linear form for each side of int16."""
        if not ctx.has_int16:
            return tabulate(self, ctx)
        return two_sided(np.array([self.slope], np.float32), NO_CLAMP, ctx)

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

    def lower(self, ctx: Lowering) -> IntOp:
        """A table of int8, a clamped linear form for int16."""
        if not ctx.has_int16:
            return tabulate(self, ctx)
        return scaled_and_shifted(
            np.full(1, 1.0 / 6.0), np.full(1, 0.5), Clamp(low=0.0, high=1.0), ctx
        )

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

    def lower(self, ctx: Lowering) -> IntOp:
        """A table of int8, a linear form for each side of int16."""
        if not ctx.has_int16:
            return tabulate(self, ctx)
        return two_sided(np.array([-1.0], np.float32), NO_CLAMP, ctx)

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
