# SPDX-License-Identifier: Apache-2.0
"""A float graph with weights, biases and scales that can be trained, rounded as the C rounds.

Knows no operator by name.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from mcugen.ir.graph import Graph, Node, QParams
from mcugen.ir.quantization import Quantization, WeightQuant
from mcugen.ops.base import FloatArray, Op
from mcugen.quantize.weights import MAX_BIAS
from mcugen.train.fake_quantize import fake_quantize, round_bias
from mcugen.train.forward import Observer, forward, plain

Tensors = dict[str, torch.Tensor]
# how near to the middle between two steps a weight may lie at the start, in steps
EDGE = 0.499


@dataclass(slots=True, eq=False)
class _Scale:
    """A learned positive scale: start * exp(log). Adam's steps in the logarithm are relative.

    Source: Jain et al., "Trained Quantization Thresholds", 2020, section 3.2.
    """

    start: torch.Tensor  # float32, any shape
    log: torch.Tensor  # of the same shape, or of one element for all

    def __call__(self) -> torch.Tensor:
        return self.start * torch.exp(self.log)


class TrainableNetwork:
    """Runs a float graph with parameters of its own, fake-quantized where `quantization` is given.

    `blend` says how much of the rounding takes part: 0 the float network, 1 (the default) exactly
    what the C computes, but for the last bit of a layer's output. `masks` holds, by node name, a
    tensor of zeros and ones shaped like the weight: what is 0 there stays 0, also while a caller
    changes the masks between steps.
    """

    def __init__(
        self, graph: Graph, quantization: Quantization | None = None, *, train_scales: bool = True
    ) -> None:
        """Start from the graph's weights, rounding as `quantization` does."""
        self.graph = graph
        self.blend = 0.0 if quantization is None else 1.0
        self.masks: Tensors = {}
        self._weights: Tensors = {}
        self._biases: Tensors = {}
        self._weight_scales: dict[str, _Scale] = {}
        self._tensor_scales: dict[str, _Scale] = {}
        self._start = quantization
        self._group: dict[str, str] = {}
        for node, weight, bias in _weighted(graph):
            if quantization is not None:
                chosen = quantization.weights[node.name]
                weight, bias = _inside_steps(weight, chosen), chosen.bias
                self._weight_scales[node.name] = _weight_scale(chosen, train_scales)
            self._weights[node.name] = _parameter(weight)
            self._biases[node.name] = _parameter(bias)
        if quantization is not None:
            self._group = _scale_groups(graph, quantization.tensors)
            self._tensor_scales = _tensor_scales(graph, quantization, self._group, train_scales)

    @property
    def quantized(self) -> bool:
        """Whether there are scales at all."""
        return self._start is not None

    def __call__(
        self, inputs: Sequence[torch.Tensor], observe: Observer | None = None
    ) -> tuple[torch.Tensor, ...]:
        """The outputs for float32 [N, *shape] in stored layout, differentiable."""
        scales = {name: scale() for name, scale in self._tensor_scales.items()}

        def compute(node: Node, operands: Sequence[torch.Tensor]) -> torch.Tensor:
            if node.name in self._weights:
                assert isinstance(node.op, Op)
                arrays: Any = self._arrays(node, scales)
                node = replace(node, op=node.op.with_weight_arrays(*arrays))
            return self._rounded(node.name, plain(node, operands), scales)

        named = zip(self.graph.inputs, inputs, strict=True)
        rounded = [self._rounded(name, x, scales) for name, x in named]
        return forward(self.graph, rounded, observe, compute)

    def _rounded(self, name: str, x: torch.Tensor, scales: Tensors) -> torch.Tensor:
        if self._start is None or self.blend == 0.0:
            return x
        q = self._start.tensors[name]
        scale = scales[self._group[name]]
        y = fake_quantize(x, scale, q.low - q.zero_point, q.high - q.zero_point)
        return self._blended(x, y)

    def _blended(self, exact: torch.Tensor, rounded: torch.Tensor) -> torch.Tensor:
        return rounded if self.blend == 1.0 else torch.lerp(exact, rounded, self.blend)

    def _weight(self, name: str) -> torch.Tensor:
        weight = self._weights[name]
        return weight * self.masks[name] if name in self.masks else weight

    def _arrays(self, node: Node, scales: Tensors) -> tuple[torch.Tensor, torch.Tensor]:
        """The weight and bias that the node computes with."""
        weight, bias = self._weight(node.name), self._biases[node.name]
        if self._start is None or self.blend == 0.0:
            return weight, bias
        limit = _limit(self._start.weights[node.name])
        input_scale = scales[self._group[node.inputs[0]]].detach()
        scale = self._weight_scale(node.name, input_scale)
        column = scale.reshape(-1, *(1,) * (weight.dim() - 1))
        rounded = fake_quantize(weight, column, -limit, limit)
        step = input_scale.double() * scale.detach().double()
        return self._blended(weight, rounded), self._blended(bias, round_bias(bias, step))

    def _weight_scale(self, name: str, input_scale: torch.Tensor) -> torch.Tensor:
        """Scales of the output channels, never so small that the bias leaves its 2^29 steps."""
        least = self._biases[name].detach().abs() / (input_scale * MAX_BIAS)
        return torch.maximum(self._weight_scales[name](), least)

    def parameters(self) -> dict[str, torch.Tensor]:
        """Everything that an optimizer may change, by a name that tells what it is."""
        return {name: x for name, x in self._tensors() if x.requires_grad}

    def _tensors(self) -> Iterator[tuple[str, torch.Tensor]]:
        yield from ((f"weight {name}", x) for name, x in self._weights.items())
        yield from ((f"bias {name}", x) for name, x in self._biases.items())
        yield from ((f"weight scale {name}", x.log) for name, x in self._weight_scales.items())
        yield from ((f"tensor scale {name}", x.log) for name, x in self._tensor_scales.items())

    @torch.no_grad()
    def is_finite(self) -> bool:
        """Whether every weight and bias is a number, and every scale a positive one."""
        scales = [
            scale() for scale in (*self._weight_scales.values(), *self._tensor_scales.values())
        ]
        held = [*self._weights.values(), *self._biases.values(), *scales]
        finite = all(bool(torch.isfinite(x).all()) for x in held)
        return finite and all(bool((scale > 0.0).all()) for scale in scales)

    def hold_masks(self) -> None:
        """Set masked weights to zero, so that what a mask frees again starts from nothing."""
        with torch.no_grad():
            for name, mask in self.masks.items():
                self._weights[name].mul_(mask)

    def state(self) -> Tensors:
        """A copy of all that training changes, for `load_state`."""
        held = {name: x.detach().clone() for name, x in self._tensors()}
        return held | {f"mask {name}": mask.clone() for name, mask in self.masks.items()}

    def load_state(self, state: Mapping[str, torch.Tensor]) -> None:
        """Take over a `state` of a network made alike. Raises KeyError where it is another's."""
        with torch.no_grad():
            for name, x in self._tensors():
                x.copy_(state[name])
        masks = {name: x for name, x in state.items() if name.startswith("mask ")}
        self.masks = {name.removeprefix("mask "): x.clone() for name, x in masks.items()}

    def float_graph(self) -> Graph:
        """The graph with the weights and biases as they are now, not rounded."""
        nodes = []
        for node in self.graph.nodes:
            if node.name in self._weights:
                assert isinstance(node.op, Op)
                arrays = (self._weight(node.name), self._biases[node.name])
                weight, bias = (x.detach().numpy().copy() for x in arrays)
                node = replace(node, op=node.op.with_weight_arrays(weight, bias))
            nodes.append(node)
        return self.graph.with_nodes(nodes)

    @torch.no_grad()
    def quantization(self) -> Quantization:
        """Scales, integer weights and biases as they are now: what the forward rounds to."""
        assert self._start is not None
        scales = {name: scale() for name, scale in self._tensor_scales.items()}
        tensors = {
            name: replace(q, scale=float(scales[self._group[name]]))
            for name, q in self._start.tensors.items()
        }
        weights = {
            node.name: self._integers(node.name, scales[self._group[node.inputs[0]]])
            for node, _, _ in _weighted(self.graph)
        }
        return Quantization(tensors=tensors, weights=weights)

    def _integers(self, name: str, input_scale: torch.Tensor) -> WeightQuant:
        assert self._start is not None
        start, weight = self._start.weights[name], self._weight(name)
        scale = self._weight_scale(name, input_scale)
        column = scale.reshape(-1, *(1,) * (weight.dim() - 1))
        steps = torch.floor(weight / column + 0.5).clamp(-_limit(start), _limit(start))
        return replace(
            start,
            ints=steps.to(torch.int8).numpy(),
            scales=scale.double().numpy(),
            bias=self._biases[name].detach().numpy().copy(),
        )


