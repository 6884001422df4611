# SPDX-License-Identifier: Apache-2.0
"""What training makes small: the task's loss, and the distance to the float network."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import torch
from torch.nn import functional

from mcugen.errors import CalibrationError, OptionError
from mcugen.ir.graph import Graph
from mcugen.ops.base import Op
from mcugen.train.batches import Batch
from mcugen.train.forward import forward, to_model
from mcugen.train.network import TrainableNetwork

# outputs (one tensor, or a tuple of several) in the model's own axis order, and targets -> scalar
UserLoss = Callable[[Any, Any], torch.Tensor]


@dataclass(frozen=True, slots=True, kw_only=True)
class Distill:
    """Learning from the float network.

    weight: share of the teacher in the loss; without labels it has all of it.
    temperature: what the class scores are divided by.
    features: weight of the mean over all layers with weights of |s - t|^2 / |t|^2, s and t being
        the layer's tensors in both networks; 0 leaves them out.
    Source: Hinton et al., "Distilling the Knowledge in a Neural Network", 2015, section 2; Romero
    et al., "FitNets", 2015, equation 3, normalized.
    """

    weight: float = 0.5
    temperature: float = 2.0
    features: float = 0.0

    def __post_init__(self) -> None:
        """Raise OptionError for a value out of its range."""
        problems = []
        if not 0.0 < self.weight <= 1.0:
            problems.append(f"distill weight is {self.weight}; expected above 0, at most 1")
        if not 0.0 < self.temperature < 1e6:
            problems.append(f"temperature is {self.temperature}; expected above 0")
        if not 0.0 <= self.features < 1e6:
            problems.append(f"feature weight is {self.features}; expected 0 or more")
        if problems:
            raise OptionError("\n".join(problems))


class Objective:
    """Loss and score of a network on batches; built from the float graph, which is the teacher.

    Integer targets are classes of the first output: cross entropy, and for the teacher the
    Kullback-Leibler divergence. Real targets have its shape, in the model's axis order: mean square
    error. `loss` replaces both. With `reconstruct` the target is the first input.
    """

    def __init__(
        self,
        graph: Graph,
        *,
        distill: Distill | None = None,
        loss: UserLoss | None = None,
        reconstruct: bool = False,
    ) -> None:
        """Raises OptionError where the input cannot be reconstructed: it has another shape."""
        self.graph, self.distill, self._loss = graph, distill, loss
        self.reconstruct = reconstruct
        self._scores, self._normalized = scores_of(graph, graph.outputs[0])
        self._features = _feature_names(graph) if distill and distill.features else ()
        sizes = [graph.by_name[name].shape for name in (graph.inputs[0], graph.outputs[0])]
        if reconstruct and sizes[0] != sizes[1]:
            msg = f"the output of shape {sizes[1]} cannot reconstruct the input of shape {sizes[0]}"
            raise OptionError(msg)

    def loss(self, network: TrainableNetwork, batch: Batch) -> torch.Tensor:
        """The scalar to make small, differentiable in the network's parameters."""
        inputs, targets = batch
        wanted = {self._scores, *self._features}
        seen: dict[str, torch.Tensor] = {}

        def observe(name: str, x: torch.Tensor) -> None:
            if name in wanted:
                seen[name] = x

        outputs = network(inputs, observe)
        task = self._task(outputs, seen[self._scores], inputs, targets)
        if self.distill is None:
            assert task is not None
            return task
        taught = self._taught(seen, inputs, targets)
        if task is None:
            return taught
        return (1.0 - self.distill.weight) * task + self.distill.weight * taught

    def _task(
        self,
        outputs: tuple[torch.Tensor, ...],
        scores: torch.Tensor,
        inputs: tuple[torch.Tensor, ...],
        targets: torch.Tensor | None,
    ) -> torch.Tensor | None:
        """The loss without a teacher, None where there is nothing to compare with."""
        if self._loss is not None:
            return _scalar(self._loss(_single(self._in_model_order(outputs)), targets))
        if self.reconstruct:
            return functional.mse_loss(outputs[0], inputs[0])
        if targets is None:
            if self.distill is None:
                raise CalibrationError(NO_TARGETS)
            return None
        if targets.is_floating_point():
            values = self._in_model_order(outputs)[0]
            return functional.mse_loss(values, _like(targets, values))
        return functional.cross_entropy(*_classes(scores, targets))

    def _taught(
        self,
        seen: dict[str, torch.Tensor],
        inputs: tuple[torch.Tensor, ...],
        targets: torch.Tensor | None,
    ) -> torch.Tensor:
        assert self.distill is not None
        told: dict[str, torch.Tensor] = {}
        with torch.no_grad():
            forward(
                self.graph, inputs, lambda name, x: told.update({name: x} if name in seen else {})
            )
        mine, teacher = seen[self._scores], told[self._scores]
        classes = self._normalized or (targets is not None and not targets.is_floating_point())
        if classes and not self.reconstruct:
            loss = _divergence(mine, teacher, self.distill.temperature)
        else:
            loss = functional.mse_loss(mine, teacher)
        if self._features:
            loss = loss + self.distill.features * _feature_distance(seen, told, self._features)
        return loss

    def _in_model_order(self, outputs: tuple[torch.Tensor, ...]) -> tuple[torch.Tensor, ...]:
        layouts = self.graph.output_layouts
        return tuple(to_model(y, layout) for y, layout in zip(outputs, layouts, strict=True))

    @torch.no_grad()
    def score(self, network: TrainableNetwork, batches: Iterable[Batch]) -> float:
        """How good the network is, more being better: percent of classes, or minus the loss."""
        total, count = 0.0, 0
        for inputs, targets in batches:
            if targets is not None and self.counts_classes(targets):
                scores, labels = _classes(network(inputs)[0], targets)
                total += 100.0 * int((scores.argmax(1) == labels).sum())
                count += len(labels)
            else:
                total -= float(self.loss(network, (inputs, targets))) * len(inputs[0])
                count += len(inputs[0])
        return total / max(count, 1)

    def counts_classes(self, targets: torch.Tensor | None) -> bool:
        """Whether `score` is the percentage of classes told right."""
        if self._loss is not None or self.reconstruct or targets is None:
            return False
        return not targets.is_floating_point()

    def check_targets(self, targets: torch.Tensor | None, what: str) -> None:
        """Raise CalibrationError where targets of a whole data set do not fit the network."""
        if self._loss is not None or self.reconstruct:
            return
        if targets is None:
            if self.distill is None:
                msg = f"{what}: {NO_TARGETS}"
                raise CalibrationError(msg)
            return
        output = self.graph.by_name[self.graph.outputs[0]].shape
        try:
            if targets.is_floating_point():
                values = to_model(torch.empty(len(targets), *output), self.graph.output_layouts[0])
                _like(targets, values)
                return
            _, labels = _classes(torch.empty(len(targets), *output), targets)
        except CalibrationError as error:
            msg = f"{what}: {error}"
            raise CalibrationError(msg) from error
        if bool((labels == labels[0]).all()):
            msg = (
                f"{what}: all {len(labels)} labels are class {int(labels[0])}; "
                "there is nothing to tell apart: pass samples of every class"
            )
            raise CalibrationError(msg)


