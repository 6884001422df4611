# SPDX-License-Identifier: Apache-2.0
"""The training loop: it learns, repeats itself, resumes to the same bits, and stops in time."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.utils.data import DataLoader, TensorDataset

from mcugen.errors import OptionError, OutputError, TrainingError
from mcugen.train.batches import ArrayBatches, Batches, LoaderBatches
from mcugen.train.checkpoint import Checkpoint
from mcugen.train.loop import History, Step, Training, TrainOptions
from mcugen.train.network import TrainableNetwork
from mcugen.train.objective import Distill, Objective
from tests.unit.train.networks import patterns, patterns_graph, quantized

OPTIONS = TrainOptions(epochs=4, learning_rate=5e-3)


def network(bits: int = 8) -> TrainableNetwork:
    graph = patterns_graph()
    return TrainableNetwork(graph, quantized(graph, [patterns()[0].numpy()], bits))


def arrays(seed: int = 0) -> ArrayBatches:
    x, y = patterns()
    return ArrayBatches(inputs=(x,), targets=y, batch_size=16, seed=seed)


def loader() -> LoaderBatches:
    x, y = patterns()
    data = TensorDataset(x.permute(0, 3, 1, 2), y)
    return LoaderBatches(loader=DataLoader(data, 16, shuffle=True), graph=patterns_graph())


def training(
    net: TrainableNetwork,
    batches: Batches | None = None,
    options: TrainOptions = OPTIONS,
    **more: Any,
) -> Training:
    return Training(net, batches or arrays(), Objective(net.graph).loss, options, **more)


def top1(net: TrainableNetwork) -> float:
    x, y = patterns(60, seed=1)
    held_out = ArrayBatches(inputs=(x,), targets=y, batch_size=60)
    return Objective(net.graph).score(net, held_out.in_order())


def same(one: TrainableNetwork, other: TrainableNetwork) -> bool:
    a, b = one.state(), other.state()
    return set(a) == set(b) and all(torch.equal(a[name], b[name]) for name in a)


@pytest.mark.parametrize("bits", [8, 4, 2])
def test_it_learns(bits: int) -> None:
    net = network(bits)
    history = training(net, score=top1).fit()
    before, best = history.epochs[0].score, history.epochs[history.best].score
    assert before is not None and best is not None
    assert before < 60.0 < 90.0 < best
    assert top1(net) == best


def test_it_learns_without_rounding() -> None:
    net = TrainableNetwork(patterns_graph())
    training(net).fit()
    assert top1(net) > 90.0


@pytest.mark.parametrize("batches", [arrays, loader])
def test_two_runs_are_equal_to_the_bit(batches: Callable[[], Batches]) -> None:
    nets = [network(), network()]
    for net in nets:
        torch.rand(7)  # a caller's own random numbers change nothing
        training(net, batches()).fit()
    assert same(*nets)


def test_another_seed_gives_another_network() -> None:
    one, other = network(), network()
    training(one, arrays(0)).fit()
    training(other, arrays(1)).fit()
    assert not same(one, other)


def interrupt_at(number: int) -> Callable[[Step], None]:
    def on_step(step: Step) -> None:
        if step.number == number:
            raise KeyboardInterrupt

    return on_step


@pytest.mark.parametrize("batches", [arrays, loader])
def test_an_interrupted_run_goes_on_to_the_same_bits(
    batches: Callable[[], Batches], tmp_path: Path
) -> None:
    whole, resumed = network(), network()
    wanted = training(whole, batches(), score=top1).fit()
    kept = Checkpoint(path=tmp_path / "run", run={"seed": "0"})
    stopped = training(network(), batches(), score=top1, checkpoint=kept, on_step=interrupt_at(15))
    with pytest.raises(KeyboardInterrupt):
        stopped.fit()
    assert [epoch.number for epoch in stopped.epochs] == [0, 1, 2]
    history = training(resumed, batches(), score=top1, checkpoint=kept).fit(resume=True)
    assert history == wanted
    assert same(whole, resumed)


def test_resuming_without_a_checkpoint_starts_from_the_beginning(tmp_path: Path) -> None:
    one, other = network(), network()
    training(one).fit()
    training(other, checkpoint=Checkpoint(path=tmp_path / "run", run={})).fit(resume=True)
    assert same(one, other)


def test_a_finished_run_resumes_to_its_end(tmp_path: Path) -> None:
    kept = Checkpoint(path=tmp_path / "run", run={})
    one, other = network(), network()
    history = training(one, score=top1, checkpoint=kept).fit()
    assert training(other, score=top1, checkpoint=kept).fit(resume=True) == history
    assert same(one, other)


def test_a_run_with_other_choices_does_not_go_on(tmp_path: Path) -> None:
    path = tmp_path / "run"
    Checkpoint(path=path, run={"seed": "0", "epochs": "4"}).save({})
    with pytest.raises(OutputError, match=r"epochs: 4 then, 9 now"):
        Checkpoint(path=path, run={"seed": "0", "epochs": "9"}).load()


@pytest.mark.parametrize("content", [b"", b"PK", b"\x80\x02c__main__\nx\n."])
def test_a_damaged_checkpoint_is_told(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "run"
    path.write_bytes(content)
    with pytest.raises(OutputError, match="no checkpoint"):
        Checkpoint(path=path, run={}).load()


def test_a_checkpoint_is_replaced_in_one_step(tmp_path: Path) -> None:
    kept = Checkpoint(path=tmp_path / "run", run={})
    kept.save({"epochs": 1})
    with pytest.raises((AttributeError, pickle.PicklingError)):
        kept.save({"epochs": lambda: 2})  # something that no file can hold
    assert kept.load() == {"epochs": 1}
    assert [path.name for path in tmp_path.iterdir()] == ["run"]


def test_it_stops_early_and_keeps_the_best() -> None:
    net = network()
    scores = iter([1.0, 5.0, 4.0, 3.0, 9.0])
    states = []

    def score(net: TrainableNetwork) -> float:
        states.append(net.state())
        return next(scores)

    history = training(net, options=TrainOptions(epochs=9, patience=2), score=score).fit()
    assert [epoch.score for epoch in history.epochs] == [1.0, 5.0, 4.0, 3.0]
    assert history.best == 1
    assert all(torch.equal(states[1][name], x) for name, x in net.state().items())


def test_training_that_only_harms_leaves_the_network_as_it_was() -> None:
    net, untouched = network(), network()
    scores = iter([9.0, 1.0, 1.0, 1.0, 1.0])
    assert training(net, score=lambda _: next(scores)).fit().best == 0
    assert same(net, untouched)


def test_epochs_before_the_masks_are_whole_do_not_count() -> None:
    scores = iter([9.0, 8.0, 1.0, 2.0, 1.5])
    options = TrainOptions(epochs=4, counts_from=2)
    assert training(network(), options=options, score=lambda _: next(scores)).fit().best == 3


def test_a_loss_that_is_no_number_stops_it_with_the_best_state() -> None:
    net = network()
    objective, seen = Objective(net.graph), []

    def loss(net: TrainableNetwork, batch: Any) -> torch.Tensor:
        seen.append(net.state())
        return objective.loss(net, batch) * (float("nan") if len(seen) == 9 else 1.0)

    scores = iter([1.0, 5.0])
    run = Training(net, arrays(), loss, OPTIONS, score=lambda _: next(scores))
    with pytest.raises(TrainingError, match=r"loss is nan at step 9 of 24 \(epoch 2\), learning"):
        run.fit()
    assert all(torch.equal(seen[6][name], x) for name, x in net.state().items())


def test_a_learning_rate_that_is_far_too_high_is_survived_or_told() -> None:
    net = network()
    with pytest.raises(TrainingError, match="learning rate"):
        training(net, options=TrainOptions(epochs=3, learning_rate=1e30)).fit()
    assert all(bool(torch.isfinite(x).all()) for x in net.state().values())


def test_masks_hold_while_it_trains() -> None:
    net = network()
    mask = (torch.arange(3 * 54).reshape(3, 54) % 2).float()
    net.masks["fc_linear"] = mask
    training(net).fit()
    ints = net.quantization().weights["fc_linear"].ints
    assert not ints[:, ::2].any()
    assert ints[:, 1::2].any()


def test_a_schedule_may_change_the_masks_at_every_step() -> None:
    net, shares = network(), []

    def on_step(step: Step) -> None:
        gone = 54 * step.number // (2 * step.total)
        mask = torch.ones(3, 54)
        mask[:, :gone] = 0.0
        net.masks["fc_linear"] = mask
        shares.append(gone)

    training(net, on_step=on_step).fit()
    assert shares[0] == 0 and shares[-1] == 25
    ints = net.quantization().weights["fc_linear"].ints
    assert not ints[:, : shares[-1]].any()


def test_the_rounding_is_blended_in() -> None:
    net, blends = network(), []
    objective = Objective(net.graph)

    def loss(net: TrainableNetwork, batch: Any) -> torch.Tensor:
        blends.append(net.blend)
        return objective.loss(net, batch)

    Training(net, arrays(), loss, TrainOptions(epochs=4, gradual=0.5)).fit()
    assert blends[:3] == [0.0, 1 / 12, 2 / 12]
    assert blends[12:] == [1.0] * 12
    assert net.blend == 1.0


def test_the_learning_rate_rises_and_falls() -> None:
    options = TrainOptions(epochs=5, warmup=0.2, learning_rate=0.1)
    run = training(network(), options=options)
    rates = [run._learning_rate(step) for step in range(30)]
    assert rates[:6] == pytest.approx([0.1 * k / 6 for k in range(1, 7)])
    assert rates[6] == pytest.approx(0.1)
    assert rates[18] == pytest.approx(0.05)
    assert rates[29] < 1e-3


def test_every_wrong_option_is_told() -> None:
    with pytest.raises(OptionError) as caught:
        TrainOptions(
            epochs=0, learning_rate=-1.0, warmup=1.0, gradual=2.0, clip_norm=0, patience=-1
        )
    assert len(str(caught.value).splitlines()) == 6


def test_patience_needs_a_score() -> None:
    with pytest.raises(OptionError, match="evaluation data"):
        training(network(), options=TrainOptions(patience=1))


def test_progress_is_told_at_each_step() -> None:
    told: list[tuple[int, int]] = []
    run = training(network(), progress=lambda done, total, _: told.append((done, total)))
    history: History = run.fit()
    assert told == [(k, 24) for k in range(1, 25)]
    assert len(history.epochs) == 5


class Miscounted(list[Any]):
    def __len__(self) -> int:
        return 5


@pytest.mark.parametrize("batches", [4, 6])
def test_a_loader_that_miscounts_its_batches_is_told(batches: int) -> None:
    x, y = patterns(16)
    items = Miscounted([(x.permute(0, 3, 1, 2), y)] * batches)
    with pytest.raises(OptionError, match="batches in an epoch; its length says 5"):
        training(network(), LoaderBatches(loader=items, graph=patterns_graph())).fit()


@pytest.mark.parametrize(("bits", "features"), [(2, 0.0), (2, 0.1)])
def test_a_teacher_alone_teaches(bits: int, features: float) -> None:
    """Without labels, a network of few bits comes nearer to the float network."""
    teacher = TrainableNetwork(patterns_graph())
    training(teacher).fit()
    graph = teacher.float_graph()
    x, y = patterns(60, seed=1)
    net = TrainableNetwork(graph, quantized(graph, [patterns()[0].numpy()], bits))
    unlabelled = ArrayBatches(inputs=(patterns()[0],), targets=None, batch_size=16)
    objective = Objective(graph, distill=Distill(features=features))
    before = objective.score(net, [((x,), None)])
    Training(net, unlabelled, objective.loss, OPTIONS).fit()
    assert objective.score(net, [((x,), None)]) > 0.75 * before
    assert objective.score(net, [((x,), y)]) > 90.0


@pytest.mark.parametrize("bits", [8, 4])
def test_what_is_taken_out_computes_what_was_trained(bits: int) -> None:
    """To the bit: scales, integers and biases are those of the last forward."""
    net, (x, _) = network(bits), patterns()
    training(net).fit()
    again = TrainableNetwork(net.float_graph(), net.quantization())
    with torch.no_grad():
        assert torch.equal(again([x])[0], net([x])[0])
