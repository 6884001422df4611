# SPDX-License-Identifier: Apache-2.0
"""`--fast-ram`: two blocks of RAM through all commands, and what cannot be had."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from mcugen.boards import load_board
from mcugen.config import parse_fast_ram
from mcugen.network import CompiledNetwork
from tests.command import build, mcugen, refused


@pytest.fixture(scope="module")
def split(net_file: Path, data_file: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder whose C takes two blocks."""
    folder = tmp_path_factory.mktemp("split") / "net"
    options = ("--calib", data_file, "--fast-ram", "64")
    return build(net_file, *options, out=folder, board="stm32h743zi")


def report_of(folder: Path) -> dict[str, object]:
    found: dict[str, object] = json.loads((folder / "report.json").read_text())
    return found


def test_the_report_tells_of_both_blocks(split: Path) -> None:
    report, header = report_of(split), (split / "net.h").read_text()
    fast, share = report["fast_arena_bytes"], report["fast_access_share"]
    assert isinstance(fast, int)
    assert isinstance(share, float)
    assert 0 < fast <= 64
    assert 0 < share < 1
    assert f"#define NET_FAST_ARENA_BYTES {fast}\n" in header
    assert f"#define NET_ARENA_BYTES {report['arena_bytes']}\n" in header
    assert report["board_fast_ram_bytes"] == 128 * 1024
    assert report["board_ram_bytes"] == load_board("stm32h743zi").ram_bytes_beside_fast


@pytest.mark.slow
def test_the_folder_runs_and_verifies_in_two_blocks(split: Path, built: Path) -> None:
    result = mcugen("verify", split, "--simulate", "0")
    assert result.exit_code == 0, result.output
    x = np.random.default_rng(0).integers(-128, 128, (3, 6, 6, 1), np.int8)
    with CompiledNetwork(split) as two, CompiledNetwork(built) as one:
        assert np.array_equal(two(x), one(x))


@pytest.mark.slow
def test_a_core_runs_and_profiles_it(split: Path) -> None:
    result = mcugen("profile", split)
    assert result.exit_code == 0, result.output
    assert mcugen("verify", split).exit_code == 0


@pytest.mark.slow
def test_the_summary_shows_both_blocks(net_file: Path, tmp_path: Path) -> None:
    arguments = ("--board", "stm32h743zi", "--out", tmp_path / "net", "--simulate", 0)
    result = mcugen("build", net_file, *arguments, "--fast-ram", "64")
    assert result.exit_code == 0, result.output
    assert "of fast RAM: " in result.stdout
    assert "% of all accesses" in result.stdout


@pytest.mark.slow
def test_a_fast_ram_that_takes_the_whole_arena_needs_no_second_block(
    net_file: Path, tmp_path: Path
) -> None:
    arguments = ("--board", "stm32h743zi", "--out", tmp_path / "net", "--simulate", 0)
    result = mcugen("build", net_file, *arguments, "--fast-ram", "all")
    assert result.exit_code == 0, result.output
    assert "warning: --fast-ram: there is no second block" in result.stderr
    assert report_of(tmp_path / "net")["fast_arena_bytes"] == 0
    assert "FAST" not in (tmp_path / "net" / "net.h").read_text()


@pytest.mark.parametrize(
    ("board", "size", "message"),
    [
        ("cortex-m4", "64", "cortex-m4 has no fast RAM beside other RAM"),
        ("stm32h743zi", "129K", "132,096 bytes asked for, but dtcm"),
        ("stm32h743zi", "half", "'half' is no size; expected bytes as in 16384 or 16K, or all"),
    ],
)
def test_what_cannot_be_had(
    net_file: Path, tmp_path: Path, board: str, size: str, message: str
) -> None:
    out = tmp_path / "net"
    said = refused("build", net_file, "--board", board, "--out", out, "--fast-ram", size)
    assert message in " ".join(said.split())
    assert not out.exists()


def test_sizes() -> None:
    sizes = {"16384": 16384, "16K": 16384, "16 KiB": 16384, "1M": 2**20, "all": "all"}
    assert {text: parse_fast_ram(text) for text in sizes} == sizes
    for text in ("", "-1", "16 GB", "1.5K", "K"):
        with pytest.raises(ValueError, match="size"):
            parse_fast_ram(text)


def test_the_fast_region_is_the_largest_one_for_data() -> None:
    names = {name: load_board(name).fast_region for name in ("stm32h743zi", "alif-e3-he")}
    assert {name: region and region.name for name, region in names.items()} == {
        "stm32h743zi": "dtcm",
        "alif-e3-he": "dtcm",
    }
    assert load_board("cortex-m4").fast_region is None
