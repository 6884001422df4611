# SPDX-License-Identifier: Apache-2.0
"""Pruning as a user meets it: what build makes of it, what it says, what it refuses."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import mcugen as package
from mcugen.finetuning import FinetuneOptions, finetune
from mcugen.pruning.training import PruneTraining
from mcugen.train.loop import TrainOptions
from tests.command import build, mcugen, refused
from tests.model_files import TwoConvolutions, exported, labelled, noise, saved

SHAPE = (1, 4, 8, 8)


def samples() -> torch.Tensor:
    return noise(3, 60, *SHAPE[1:])


def net() -> TwoConvolutions:
    """With enough channels for sparse kernels; untrained, it finds every class about as often."""
    torch.manual_seed(0)
    made = TwoConvolutions((4, 16, 16), classes=6).eval()
    with torch.no_grad():
        made.head.bias.sub_(made(samples()).mean(0))
    return made


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return saved(exported(net(), SHAPE), tmp_path_factory.mktemp("model") / "net.pt2")


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Samples, and the float network's own classes for labels."""
    return labelled(net(), samples(), tmp_path_factory.mktemp("data") / "data.npz")


def report_of(folder: Path) -> dict[str, Any]:
    return dict(json.loads((folder / "report.json").read_text("utf-8")))


def shares(report: dict[str, Any]) -> dict[str, float]:
    return {
        layer["origin"].split(" ")[0]: layer["zero_share"]
        for layer in report["layers"]
        if layer["zero_share"] is not None
    }


@pytest.mark.slow
@pytest.mark.parametrize("criterion", ["magnitude", "obs"])
def test_three_quarters_in_blocks_are_gone_and_skipped(
    model: Path, data: Path, tmp_path: Path, criterion: str
) -> None:
    # with the head pruned, channels that it does not read any more would be cut off as well
    options = ("--prune", criterion, "--sparsity", 0.75, "--pattern", "block2x2")
    more = ("--keep-dense", "first,last")
    folder = build(model, "--calib", data, "--eval", data, *options, *more, out=tmp_path / "out")
    report = report_of(folder)
    found = shares(report)
    assert found["first"] < 0.1
    assert found["head"] < 0.1
    assert found["second"] == pytest.approx(0.75, abs=0.02)
    second = next(x for x in report["layers"] if x["origin"].startswith("second"))
    assert second["skips_zeros"]
    accuracy = report["accuracy"]
    assert accuracy["float"] == 100.0
    assert abs(accuracy["pruned"] - accuracy["int8"]) <= 10.0
    error = report["pruning"]
    assert error["same_largest"] == accuracy["pruned"]  # labels are the network's own classes
    assert error["sqnr_db"] < 40.0
    assert report["verification"]["host"]["mismatches"] == 0


@pytest.mark.slow
def test_the_table_shows_zeros_and_all_three_accuracies(
    model: Path, data: Path, tmp_path: Path
) -> None:
    fixed = ("--board", "cortex-m4", "--simulate", 0, "--out", tmp_path / "out")
    pruning = ("--prune", "wanda", "--sparsity", 0.5)
    shown = mcugen("build", model, *fixed, "--calib", data, "--eval", data, *pruning).stdout
    assert "zeros" in shown and "second_conv2d 50 %" in shown
    assert "top-1 float 100 %, pruned " in shown
    assert "pruning error" in shown and "; largest output unchanged in " in shown


@pytest.mark.slow
def test_pruning_changes_the_digest_and_is_the_same_every_time(
    model: Path, data: Path, tmp_path: Path
) -> None:
    pruning = ("--calib", data, "--prune", "obs", "--sparsity", 0.5)
    one, two = (build(model, *pruning, out=tmp_path / name) for name in ("one", "two"))
    dense = build(model, "--calib", data, out=tmp_path / "dense")
    reports = [report_of(folder) for folder in (one, two, dense)]
    assert reports[0]["digest"] == reports[1]["digest"] != reports[2]["digest"]
    assert (one / "reference.mcugen").read_bytes() == (two / "reference.mcugen").read_bytes()


