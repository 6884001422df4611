# SPDX-License-Identifier: Apache-2.0
"""`--weights` of the command line and of Python: what is built, what is said of mistakes."""

from __future__ import annotations

import json
from pathlib import Path

import mcugen as api
from tests.command import build, mcugen, refused


def layers(folder: Path) -> dict[str, tuple[int, int]]:
    """Bits and table bytes of each layer that has weights, by the name of its module."""
    report = json.loads((folder / "report.json").read_text("utf-8"))
    return {
        layer["origin"].split(" ")[0]: (layer["weight_bits"], layer["weight_bytes"])
        for layer in report["layers"]
        if layer["weight_bits"] is not None
    }


def test_bits_by_pattern_and_what_the_report_says(
    net_file: Path, data_file: Path, tmp_path: Path
) -> None:
    whole = layers(build(net_file, "--calib", data_file, out=tmp_path / "whole"))
    assert {bits for bits, _ in whole.values()} == {8}
    *_, last = whole
    arguments = ("--weights", f"int4,{last}=int2", "--keep-int8", "none")
    folder = build(net_file, "--calib", data_file, *arguments, out=tmp_path / "narrow")
    narrow = layers(folder)
    assert {name: bits for name, (bits, _) in narrow.items()} == dict.fromkeys(whole, 4) | {last: 2}
    assert all(narrow[name][1] < whole[name][1] for name in whole)
    again = mcugen("verify", folder, "--simulate", 0)
    assert again.exit_code == 0
    assert "0 mismatches" in again.output


def test_the_summary_tells_widths(net_file: Path, data_file: Path, tmp_path: Path) -> None:
    fixed = ("--board", "cortex-m4", "--simulate", 0, "--calib", data_file)
    said = mcugen(
        "build", net_file, *fixed, "--out", tmp_path / "a", "--weights", "int4", "--keep-int8",
        "first",
    )  # fmt: skip
    assert said.exit_code == 0, said.output
    assert "int4, " in said.output
    assert "int8, " in said.output
    plain = mcugen("build", net_file, *fixed, "--out", tmp_path / "b")
    assert "weights  " not in plain.output


def test_python_takes_text_and_lists(net_file: Path, data_file: Path, tmp_path: Path) -> None:
    fixed = {"board": "cortex-m4", "calibration": str(data_file), "simulate": 0}
    one = api.build(net_file, out=tmp_path / "a", weights="int4", keep_int8="none", **fixed)  # type: ignore[arg-type]
    two = api.build(net_file, out=tmp_path / "b", weights=["int4"], keep_int8=["none"], **fixed)  # type: ignore[arg-type]
    assert one.report["digest"] == two.report["digest"]
    assert {bits for bits, _ in layers(one.folder).values()} == {4}


def test_mistakes_are_told_at_once(net_file: Path, tmp_path: Path) -> None:
    fixed = ("--board", "cortex-m4", "--out", tmp_path / "net")
    said = refused("build", net_file, *fixed, "--weights", "int5,conv=int3")
    assert "'int5' is not known" in said
    assert "'conv=int3' is not known" in said
    said = refused("build", net_file, *fixed, "--weights", "nowhere*=int4", "--keep-int8", "lst")
    assert "weights: no layer matches 'nowhere*'; layers with weights: " in said
    assert "keep_int8: no layer matches 'lst'" in said
    assert not (tmp_path / "net").exists()
