# SPDX-License-Identifier: Apache-2.0
"""Bits and kernels under a budget, as a user of `mcugen build` meets them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

import mcugen as package
from mcugen.api import Budget
from tests.command import build, mcugen, refused
from tests.model_files import exported, labelled, noise, saved, spread_scores

SHAPE = (1, 3, 8, 8)


class Net(nn.Module):
    """Float32 [N, 3, 8, 8] to class scores [N, 5]."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(3, 16, 3, padding=1)
        self.second = nn.Conv2d(16, 48, 3, padding=1)
        self.third = nn.Conv2d(48, 48, 1)
        self.head = nn.Linear(48, 5)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = self.second(self.first(x).relu()).relu()
        scores: torch.Tensor = self.head(self.third(y).relu().mean((2, 3)))
        return scores


def samples(count: int = 80) -> torch.Tensor:
    return noise(3, count, *SHAPE[1:])


def net() -> Net:
    """Without training; it finds every class about as often."""
    torch.manual_seed(0)
    made = Net().eval()
    spread_scores(made, made.head, samples())
    return made


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return saved(exported(net(), SHAPE), tmp_path_factory.mktemp("model") / "net.pt2")


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Samples, and the float network's own classes for labels."""
    return labelled(net(), samples(), tmp_path_factory.mktemp("data") / "data.npz")