@pytest.mark.slow
def test_from_python(data: Path, tmp_path: Path) -> None:
    x = np.load(data)["x"]
    result = package.build(
        exported(net(), SHAPE),
        board="cortex-m4",
        calibration=x,
        prune=package.PruneOptions(pattern="2:4", keep_dense=("none",)),
        out=tmp_path / "out",
        simulate=0,
    )
    assert all(share >= 0.5 for share in shares(result.report).values())


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--sparsity", 0.5), "--sparsity: this is about pruning; add --prune CRITERION"),
        (("--prune", "size", "--sparsity", 0.5), "criterion 'size' is not known; the criteria"),
        (("--prune", "obs", "--sparsity", 1), "sparsity is 1; expected a share"),
        (("--prune", "obs", "--sparsity", 0), "0 prunes nothing"),
        (("--prune", "obs"), "either a sparsity or a threshold"),
        (("--prune", "obs", "--pattern", "3x3", "--sparsity", 0.5), "the patterns are unstruct"),
        (("--prune", "magnitude", "--threshold", 9), "second_conv2d (second): threshold 9 leaves"),
        (
            ("--prune", "l1", "--sparsity", 0.5, "--keep-dense", "heads"),
            "no layer matches 'heads'; layers with weights: first_conv2d (first)",
        ),
    ],
)
def test_what_cannot_be_meant_is_refused(
    model: Path, data: Path, tmp_path: Path, options: tuple[object, ...], words: str
) -> None:
    out = tmp_path / "out"
    fixed = ("--board", "cortex-m4", "--calib", data, "--out", out)
    assert words in refused("build", model, *fixed, *options)
    assert not out.exists()


def test_a_threshold_is_of_magnitudes_and_a_sparsity_of_what_the_outputs_lose(
    model: Path, data: Path, tmp_path: Path
) -> None:
    fixed = ("--train", data, "--out", tmp_path / "p.mcugen")
    highest = float(net().second.weight.detach().abs().max())
    told = refused("prune", model, *fixed, "--threshold", 9)
    assert "second_conv2d (second): threshold 9 leaves none" in told
    assert f"highest score is {highest:.4g}" in told
    shown = mcugen("prune", "--help").output
    assert "[default: perturbation; magnitude with --threshold]" in " ".join(shown.split())


def test_an_empty_layer_folds_to_its_bias_where_that_is_allowed(
    model: Path, data: Path, tmp_path: Path
) -> None:
    options = ("--prune", "magnitude", "--threshold", 9, "--allow-empty", "--keep-dense", "head")
    folder = build(model, "--calib", data, *options, "--keep-dense", "first", out=tmp_path / "out")
    report = report_of(folder)
    assert report["macs"] < 16 * 16 * 9 * 64
    assert report["verification"]["host"]["mismatches"] == 0


@pytest.mark.slow
@pytest.mark.parametrize("schedule", ["oneshot", "cubic"])
def test_what_was_pruned_and_trained_is_what_is_built(
    model: Path, data: Path, tmp_path: Path, schedule: str
) -> None:
    out = tmp_path / "p.mcugen"
    amount = ("--sparsity", 0.75, "--pattern", "block2x2", "--keep-dense", "first,last")
    training = ("--train", data, "--eval", data, "--epochs", 3, "--distill", "--out", out)
    found = mcugen("prune", model, *training, *amount, "--schedule", schedule, "--json")
    assert found.exit_code == 0, found.output
    zeros = json.loads(found.stdout)["zeros"]
    assert zeros["second_conv2d"] == pytest.approx(0.75, abs=0.02)
    report = report_of(build(out, "--calib", data, out=tmp_path / "built"))
    [layer] = (layer for layer in report["layers"] if layer["origin"].startswith("second "))
    # channels that nothing reads any more are gone
    size = 9 * layer["input_shapes"][0][-1] * layer["output_shape"][-1]
    kept = (1.0 - zeros["second_conv2d"]) * 9 * 16 * 16
    assert (1.0 - layer["zero_share"]) * size == pytest.approx(kept, abs=0.5)
    assert report["verification"]["host"]["mismatches"] == 0


