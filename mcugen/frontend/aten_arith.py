# SPDX-License-Identifier: Apache-2.0
"""ATen's sums, products and normalizations, of two tensors or of a tensor and a constant."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch

from mcugen.errors import ModelError
from mcugen.frontend.builder import Builder, Perm, Value, to_numpy
from mcugen.ir.graph import Shape
from mcugen.ops import Abs, Add, Exp, Mul, Op, PReLU, ScaleShift, Square
from mcugen.ops.base import FloatArray, Moments

Number = int | float | bool
Operand = Value | torch.Tensor | Number


def binary(b: Builder, op: Op, left: Value, right: Value) -> Value:
    """A node of two operands that torch broadcasts, both in the layout of the larger one.

    Torch aligns shapes at their ends, batch axes included; the node's operands get equal ranks.
    """
    rank = max(len(left.torch_shape), len(right.torch_shape))
    shapes = [_full_rank(value.torch_shape, rank) for value in (left, right)]
    output = np.broadcast_shapes(*shapes)
    leading = [value for value in (left, right) if len(value.torch_shape) == rank]
    batched = output[0] == 1 and any(value.batched for value in leading)
    operands = [
        b.reshape(value, shape[batched:], batched)
        for value, shape in zip((left, right), shapes, strict=True)
    ]
    perm = common_perm(operands)
    nodes = [b.with_perm(value, perm).node for value in operands]
    return Value(node=b.emit(op, nodes), shape=output[batched:], perm=perm, batched=batched)


def _full_rank(shape: Shape, rank: int) -> Shape:
    return (1,) * (rank - len(shape)) + shape


def common_perm(operands: Sequence[Value]) -> Perm:
    """The layout that moves the fewest bytes; between equals, the one that is not the model's."""

    def weight(value: Value) -> tuple[int, bool]:
        return int(np.prod(value.shape)), value.perm != tuple(range(len(value.shape)))

    return max(operands, key=weight).perm


def _as_array(constant: torch.Tensor | Number) -> FloatArray:
    if isinstance(constant, torch.Tensor):
        return to_numpy(constant)
    return np.array(constant, np.float32)


def along_channels(value: Value, constant: FloatArray) -> FloatArray | None:
    """A constant operand of `value` as float32 [1], or [C] over the last stored axis.

    None where it is of another shape: it differs along other axes, or makes the result larger.
    """
    rank = len(value.torch_shape)
    if constant.ndim > rank:
        return None
    constant = constant.reshape(_full_rank(constant.shape, rank))
    if np.broadcast_shapes(constant.shape, value.torch_shape) != value.torch_shape:
        return None
    if np.all(constant == constant.flat[0]):
        return constant.reshape(-1)[:1]
    sizes = constant.shape[value.batched :]
    if [axis for axis, size in enumerate(sizes) if size > 1] == [value.perm[-1]]:
        return constant.reshape(-1)
    return None


def _constant(b: Builder, constant: torch.Tensor | Number, other: Value) -> Value:
    """A constant operand; its leading axis of 1 is the batch where the other operand has one."""
    tensor = torch.as_tensor(constant)
    return b.constant(tensor, other.batched and tensor.dim() > 1 and tensor.shape[0] == 1)


def _combine(b: Builder, left: Operand, right: Operand, factors: tuple[float, float]) -> Value:
    """factors[0] * left + factors[1] * right."""
    if not isinstance(left, Value):
        assert isinstance(right, Value)
        return _combine(b, right, left, (factors[1], factors[0]))
    if isinstance(right, Value):
        return binary(b, Add(factors=factors), left, right)
    array = _as_array(right)
    shift = along_channels(left, array)
    if shift is None:
        return binary(b, Add(factors=factors), left, _constant(b, right, left))
    scale = np.array([factors[0]], np.float32)
    return b.apply(ScaleShift(scale=scale, shift=shift * np.float32(factors[1])), left)


def _add(b: Builder, left: Operand, right: Operand, alpha: float = 1) -> Value:
    return _combine(b, left, right, (1.0, float(alpha)))


def _sub(b: Builder, left: Operand, right: Operand, alpha: float = 1) -> Value:
    return _combine(b, left, right, (1.0, -float(alpha)))


def _rsub(b: Builder, left: Operand, right: Operand, alpha: float = 1) -> Value:
    """ATen's reversed subtraction: right - alpha * left."""
    return _combine(b, left, right, (-float(alpha), 1.0))


def _mul(b: Builder, left: Operand, right: Operand) -> Value:
    if not isinstance(left, Value):
        assert isinstance(right, Value)
        return _mul(b, right, left)
    if isinstance(right, Value):
        return b.apply(Square(), left) if left == right else binary(b, Mul(), left, right)
    array = _as_array(right)
    scale = along_channels(left, array)
    if scale is None:
        return binary(b, Mul(), left, _constant(b, right, left))
    return b.apply(ScaleShift(scale=scale, shift=np.zeros(1, np.float32)), left)