@pytest.fixture(scope="module")
def plain(model: Path, data: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """The report of the network without a budget: all int8."""
    return report_of(build(model, "--calib", data, out=tmp_path_factory.mktemp("plain") / "out"))


def report_of(folder: Path) -> dict[str, Any]:
    return dict(json.loads((folder / "report.json").read_text("utf-8")))


def widths(report: dict[str, Any]) -> set[int]:
    return {layer["weight_bits"] for layer in report["layers"]} - {None}


@pytest.mark.slow
def test_the_finished_build_is_within_the_flash_of_the_budget(
    model: Path, data: Path, plain: dict[str, Any], tmp_path: Path
) -> None:
    bound = plain["weight_bytes"] + 500  # for code as well, so that int8 alone is too much
    options = ("--calib", data, "--eval", data, "--budget", f"flash={bound}")
    report = report_of(build(model, *options, out=tmp_path / "out"))
    assert report["flash_bytes"] <= bound < plain["flash_bytes"]
    assert min(widths(report)) < 8
    assert report["verification"]["host"]["mismatches"] == 0
    found = report["search"]
    assert found["chosen"]["measured"]["flash"] == report["flash_bytes"]
    assert found["chosen"]["measured"]["ram"] == report["arena_bytes"]
    assert found["chosen"]["accuracy"]["int8"] == report["accuracy"]["int8"]
    kernels = {layer["name"]: layer["kernel"] for layer in found["chosen"]["layers"]}
    assert kernels == {layer["name"]: layer["variant"] for layer in report["layers"]}


@pytest.mark.slow
def test_a_budget_that_int8_meets_changes_no_bits(model: Path, data: Path, tmp_path: Path) -> None:
    report = report_of(
        build(model, "--calib", data, "--budget", "flash=1M,ram=200K", out=tmp_path / "out")
    )
    assert widths(report) == {8}


@pytest.mark.slow
def test_cycles_are_bounded_by_the_choice_of_kernels(
    model: Path, data: Path, tmp_path: Path
) -> None:
    def cycles(*options: object) -> int:
        folder = build(model, "--calib", data, *options, out=tmp_path / f"out{len(options)}")
        profile = mcugen("profile", folder, "--json")
        return int(json.loads(profile.stdout)["cycles"])

    small = cycles("--optimize", "size", "--weights", "int4")
    bound = int(0.95 * small)
    assert cycles("--budget", f"cycles={bound}") <= bound


@pytest.mark.slow
def test_ram_that_the_planner_can_do_with_is_enough(
    model: Path, data: Path, tmp_path: Path
) -> None:
    least = report_of(build(model, "--calib", data, "--optimize", "ram", out=tmp_path / "ram"))
    bound = least["arena_bytes"]
    found = report_of(build(model, "--calib", data, "--budget", f"ram={bound}", out=tmp_path / "o"))
    assert found["arena_bytes"] <= bound
    assert found["search"]["chosen"]["measured"]["ram"] == found["arena_bytes"]


@pytest.mark.slow
def test_a_drop_that_is_allowed_saves_flash(
    model: Path, data: Path, plain: dict[str, Any], tmp_path: Path
) -> None:
    options = ("--calib", data, "--eval", data, "--max-drop", 3)
    report = report_of(build(model, *options, out=tmp_path / "out"))
    assert report["flash_bytes"] < plain["flash_bytes"]
    accuracy = report["accuracy"]
    assert accuracy["float"] - accuracy["int8"] <= 3.0


@pytest.mark.slow
def test_without_labels_a_drop_is_disagreement_with_float(
    model: Path, data: Path, tmp_path: Path
) -> None:
    x = tmp_path / "x.npz"
    np.savez(x, x=np.load(data)["x"])
    report = report_of(build(model, "--calib", x, "--max-drop", 3, out=tmp_path / "out"))
    assert report["search"]["judged_by"].startswith("agreement with the float network")
    accuracy = report["search"]["chosen"]["accuracy"]
    assert accuracy["float"] == 100.0 >= accuracy["int8"] >= 97.0


@pytest.mark.slow
def test_from_python_the_same_bytes_every_time(data: Path, tmp_path: Path) -> None:
    x = np.load(data)["x"]

    def made(name: str) -> dict[str, Any]:
        result = package.build(
            exported(net(), SHAPE),
            board="cortex-m4",
            calibration=x,
            budget=Budget(flash=14_000),
            out=tmp_path / name,
            simulate=0,
        )
        found = result.report
        del found["search"]["seconds"]
        return found

    one, two = made("one"), made("two")
    assert one["digest"] == two["digest"]
    assert one["search"] == two["search"]


@pytest.mark.slow
def test_a_tuned_network_keeps_its_bits_and_has_its_kernels_chosen(
    data: Path, tmp_path: Path
) -> None:
    held = np.load(data)
    tuned = package.finetune(
        exported(net(), SHAPE), train=(held["x"], held["y"]), epochs=1, quant="mean_rounding"
    ).network
    result = package.build(
        tuned,
        board="cortex-m4",
        calibration=held["x"],
        budget=Budget(flash=20_000),
        simulate=0,
        out=tmp_path / "out",
    )
    assert widths(result.report) == {8}
    assert result.report["flash_bytes"] <= 20_000


@pytest.mark.slow
@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--budget", "rom=3"), "budget 'rom=3' is not known; expected some of flash=64K"),
        (("--budget", "flash=lots"), "budget flash: 'lots' is no number"),
        (("--budget", "flash=2K"), "flash: at least "),
        (("--budget", "ram=100"), "ram: at least "),
        (("--budget", "cycles=1K,flash=1M"), "cycles: at least "),
        (("--budget", "flash=1M", "--weights", "int4"), "the search chooses the bits"),
        (("--max-drop", 120), "max drop is 120.0; expected points of accuracy"),
        (
            ("--max-drop", 1, "--prune", "l1", "--sparsity", 0.5),
            "let `mcugen search --max-drop` choose the zeros",
        ),
        (("--max-drop", 1, "--keep-int8", "heads"), "no layer matches 'heads'"),
    ],
)
def test_what_cannot_be_meant_is_refused(
    model: Path, data: Path, tmp_path: Path, options: tuple[object, ...], words: str
) -> None:
    out = tmp_path / "out"
    fixed = ("--board", "cortex-m4", "--calib", data, "--out", out)
    assert words in refused("build", model, *fixed, *options)
    assert not out.exists()


def test_a_search_needs_real_samples(model: Path, tmp_path: Path) -> None:
    fixed = ("--board", "cortex-m4", "--out", tmp_path / "out")
    assert "pass them with --calib" in refused("build", model, *fixed, "--budget", "flash=9K")


def test_one_class_alone_tells_nothing(model: Path, data: Path, tmp_path: Path) -> None:
    x = np.load(data)["x"]
    np.savez(tmp_path / "one.npz", x=x, y=np.full(len(x), 2))
    fixed = ("--board", "cortex-m4", "--calib", data, "--eval", tmp_path / "one.npz")
    text = refused("build", model, *fixed, "--max-drop", 1, "--out", tmp_path / "out")
    assert "all 80 samples are of class 2" in text
