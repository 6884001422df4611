# SPDX-License-Identifier: Apache-2.0
"""When weights become zero while a network is trained, and that they stay so."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from mcugen.errors import OptionError
from mcugen.pruning.masks import weight_of
from mcugen.pruning.options import PruneOptions
from mcugen.pruning.training import PruneTraining, data_of
from mcugen.train.batches import ArrayBatches
from mcugen.train.loop import Training, TrainOptions
from mcugen.train.network import TrainableNetwork
from mcugen.train.objective import Objective
from tests.unit.train.networks import patterns, patterns_graph, quantized

LAYER = "fc_linear"


def plan(schedule: str, sparsity: float = 0.75, **choices: Any) -> PruneTraining:
    options = PruneOptions(sparsity=sparsity, criterion=choices.pop("criterion", "magnitude"))
    return PruneTraining(options=options, schedule=schedule, **choices)


def shares_of(pruning: PruneTraining, total: int) -> dict[int, float]:
    return {step: x.sparsity or 0.0 for step, x in pruning.moments(total).items()}


def test_the_cubic_rises_fast_at_first_and_ends_where_it_shall() -> None:
    shares = shares_of(plan("cubic"), 240)
    assert list(shares) == sorted(shares) and len(shares) == 12
    assert max(shares) == 119 and shares[119] == 0.75
    steps = np.diff([0.0, *shares.values()])
    assert (np.diff(steps) < 0).all()


def test_each_round_takes_the_same_share_of_what_is_left() -> None:
    shares = shares_of(plan("iterative"), 100)
    left = 1.0 - np.array([0.0, *shares.values()])
    assert left[1:] / left[:-1] == pytest.approx([0.25**0.25] * 4)
    assert max(shares) == 49 and shares[49] == pytest.approx(0.75)


@pytest.mark.parametrize("schedule", ["iterative", "cubic"])
@pytest.mark.parametrize("total", [1, 2, 3, 7])
def test_short_runs_still_reach_the_sparsity(schedule: str, total: int) -> None:
    shares = shares_of(plan(schedule), total)
    assert shares[max(shares)] == pytest.approx(0.75)
    assert max(shares) < total


def test_only_epochs_that_end_as_sparse_as_wanted_count() -> None:
    assert plan("oneshot").counts_from(10, 4) == 0
    assert plan("cubic").counts_from(10, 4) == 2
    assert plan("cubic", ramp=0.6).counts_from(10, 4) == 3
    assert plan("cubic", ramp=0.99).counts_from(10, 4) == 4


@pytest.mark.parametrize("criterion", ["magnitude", "taylor", "obs", "stability"])
@pytest.mark.parametrize("schedule", ["oneshot", "iterative", "cubic"])
def test_the_trained_network_has_the_zeros_and_learned(schedule: str, criterion: str) -> None:
    x, y = patterns()
    batches = ArrayBatches(inputs=(x,), targets=y, batch_size=24)
    graph = patterns_graph()
    objective = Objective(graph)
    pruning = plan(schedule, criterion=criterion)
    data = data_of(batches.epoch(0), objective.loss)
    start = pruning.start(graph, data)
    network = TrainableNetwork(start, quantized(start, [x.numpy()]))
    options = TrainOptions(epochs=6, learning_rate=0.01, counts_from=pruning.counts_from(4, 6))

    def score(net: TrainableNetwork) -> float:
        return objective.score(net, batches.in_order())

    step = pruning.attach(network, data, 24)
    history = Training(network, batches, objective.loss, options, score=score, on_step=step).fit()
    assert history.best >= options.counts_from
    ints = network.quantization().weights[LAYER].ints
    assert np.mean(ints == 0) >= 0.74
    held = weight_of(network.float_graph().by_name[LAYER])
    assert np.mean(held == 0.0) == pytest.approx(0.75, abs=0.01)
    final = history.epochs[history.best].score
    # of an untrained network with a quarter of its weights; by chance it would be 33
    assert final is not None and final > 60.0


def test_what_stays_is_refitted_before_training_unless_told_otherwise() -> None:
    x, y = patterns()
    batches = ArrayBatches(inputs=(x,), targets=y, batch_size=24)
    graph = patterns_graph()
    data = data_of(batches.epoch(0), Objective(graph).loss)
    before = weight_of(graph.by_name[LAYER])
    for refits in (None, True, False):
        options = PruneOptions(sparsity=0.75, reconstruct=refits)
        made = PruneTraining(options=options)
        after = weight_of(made.start(graph, data).by_name[LAYER])
        stayed = after != 0.0
        assert stayed.mean() == pytest.approx(0.25, abs=0.01)
        assert (after[stayed] == before[stayed]).all() == (refits is False)
        assert ("reconstructed" in made.text()) == (refits is not False)


def test_what_cannot_be_meant_is_refused() -> None:
    with pytest.raises(OptionError) as caught:
        PruneTraining(options=PruneOptions(pattern="2:4"), schedule="slow", ramp=2.0)
    assert "schedule 'slow' is not known; there are oneshot, iterative" in str(caught.value)
    assert "ramp is 2" in str(caught.value)
    with pytest.raises(OptionError, match="cubic needs a sparsity to rise to"):
        PruneTraining(options=PruneOptions(pattern="2:4"), schedule="cubic")


def test_criteria_see_some_batches_with_their_labels() -> None:
    batch = ((torch.zeros(100, 2),), torch.zeros(100))
    data = data_of([batch] * 9, lambda _net, _batch: torch.zeros(()))
    assert len(data.batches) == 3 and data.loss is not None
    assert data_of([((torch.zeros(4, 2),), None)], lambda _n, _b: torch.zeros(())).loss is None