@pytest.mark.slow
@pytest.mark.parametrize(
    ("board", "amount"),
    [
        ("cortex-m4", ("--sparsity", 0.8, "--pattern", "block2x2")),
        ("cortex-m4", ("--sparsity", 0.8)),
        ("cortex-m0plus", ("--pattern", "1:8")),
        ("cortex-m0plus", ("--sparsity", 0.8)),
        ("cortex-m4", ("--pattern", "channel", "--macs", 0.5, "--keep-dense", "none")),
    ],
)
def test_the_simulated_core_gives_the_bits_of_what_was_pruned(
    model: Path, data: Path, tmp_path: Path, board: str, amount: tuple[object, ...]
) -> None:
    out = tmp_path / "p.pt"
    fixed = ("--train", data, "--epochs", 1, "--out", out, "--quiet")
    assert mcugen("prune", model, *fixed, *amount).exit_code == 0
    report = report_of(build(out, "--calib", data, out=tmp_path / "c", board=board, simulate=2))
    assert any(layer["skips_zeros"] for layer in report["layers"]) == ("channel" not in amount)
    [simulated] = [
        found for target, found in report["verification"].items() if target.startswith(board)
    ]
    assert (simulated["inputs"], simulated["mismatches"]) == (2, 0)


@pytest.mark.slow
def test_channels_stay_away_while_the_others_are_trained(
    model: Path, data: Path, tmp_path: Path
) -> None:
    out = tmp_path / "p.mcugen"
    amount = ("--pattern", "channel", "--macs", 0.5, "--keep-dense", "none")
    fixed = ("--train", data, "--eval", data, "--epochs", 2, "--out", out, "--quiet")
    assert mcugen("prune", model, *fixed, *amount).exit_code == 0
    dense = report_of(build(model, "--calib", data, out=tmp_path / "dense"))
    small = report_of(build(out, "--calib", data, out=tmp_path / "small"))
    assert 0.3 * dense["macs"] < small["macs"] <= 0.5 * dense["macs"]
    assert small["verification"]["host"]["mismatches"] == 0


@pytest.mark.slow
def test_an_interrupted_run_goes_on_to_the_same_bytes(data: Path, tmp_path: Path) -> None:
    def options(out: Path, **more: Any) -> FinetuneOptions:
        pruning = PruneTraining(
            options=package.PruneOptions(sparsity=0.6, criterion="taylor"), schedule="cubic"
        )
        training = TrainOptions(epochs=4)
        fixed: dict[str, Any] = {"train": data, "name": "net", "batch_size": 20}
        return FinetuneOptions(out=out, pruning=pruning, training=training, **fixed, **more)

    def interrupt(done: int, total: int, text: str) -> None:
        if done == 5:  # in the second of four epochs, while the sparsity rises
            raise KeyboardInterrupt

    one, two = (tmp_path / name for name in ("one.mcugen", "two.mcugen"))
    program = exported(net(), SHAPE)
    finetune(program, options(one))
    with pytest.raises(KeyboardInterrupt):
        finetune(program, options(two), progress=interrupt)
    assert not two.exists()
    finetune(program, options(two, resume=True))
    assert one.read_bytes() == two.read_bytes()


def test_training_refuses_what_cannot_be_meant(model: Path, data: Path, tmp_path: Path) -> None:
    fixed = ("prune", model, "--train", data, "--out", tmp_path / "p.mcugen")
    assert "either a sparsity or a threshold" in refused(*fixed)
    assert "schedule 'slow' is not known" in refused(
        *fixed, "--sparsity", 0.5, "--schedule", "slow"
    )
    assert "schedule cubic needs a sparsity" in refused(
        *fixed, "--pattern", "2:4", "--schedule", "cubic"
    )
    assert list(tmp_path.iterdir()) == []
