# SPDX-License-Identifier: Apache-2.0
"""The criteria: what every weight is worth, from the weights, from data, or from gradients.

Scores are float64 in the weight's shape, 0 for a weight of 0, and add up over a group. Layers'
scores can be compared with each other where the criterion is about the whole network: `l1`, `l2`,
`taylor`, `snip` and `perturbation`; those of `OF_LAYERS` are about a layer's own outputs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray

from mcugen.errors import OptionError
from mcugen.ir.graph import Graph, Node
from mcugen.ops.base import Op
from mcugen.pruning.masks import title, weight_of
from mcugen.pruning.norms import NormScales
from mcugen.pruning.options import CHANNEL, PruneOptions
from mcugen.pruning.patterns import Scores, blocks_of
from mcugen.pruning.second_order import removal_errors
from mcugen.pruning.taps import moments, square_sums
from mcugen.quantize.walk import few
from mcugen.train.batches import Batch
from mcugen.train.forward import forward
from mcugen.train.network import TrainableNetwork
from mcugen.train.objective import Objective

Loss = Callable[[TrainableNetwork, Batch], torch.Tensor]

SAMPLES = 256
BATCH = 16
PROJECTIONS = 8  # random directions of the outputs, for each batch


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Data:
    """What criteria look at: batches in stored layout, and what the network shall make small.

    Without `loss` there are no labels: the loss is then the cross entropy with the classes that the
    network tells by itself.
    """

    batches: Sequence[Batch]
    loss: Loss | None = None
    norm_scales: NormScales = field(default_factory=dict)  # as the model brings them

    @classmethod
    def of(cls, samples: Sequence[NDArray[np.float32]], scales: NormScales | None = None) -> Data:
        """Samples without labels: float32 [N, *shape] of each input, stored layout."""
        some = few(samples, SAMPLES)
        parts = [
            tuple(torch.from_numpy(x[start : start + BATCH]) for x in some)
            for start in range(0, len(some[0]), BATCH)
        ]
        return cls(batches=[(part, None) for part in parts], norm_scales=scales or {})

    def inputs(self) -> list[torch.Tensor]:
        """All samples of each input."""
        return [torch.cat(parts) for parts in zip(*(x for x, _ in self.batches), strict=True)]


def score(
    graph: Graph, layers: Sequence[Node], data: Data, options: PruneOptions
) -> dict[str, Scores]:
    """The worth of each weight of `layers`, by their names."""
    make = _CRITERIA[options.form]
    return dict(make(graph, layers, data, options))


Named = Iterator[tuple[str, Scores]]


def _l1(graph: Graph, layers: Sequence[Node], data: Data, options: PruneOptions) -> Named:
    """|w|. Source: Han et al., "Learning both Weights and Connections", 2015, section 3.1."""
    for node in layers:
        yield node.name, np.abs(weight_of(node).astype(np.float64))


def _l2(graph: Graph, layers: Sequence[Node], data: Data, options: PruneOptions) -> Named:
    """w^2, whose sum over a group is the square of its L2 norm.

    Source: Wen et al., "Learning Structured Sparsity in Deep Neural Networks", 2016, section 3.1.
    """
    for node in layers:
        yield node.name, np.square(weight_of(node).astype(np.float64))


def _bn_scale(graph: Graph, layers: Sequence[Node], data: Data, options: PruneOptions) -> Named:
    """|gamma| of the batch norm behind each output channel, for each of its weights.

    With whole channels, layers without one are not judged: what they hang together with is.
    Source: Liu et al., "Learning Efficient Convolutional Networks through Network Slimming", 2017,
    section 3. Raises OptionError that names the layers which have no batch norm.
    """
    bare = [node for node in layers if node.name not in data.norm_scales]
    if bare and (options.pattern != CHANNEL or len(bare) == len(layers)):
        msg = (
            f"bn_scale: no batch norm directly behind {', '.join(map(title, bare))}; keep such "
            "layers dense (--keep-dense), or choose another criterion"
        )
        raise OptionError(msg)
    for node in layers:
        weight = weight_of(node)
        scale = data.norm_scales.get(node.name, np.full(len(weight), np.nan))
        flat = np.broadcast_to(scale, len(weight)).reshape(-1, *(1,) * (weight.ndim - 1))
        yield node.name, np.where(weight == 0.0, 0.0, flat)


def _uniform(graph: Graph, layers: Sequence[Node], data: Data, options: PruneOptions) -> Named:
    """Chance, to compare the others with."""
    random = np.random.default_rng(options.seed)
    for node in layers:
        weight = weight_of(node)
        yield node.name, (1.0 - random.random(weight.shape)) * (weight != 0.0)


def _deviation(graph: Graph, layers: Sequence[Node], data: Data, options: PruneOptions) -> Named:
    """The standard deviation of the weights of the same output channel, shared among its weights.

    Weights that are nearly alike tell inputs apart badly. All of a channel goes at once, for its
    score is that of each of its weights.
    """
    for node in layers:
        weight = weight_of(node).astype(np.float64)
        flat = weight.reshape(len(weight), -1).std(axis=1)
        yield node.name, np.broadcast_to(flat.reshape(-1, *(1,) * (weight.ndim - 1)), weight.shape)


def _wanda(graph: Graph, layers: Sequence[Node], data: Data, options: PruneOptions) -> Named:
    """|w| times the L2 norm of what it is multiplied by, over samples and positions.

    Source: Sun et al., "A Simple and Effective Pruning Approach for Large Language Models", 2023,
    equation 1; compared within a layer, not within an output.
    """
    tensors = _operands(graph, layers, data)
    for node in layers:
        assert isinstance(node.op, Op)
        norms = np.sqrt(square_sums(node.op, tensors[node.inputs[0]]))
        yield node.name, np.abs(weight_of(node)) * norms


def _obs(graph: Graph, layers: Sequence[Node], data: Data, options: PruneOptions) -> Named:
    """The error of the layer's outputs that refitting the other weights cannot mend."""
    tensors = _operands(graph, layers, data)
    blocks = blocks_of(options.pattern)
    for node in layers:
        assert isinstance(node.op, Op)
        operand = tensors[node.inputs[0]]
        taps, own, _ = moments(node.op, operand, operand)
        weight = weight_of(node).astype(np.float64)
        parts = np.split(weight.reshape(len(weight), -1), taps.groups)
        found = [
            removal_errors(part, hessian, blocks, weight.shape[-1])
            for part, hessian in zip(parts, own, strict=True)
        ]
        yield node.name, np.concatenate(found).reshape(weight.shape)


