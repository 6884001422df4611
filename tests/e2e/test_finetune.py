# SPDX-License-Identifier: Apache-2.0
"""`mcugen finetune` as a user meets it: what it writes, what build makes of it, what it refuses."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

import mcugen as package
from mcugen.errors import CalibrationError, OptionError, TrainingError
from mcugen.finetuning import FinetuneOptions
from mcugen.ir.interp import run
from mcugen.ir.serialize import load as load_graph
from mcugen.lower.integer import to_integer
from mcugen.tuned import load_tuned
from tests.command import build, mcugen, refused
from tests.model_files import SHAPE, exported, saved, small_net
from tests.unit.train.networks import patterns

Arrays = dict[str, NDArray[Any]]


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def labelled(count: int = 64, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    """Patterns in the model's axis order, float32 [count, 1, 6, 6], and their classes."""
    x, y = patterns(count, seed)
    return x.permute(0, 3, 1, 2).contiguous(), y


def write(path: Path, **arrays: Any) -> Path:
    held: dict[str, Any] = {name: np.asarray(array) for name, array in arrays.items()}
    np.savez(path, **held)
    return path


@pytest.fixture
def train(tmp_path: Path) -> Path:
    x, y = labelled()
    return write(tmp_path / "train.npz", x=x, y=y)


@pytest.fixture
def test(tmp_path: Path) -> Path:
    x, y = labelled(40, seed=1)
    return write(tmp_path / "test.npz", x=x, y=y)


def tune(model: Path, train: Path, out: Path, *options: object) -> dict[str, Any]:
    fixed = ("--train", train, "--out", out, "--learning-rate", 0.01, "--json")
    result = mcugen("finetune", model, *fixed, *options)
    assert result.exit_code == 0, result.output
    return dict(json.loads(result.stdout))


@pytest.mark.slow
def test_what_was_trained_is_what_is_built(
    net_file: Path, train: Path, test: Path, tmp_path: Path
) -> None:
    out = tmp_path / "tuned.mcugen"
    found = tune(net_file, train, out, "--eval", test, "--epochs", 8, "--distill")
    before, best = found["epochs"][0], found["epochs"][found["best_epoch"]]
    assert best["score"] > before["score"]
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "test.npz",
        "train.npz",
        "tuned.mcugen",
    ]
    folder = build(out, "--calib", test, "--eval", test, out=tmp_path / "built")
    report = json.loads((folder / "report.json").read_text())
    assert report["name"] == "tuned"
    assert report["model_kind"] == "tuned network"
    # one sample of forty may fall on the other side of a tie
    assert report["accuracy"]["int8"] == pytest.approx(best["score"], abs=2.5)
    tuned = load_tuned(out)
    lowered = to_integer(tuned.graph, tuned.quantization, "single")
    built = load_graph(folder / "reference.mcugen")
    x = np.random.default_rng(0).integers(-128, 128, (30, 6, 6, 1)).astype(np.int8)
    np.testing.assert_array_equal(run(built, [x])[0], run(lowered, [x])[0])


def test_the_table_says_what_it_brought(
    net_file: Path, train: Path, test: Path, tmp_path: Path
) -> None:
    fixed = ("--train", train, "--out", tmp_path / "t.mcugen", "--epochs", 2)
    shown = mcugen("finetune", net_file, *fixed, "--eval", test).stdout
    assert "top-1 float" in shown and "tuned" in shown
    assert f"mcugen build {tmp_path / 't.mcugen'} --board BOARD" in shown
    blind = mcugen("finetune", net_file, *fixed).stdout
    assert "the last epoch's network is kept" in blind


def test_the_same_run_writes_the_same_bytes(net_file: Path, train: Path, tmp_path: Path) -> None:
    files = [tmp_path / name for name in ("a.mcugen", "b.mcugen")]
    for file in files:
        tune(net_file, train, file, "--epochs", 2, "--name", "net")
    assert files[0].read_bytes() == files[1].read_bytes()


def test_a_tuned_network_can_be_tuned_again_and_inspected(
    net_file: Path, train: Path, tmp_path: Path
) -> None:
    one, two = tmp_path / "one.mcugen", tmp_path / "two.mcugen"
    tune(net_file, train, one, "--epochs", 1)
    tune(one, train, two, "--epochs", 1)
    assert one.read_bytes() != two.read_bytes()
    result = mcugen("inspect", two)
    assert result.exit_code == 0
    assert "tuned network" in result.stdout and "conv" in result.stdout


