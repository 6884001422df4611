# SPDX-License-Identifier: Apache-2.0
"""What an operator is: the float form that is trained, the integer form that is compiled.

A float operator (`Op`) and its integer form (`IntOp`) stand in one file of this folder. Shapes are
per sample with channels last: images [H, W, C], sequences [L, C], vectors [C]. Arrays that run
through `forward` and `reference` carry one batch axis in front.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, TypeAlias

import numpy as np
from numpy.typing import NDArray

from mcugen.fixed_point import IntArray, RequantMode
from mcugen.ir.graph import QParams, Shape
from mcugen.ir.quantization import WeightGrid, WeightQuant
from mcugen.ops.kernel import PORTABLE as PORTABLE
from mcugen.ops.kernel import ConstTable as ConstTable
from mcugen.ops.kernel import Kernel as Kernel
from mcugen.ops.kernel import KernelCall as KernelCall
from mcugen.ops.kernel import Optimize as Optimize
from mcugen.ops.kernel import Overlap as Overlap
from mcugen.ops.kernel import Target as Target

if TYPE_CHECKING:
    import torch

    from mcugen.ops.channels import ChannelLinks, Kept

FloatArray: TypeAlias = "NDArray[np.float32]"
Interval: TypeAlias = "tuple[IntArray, IntArray]"  # lowest and highest value, element by element
ScaleShiftArrays: TypeAlias = "tuple[FloatArray, FloatArray]"  # [C] or [1] each
WeightArrays: TypeAlias = "tuple[FloatArray, FloatArray]"  # weight [out_ch, ...], bias [out_ch]


@dataclass(frozen=True, slots=True, kw_only=True)
class Operand:
    """A tensor as lowering sees it: shape per sample and quantization."""

    shape: Shape
    qparams: QParams


@dataclass(frozen=True, slots=True, kw_only=True)
class Clamp:
    """A fused activation in real numbers: y = min(max(x, low), high)."""

    low: float = -np.inf
    high: float = np.inf

    @property
    def is_homogeneous(self) -> bool:
        """Whether clamp(c x) = c clamp(x) for every positive c: no limit but zero or infinity."""
        return self.low in (0.0, -np.inf) and self.high in (0.0, np.inf)

    def intersect(self, other: Clamp) -> Clamp:
        """This clamp followed by another."""
        low = min(max(self.low, other.low), other.high)
        return Clamp(low=low, high=max(min(self.high, other.high), other.low))

    def apply(self, x: torch.Tensor) -> torch.Tensor:
        """Clamp a float tensor; a value at a limit passes no gradient on."""
        if self.low == -np.inf and self.high == np.inf:
            return x
        from torch.nn import functional  # this module is imported where torch is not wanted

        # the backward pass of torch's clamp takes ten times as long
        return functional.hardtanh(x, self.low, self.high)

    def to_int(self, qparams: QParams) -> tuple[int, int]:
        """The clamp in quantized steps of `qparams`, within its integer range."""

        def step(real: float) -> int:
            if np.isinf(real):
                return qparams.low if real < 0 else qparams.high
            steps = np.floor(real / qparams.scale + 0.5) + qparams.zero_point
            return int(np.clip(steps, qparams.low, qparams.high))

        return step(self.low), step(self.high)


NO_CLAMP = Clamp()


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Moments:
    """Mean and standard deviation of a tensor by channel of its last axis, float32 [C] each."""

    mean: FloatArray
    std: FloatArray


@dataclass(frozen=True, slots=True, kw_only=True)
class Padding:
    """Constant values around a tensor: how many before and after it, axis by axis."""

    margins: tuple[tuple[int, int], ...]
    value: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Lowering:
    """All that turning one float operator into integers needs to know."""

    inputs: tuple[Operand, ...]
    output: Operand
    requant: RequantMode
    where: str  # for messages: module path and source line
    weights: WeightQuant | None = None  # of an operator with `weight_arrays`

    @property
    def operand_bits(self) -> int:
        """Of the operands, which are alike."""
        return self.inputs[0].qparams.bits if self.inputs else self.output.qparams.bits

    @property
    def has_int16(self) -> bool:
        """Operands or the result are int16."""
        return 16 in (self.operand_bits, self.output.qparams.bits)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Striped:
    """An operator that computes a few rows of its output at a time.

    Output row y reads the operands' rows from y * step - pad up to, not including,
    y * step - pad + span. `op` is the operator over exactly the rows that a stripe reads: what lies
    outside of the operands is there as rows full of `pad_value`.
    """

    op: IntOp
    step: int = 1
    span: int = 1
    pad: int = 0
    pad_value: int | None = None  # None where no window leaves the operands


class Op(ABC):
    """A float operator: a frozen dataclass of attributes and constant arrays."""

    kind: ClassVar[str]  # name in reports, "conv"
    # bits that integer weights may have, where there are weights
    weight_widths: ClassVar[tuple[int, ...]] = (8,)
    computes: ClassVar[bool] = True
    # the output has the quantization of its inputs: it moves or selects values
    keeps_scale: ClassVar[bool] = False
    # int8 operands may make an int16 result and the other way round
    mixes_widths: ClassVar[bool] = True
    # the output is its operand's class scores as probabilities or their logarithms
    normalizes: ClassVar[bool] = False

    @abstractmethod
    def infer(self, inputs: Sequence[Shape]) -> Shape:
        """Output shape per sample. Raises ValueError where the operands do not fit."""

    @abstractmethod
    def forward(self, inputs: Sequence[torch.Tensor]) -> torch.Tensor:
        """The float meaning, float32 [N, *shape] in and out, differentiable."""

    @abstractmethod
    def lower(self, ctx: Lowering) -> IntOp:
        """The integer form under the quantization of `ctx`. Raises ModelError where impossible."""

    def macs(self, inputs: Sequence[Shape], output: Shape) -> int:
        """Multiply-accumulates of one inference."""
        return 0

    def fixed_range(self) -> tuple[float, float] | None:
        """Real range of the output that holds for every input, None where data must tell."""
        return None

    def fixed_qparams(self, bits: int = 8) -> QParams | None:
        """Quantization of an output of `bits` where the operator dictates it, else None."""
        return None

    @property
    def rounds_to(self) -> QParams | None:
        """What the operator rounds its one operand to and does nothing else; None for all others.

        A model that brings its own quantization says it with these.
        """
        return None

    def with_clamp(self, clamp: Clamp) -> Op | None:
        """This operator with `clamp` applied to its output, None where it cannot take one."""
        return None

    @property
    def clamp_only(self) -> Clamp | None:
        """The clamp that this operator is, None where it is more than that."""
        return None

    @property
    def depthwise(self) -> bool:
        """The weights are a filter of its own for each channel, which meets no other channel."""
        return False

    @property
    def weight_arrays(self) -> WeightArrays | None:
        """Weight and bias that are quantized by output channel, None where there are none.

        The operator is linear in its one operand, then clamped.
        """
        return None

    @property
    def weight_grid(self) -> WeightGrid | None:
        """What the model itself rounded the weight to, None where it did not."""
        return None

    def with_weight_arrays(self, weight: FloatArray, bias: FloatArray) -> Op:
        """This operator with another weight and bias of the same shapes, on no grid.

        Torch tensors will do as well, where `forward` alone is to be called: it is differentiable
        in them.
        """
        raise NotImplementedError(type(self).__name__)

    @property
    def input_magnitudes(self) -> FloatArray | None:
        """Largest |weight| that each input channel meets, float32 [in_ch]; None without weights."""
        return None

    def scale_outputs(self, factors: FloatArray) -> Op | None:
        """This operator with its outputs times positive factors, its activation included.

        factors: float32 [out_ch]. None where that is no operator of this kind.
        """
        return None

    def without_clamp(self) -> Op:
        """This operator without the activation that it has taken in."""
        return self

    @property
    def scale_shift_only(self) -> ScaleShiftArrays | None:
        """The scale and shift that this operator is, None where it is more than that."""
        return None

    def absorb_scale_shift(self, scale: FloatArray, shift: FloatArray) -> Op | None:
        """This operator with y * scale + shift behind it, None where it cannot take that in.

        scale, shift: float32 [C] along the last axis of the output, or [1].
        """
        return None

    def absorb_input_scale_shift(self, scale: FloatArray, shift: FloatArray) -> Op | None:
        """This operator with x * scale + shift before its one operand, None where it cannot.

        scale, shift: float32 [C] along the last axis of the operand, or [1].
        """
        return None

    @property
    def input_moments(self) -> Moments | None:
        """What training saw of the one operand, None where the operator remembers nothing."""
        return None

    @property
    def pad_only(self) -> Padding | None:
        """The padding that this operator is, None where it is more than that."""
        return None

    def absorb_padding(self, padding: Padding) -> Op | None:
        """This operator with `padding` before its one operand, None where it cannot."""
        return None

    def is_identity(self, inputs: Sequence[Shape]) -> bool:
        """The output is the one operand itself, shape and values."""
        return False

    def simplified(self, inputs: Sequence[Shape]) -> Op:
        """The cheapest operator that means the same on operands of these shapes."""
        return self

    def after(self, first: Op) -> Op | None:
        """One operator that does `first` and then this, None where there is none."""
        return None

    def element_order(self, shape: Shape) -> IntArray | None:
        """Which element of the operand each element of the output is, both counted row-major.

        int64 [elements] for a permutation of the operand's elements, None for all else.
        """
        return None

    def permute_inputs(self, order: IntArray) -> Op | None:
        """This operator reading x where it read x[order], None where it cannot.

        order: int64 [features], a permutation of the last axis of the operand.
        """
        return None

    def permute_outputs(self, order: IntArray) -> Op | None:
        """This operator giving y[order] where it gave y, None where it cannot.

        order: int64 [features], a permutation of the last axis of the output.
        """
        return None


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class IntOp(ABC):
    """An integer operator: the specification of one kernel call.

    `operand_bits` and `result_bits` say what integers it reads, all operands alike, and makes: 8 or
    16 bits.
    """

    operand_bits: int = 8
    result_bits: int = 8

    kind: ClassVar[str]
    computes: ClassVar[bool] = True
    # the output is the same bytes as operand 0: no code, one buffer
    is_view: ClassVar[bool] = False

    @property
    def has_int16(self) -> bool:
        """Operands or results are int16: kernels for int8 alone will not do."""
        return self.operand_bits == 16 or self.result_bits == 16

    @property
    def has_wide_sums(self) -> bool:
        """Sums need 64 bits; an operator that has such kernels says when."""
        return False

    @property
    def operand_limits(self) -> tuple[int, int]:
        """The lowest and the highest value of an operand."""
        return limits(self.operand_bits)

    @property
    def result_limits(self) -> tuple[int, int]:
        """The lowest and the highest value of the result."""
        return limits(self.result_bits)

    def typed(self, function: str, header: str | None = None) -> tuple[str, str]:
        """A portable kernel's full name, and its header: mcugen_add as mcugen_add_s16.

        `header` is what the header is named after, where not after the kernel.
        """
        own = header or function
        if not self.has_int16:
            return f"{function}_s8", f"{own}.h"
        one = self.operand_bits == self.result_bits
        suffix = "s16" if one else f"s{self.operand_bits}_s{self.result_bits}"
        return f"{function}_{suffix}{'_wide' if self.has_wide_sums else ''}", f"{own}_s16.h"

    @property
    def bits_per_weight(self) -> int | None:
        """How wide the weights are, None where there are none."""
        return None

    @property
    def zero_share(self) -> float | None:
        """How many of the weights are zero, 0 to 1; None where there are no weights."""
        return None

    @abstractmethod
    def reference(self, inputs: Sequence[IntArray]) -> IntArray:
        """The specification: int64 [N, *shape] operands in their range, likewise the output."""

    @abstractmethod
    def kernels(self, inputs: Sequence[Shape], output: Shape) -> tuple[KernelCall, ...]:
        """The calls of the portable kernel."""

    def implementations(
        self, inputs: Sequence[Shape], output: Shape, target: Target
    ) -> tuple[Kernel, ...]:
        """All ways to compute this node on a target, the portable one first."""
        return (self.portable(inputs, output),)

    def portable(self, inputs: Sequence[Shape], output: Shape) -> Kernel:
        """The plain C kernel, which every core can run."""
        # rough: a scalar loop takes some ten cycles a product, five a value and thirty a result
        values = sum(map(math.prod, inputs))
        cycles = 10.0 * self.macs(inputs, output) + 5.0 * values + 30.0 * math.prod(output)
        return Kernel(
            variant="portable",
            calls=self.kernels(inputs, output),
            cycles=cycles,
            overlaps=self.portable_overlaps(inputs, output),
            any_place=True,
        )

    def portable_overlaps(self, inputs: Sequence[Shape], output: Shape) -> tuple[Overlap, ...]:
        """What the portable kernel's output may share with its operands."""
        places = self.in_place_operands(inputs, output)
        # a result that is wider than its operand runs ahead of it
        ahead = math.prod(output) * max(0, self.result_bits - self.operand_bits) // 8
        return tuple(Overlap(operand=place, distance=ahead) for place in places)

    def macs(self, inputs: Sequence[Shape], output: Shape) -> int:
        """Multiply-accumulates of one inference."""
        return 0

    def in_place_operands(self, inputs: Sequence[Shape], output: Shape) -> tuple[int, ...]:
        """Operands that the output may overwrite as it is computed."""
        return ()

    def reads(self, inputs: Sequence[Shape], output: Shape) -> tuple[int, ...]:
        """Values read of each operand, those of overlapping windows as often as there are such."""
        return tuple(math.prod(shape) for shape in inputs)

    def striped(self, inputs: Sequence[Shape], output: Shape, rows: int) -> Striped | None:
        """This operator over stripes of `rows` output rows, None where rows hang together.

        Asked for images [H, W, C] alone; all operands are read in the same rows.
        """
        return None

    def bounds(self, inputs: Sequence[Interval], output: Shape) -> Interval:
        """Lowest and highest possible output, element by element; its type's where unknown.

        Exact interval arithmetic: never narrower than what some input can reach.
        """
        low, high = self.result_limits
        return np.full(output, low, np.int64), np.full(output, high, np.int64)

    def channel_links(self, inputs: Sequence[Shape], output: Shape) -> ChannelLinks | None:
        """How channels of operands and output hang together; None pins them all."""
        return None

    def spares(self, values: IntArray) -> NDArray[np.bool_]:
        """Channels of an operand that, if they are constant, it is no slower without: bool [C].

        `values` are int64 [*shape]; those of channels that are not constant mean nothing.
        """
        return np.ones(values.shape[-1:] or 1, np.bool_)

    def take_channels(self, kept: Kept) -> IntOp:
        """This operator over the kept channels alone, the others being constant or unused."""
        raise NotImplementedError(type(self).__name__)


