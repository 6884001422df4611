# SPDX-License-Identifier: Apache-2.0
"""Networks that torch quantized: written by hand, made with torchao, and run layer by layer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
import torch.ao.quantization.fx._decomposed  # defines the operators
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.export import ExportedProgram

from mcugen.fixed_point import IntArray
from mcugen.frontend.aten_safety import QUANTIZED
from mcugen.ir.graph import Graph
from mcugen.ops import IntOp
from mcugen.verify.inputs import quantize_inputs

ops: Any = torch.ops.quantized_decomposed


def rounded(
    x: Tensor,
    scale: float,
    zero_point: int = 0,
    low: int = -128,
    high: int = 127,
    dtype: torch.dtype = torch.int8,
) -> Tensor:
    """A quantize and dequantize pair."""
    steps = (scale, zero_point, low, high, dtype)
    y: Tensor = ops.dequantize_per_tensor(ops.quantize_per_tensor(x, *steps), *steps)
    return y


class QuantizedWeight(nn.Module):
    """Integers with a scale for each output channel, as convert_pt2e leaves them."""

    ints: Tensor
    scales: Tensor
    zeros: Tensor

    def __init__(
        self, ints: Tensor, scales: Tensor, low: int = -127, high: int = 127, axis: int = 0
    ) -> None:
        super().__init__()
        self.register_buffer("ints", ints)
        self.register_buffer("scales", scales)
        self.register_buffer("zeros", torch.zeros(len(scales), dtype=torch.int64))
        self.limits = (axis, low, high, ints.dtype)

    def forward(self) -> Tensor:
        y: Tensor = ops.dequantize_per_channel(self.ints, self.scales, self.zeros, *self.limits)
        return y


def random_ints(*shape: int, low: int = -127, high: int = 127, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(low, high + 1, shape, dtype=torch.int8, generator=generator)


def scales(count: int, least: float) -> Tensor:
    return least * torch.linspace(1.0, 1.5, count)


class QuantizedNet(nn.Module):
    """Float32 [1, 2, 6, 6] to [1, 3]; every kind of pair that a quantizer of convolutions leaves.

    A fused ReLU, a maximum that shares its operand's scale, weights per tensor and per channel, a
    sum, a flattening between two scales that are alike, uint8, and integer biases.
    """

    def __init__(self) -> None:
        super().__init__()
        self.first = QuantizedWeight(random_ints(4, 2, 3, 3), scales(4, 0.004))
        self.register_buffer("second", random_ints(4, 4, 1, 1, seed=1))
        self.last = QuantizedWeight(random_ints(3, 36, seed=2), scales(3, 0.003))
        self.first_bias = nn.Parameter(torch.tensor([0.3, -0.2, 0.0, 0.5]))
        self.register_buffer("last_bias", torch.tensor([900, -700, 20], dtype=torch.int32))
        self.bias_scales = 0.031 * scales(3, 0.003)

    def forward(self, x: Tensor) -> Tensor:
        functional = nn.functional
        x = rounded(x, 0.025, 3)
        x = functional.conv2d(x, self.first(), self.first_bias, padding=1)
        x = rounded(torch.relu(x), 0.037, -128)
        x = rounded(functional.max_pool2d(x, 2), 0.037, -128)
        weight = ops.dequantize_per_tensor(self.second, 0.005, 0, -127, 127, torch.int8)
        y = rounded(functional.conv2d(x, weight), 0.052, 130, 0, 255, torch.uint8)
        x = rounded(torch.relu(x + y), 0.031, 0, 0, 255, torch.uint8)
        x = rounded(torch.flatten(x, 1), 0.031, 0, 0, 255, torch.uint8)
        bias = ops.dequantize_per_channel(
            self.last_bias,
            self.bias_scales,
            torch.zeros(3, dtype=torch.int64),
            0,
            -(2**31),
            2**31 - 1,
            torch.int32,
        )
        return rounded(functional.linear(x, self.last(), bias), 0.11, 20)


SHAPE = (1, 2, 6, 6)
TENSORS = {0.025: 3, 0.037: -128, 0.052: 2, 0.031: -128, 0.11: 20}  # its scales and zero points


class _Watched(torch.fx.Interpreter):
    """Keeps the integers of every tensor that a program quantizes."""

    def __init__(self, program: ExportedProgram) -> None:
        super().__init__(program.graph_module)
        self.found: dict[str, tuple[tuple[float, int], NDArray[np.int64]]] = {}

    def run_node(self, n: torch.fx.Node) -> Any:
        made = super().run_node(n)
        if str(n.target).startswith(f"{QUANTIZED}.quantize_per_tensor"):
            scale, zero_point, *_, dtype = n.args[1:]
            offset = 128 if dtype == torch.uint8 else 0
            ints = made.numpy().astype(np.int64) - offset
            self.found[n.name] = ((float(np.float32(scale)), int(zero_point) - offset), ints)  # type: ignore[arg-type]
        return made


def torch_tensors(
    program: ExportedProgram, sample: NDArray[np.float32]
) -> list[tuple[tuple[float, int], NDArray[np.int64]]]:
    """Scale, zero point and integers of each tensor that the program quantizes; batch of 1."""
    held = {**program.state_dict, **program.constants}
    watched = _Watched(program)
    arguments = [
        torch.from_numpy(sample) if spec.target is None else held[spec.target]
        for spec in program.graph_signature.input_specs
    ]
    with torch.no_grad():
        watched.run(*arguments)
    return list(watched.found.values())


def layer_differences(
    program: ExportedProgram, integer: Graph, samples: Sequence[NDArray[np.float32]]
) -> dict[str, NDArray[np.int64]]:
    """What each integer layer makes of torch's own operands, less what torch makes of them.

    samples: [1, *shape] each, channels first. A layer is paired with the program's next tensor that
    has its scale, its zero point and its shape; int64 [samples, *shape] for each layer that is.
    """
    found: dict[str, list[NDArray[np.int64]]] = {}
    for sample in samples:
        wanted = [(q, _stored(ints)) for q, ints in torch_tensors(program, sample)]
        [stored] = quantize_inputs(integer, [_stored(sample)])
        values: dict[str, IntArray] = {}
        for node in integer.nodes:
            assert isinstance(node.op, IntOp) and node.qparams is not None
            operands = [values[name] for name in node.inputs]
            own = node.op.reference(operands) if node.inputs else stored.astype(np.int64)
            q = (float(np.float32(node.qparams.scale)), node.qparams.zero_point)
            twins = (k for k, w in enumerate(wanted) if w[0] == q and w[1].shape == own.shape)
            twin = next(twins, None) if node.op.computes or not node.inputs else None
            if twin is not None:
                _, ints = wanted.pop(twin)
                found.setdefault(node.name, []).append(own - ints)
                own = ints
            values[node.name] = own
    return {name: np.concatenate(parts) for name, parts in found.items()}


def _stored(array: NDArray[Any]) -> NDArray[Any]:
    """Channels last."""
    return array.transpose(0, 2, 3, 1) if array.ndim == 4 else array