def test_an_interrupted_run_resumes(
    net_file: Path, train: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from mcugen.train.loop import Training

    whole, broken = tmp_path / "whole.mcugen", tmp_path / "broken.mcugen"
    tune(net_file, train, whole, "--epochs", 3, "--name", "net")
    original = Training._run_epoch

    def interrupted(self: Training, number: int) -> None:
        if number == 3:
            raise KeyboardInterrupt
        original(self, number)

    monkeypatch.setattr(Training, "_run_epoch", interrupted)
    fixed = ("--train", train, "--learning-rate", 0.01, "--epochs", 3, "--name", "net")
    result = mcugen("finetune", net_file, "--out", broken, *fixed)
    assert result.exit_code == 130
    assert "--resume goes on" in result.stderr
    monkeypatch.undo()
    checkpoint = tmp_path / "broken.mcugen.checkpoint"
    assert checkpoint.exists() and not broken.exists()
    assert "interrupted run" in refused("finetune", net_file, "--out", broken, *fixed)
    other = (*fixed, "--seed", 7, "--resume")
    assert "seed: 0 then, 7 now" in refused("finetune", net_file, "--out", broken, *other)
    tune(net_file, train, broken, "--epochs", 3, "--name", "net", "--resume")
    assert broken.read_bytes() == whole.read_bytes()
    assert not checkpoint.exists()


X, Y = labelled()


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ({"x": X}, "there are no labels 'y' to train on"),
        ({"x": X, "y": np.full(64, 2)}, "all 64 labels are class 2"),
        ({"x": X, "y": np.where(Y == 2, 3, Y)}, "labels are 0 to 3; expected class indices from 0"),
        ({"x": X, "y": Y[:10]}, "there are 64 samples, but labels 'y' have shape [10]"),
        ({"x": X, "y": np.zeros((64, 2), np.float32)}, "targets have shape [64, 2]"),
        ({"x": X, "y": np.zeros((64, 2), np.int64)}, "labels have shape [64, 2]"),
        ({"x": X[:, :, :3], "y": Y}, "input 'x' has shape [64, 1, 3, 6]; expected [N, 1, 6, 6]"),
        ({"x": X * float("nan"), "y": Y}, "not finite"),
    ],
)
def test_wrong_data_is_refused_before_training(
    net_file: Path, data: Arrays, message: str, tmp_path: Path
) -> None:
    train = write(tmp_path / "train.npz", **data)
    out = tmp_path / "t.mcugen"
    assert message in refused("finetune", net_file, "--train", train, "--out", out)
    assert not out.exists()


def test_wrong_options_are_all_told(net_file: Path, train: Path) -> None:
    wrong = ("--epochs", 0, "--warmup", 2, "--learning-rate", -1)
    told = refused("finetune", net_file, "--train", train, *wrong)
    assert "epochs is 0" in told and "warmup is 2" in told and "learning rate is -1" in told
    told = refused("finetune", net_file, "--train", train, "--temperature", 3)
    assert "--temperature is about learning from the float network: add --distill" in told
    told = refused("finetune", net_file, "--train", train, "--loss", "reconstruct")
    assert "cannot reconstruct" in told
    told = refused("finetune", net_file, "--train", train, "--out", train)
    assert "mcugen did not write it" in told


def test_a_loss_that_is_no_number_is_told_and_nothing_is_lost(
    net_file: Path, train: Path, test: Path, tmp_path: Path
) -> None:
    out = tmp_path / "t.mcugen"
    wild = ("--learning-rate", 1e30, "--eval", test)
    told = refused("finetune", net_file, "--train", train, "--out", out, *wild)
    assert "learning rate up to 1e+30" in told and "nothing was written" in told
    assert [path.name for path in tmp_path.iterdir() if "mcugen" in path.name] == []