AnyOp: TypeAlias = "Op | IntOp"


def limits(bits: int) -> tuple[int, int]:
    """The lowest and the highest integer of so many bits."""
    return -(1 << (bits - 1)), (1 << (bits - 1)) - 1


def by_element(op: IntOp, inputs: Sequence[Shape], output: Shape) -> Striped | None:
    """Stripes of an operator that reads of each operand what lies at the output's own place.

    None where an operand is of another size: it is broadcast.
    """
    return Striped(op=op) if all(shape == output for shape in inputs) else None


def parameter_count(op: AnyOp) -> int:
    """Numbers that an operator holds in arrays: weights, biases, slopes, constants."""
    values = (getattr(op, name) for name in getattr(op, "__dataclass_fields__", ()))
    return sum(value.size for value in values if isinstance(value, np.ndarray))


@dataclass(frozen=True, slots=True, kw_only=True)
class Input(Op):
    """A tensor that the caller supplies."""

    kind: ClassVar[str] = "input"
    computes: ClassVar[bool] = False
    shape: Shape

    def infer(self, inputs: Sequence[Shape]) -> Shape:
        """The declared shape."""
        return self.shape

    def forward(self, inputs: Sequence[torch.Tensor]) -> torch.Tensor:
        """Never called: the interpreter supplies the tensor."""
        raise NotImplementedError

    def lower(self, ctx: Lowering) -> IntOp:
        """The integer input."""
        return InputS8()


@dataclass(frozen=True, slots=True, kw_only=True)
class InputS8(IntOp):
    """A quantized tensor that the caller supplies."""

    kind: ClassVar[str] = "input"
    computes: ClassVar[bool] = False

    def reference(self, inputs: Sequence[IntArray]) -> IntArray:
        """Never called: the interpreter supplies the tensor."""
        raise NotImplementedError

    def kernels(self, inputs: Sequence[Shape], output: Shape) -> tuple[KernelCall, ...]:
        """An input has no code."""
        return ()
