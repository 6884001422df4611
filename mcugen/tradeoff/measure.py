# SPDX-License-Identifier: Apache-2.0
"""How far a network's outputs are from those of the float network: what is called its loss."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional

from mcugen.fixed_point import IntArray
from mcugen.ir.graph import Graph, Node
from mcugen.ir.interp import run
from mcugen.ops.base import Op
from mcugen.train.forward import forward
from mcugen.train.objective import scores_of
from mcugen.verify.inputs import quantize_inputs

Tensors = Mapping[str, torch.Tensor]


@dataclass(frozen=True, slots=True, kw_only=True)
class Measure:
    """What is compared.

    Of a classifier the Kullback-Leibler divergence of its class probabilities from those of the
    float network, in nats, a mean over the samples; of other networks the squared error of the
    outputs relative to their power, a mean over the outputs. Both are zero for the float network,
    grow with the square of a small error, and so add up for errors that know nothing of each other.
    """

    tensors: tuple[str, ...]
    classes: bool

    @classmethod
    def of(cls, graph: Graph, *, classes: bool = False) -> Measure:
        """What fits a network; `classes` where its labels are class indices.

        A network that ends in probabilities is a classifier without being told.
        """
        scores, normalized = scores_of(graph, graph.outputs[0])
        if normalized or classes:
            return cls(tensors=(scores,), classes=True)
        return cls(tensors=graph.outputs, classes=False)

    @property
    def title(self) -> str:
        """What the numbers are."""
        return "KL divergence" if self.classes else "relative square error"

    def __call__(self, wanted: Tensors, got: Tensors) -> float:
        """The loss; both have the tensors that are compared, float32 [N, *shape]."""
        if self.classes:
            (name,) = self.tensors
            return _divergence(wanted[name], got[name])
        return float(np.mean([_relative(wanted[name], got[name]) for name in self.tensors]))


def _divergence(wanted: torch.Tensor, got: torch.Tensor) -> float:
    log_p, log_q = (functional.log_softmax(x.double().flatten(1), 1) for x in (wanted, got))
    return max(float((log_p.exp() * (log_p - log_q)).sum(1).mean()), 0.0)


def _relative(wanted: torch.Tensor, got: torch.Tensor) -> float:
    power = float(wanted.double().square().sum())
    return float((wanted.double() - got.double()).square().sum()) / max(power, 1e-30)


class Float:
    """The float network on some samples, and the same with one layer replaced."""

    def __init__(
        self, graph: Graph, samples: Sequence[NDArray[np.float32]], measure: Measure
    ) -> None:
        """samples: float32 [N, *shape] of each input, stored layout. All tensors are kept."""
        self.graph, self.measure = graph, measure
        self.exact: dict[str, torch.Tensor] = {}
        with torch.no_grad():
            forward(graph, [torch.from_numpy(x) for x in samples], self.exact.__setitem__)

    def operand(self, name: str) -> torch.Tensor:
        """What a layer with one operand reads."""
        return self.exact[self.graph.by_name[name].inputs[0]]

    def loss(self, name: str, op: Op) -> float:
        """The network's loss with another operator in the place of a layer's."""
        changed: dict[str, torch.Tensor] = {}
        with torch.no_grad():
            changed[name] = op.forward([self.operand(name)])
            for node in self.graph.nodes:
                if node.name not in changed and any(n in changed for n in node.inputs):
                    assert isinstance(node.op, Op)
                    operands = [changed.get(n, self.exact[n]) for n in node.inputs]
                    changed[node.name] = node.op.forward(operands)
        return self.measure(self.exact, {**self.exact, **changed})


def integer_loss(
    exact: Tensors, integer: Graph, samples: Sequence[NDArray[np.float32]], measure: Measure
) -> float:
    """The loss of an integer network by its reference; `exact` is what the float one gives."""
    got: dict[str, torch.Tensor] = {}

    def keep(node: Node, values: IntArray) -> None:
        if node.name in measure.tensors:
            assert node.qparams is not None
            real = (values - node.qparams.zero_point) * node.qparams.scale
            got[node.name] = torch.from_numpy(np.ascontiguousarray(real, np.float32))

    run(integer, quantize_inputs(integer, samples), keep)
    return measure(exact, got)
