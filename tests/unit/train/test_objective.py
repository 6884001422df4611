# SPDX-License-Identifier: Apache-2.0
"""Losses: what torch defines, on the right tensors; wrong targets are told."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

from mcugen.errors import CalibrationError, OptionError
from mcugen.ir.graph import Graph
from mcugen.pipeline import simplified
from mcugen.train.network import TrainableNetwork
from mcugen.train.objective import Distill, Objective
from tests.ops.harness import export

N = 6
X = torch.from_numpy(np.random.default_rng(0).normal(size=(N, 5)).astype(np.float32))
LABELS = torch.tensor([0, 1, 2, 3, 0, 1])


def linear_graph(*tail: nn.Module) -> Graph:
    torch.manual_seed(0)
    return simplified(
        export(nn.Sequential(nn.Linear(5, 7), nn.ReLU(), nn.Linear(7, 4), *tail), (1, 5))
    )


def moved(graph: Graph) -> TrainableNetwork:
    """The network with other weights than its graph, which is the teacher."""
    network = TrainableNetwork(graph)
    with torch.no_grad():
        for x in network.parameters().values():
            x.add_(0.1)
    return network


def scores(network: TrainableNetwork, graph: Graph) -> torch.Tensor:
    """Outputs of the same network without what comes behind its scores."""
    plain = TrainableNetwork(graph)
    plain.load_state(network.state())
    return plain((X,))[0]


@pytest.mark.parametrize("tail", [(), (nn.Softmax(-1),), (nn.LogSoftmax(-1),)])
def test_cross_entropy_is_taken_of_the_scores(tail: tuple[nn.Module, ...]) -> None:
    graph = linear_graph(*tail)
    network = moved(graph)
    got = Objective(graph).loss(network, ((X,), LABELS))
    wanted = functional.cross_entropy(scores(network, linear_graph()), LABELS)
    torch.testing.assert_close(got, wanted)


def test_a_teacher_has_its_share() -> None:
    graph = linear_graph()
    network = moved(graph)
    objective = Objective(graph, distill=Distill(weight=0.3, temperature=3.0))
    mine, teacher = network((X,))[0] / 3.0, TrainableNetwork(graph)((X,))[0] / 3.0
    kl = torch.sum(teacher.softmax(1) * (teacher.log_softmax(1) - mine.log_softmax(1)), 1).mean()
    wanted = 0.7 * functional.cross_entropy(network((X,))[0], LABELS) + 0.3 * 9.0 * kl
    torch.testing.assert_close(objective.loss(network, ((X,), LABELS)), wanted)


def test_layers_may_be_compared_too() -> None:
    graph = linear_graph()
    network = moved(graph)
    plain, more = (
        Objective(graph, distill=Distill(weight=1.0, features=f)).loss(network, ((X,), LABELS))
        for f in (0.0, 0.5)
    )
    seen: list[dict[str, torch.Tensor]] = [{}, {}]
    for found, net in zip(seen, (network, TrainableNetwork(graph)), strict=True):
        net((X,), found.__setitem__)
    layers = [n.name for n in graph.nodes if n.name != graph.inputs[0]]
    assert len(layers) == 2
    parts = [(seen[0][n] - seen[1][n]).square().mean() / seen[1][n].square().mean() for n in layers]
    torch.testing.assert_close(more - plain, 0.5 * torch.stack(parts).mean())


def test_the_teacher_has_no_distance_to_itself() -> None:
    graph = linear_graph()
    objective = Objective(graph, distill=Distill(features=1.0))
    loss = objective.loss(TrainableNetwork(graph), ((X,), None))
    assert float(loss.detach()) == pytest.approx(0.0, abs=1e-6)


def test_labels_may_stand_at_every_position() -> None:
    """A network [L, features] to [L, classes]."""
    graph = simplified(export(nn.Linear(5, 4), (1, 3, 5)))
    x = torch.randn(N, 3, 5)
    labels = torch.arange(N * 3).reshape(N, 3) % 4
    objective, network = Objective(graph), TrainableNetwork(graph)
    [y] = network((x,))
    wanted = functional.cross_entropy(y.reshape(-1, 4), labels.reshape(-1))
    torch.testing.assert_close(objective.loss(network, ((x,), labels)), wanted)
    hits = float((y.argmax(-1) == labels).float().mean())
    assert objective.score(network, [((x,), labels)]) == pytest.approx(100 * hits)
    objective.check_targets(labels, "data")


def test_real_targets_of_one_output_may_be_a_row() -> None:
    graph = simplified(export(nn.Linear(5, 1), (1, 5)))
    network, target = TrainableNetwork(graph), torch.randn(N)
    got = Objective(graph).loss(network, ((X,), target))
    torch.testing.assert_close(got, (network((X,))[0][:, 0] - target).square().mean())


def test_the_score_does_not_depend_on_the_batches() -> None:
    graph = linear_graph()
    objective, network = Objective(graph), moved(graph)
    for targets in (LABELS, torch.randn(N, 4)):
        whole = objective.score(network, [((X,), targets)])
        parts = [((X[s],), targets[s]) for s in (slice(0, 1), slice(1, N))]
        assert objective.score(network, parts) == pytest.approx(whole)


@pytest.mark.parametrize(
    ("targets", "message"),
    [
        (None, "there are no labels"),
        (torch.zeros(N, dtype=torch.int64), "all 6 labels are class 0"),
        (
            torch.tensor([0, 1, 2, 3, 4, -1]),
            "labels are -1 to 4; expected class indices from 0 to 3",
        ),
        (torch.zeros(N, 5), r"targets have shape \[6, 5\]; expected \[6, 4\]"),
        (torch.zeros(N, 2, dtype=torch.int64), r"labels have shape \[6, 2\]"),
    ],
)
def test_targets_that_do_not_fit_are_told(targets: torch.Tensor | None, message: str) -> None:
    with pytest.raises(CalibrationError, match=f"training data: .*{message}"):
        Objective(linear_graph()).check_targets(targets, "training data")


def test_one_output_has_no_classes() -> None:
    graph = simplified(export(nn.Linear(5, 1), (1, 5)))
    with pytest.raises(CalibrationError, match="at least two classes"):
        Objective(graph).check_targets(LABELS, "training data")


def test_a_teacher_or_a_loss_of_ones_own_needs_no_labels() -> None:
    graph = linear_graph()
    Objective(graph, distill=Distill()).check_targets(None, "training data")
    Objective(graph, loss=lambda y, _: y.sum()).check_targets(None, "training data")


def test_every_wrong_figure_of_distillation_is_told() -> None:
    with pytest.raises(OptionError) as caught:
        Distill(weight=0.0, temperature=-1.0, features=-1.0)
    assert len(str(caught.value).splitlines()) == 3
