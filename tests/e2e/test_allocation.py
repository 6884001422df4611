# SPDX-License-Identifier: Apache-2.0
"""A budget that says how much of each layer becomes zero: of `mcugen prune` and of a build."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from mcugen.tradeoff.measure import Float
from mcugen.tuned import load_tuned
from tests.command import mcugen, refused
from tests.e2e.searched import SHAPE, net, samples
from tests.model_files import exported, labelled, saved

ASKED = ("--board", "cortex-m4", "--pattern", "block2x2", "--allocation", "budget")


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return saved(exported(net(), SHAPE), tmp_path_factory.mktemp("model") / "net.pt2")


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return labelled(net(), samples(), tmp_path_factory.mktemp("data") / "data.npz")


def command(model: Path, data: Path, out: Path, *more: object) -> tuple[object, ...]:
    fixed = ("--train", data, "--criterion", "magnitude", "--epochs", 1, "--out", out)
    return ("prune", model, *fixed, *ASKED, *more)


@pytest.mark.slow
@pytest.mark.parametrize("schedule", ["oneshot", "cubic"])
def test_layers_lose_what_the_budget_wants_and_keep_within_it(
    model: Path, data: Path, tmp_path: Path, schedule: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "pruned.mcugen"
    more = ("--budget", "cycles=270K", "--schedule", schedule, "--json")
    if schedule == "oneshot":  # interrupted while losses are measured, and begun again
        own, measured = Float.loss, []

        def interrupted(self: Any, name: str, op: Any) -> float:
            measured.append(name)
            if len(measured) == 4:
                raise KeyboardInterrupt
            return own(self, name, op)

        monkeypatch.setattr(Float, "loss", interrupted)
        stopped = mcugen(*command(model, data, out, *more))
        assert stopped.exit_code == 130 and "the same command goes on" in stopped.stderr
        assert {path.name for path in tmp_path.iterdir()} == {"pruned.mcugen.losses"}
    done = mcugen(*command(model, data, out, *more))
    assert done.exit_code == 0, done.output
    found = json.loads(done.stdout)
    assert {path.name for path in tmp_path.iterdir()} == {"pruned.mcugen"}
    assert found["budget"]["missed"] is None
    assert found["budget"]["measured"]["cycles"] <= 270_000
    zeros = {n: (w.ints == 0).mean() for n, w in load_tuned(out).quantization.weights.items()}
    assert max(zeros.values()) >= 0.3
    # what was measured is what a build within the same budget gives
    built = mcugen(
        "build",
        out,
        "--board",
        "cortex-m4",
        "--budget",
        "cycles=270K",
        "--calib",
        data,
        "--out",
        tmp_path / "built",
        "--simulate",
        0,
        "--json",
    )
    assert built.exit_code == 0, built.output
    assert json.loads(built.stdout)["flash_bytes"] == found["budget"]["measured"]["flash"]


@pytest.mark.slow
def test_a_build_prunes_as_far_as_its_budget_wants(model: Path, data: Path, tmp_path: Path) -> None:
    asked = ("--prune", "magnitude", *ASKED, "--budget", "cycles=270K", "--calib", data)
    out = tmp_path / "out"
    done = mcugen("build", model, *asked, "--weights", "head=int4", "--out", out, "--json")
    assert done.exit_code == 0, done.output
    report = json.loads(done.stdout)
    assert report["verification"]["host"]["mismatches"] == 0
    assert max(layer["zero_share"] or 0.0 for layer in report["layers"]) >= 0.3
    forms = {layer["form"] for layer in report["search"]["chosen"]["layers"] if layer["form"]}
    assert forms == {"int8", "int4"}
    cycles = json.loads(mcugen("profile", out, "--json").stdout)["cycles"]
    assert cycles <= 270_000


@pytest.mark.slow
def test_a_budget_that_cannot_be_met_says_by_how_much(
    model: Path, data: Path, tmp_path: Path
) -> None:
    text = refused(*command(model, data, tmp_path / "out.mcugen", "--budget", "flash=1K"))
    assert "flash: at least" in text and "1,024 allowed" in text
    text = refused(*command(model, data, tmp_path / "out.mcugen", "--budget", "flash=1M"))
    assert "the budget is met without new zeros" in text
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ((), "--board is alone: the allocation budget needs a board (--board) and what may be"),
        (("--budget", "flash=x"), "budget flash: 'x' is no number"),
        (("--budget", "flash=1K", "--sparsity", 0.5), "leave out sparsity, threshold and macs"),
        (("--budget", "flash=1K", "--pattern", "2:4"), "2:4 is alike in all layers: no allocation"),
        (("--budget", "flash=1K", "--board", "nosuch"), "unknown board 'nosuch'"),
        (("--budget", "flash=1K", "--allocation", "erk", "--sparsity", 0.5), "how much is pruned"),
    ],
)
def test_what_cannot_be_meant_is_refused(
    model: Path, data: Path, tmp_path: Path, more: tuple[object, ...], words: str
) -> None:
    assert words in refused(*command(model, data, tmp_path / "out.mcugen", *more))
    assert not list(tmp_path.iterdir())


def test_a_build_needs_the_budget_too(model: Path, data: Path, tmp_path: Path) -> None:
    text = refused(
        "build", model, "--prune", "obs", *ASKED, "--calib", data, "--out", tmp_path / "o"
    )
    assert "add --budget, as in flash=64K" in text