def _weighted(graph: Graph) -> Iterator[tuple[Node, FloatArray, FloatArray]]:
    for node in graph.nodes:
        assert isinstance(node.op, Op)
        arrays = node.op.weight_arrays
        if arrays is not None:
            yield node, *arrays


def _parameter(values: NDArray[np.floating]) -> torch.Tensor:
    return torch.tensor(values, dtype=torch.float32, requires_grad=True)


def _limit(chosen: WeightQuant) -> int:
    """The largest step of symmetric weights."""
    return int(2 ** (chosen.bits - 1)) - 1


def _inside_steps(weight: FloatArray, chosen: WeightQuant) -> FloatArray:
    """The weights, moved as little as makes each round to the integer that was chosen for it.

    So training begins where the method of quantization ended, whichever way that rounded.
    """
    ints, limit = chosen.ints.astype(np.float64), _limit(chosen)
    column = chosen.scales.reshape(-1, *(1,) * (weight.ndim - 1))
    low = np.where(ints <= -limit, -np.inf, (ints - EDGE) * column)
    high = np.where(ints >= limit, np.inf, (ints + EDGE) * column)
    return np.clip(weight, low, high).astype(np.float32)


def _weight_scale(chosen: WeightQuant, train: bool) -> _Scale:
    start = torch.tensor(chosen.scales, dtype=torch.float32)
    shared = len(start) > 1 and bool((start == start[0]).all())
    log = torch.zeros(1 if shared else len(start), requires_grad=train)
    return _Scale(start=start, log=log)


