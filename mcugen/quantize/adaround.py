# SPDX-License-Identifier: Apache-2.0
"""Learned rounding: up or down, whichever the outputs of the layer and of the block suffer less.

Sources: Nagel et al., "Up or down? Adaptive rounding for post-training quantization", 2020; Li et
al., "BRECQ: pushing the limit of post-training quantization by block reconstruction", 2021.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from copy import copy
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray

from mcugen.ir.graph import Graph, Node
from mcugen.ir.quantization import Quantization, WeightQuant
from mcugen.ops.base import Op
from mcugen.quantize.affine import fake_quantize
from mcugen.quantize.blocks import blocks
from mcugen.quantize.correct import corrected
from mcugen.quantize.walk import LayerData, few, with_quantized_weights
from mcugen.quantize.weights import limit

Tensors = dict[str, torch.Tensor]
Progress = Callable[[int, int, str], None]  # steps done, steps in all, what is being done

# the stretched sigmoid reaches 0 and 1 (equation 23), and the penalty's exponent (section 4)
ZETA, GAMMA = 1.1, -0.1
BETA_START, BETA_END = 20.0, 2.0
WARM_UP = 0.2  # of the steps, without the penalty that drives towards 0 or 1
PENALTY = 0.01  # for each weight, beside an error that is 1 for the rounding to nearest
HELD = 4  # one of so many samples is not learned from, but says whether learning was of use


@dataclass(frozen=True, slots=True, kw_only=True)
class AdaRoundOptions:
    """How long and on what rounding is learned."""

    layer_steps: int = 200
    block_steps: int = 100
    samples: int = 256
    batch: int = 16
    correct_bias: bool = True
    rate: float = 0.03
    seed: int = 0


class Rounding:
    """Weights of one layer between their two nearest integers, and how far each is to go up."""

    def __init__(self, weight: NDArray[np.float32], made: WeightQuant) -> None:
        """Begin at the real weight itself: h(v) = its fraction."""
        self.made = made
        column = made.scales.reshape(-1, *(1,) * (weight.ndim - 1))
        steps = np.clip(weight / column, -limit(made.bits), limit(made.bits))
        floor = np.floor(steps)
        share = np.clip((steps - floor - GAMMA) / (ZETA - GAMMA), 1e-4, 1 - 1e-4)
        self.floor = torch.from_numpy(floor.astype(np.float32))
        self.scale = torch.from_numpy(column.astype(np.float32))
        self.bias = torch.from_numpy(made.bias)
        self.v = torch.from_numpy(np.log(share / (1 - share)).astype(np.float32))
        self.v.requires_grad_()

    def up(self) -> torch.Tensor:
        """h(v) in [0, 1]."""
        return torch.clamp(torch.sigmoid(self.v) * (ZETA - GAMMA) + GAMMA, 0.0, 1.0)

    def apply(self, op: Op) -> Op:
        """The layer with weights that are differentiable in v."""
        top = float(limit(self.made.bits))
        weight = (self.floor + self.up()).clamp(-top, top) * self.scale
        return op.with_weight_arrays(weight, self.bias)  # type: ignore[arg-type] # torch will do

    def penalty(self, beta: float) -> torch.Tensor:
        """Sum of 1 - |2 h - 1|^beta: 0 where every weight has decided."""
        return (1.0 - (2.0 * self.up() - 1.0).abs().pow(beta)).sum()

    def to_nearest(self) -> Rounding:
        """The same layer as rounding to nearest leaves it."""
        return self._with(torch.from_numpy(self.made.ints.astype(np.float32)) - self.floor > 0.5)

    def settled(self) -> Rounding:
        """The same layer with every weight where it tends to."""
        return self._with(self.up() >= 0.5)

    def _with(self, up: torch.Tensor) -> Rounding:
        made = copy(self)
        made.v = torch.where(up, 10.0, -10.0).requires_grad_()
        return made

    def decided(self) -> WeightQuant:
        """The integers."""
        top = limit(self.made.bits)
        with torch.no_grad():
            steps = (self.floor + (self.up() >= 0.5)).clamp(-top, top)
        return replace(self.made, ints=steps.numpy().astype(np.int8))


def learn_rounding(
    graph: Graph,
    samples: Sequence[NDArray[np.float32]],
    quantization: Quantization,
    options: AdaRoundOptions,
    progress: Progress = lambda _done, _total, _text: None,
) -> Quantization:
    """Round each weight up or down by what it does on calibration data, block after block.

    samples: float32 [N, *shape] for each input, stored layout. Within a block each layer first
    learns to reproduce its own float output from the quantized network's tensors, then all its
    layers together learn the block's outputs; then the mean errors go into the biases. The same
    seed gives the same integers on the same machine.
    """
    return _Learner(graph, few(samples, options.samples), quantization, options, progress).run()


class _Learner:
    """The walk over the blocks."""

    def __init__(
        self,
        graph: Graph,
        samples: Sequence[NDArray[np.float32]],
        quantization: Quantization,
        options: AdaRoundOptions,
        progress: Progress,
    ) -> None:
        self.graph, self.options, self.progress = graph, options, progress
        self.qparams = quantization.tensors
        self.weights = dict(quantization.weights)
        self.random = np.random.default_rng(options.seed)
        self.exact = {n: torch.from_numpy(x) for n, x in zip(graph.inputs, samples, strict=True)}
        self.rounded: Tensors = {
            n: fake_quantize(x, self.qparams[n]) for n, x in self.exact.items()
        }
        order = torch.from_numpy(self.random.permutation(len(samples[0])))
        self.held, self.taught = order[: len(order) // HELD], order[len(order) // HELD :]
        self.blocks = blocks(graph)
        self.done = 0
        self.total = sum(self._steps(self._layers(block)) for block in self.blocks)

    def _layers(self, block: Sequence[Node]) -> list[Node]:
        return [node for node in block if node.name in self.weights]

    def _steps(self, layers: Sequence[Node]) -> int:
        joint = self.options.block_steps if len(layers) > 1 else 0
        return len(layers) * self.options.layer_steps + joint

    def run(self) -> Quantization:
        """All blocks in order."""
        for block in self.blocks:
            self._learn_block(block)
            self._forget(block)
        return Quantization(tensors=self.qparams, weights=self.weights)

    def _learn_block(self, block: Sequence[Node]) -> None:
        entry = dict(self.rounded)
        roundings: dict[str, Rounding] = {}
        for node in block:
            assert isinstance(node.op, Op)
            self._make_exact(node)
            if node.name in self.weights:
                arrays = node.op.weight_arrays
                assert arrays is not None
                roundings[node.name] = Rounding(arrays[0], self.weights[node.name])
                self._learn_tested([node], roundings, self.rounded, [node.name])
                self.weights[node.name] = roundings[node.name].decided()
            self._make_rounded(node)
        if len(roundings) > 1:
            outputs = [n.name for n in block if self._leaves(n, block)]
            self._learn_tested(block, roundings, entry, outputs)
        self.rounded = entry
        for node in block:
            if node.name in roundings:
                self.weights[node.name] = roundings[node.name].decided()
                if self.options.correct_bias:
                    self._correct(node)
            self._make_rounded(node)

    def _make_exact(self, node: Node) -> None:
        assert isinstance(node.op, Op)
        with torch.no_grad():
            self.exact[node.name] = node.op.forward([self.exact[n] for n in node.inputs])

    def _make_rounded(self, node: Node) -> None:
        assert isinstance(node.op, Op)
        with torch.no_grad():
            made = self.weights.get(node.name)
            op = node.op if made is None else with_quantized_weights(node.op, made)
            y = op.forward([self.rounded[n] for n in node.inputs])
            self.rounded[node.name] = fake_quantize(y, self.qparams[node.name])

    def _correct(self, node: Node) -> None:
        source = node.inputs[0]
        layer = LayerData(node, self.exact[source], self.rounded[source], self.qparams[node.name])
        with torch.no_grad():
            self.weights[node.name] = corrected(layer, self.weights[node.name])

    def _leaves(self, node: Node, block: Sequence[Node]) -> bool:
        inside = {n.name for n in block}
        readers = self.graph.consumers[node.name]
        return node.name in self.graph.outputs or any(r.name not in inside for r in readers)

    def _forget(self, block: Sequence[Node]) -> None:
        """Drop what no later block reads."""
        names = [node.name for node in self.graph.nodes]
        later = set(names[names.index(block[-1].name) + 1 :])
        read = {n for name in later for n in self.graph.by_name[name].inputs}
        self.exact = {n: x for n, x in self.exact.items() if n in read}
        self.rounded = {n: x for n, x in self.rounded.items() if n in read}

    def _learn_tested(
        self,
        nodes: Sequence[Node],
        roundings: dict[str, Rounding],
        entry: Tensors,
        outputs: Sequence[str],
    ) -> None:
        """Learn, and keep it where samples that were held back are better for it.

        Few samples teach what is not so of others; a layer may then stay rounded to nearest, and
        the layers of a block as each of them had learned by itself.
        """
        own = [node.name for node in nodes if node.name in roundings]
        kept = Rounding.to_nearest if len(nodes) == 1 else Rounding.settled
        before = {n: kept(roundings[n]) for n in own}
        self._learn(nodes, roundings, entry, outputs)
        if not len(self.held):
            return
        after = {n: roundings[n].settled() for n in own}
        with torch.no_grad():
            old, new = (self._error(nodes, r, entry, outputs, self.held) for r in (before, after))
        if old <= new:
            roundings |= before

    def _learn(
        self,
        nodes: Sequence[Node],
        roundings: Mapping[str, Rounding],
        entry: Tensors,
        outputs: Sequence[str],
    ) -> None:
        """Fit the roundings of `nodes` to the float values of `outputs`, starting from `entry`."""
        learned = [roundings[node.name] for node in nodes if node.name in roundings]
        steps = self.options.layer_steps if len(nodes) == 1 else self.options.block_steps
        optimizer = torch.optim.Adam([r.v for r in learned], lr=self.options.rate)
        nearest = {n: r.to_nearest() for n, r in roundings.items()}
        with torch.no_grad():
            first = self._error(nodes, nearest, entry, outputs, self.taught[: self.options.batch])
        unit = max(float(first), 1e-20)
        for step in range(steps):
            drawn = self.random.permutation(len(self.taught))[: self.options.batch]
            chosen = self.taught[torch.from_numpy(drawn)]
            with torch.enable_grad():
                loss = self._error(nodes, roundings, entry, outputs, chosen) / unit
                past = step / steps - WARM_UP
                if past > 0:
                    beta = BETA_END + 0.5 * (BETA_START - BETA_END) * (
                        1 + np.cos(np.pi * past / (1 - WARM_UP))
                    )
                    loss = loss + PENALTY * sum(r.penalty(beta) for r in learned)
                optimizer.zero_grad()
                loss.backward()  # type: ignore[no-untyped-call] # torch leaves it without types
            optimizer.step()
            self.done += 1
            self.progress(self.done, self.total, f"rounding {nodes[-1].name}")

    def _error(
        self,
        nodes: Iterable[Node],
        roundings: Mapping[str, Rounding],
        entry: Tensors,
        outputs: Sequence[str],
        chosen: torch.Tensor,
    ) -> torch.Tensor:
        values: Tensors = {}
        for node in nodes:
            assert isinstance(node.op, Op)
            operands = [values[n] if n in values else entry[n][chosen] for n in node.inputs]
            op = roundings[node.name].apply(node.op) if node.name in roundings else node.op
            y = op.forward(operands)
            # inside a block, readers see rounded values; the gradient passes straight through
            rounded = fake_quantize(y, self.qparams[node.name])
            values[node.name] = y if node.name in outputs else y + (rounded - y).detach()
        off = [(values[n] - self.exact[n][chosen]).square().mean() for n in outputs]
        return torch.stack(off).sum()