def test_the_best_state_is_written_where_training_breaks_later(
    net_file: Path, tmp_path: Path
) -> None:
    out, calls = tmp_path / "t.mcugen", [0]

    def loss(scores: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        calls[0] += 1
        value = nn.functional.cross_entropy(scores, labels)
        return value * float("nan") if calls[0] > 2 else value

    with pytest.raises(TrainingError, match=r"the best state, of epoch 2, is in .*t\.mcugen"):
        package.finetune(net_file, train=labelled(), loss=loss, epochs=3, out=out)
    load_tuned(out)


def test_options_that_a_tuned_network_has_settled_are_refused(
    net_file: Path, train: Path, tmp_path: Path
) -> None:
    out = tmp_path / "t.mcugen"
    tune(net_file, train, out, "--epochs", 1)
    told = refused("build", out, "--board", "cortex-m4", "--ranges", "percentile:99")
    assert "tuned for its quantization" in told
    told = refused("finetune", out, "--train", train, "--quant", "estimate")
    assert "tuned for its quantization" in told
    told = refused("build", out, "--board", "cortex-m4", "--input-layout", "nchw")
    assert "--input-layout was settled when the network was tuned" in told
    out.write_bytes(out.read_bytes()[:-40])
    assert "damaged" in refused("build", out, "--board", "cortex-m4")


# From Python


@pytest.mark.slow
def test_any_loader_and_loss_will_do(tmp_path: Path) -> None:
    x, y = labelled()
    loader = DataLoader(TensorDataset(x, y), batch_size=16, shuffle=True)
    seen: list[tuple[torch.Size, torch.Size]] = []

    def loss(scores: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        seen.append((scores.shape, labels.shape))
        return nn.functional.multi_margin_loss(scores, labels)

    found = package.finetune(
        small_net(), input_shapes=[SHAPE], train=loader, loss=loss, epochs=2, distill=True
    )
    assert set(seen) == {(torch.Size([16, 3]), torch.Size([16]))}
    built = package.build(found.network, board="cortex-m4", out=tmp_path / "n", simulate=0)
    assert built.report["model_kind"] == "tuned network"


def test_outputs_and_targets_are_in_the_models_axis_order() -> None:
    """An image network: the graph holds channels last, the loss sees channels first."""
    torch.manual_seed(0)
    model = nn.Conv2d(2, 3, 3, padding=1).eval()
    x = torch.randn(24, 2, 5, 4)
    with torch.no_grad():
        y = model(x)
    exact = package.finetune(
        model, input_shapes=[(1, 2, 5, 4)], train=(x, y), evaluation=(x, y), epochs=1
    )
    assert exact.metric == "minus loss"
    assert exact.float_score is not None
    assert exact.float_score == pytest.approx(0.0, abs=1e-9)
    shapes: list[torch.Size] = []

    def loss(output: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        shapes.append(output.shape)
        return (output - target).abs().mean()

    package.finetune(model, input_shapes=[(1, 2, 5, 4)], train=(x, y), loss=loss, epochs=1)
    assert set(shapes) == {torch.Size([24, 3, 5, 4])}


def test_an_autoencoder_learns_without_labels() -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(8, 3), nn.ReLU(), nn.Linear(3, 8)).eval()
    x = torch.randn(64, 1) * torch.linspace(-1, 1, 8)
    found = package.finetune(
        model,
        input_shapes=[(1, 8)],
        train=x,
        evaluation=x,
        loss="reconstruct",
        learning_rate=0.02,
        batch_size=8,
        epochs=8,
    )
    scores = [epoch.score for epoch in found.history.epochs]
    assert scores[0] is not None and scores[-1] is not None
    assert scores[-1] > scores[0] / 2  # both are minus an error


def test_a_softmax_is_trained_by_its_scores() -> None:
    model = nn.Sequential(small_net(), nn.Softmax(-1)).eval()
    found = package.finetune(
        model,
        input_shapes=[SHAPE],
        train=labelled(),
        evaluation=labelled(40, 1),
        learning_rate=0.01,
        epochs=8,
        distill=package.Distill(weight=0.1, features=0.1),
    )
    scores = [epoch.score for epoch in found.history.epochs]
    assert scores[0] is not None and scores[-1] is not None
    assert scores[-1] > scores[0] + 20.0


@pytest.mark.parametrize("batch", [{"x": X}, "text", (X, Y, Y), (X[0], Y)])
def test_batches_of_another_form_are_told(batch: object) -> None:
    with pytest.raises(CalibrationError, match="a batch"):
        package.finetune(small_net(), input_shapes=[SHAPE], train=Loader([batch]), epochs=1)


class Loader:
    """Anything with a length that iterates over batches."""

    def __init__(self, batches: list[Any]) -> None:
        self.batches = batches

    def __len__(self) -> int:
        return len(self.batches)

    def __iter__(self) -> Iterator[Any]:
        return iter(self.batches)


def test_a_loader_without_a_length_or_batches_is_told() -> None:
    with pytest.raises(OptionError, match="has no length"):
        package.finetune(
            small_net(), input_shapes=[SHAPE], train=(b for b in [labelled()]), epochs=1
        )
    with pytest.raises(CalibrationError, match="no batches"):
        package.finetune(small_net(), input_shapes=[SHAPE], train=Loader([]), epochs=1)


def test_a_loss_that_is_no_scalar_is_told() -> None:
    with pytest.raises(OptionError, match=r"the loss returned \[64, 3\]"):
        package.finetune(
            small_net(), input_shapes=[SHAPE], train=labelled(), loss=lambda y, _: y, epochs=1
        )


def test_every_impossible_choice_is_told_at_once() -> None:
    with pytest.raises(OptionError) as caught:
        FinetuneOptions(train=labelled(), batch_size=0, seed=-1, resume=True, loss="other")  # type: ignore[arg-type]
    assert len(str(caught.value).splitlines()) == 4


@pytest.mark.slow
def test_a_file_and_the_network_in_memory_build_alike(tmp_path: Path) -> None:
    path = saved(exported(small_net(), SHAPE), tmp_path / "net.pt2")
    out = tmp_path / "t.mcugen"
    found = package.finetune(path, train=labelled(), epochs=1, out=out)
    assert found.out == out
    sources = []
    models: tuple[Path | package.TunedNetwork, ...] = (out, found.network)
    for k, model in enumerate(models):
        folder = tmp_path / str(k)
        package.build(model, board="cortex-m4", out=folder, name="net", simulate=0)
        sources.append((folder / "net_weights.h").read_bytes())
    assert sources[0] == sources[1]
