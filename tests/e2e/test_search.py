# SPDX-License-Identifier: Apache-2.0
"""`mcugen search` as a user meets it: what lies in the folder, and what an interruption leaves."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import mcugen as package
from mcugen.tradeoff.cache import Losses
from mcugen.tradeoff.measure import Float
from mcugen.tradeoff.options import Form
from tests.command import build, mcugen, refused
from tests.e2e.searched import SHAPE, net, samples
from tests.model_files import exported, labelled, saved


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return saved(exported(net(), SHAPE), tmp_path_factory.mktemp("model") / "net.pt2")


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return labelled(net(), samples(), tmp_path_factory.mktemp("data") / "data.npz")


FEW = ("--bits", "int8,int4", "--patterns", "block2x2", "--sparsities", "0.5,0.75")


def command(model: Path, data: Path, out: Path, *more: object) -> tuple[object, ...]:
    fixed = ("--board", "cortex-m4", "--calib", data, "--out", out, "--simulate", 0)
    return ("search", model, *fixed, *FEW, *more)


@pytest.mark.slow
def test_bits_and_zeros_are_chosen_together_and_built(
    model: Path, data: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    plain = build(model, "--calib", data, out=tmp_path / "plain")
    dense = json.loads((plain / "report.json").read_text("utf-8"))
    profile = json.loads(mcugen("profile", plain, "--json").stdout)
    bounds = {"flash": dense["weight_bytes"], "cycles": int(0.7 * profile["cycles"])}
    budget = ",".join(f"{name}={bound}" for name, bound in bounds.items())
    more = ("--eval", data, "--budget", budget, "--points", 2, "--report", "--json")
    done = mcugen(*command(model, data, out, *more))
    assert done.exit_code == 0, done.output
    found: dict[str, Any] = json.loads(done.stdout)
    assert found == json.loads((out / "search.json").read_text("utf-8"))
    forms = {layer["form"] for layer in found["chosen"]["layers"]}
    assert any(form and "block2x2" in form for form in forms)
    report = json.loads((out / "net" / "report.json").read_text("utf-8"))
    assert report["flash_bytes"] == found["chosen"]["measured"]["flash"] <= bounds["flash"]
    cycles = json.loads(mcugen("profile", out / "net", "--json").stdout)["cycles"]
    assert cycles == found["chosen"]["measured"]["cycles"] <= bounds["cycles"]
    assert report["verification"]["host"]["mismatches"] == 0
    flash = [point["predicted"]["flash"] for point in found["front"]]
    losses = [point["predicted"]["loss"] for point in found["front"]]
    assert flash == sorted(flash, reverse=True) and losses == sorted(losses)
    written = {path.name for path in out.iterdir()}
    pictures = {f"{name}.{end}" for name in ("front", "sensitivity") for end in ("svg", "png")}
    assert written == {"net", "net.mcugen", "losses.json", "search.json", "search.html", *pictures}
    assert "<svg" in (out / "search.html").read_text("utf-8")


@pytest.mark.slow
def test_an_interrupted_search_goes_on_with_the_losses_it_has(
    model: Path, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    more = ("--budget", "flash=1M", "--points", 0, "--runners", 0, "--json")
    whole = json.loads(mcugen(*command(model, data, tmp_path / "whole", *more)).stdout)
    out = tmp_path / "out"
    measured: list[str] = []
    own = Float.loss

    def interrupted(self: Any, name: str, op: Any) -> float:
        measured.append(name)
        if len(measured) == 4:
            raise KeyboardInterrupt
        return own(self, name, op)

    monkeypatch.setattr(Float, "loss", interrupted)
    stopped = mcugen(*command(model, data, out, *more))
    assert stopped.exit_code == 130
    assert "the same command goes on" in stopped.stderr
    assert {path.name for path in out.iterdir()} == {"losses.json"}
    again = json.loads(mcugen(*command(model, data, out, *more)).stdout)
    assert again["losses"] == whole["losses"]
    total = sum(map(len, whole["losses"].values()))
    assert len(measured) == total + 1  # each once, but for the one that was interrupted
    assert again["chosen"] == whole["chosen"]


@pytest.mark.slow
def test_what_was_chosen_can_be_trained_with_its_zeros(data: Path, tmp_path: Path) -> None:
    held = np.load(data)
    found = package.search(
        exported(net(), SHAPE),
        board="cortex-m4",
        calibration=held["x"],
        evaluation=(held["x"], held["y"]),
        train=(held["x"], held["y"]),
        epochs=2,
        budget="cycles=270K",
        bits=(8,),
        sparsities=(0.75,),
        points=0,
        out=tmp_path / "out",
        simulate=0,
    )
    sparse = [layer for layer in found.values["chosen"]["layers"] if "%" in (layer["form"] or "")]
    assert sparse
    for layer in sparse:
        ints = found.network.quantization.weights[layer["name"]].ints
        assert (ints == 0).mean() >= 0.74
    assert found.values["built"]["trained"]
    assert found.values["built"]["cycles"] <= 270_000


@pytest.mark.slow
def test_what_training_made_too_dear_is_told_of_and_kept(
    model: Path, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mcugen.searching._cycles", lambda *_: 300_001)
    more = (
        "--budget",
        "cycles=300K",
        "--points",
        0,
        "--runners",
        0,
        "--train",
        data,
        "--epochs",
        1,
    )
    text = refused(*command(model, data, tmp_path / "out", *more))
    assert "is finished, but as it was trained it is not within the budget" in text
    assert "cycles: 300,001 is needed, 300,000 allowed" in text
    written = {path.name for path in (tmp_path / "out").iterdir()}
    assert written == {"net", "net.mcugen", "losses.json", "search.json"}


@pytest.mark.slow
def test_channels_are_cut_where_the_whole_network_is_too_large(
    model: Path, data: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    plain = ("--bits", "int8", "--patterns", "none", "--points", 3, "--runners", 0, "--json")
    fixed = ("--board", "cortex-m4", "--calib", data, "--out", out, "--simulate", 0, *plain)
    asked = ("search", model, *fixed, "--budget", "cycles=330K")
    assert "cycles: at least" in refused(*asked)
    done = mcugen(*asked, "--channels", "0.8,0.5")
    assert done.exit_code == 0, done.output
    found = json.loads(done.stdout)
    assert found["chosen"]["cut"] in (0.8, 0.5)
    assert found["built"]["cycles"] <= 330_000
    assert len(json.loads((out / "losses.json").read_text("utf-8"))) == 3  # one key for each
    measured = [point["measured"] for point in found["front"]]
    assert [x["flash"] for x in measured] == sorted((x["flash"] for x in measured), reverse=True)
    built = json.loads((out / "net" / "report.json").read_text("utf-8"))
    assert built["verification"]["host"]["mismatches"] == 0


@pytest.mark.slow
def test_some_of_some_weights_are_a_pattern_like_others(
    model: Path, data: Path, tmp_path: Path
) -> None:
    more = ("--budget", "cycles=330K", "--patterns", "1:4", "--points", 0, "--runners", 0, "--json")
    fixed = ("--board", "cortex-m4", "--calib", data, "--bits", "int8", "--simulate", 0)
    done = mcugen("search", model, *fixed, "--out", tmp_path / "out", *more)
    assert done.exit_code == 0, done.output
    found = json.loads(done.stdout)
    assert "int8 1:4 75 %" in {layer["form"] for layer in found["chosen"]["layers"]}
    assert found["built"]["cycles"] <= 330_000


@pytest.mark.slow
def test_trials_go_on_from_their_storage(model: Path, data: Path, tmp_path: Path) -> None:
    fixed = ("--board", "cortex-m4", "--calib", data, "--simulate", 0, "--points", 0, "--json")
    asked = ("--budget", "flash=1M", "--bits", "int8,int4", "--patterns", "none", "--runners", 0)
    storage = f"sqlite:///{tmp_path / 'trials.db'}"

    def found(out: str, trials: int) -> dict[str, Any]:
        more = ("--trials", trials, "--storage", storage, "--out", tmp_path / out)
        done = mcugen("search", model, *fixed, *asked, *more)
        assert done.exit_code == 0, done.output
        return dict(json.loads(done.stdout))

    one = found("one", 1)
    assert [trial["settings"] for trial in one["trials"]] == [
        {"method": "mean_rounding", "ranges": "mse"}
    ]
    two = found("two", 3)
    assert two["trials"][:1] == one["trials"] and len(two["trials"]) == 3
    assert two["chosen"]["measured"]["loss"] == min(trial["worth"] for trial in two["trials"])


@pytest.mark.slow
@pytest.mark.parametrize(
    ("more", "words"),
    [
        ((), "a search needs a budget (--budget), a drop (--max-drop), or both"),
        (("--budget", "flash=1M", "--bits", "int3"), "bits int3: not known"),
        (("--budget", "flash=1M", "--patterns", "4:2"), "pattern '4:2' is not searched"),
        (("--budget", "flash=1M", "--patterns", "channel"), "whole channels are cut across all"),
        (("--budget", "flash=1M", "--channels", "1.5"), "channels 1.5: expected shares"),
        (("--budget", "flash=1M", "--channels", "x"), "channels x: could not convert"),
        (("--budget", "flash=1M", "--channels", "0.01"), "channels 0.01: macs 0.01: removing all"),
        (("--budget", "flash=1M", "--sparsities", "x"), "could not convert string to float: 'x'"),
        (("--budget", "flash=1M", "--sparsities", "1.5"), "sparsity is 1.5; expected shares"),
        (("--budget", "flash=1M", "--criterion", "size"), "criterion 'size' is not known"),
        (("--budget", "flash=1M", "--keep", "heads"), "no layer matches 'heads'"),
        (("--budget", "flash=1M", "--weights", "int4"), "--bits says among which"),
        (("--budget", "flash=1M", "--storage", "x.log"), "say how many with --trials"),
        (
            ("--budget", "flash=1M", "--trials", 1, "--storage", "nosuch://x"),
            "storage 'nosuch://x' cannot be used",
        ),
        (("--budget", "flash=1M", "--samples", 0), "samples is 0; expected 1 or more"),
    ],
)
def test_what_cannot_be_meant_is_refused(
    model: Path, data: Path, tmp_path: Path, more: tuple[object, ...], words: str
) -> None:
    out = tmp_path / "out"
    assert words in refused(*command(model, data, out, *more))
    assert not out.exists()


def test_a_folder_of_someone_else_is_left_alone(model: Path, data: Path, tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("mine")
    text = refused(*command(model, data, tmp_path, "--budget", "flash=1M"))
    assert "holds files that no search wrote (mine.txt)" in text


def test_losses_of_another_key_or_a_damaged_file_are_not_used(tmp_path: Path) -> None:
    path = tmp_path / "losses.json"
    one = Losses("a", path)
    one.put("layer", Form(bits=4), 0.25)
    one.save()
    assert Losses("a", path).get("layer", Form(bits=4)) == 0.25
    assert Losses("b", path).get("layer", Form(bits=4)) is None
    path.write_text("{ broken")
    assert Losses("a", path).get("layer", Form(bits=4)) is None