def _taylor(graph: Graph, layers: Sequence[Node], data: Data, options: PruneOptions) -> Named:
    """The mean over batches of (w g)^2, g being the gradient of the loss.

    Source: Molchanov et al., "Importance Estimation for Neural Network Pruning", 2019, equation 8.
    """
    gradients = _gradients(graph, layers, data)
    totals = {node.name: np.zeros(weight_of(node).shape) for node in layers}
    for found in gradients:
        for node in layers:
            totals[node.name] += np.square(weight_of(node) * found[node.name])
    for name, total in totals.items():
        yield name, total / max(len(data.batches), 1)


def _snip(graph: Graph, layers: Sequence[Node], data: Data, options: PruneOptions) -> Named:
    """|w g| over its sum in the network, g being the gradient of the loss over all batches.

    Source: Lee et al., "SNIP: Single-shot Network Pruning based on Connection Sensitivity", 2019,
    equation 5.
    """
    totals = {node.name: np.zeros(weight_of(node).shape) for node in layers}
    for found in _gradients(graph, layers, data):
        for node in layers:
            totals[node.name] += found[node.name]
    worth = {node.name: np.abs(weight_of(node) * totals[node.name]) for node in layers}
    whole = max(sum(float(x.sum()) for x in worth.values()), 1e-300)
    for name, part in worth.items():
        yield name, part / whole


