# SPDX-License-Identifier: Apache-2.0
"""`mcugen build`, the main job: on the example, from Python, and with each of its options."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

import mcugen as api
from mcugen.api import BuildResult
from mcugen.errors import OptionError
from tests.command import build, contents, mcugen, refused
from tests.model_files import SHAPE, exported, small_net


def report_of(folder: Path) -> dict[str, Any]:
    report = json.loads((folder / "report.json").read_text("utf-8"))
    assert isinstance(report, dict)
    return report


def samples(count: int = 12) -> NDArray[np.float32]:
    return np.random.default_rng(5).standard_normal((count, *SHAPE[1:])).astype(np.float32)


@pytest.mark.slow
def test_the_example_from_the_command_line(mnist: Path, tmp_path: Path) -> None:
    data = ("--calib", mnist / "calibration.npz", "--eval", mnist / "test.npz")
    options = ("--board", "cortex-m4", "--name", "mnist", *data)
    command = [sys.executable, "-m", "mcugen", "build", str(mnist / "model.pt"), *map(str, options)]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    for row in ("network ", "layers ", "MACs ", "flash ", "RAM ", "int8 error ", "accuracy "):
        assert f"\n{row}" in f"\n{done.stdout}"
    assert re.search(r"verified +\d{3} inputs, 0 mismatches in 5 layers: host\n", done.stdout)

    report = report_of(tmp_path / "build" / "mnist")
    assert report["macs"] == 2_440_960
    accuracy = report["accuracy"]
    assert abs(accuracy["float"] - accuracy["int8"]) <= 0.3
    assert all(v["mismatches"] == 0 for v in report["verification"].values())
    assert report["verification"]["host"]["inputs"] >= 200


def float_result(result: BuildResult, x: NDArray[np.float32]) -> NDArray[np.generic]:
    with api.load(result.folder) as network:
        y = network(x)
    assert isinstance(y, np.ndarray)
    return y


@pytest.mark.slow
def test_module_program_and_path_give_the_same_network(net_file: Path, tmp_path: Path) -> None:
    x = samples()
    common: Any = {"board": "cortex-m4", "calibration": x, "simulate": 0, "name": "net"}
    results = [
        api.build(small_net(), input_shapes=[SHAPE], out=tmp_path / "module", **common),
        api.build(exported(small_net(), SHAPE), out=str(tmp_path / "program"), **common),
        api.build(net_file, out=tmp_path / "path", **common),
        api.build(str(net_file), out=tmp_path / "text", **common),
    ]
    first, *others = [float_result(result, x) for result in results]
    for other in others:
        np.testing.assert_array_equal(first, other)
    with torch.no_grad():
        exact = small_net()(torch.from_numpy(x)).numpy()
    assert float(np.abs(first - exact).max()) < 0.05 * float(np.abs(exact).max())
    assert [r.report["digest"] for r in results] == [results[0].report["digest"]] * 4


@pytest.mark.slow
def test_program_without_a_name_is_called_network(tmp_path: Path) -> None:
    result = api.build(
        exported(small_net(), SHAPE),
        board="cortex-m4",
        calibration=samples(),
        out=tmp_path / "out",
        simulate=2,
        sanitize=True,
    )
    assert result.report["name"] == "network"
    assert len(result.report["verification"]) == 3 - len(result.report["not_verified"])


@pytest.mark.slow
@pytest.mark.parametrize("name", ["harness", "semihosting", "trace_mark"])
def test_a_network_may_bear_the_name_of_a_test_programs_header(
    name: str, net_file: Path, data_file: Path, tmp_path: Path
) -> None:
    build(net_file, "--calib", data_file, "--name", name, out=tmp_path / "out")
    assert (tmp_path / "out" / f"{name}.h").is_file()


@pytest.mark.slow
def test_board_may_be_a_path_object(root: Path, net_file: Path, tmp_path: Path) -> None:
    board = root / "boards" / "stm32f407vg.toml"
    result = api.build(net_file, board=board, out=tmp_path / "out", simulate=0)
    assert result.report["board"] == "stm32f407vg"


def documented(table: str) -> set[str]:
    """The keys in the first column of a table of docs/REPORT.md."""
    rows = [line for line in table.splitlines() if line.startswith("| `")]
    return {key for row in rows for key in re.findall(r"`(\w+)`", row.split("|")[1])}


def test_report_holds_what_is_documented_and_nothing_else(root: Path, built: Path) -> None:
    text = (root / "docs" / "REPORT.md").read_text("utf-8")
    whole, layer = text.split("A layer:")
    report = report_of(built)
    assert set(report) == documented(whole)
    assert report["layers"]
    for found in report["layers"]:
        assert set(found) == documented(layer)
    nested = {
        "`accuracy`": report["accuracy"],
        "`verification`": report["verification"]["host"],
        "`passes`": report["passes"][0],
        "`inputs`, `outputs`": report["outputs"][0],
    }
    for title, value in nested.items():
        [row] = [line for line in whole.splitlines() if line.startswith(f"| {title} |")]
        assert set(value) == set(re.findall(r"`(\w+)`", row.split("|")[3]))


def test_report_tells_the_truth(built: Path) -> None:
    report = report_of(built)
    header = (built / "net.h").read_text()
    assert f"#define NET_ARENA_BYTES {report['arena_bytes']}\n" in header
    assert report["digest"] in header
    assert report["digest"] in (built / "net.c").read_text()
    assert sorted(report["files"] + ["report.json"]) == sorted(contents(built))
    assert report["macs"] == sum(layer["macs"] for layer in report["layers"])
    assert report["arena_bytes"] >= report["arena_bound_bytes"]
    assert report["arena_peak_layer"] in {layer["name"] for layer in report["layers"]}
    assert report["accuracy"]["samples"] == 12
    assert (report["warnings"], report["not_verified"]) == ([], [])
    assert report["verification"]["host"]["mismatches"] == 0


@pytest.mark.slow
def test_two_builds_give_the_same_bytes(
    net_file: Path, data_file: Path, built: Path, tmp_path: Path
) -> None:
    again = build(net_file, "--calib", data_file, "--eval", data_file, out=tmp_path / "else")
    assert contents(again) == contents(built)
    for path in again.iterdir():  # neither the place nor the time of the build
        assert str(tmp_path).encode() not in path.read_bytes()


def test_json_is_the_report(net_file: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    result = mcugen(
        "build", net_file, "--board", "cortex-m4", "--out", out, "--simulate", 0, "--json"
    )
    assert json.loads(result.stdout) == report_of(out)
    assert result.stderr.startswith("warning: no calibration data")
    [warning] = report_of(out)["warnings"]
    assert warning in result.stderr


@pytest.mark.slow
def test_default_folder_and_name(
    net_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    model = tmp_path / "My Net-v2.pt2"
    model.write_bytes(net_file.read_bytes())
    result = mcugen("build", model, "--board", "cortex-m4", "--simulate", 0)
    assert result.exit_code == 0
    assert (tmp_path / "build" / "my_net_v2" / "my_net_v2.c").is_file()
    assert "network     my_net_v2 for cortex-m4, in build/my_net_v2\n" in result.stdout


def test_double_rounding(net_file: Path, data_file: Path, built: Path, tmp_path: Path) -> None:
    double = build(net_file, "--calib", data_file, "--requant", "double", out=tmp_path / "out")
    assert report_of(double)["digest"] != report_of(built)["digest"]
    assert report_of(double)["verification"]["host"]["mismatches"] == 0


@pytest.mark.slow
def test_input_layout_changes_the_c_api_and_no_float_result(
    net_file: Path, data_file: Path, built: Path, tmp_path: Path
) -> None:
    def layout(text: str) -> str:
        return text.partition("Input")[2].partition("\n")[0]

    x = samples()
    planar = build(net_file, "--calib", data_file, "--input-layout", "nchw", out=tmp_path / "out")
    assert layout((planar / "net.h").read_text()) != layout((built / "net.h").read_text())
    with api.load(planar) as one, api.load(built) as other:
        np.testing.assert_array_equal(one(x), other(x))


def test_a_pass_can_be_left_out(
    net_file: Path, data_file: Path, built: Path, tmp_path: Path
) -> None:
    plain = build(net_file, "--calib", data_file, "--skip-pass", "fuse_clamp", out=tmp_path / "out")
    assert len(report_of(plain)["layers"]) == len(report_of(built)["layers"]) + 1
    assert "fuse_clamp" not in {record["name"] for record in report_of(plain)["passes"]}


def test_percentile_ranges(net_file: Path, data_file: Path, built: Path, tmp_path: Path) -> None:
    options = ("--calib", data_file, "--ranges", "percentile:95")
    narrow = build(net_file, *options, out=tmp_path / "out")
    scales = [report_of(folder)["layers"][0]["scale"] for folder in (narrow, built)]
    assert scales[0] < scales[1]


def test_dumps_of_the_graph(net_file: Path, tmp_path: Path) -> None:
    dumps = tmp_path / "dumps"
    dumps.mkdir()
    build(net_file, "--dump-dir", dumps, out=tmp_path / "out")
    passes = report_of(tmp_path / "out")["passes"]
    assert len(list(dumps.iterdir())) == len(passes) + 1


WRONG_OPTIONS = {
    ("--skip-pass", "nope"): "unknown pass nope; the passes are fold_constants, ",
    ("--ranges", "median"): "use minmax, moving_average[:C] with 0 < C <= 1, percentile[:P]",
    ("--ranges", "minmax:3"): "ranges 'minmax:3' is not known",
    ("--ranges", "percentile:50"): "needs a number X with 50 < X <= 100",
    ("--ranges", "percentile:nan"): "needs a number X with 50 < X <= 100",
    ("--quant", "best"): "the methods are integerize, estimate, mean_rounding",
    ("--requant", "triple"): "'single', 'double'",
    ("--input-layout", "NHWC"): "'nhwc', 'nchw'",
    ("--simulate", "-1"): "x>=0",
    ("--input-shape", "1,1,zwei"): "expected sizes as in 1,1,28,28",
    ("--input-shape", "1,0"): "expected sizes as in 1,1,28,28",
    ("--board", "nope"): "unknown board 'nope'",
    ("--dump-dir", "/nowhere"): "does not exist",
}


@pytest.mark.parametrize(
    ("options", "message"), WRONG_OPTIONS.items(), ids=map(" ".join, WRONG_OPTIONS)
)
def test_wrong_option(
    options: tuple[str, str], message: str, net_file: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    fixed = ("--board", "cortex-m4", "--out", out, "--simulate", 0)
    assert message in refused("build", net_file, *fixed, *options)
    assert not out.exists()


WRONG_CHOICES: dict[str, Any] = {
    "requant": "triple",
    "input_layout": "NHWC",
    "simulate": -1,
    "skip_passes": ["nope"],
    "ranges": "median",
    "quant": "best",
    "input_shapes": SHAPE,
}


@pytest.mark.parametrize("name", WRONG_CHOICES)
def test_wrong_choice_in_python(name: str, tmp_path: Path) -> None:
    choice = {"input_shapes": [SHAPE], name: WRONG_CHOICES[name]}
    with pytest.raises(OptionError):
        api.build(small_net(), board="cortex-m4", out=tmp_path / "out", **choice)


@pytest.mark.slow
def test_an_input_in_rows_gives_the_same_outputs_in_less_ram(mnist: Path, tmp_path: Path) -> None:
    fixed = (mnist / "model.pt", "--calib", mnist / "calibration.npz", "--optimize", "speed")
    whole = build(*fixed, out=tmp_path / "whole")
    rows = build(*fixed, "--row-input", "--sanitize", out=tmp_path / "rows", simulate=2)
    report = report_of(rows)
    assert report["row_input"]
    assert report["arena_bytes"] < report_of(whole)["arena_bytes"]
    assert [v["mismatches"] for v in report["verification"].values()] == [0, 0, 0]
    digits = np.load(mnist / "test.npz")["x"][:20]
    with api.load(whole) as one, api.load(rows) as other:
        np.testing.assert_array_equal(one(digits), other(digits))
    assert "together" in mcugen("profile", rows).output