def _div(b: Builder, left: Operand, right: Operand, *, rounding_mode: str | None = None) -> Value:
    if rounding_mode is not None:
        msg = f"rounding_mode={rounding_mode!r} is not supported; supported: None"
        raise ModelError(msg)
    if isinstance(right, Value):
        msg = "division by a tensor of the network is not supported; the divisor must be constant"
        raise ModelError(msg)
    divisor = torch.as_tensor(right, dtype=torch.float64)
    if bool((divisor == 0).any()):
        msg = "division by zero"
        raise ModelError(msg)
    return _mul(b, left, 1.0 / divisor)


def _pow(b: Builder, value: Value, exponent: float) -> Value:
    if exponent == 1:
        return value
    if exponent != 2:
        msg = f"exponent {exponent} is not supported; supported: 1 and 2"
        raise ModelError(msg)
    return b.apply(Square(), value)


def batch_norm(
    b: Builder,
    value: Value,
    weight: torch.Tensor | None,
    bias: torch.Tensor | None,
    mean: torch.Tensor | None,
    var: torch.Tensor | None,
    training: bool,
    momentum: float,
    eps: float,
    cudnn_enabled: bool = True,
) -> Value:
    """Batch norm with fixed statistics, over torch dimension 1."""
    if mean is None or var is None:
        msg = "batch norm without running statistics is not supported; track_running_stats=True"
        raise ModelError(msg)
    if training:
        msg = "batch norm is in training mode; call model.eval() before exporting"
        raise ModelError(msg)
    scale = 1.0 / torch.sqrt(var.double() + eps)
    if weight is not None:
        scale = scale * weight.double()
    shift = -mean.double() * scale
    if bias is not None:
        shift = shift + bias.double()
    moments = Moments(mean=to_numpy(mean.double()), std=to_numpy(torch.sqrt(var.double() + eps)))
    op = ScaleShift(scale=to_numpy(scale), shift=to_numpy(shift), moments=moments)
    return b.apply(op, b.last_axis(value, 1))


def _native_batch_norm(
    b: Builder,
    value: Value,
    weight: torch.Tensor | None,
    bias: torch.Tensor | None,
    mean: torch.Tensor | None,
    var: torch.Tensor | None,
    training: bool,
    momentum: float,
    eps: float,
) -> tuple[Value, ...]:
    """Also gives the batch's statistics, which nothing reads at inference."""
    return (batch_norm(b, value, weight, bias, mean, var, training, momentum, eps),)


def _native_batch_norm_no_training(
    b: Builder,
    value: Value,
    weight: torch.Tensor | None,
    bias: torch.Tensor | None,
    mean: torch.Tensor | None,
    var: torch.Tensor | None,
    momentum: float,
    eps: float,
) -> tuple[Value, ...]:
    return (batch_norm(b, value, weight, bias, mean, var, False, momentum, eps),)


def _no_norm(kind: str) -> Callable[..., Value]:
    """A handler that refuses a normalization by the statistics of its own input."""

    def refuse(b: Builder, value: Value, *_args: object, **_kwargs: object) -> Value:
        msg = f"{kind} takes statistics of its input at run time; only batch norm is supported"
        raise ModelError(msg)

    return refuse


def _prelu(b: Builder, value: Value, weight: torch.Tensor) -> Value:
    operand = value if weight.numel() == 1 else b.last_axis(value, 1)
    return b.apply(PReLU(slope=to_numpy(weight.reshape(-1))), operand)


def _neg(b: Builder, value: Value) -> Value:
    return _mul(b, value, -1.0)


_LINEAR: dict[str, Callable[..., Value]] = {
    "add": _add,
    "sub": _sub,
    "subtract": _sub,
    "rsub": _rsub,
    "mul": _mul,
    "multiply": _mul,
    "div": _div,
    "divide": _div,
    "true_divide": _div,
}

HANDLERS: dict[str, Callable[..., Value | tuple[Value, ...]]] = {
    **{
        f"{name}{in_place}.{overload}": handler
        for name, handler in _LINEAR.items()
        for in_place in ("", "_")
        for overload in ("Tensor", "Scalar")
    },
    "div.Tensor_mode": _div,
    "div.Scalar_mode": _div,
    "neg.default": _neg,
    "neg_.default": _neg,
    "negative.default": _neg,
    "square.default": lambda b, value: b.apply(Square(), value),
    "pow.Tensor_Scalar": _pow,
    "pow_.Scalar": _pow,
    "abs.default": lambda b, value: b.apply(Abs(), value),
    "abs_.default": lambda b, value: b.apply(Abs(), value),
    "exp.default": lambda b, value: b.apply(Exp(), value),
    "exp_.default": lambda b, value: b.apply(Exp(), value),
    "batch_norm.default": batch_norm,
    "native_batch_norm.default": _native_batch_norm,
    "_native_batch_norm_legit.default": _native_batch_norm,
    "_native_batch_norm_legit_no_training.default": _native_batch_norm_no_training,
    "layer_norm.default": _no_norm("layer norm"),
    "native_layer_norm.default": _no_norm("layer norm"),
    "group_norm.default": _no_norm("group norm"),
    "native_group_norm.default": _no_norm("group norm"),
    "instance_norm.default": _no_norm("instance norm"),
    "prelu.default": _prelu,
    "_prelu_kernel.default": _prelu,
}