def _perturbation(graph: Graph, layers: Sequence[Node], data: Data, options: PruneOptions) -> Named:
    """E||f(w + e) - f(w)||^2 a sample, for e of the size of w and random sign, in each weight.

    To the first order in e it is w^2 |J|^2, J being the derivative of all outputs by the weight:
    with random signs v, E(v J)^2 = |J|^2, so that one backward pass tells of all weights at once.
    Sources: Hutchinson, "A stochastic estimator of the trace of the influence matrix", 1990; the
    expansion as in LeCun et al., "Optimal Brain Damage", 1990.
    """
    network = TrainableNetwork(graph)
    weights = _weights(network, layers)
    generator = torch.Generator().manual_seed(options.seed)
    totals = {name: torch.zeros_like(w, dtype=torch.float64) for name, w in weights.items()}
    samples = 0
    for inputs, _ in data.batches:
        samples += len(inputs[0])
        outputs = network(inputs)
        signs = [
            [torch.randint(0, 2, y.shape, generator=generator) * 2.0 - 1.0 for y in outputs]
            for _ in range(PROJECTIONS)
        ]
        for directions in signs:
            grads = torch.autograd.grad(
                outputs, list(weights.values()), directions, retain_graph=True, allow_unused=True
            )
            for name, grad in zip(weights, grads, strict=True):
                if grad is not None:
                    totals[name] += grad.double().square()
    for node in layers:
        mean = totals[node.name].numpy() / max(PROJECTIONS * samples, 1)
        yield node.name, np.square(weight_of(node).astype(np.float64)) * mean


_CRITERIA: Mapping[str, Callable[[Graph, Sequence[Node], Data, PruneOptions], Named]] = {
    "l1": _l1,
    "l2": _l2,
    "bn_scale": _bn_scale,
    "uniform": _uniform,
    "deviation": _deviation,
    "wanda": _wanda,
    "obs": _obs,
    "taylor": _taylor,
    "snip": _snip,
    "perturbation": _perturbation,
}


def _operands(graph: Graph, layers: Sequence[Node], data: Data) -> dict[str, torch.Tensor]:
    """What the layers read, over all samples."""
    wanted = {node.inputs[0] for node in layers}
    seen: dict[str, list[torch.Tensor]] = {name: [] for name in wanted}

    def observe(name: str, x: torch.Tensor) -> None:
        if name in wanted:
            seen[name].append(x)

    with torch.no_grad():
        for inputs, _ in data.batches:
            forward(graph, inputs, observe)
    return {name: torch.cat(parts) for name, parts in seen.items()}


def _weights(network: TrainableNetwork, layers: Sequence[Node]) -> dict[str, torch.Tensor]:
    parameters = network.parameters()
    return {node.name: parameters[f"weight {node.name}"] for node in layers}


def _gradients(
    graph: Graph, layers: Sequence[Node], data: Data
) -> Iterator[dict[str, NDArray[np.float64]]]:
    """The gradient of the loss by each layer's weight, batch after batch."""
    network = TrainableNetwork(graph)
    weights = _weights(network, layers)
    loss = data.loss or _own_classes(graph)
    for batch in data.batches:
        value = loss(network, batch)
        grads = torch.autograd.grad(value, list(weights.values()), allow_unused=True)
        yield {
            name: np.zeros(w.shape) if g is None else g.double().numpy()
            for (name, w), g in zip(weights.items(), grads, strict=True)
        }


def _own_classes(graph: Graph) -> Loss:
    """Cross entropy with what the network itself says."""
    objective = Objective(graph)

    def loss(network: TrainableNetwork, batch: Batch) -> torch.Tensor:
        inputs, _ = batch
        with torch.no_grad():
            said = network(inputs)[0].flatten(1).argmax(1)
        return objective.loss(network, (inputs, said))

    return loss