NO_TARGETS = (
    "there are no labels 'y' to train on; pass them beside 'x', or --distill to learn from the "
    "float network alone, or --loss reconstruct for an autoencoder"
)


def scores_of(graph: Graph, name: str) -> tuple[str, bool]:
    """The tensor that cross entropy is taken of, and whether the output is its normalized form."""
    node = graph.by_name[name]
    while isinstance(node.op, Op) and not node.op.computes and len(node.inputs) == 1:
        node = graph.by_name[node.inputs[0]]
    if isinstance(node.op, Op) and node.op.normalizes:
        return node.inputs[0], True
    return name, False


def _feature_names(graph: Graph) -> tuple[str, ...]:
    ops = ((node.name, node.op) for node in graph.nodes)
    return tuple(name for name, op in ops if isinstance(op, Op) and op.weight_arrays is not None)


def _classes(scores: torch.Tensor, labels: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Scores [M, classes] and labels [M] of one label a sample, or one a position."""
    flat = scores.flatten(1) if labels.dim() == 1 else scores
    if flat.shape[:-1] != labels.shape or flat.shape[-1] < 2:
        places = ", ".join(["N", *map(str, scores.shape[1:-1])])
        msg = (
            f"labels have shape {list(labels.shape)} for an output of shape "
            f"{list(scores.shape[1:])}; expected class indices [N] or [{places}] of at least two "
            "classes, or real targets of the output's shape"
        )
        raise CalibrationError(msg)
    classes, whole = flat.shape[-1], labels.long().reshape(-1)
    if len(whole) and not 0 <= int(whole.min()) <= int(whole.max()) < classes:
        msg = (
            f"labels are {int(whole.min())} to {int(whole.max())}; expected class indices "
            f"from 0 to {classes - 1}"
        )
        raise CalibrationError(msg)
    return flat.reshape(-1, classes), whole


def _like(targets: torch.Tensor, values: torch.Tensor) -> torch.Tensor:
    if targets.shape == (len(values),) and values[0].numel() == 1:
        return targets.reshape(values.shape)
    if targets.shape != values.shape:
        msg = f"targets have shape {list(targets.shape)}; expected {list(values.shape)}"
        raise CalibrationError(msg)
    return targets


def _scalar(loss: object) -> torch.Tensor:
    if isinstance(loss, torch.Tensor) and loss.numel() == 1:
        return loss.reshape(())
    shape = list(loss.shape) if isinstance(loss, torch.Tensor) else type(loss).__name__
    msg = f"the loss returned {shape}; expected a tensor of one element"
    raise OptionError(msg)


def _single(outputs: tuple[torch.Tensor, ...]) -> Any:
    return outputs[0] if len(outputs) == 1 else outputs


def _divergence(mine: torch.Tensor, teacher: torch.Tensor, temperature: float) -> torch.Tensor:
    """KL(teacher || mine) of softened class scores, times temperature^2, a mean over the rows."""
    log_p, log_t = (
        functional.log_softmax(x.reshape(-1, x.shape[-1]) / temperature, -1)
        for x in (mine, teacher)
    )
    kl = functional.kl_div(log_p, log_t, reduction="batchmean", log_target=True)
    return kl * temperature**2


def _feature_distance(
    mine: dict[str, torch.Tensor], teacher: dict[str, torch.Tensor], names: tuple[str, ...]
) -> torch.Tensor:
    parts = [
        functional.mse_loss(mine[name], teacher[name]) / (teacher[name].square().mean() + 1e-12)
        for name in names
    ]
    return torch.stack(parts).mean()
