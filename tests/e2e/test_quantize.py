# SPDX-License-Identifier: Apache-2.0
"""`mcugen quantize` as a user runs it."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import pytest

import mcugen as mcugen_api
from tests.command import mcugen, refused
from tests.model_files import SHAPE


def output_of(*arguments: object) -> str:
    result = mcugen(*arguments)
    assert result.exit_code == 0, result.output
    return result.stdout


METHODS = ("integerize", "estimate", "mean_rounding")


def test_methods_side_by_side(net_file: Path, data_file: Path) -> None:
    files = ("quantize", net_file, "--calib", data_file, "--eval", data_file)
    found = json.loads(output_of(*files, "--compare", ",".join(METHODS), "--json"))
    titles = [choice["title"] for choice in found["choices"]]
    assert titles == ["mean_rounding", "min-max, to nearest", "integerize", "estimate"]
    floats = {choice["float"] for choice in found["choices"]}
    assert len(floats) == 1, "the float network is the same for all"
    assert found["evaluated_samples"] == 12
    by_title = {choice["title"]: choice["output_sqnr_db"] for choice in found["choices"]}
    assert by_title["mean_rounding"] > by_title["integerize"]
    x = np.load(data_file)["x"]
    source = found["layers"][0]
    assert source["op"] == "input"
    assert source["min"] == pytest.approx(float(x.min()))
    assert source["mean"] == pytest.approx(float(x.mean()), abs=1e-6)
    assert source["std"] == pytest.approx(float(x.std()), rel=1e-5)
    assert source["saturated"] == 0.0


@pytest.mark.slow
def test_the_same_from_python(net_file: Path, data_file: Path) -> None:
    files = ("quantize", net_file, "--calib", data_file, "--eval", data_file)
    told = json.loads(output_of(*files, "--compare", "estimate", "--json"))
    with np.load(data_file) as held:
        found = mcugen_api.compare(
            net_file,
            calibration=held["x"],
            evaluation=(held["x"], held["y"]),
            methods=["estimate"],
        )
    assert [c.title for c in found.choices] == [c["title"] for c in told["choices"]]
    assert found.values()["layers"] == told["layers"]


@pytest.mark.slow
def test_the_report_is_one_page_and_its_pictures(
    net_file: Path, data_file: Path, tmp_path: Path
) -> None:
    page = tmp_path / "page.html"
    options = ("--compare", "estimate", "--report", "--out", page)
    text = output_of("quantize", net_file, "--calib", data_file, *options)
    assert f"wrote {page}" in text
    content = page.read_text("utf-8")
    assert content.count("<svg") == 3
    assert "src=" not in content and "<link" not in content
    names = {path.name for path in tmp_path.iterdir()}
    assert names == {"page.html", *(f"page_{n}.png" for n in ("error", "saturation", "ranges"))}


def test_statistics_of_every_channel(net_file: Path, data_file: Path) -> None:
    options = ("--compare", "estimate", "--statistics")
    text = output_of("quantize", net_file, "--calib", data_file, *options)
    assert text.splitlines()[0].split() == ["tensor", "channel", "min", "max", "mean", "std"]
    assert len(text.splitlines()) > 8


WRONG = {
    ("--compare", "best"): "the methods are integerize, estimate, mean_rounding, adaround",
    ("--samples", "0"): "expected 1 or more",
    ("--ranges", "mode"): "is not known; use minmax",
}


@pytest.mark.parametrize(("options", "message"), WRONG.items(), ids=map(" ".join, WRONG))
def test_wrong_option(
    options: tuple[str, str], message: str, net_file: Path, data_file: Path
) -> None:
    assert message in refused("quantize", net_file, "--calib", data_file, *options)


def test_wrong_data(net_file: Path, tmp_path: Path) -> None:
    x = np.zeros((4, *SHAPE[1:]), np.float32)
    unlabelled, other, broken = (tmp_path / f"{n}.npz" for n in ("plain", "shape", "nan"))
    np.savez(unlabelled, x=x)
    np.savez(other, x=x[:, :, :3])
    np.savez(broken, x=x * np.nan)
    call = ("quantize", net_file, "--calib")
    assert "needs labels 'y'" in refused(*call, unlabelled, "--eval", unlabelled)
    assert "expected [N, 1, 6, 6]" in refused(*call, other)
    assert "not finite" in refused(*call, broken)


def test_without_matplotlib_the_message_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from mcugen.errors import MissingToolError
    from mcugen.report.study_html import check_pictures

    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(MissingToolError, match=r"pip install 'mcugen\[report\]'"):
        check_pictures()
