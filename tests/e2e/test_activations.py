# SPDX-License-Identifier: Apache-2.0
"""`--activations` of all commands and of Python: what is built, what is said of mistakes."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

import mcugen as api
from tests.command import build, mcugen, refused


def bits(folder: Path) -> tuple[list[int], list[int]]:
    """Of the inputs, and of the layers that are the model's."""
    report = json.loads((folder / "report.json").read_text("utf-8"))
    layers = [layer["bits"] for layer in report["layers"] if not layer["inserted"]]
    return [tensor["bits"] for tensor in report["inputs"]], layers


def test_a_folder_of_int16_is_what_one_of_int8_is(
    net_file: Path, data_file: Path, tmp_path: Path
) -> None:
    folder = build(net_file, "--calib", data_file, "--activations", "int16", out=tmp_path / "net")
    assert {width for widths in bits(folder) for width in widths} == {16}
    header = (folder / "net.h").read_text()
    assert "int net_run(const int16_t *input, int16_t *output, void *arena);" in header
    assert "cut to [-32768, 32767]" in header
    again = mcugen("verify", folder, "--simulate", 0)
    assert again.exit_code == 0, again.output
    assert "0 mismatches" in again.output
    x = np.load(data_file)["x"]
    with api.load(folder) as network:
        steps = network.quantized([x])[0]
        assert steps.dtype == np.int16
        integers, reals = network(steps), network(x)
    assert isinstance(integers, np.ndarray) and isinstance(reals, np.ndarray)
    assert integers.dtype == np.int16
    report = json.loads((folder / "report.json").read_text("utf-8"))
    wanted = integers.astype(np.float64) * report["outputs"][0]["scale"]
    np.testing.assert_allclose(reals.astype(np.float64), wanted, rtol=1e-6)


def test_widths_mix_with_rows_and_chains(net_file: Path, data_file: Path, tmp_path: Path) -> None:
    arguments = ("--activations", "int16,*linear*=int8", "--row-input", "--optimize", "ram")
    folder = build(net_file, "--calib", data_file, *arguments, out=tmp_path / "net")
    (source,), layers = bits(folder)
    assert source == 16 and layers[-1] == 8 and 16 in layers
    assert "const int16_t *row, uint32_t y" in (folder / "net.h").read_text()


def test_the_summary_tells_widths(net_file: Path, data_file: Path, tmp_path: Path) -> None:
    fixed = ("--board", "cortex-m4", "--simulate", 0, "--calib", data_file, "--out", tmp_path / "a")
    said = mcugen("build", net_file, *fixed, "--activations", "*linear*=int16")
    assert said.exit_code == 0, said.output
    assert "activations " in said.output
    assert "int16: " in said.output
    assert "integer error" in said.output


def test_python_takes_text_and_lists(net_file: Path, data_file: Path, tmp_path: Path) -> None:
    fixed = {"board": "cortex-m4", "calibration": str(data_file), "simulate": 0}
    one = api.build(net_file, out=tmp_path / "a", activations="int16", **fixed)  # type: ignore[arg-type]
    two = api.build(net_file, out=tmp_path / "b", activations=["int16"], **fixed)  # type: ignore[arg-type]
    assert one.report["digest"] == two.report["digest"]


def test_a_network_is_tuned_for_int16(net_file: Path, data_file: Path, tmp_path: Path) -> None:
    out = tmp_path / "net.mcugen"
    arguments = ("--train", data_file, "--epochs", 1, "--activations", "int16", "--out", out)
    done = mcugen("finetune", net_file, *arguments, "--quiet")
    assert done.exit_code == 0, done.output
    folder = build(out, out=tmp_path / "net")
    assert {width for widths in bits(folder) for width in widths} == {16}


def test_mistakes_are_told_at_once(net_file: Path, tmp_path: Path) -> None:
    fixed = ("--board", "cortex-m4", "--out", tmp_path / "net")
    said = refused("build", net_file, *fixed, "--activations", "int4,conv=int32")
    assert "activations 'int4' is not known" in said
    assert "activations 'conv=int32' is not known" in said
    said = refused("build", net_file, *fixed, "--activations", "nowhere*=int16")
    assert "activations: no layer matches 'nowhere*'; inputs and layers: " in said
    assert not (tmp_path / "net").exists()