def _scale_groups(graph: Graph, tensors: Mapping[str, QParams]) -> dict[str, str]:
    """For each tensor the first of those that have to share its scale: values merely move."""
    group: dict[str, str] = {}
    members: dict[str, list[str]] = {}
    for node in graph.nodes:
        assert isinstance(node.op, Op)
        group[node.name], members[node.name] = node.name, [node.name]
        for name in node.inputs if node.op.keeps_scale else ():
            if tensors[name] != tensors[node.name] or group[name] == group[node.name]:
                continue
            kept, other = group[name], group[node.name]
            group |= dict.fromkeys(members[other], kept)
            members[kept] += members.pop(other)
    return group


def _tensor_scales(
    graph: Graph, quantization: Quantization, group: Mapping[str, str], train: bool
) -> dict[str, _Scale]:
    """A scale for each group; those of inputs and dictated ones stay as they are."""
    fixed = {group[name] for name in graph.inputs}
    for node in graph.nodes:
        assert isinstance(node.op, Op)
        if node.op.fixed_qparams() is not None:
            fixed.add(group[node.name])
    return {
        leader: _Scale(
            start=torch.tensor(quantization.tensors[leader].scale, dtype=torch.float32),
            log=torch.zeros((), requires_grad=train and leader not in fixed),
        )
        for leader in dict.fromkeys(group.values())
    }
