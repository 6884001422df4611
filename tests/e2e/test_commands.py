# SPDX-License-Identifier: Apache-2.0
"""The other commands, inspect, verify, run, profile and boards, on sound and on damaged folders."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

import mcugen as api
from mcugen.errors import CalibrationError, MismatchError
from mcugen.folder import verify_folder
from tests.command import build, contents, mcugen, refused
from tests.model_files import SHAPE, exported, saved, small_net


@pytest.fixture
def folder(built: Path, tmp_path: Path) -> Path:
    """A copy of the build, to be damaged."""
    return Path(shutil.copytree(built, tmp_path / "net"))


# inspect


def test_inspect_lists_layers_and_totals(net_file: Path) -> None:
    result = mcugen("inspect", net_file)
    assert result.exit_code == 0
    assert "features.0 (model_files.py:" in result.stdout
    assert "5 layers, 123 parameters, 384 MACs, before any pass\n" in result.stdout
    assert result.stdout.endswith("everything is supported\n")


def test_inspect_as_json(net_file: Path) -> None:
    found = json.loads(mcugen("inspect", net_file, "--json").stdout)
    expected = sum(p.numel() for p in small_net().parameters())
    assert found["parameters"] == expected
    assert found["macs"] == 4 * 4 * 2 * 9 + 32 * 3
    assert (found["problems"], found["inputs"][0]["shape"]) == ([], [6, 6, 1])


class Unsupported(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first = nn.LSTM(4, 4)
        self.second = nn.Linear(4, 4)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        y, _ = self.first(x)
        return torch.cumsum(torch.erfinv(self.second(y)), 1), torch.sort(x)[0]


def test_everything_unsupported_is_reported_at_once(tmp_path: Path) -> None:
    path = saved(exported(Unsupported().eval(), (1, 4, 4)), tmp_path / "net.pt2")
    result = mcugen("inspect", path)
    assert result.exit_code == 2
    # also what only reads the result of something unsupported
    for name in ("lstm.input", "erfinv.default", "cumsum.default", "sort.default"):
        assert f"operator aten.{name} is not supported" in result.stdout
    assert "  first (test_commands.py:" in result.stdout
    assert "supported operators: " in result.stdout

    message = refused("build", path, "--board", "cortex-m4", "--out", tmp_path / "out")
    assert message.startswith("error: the network cannot be compiled: 4 problems\n")


def test_what_the_users_file_prints_stays_out_of_the_json(tmp_path: Path) -> None:
    weights = tmp_path / "net.pt"
    torch.save(nn.Linear(4, 3).state_dict(), weights)
    source = "from torch import nn\nprint('training')\ndef make(): return nn.Linear(4, 3)\n"
    (tmp_path / "net.py").write_text(source)
    options = ("--arch", f"{tmp_path / 'net.py'}:make", "--input-shape", "1,4", "--json")
    result = mcugen("inspect", weights, *options)
    assert json.loads(result.stdout)["macs"] == 12
    assert "training" in result.stderr


# verify


def test_verify(built: Path) -> None:
    result = mcugen("verify", built, "--simulate", 0)
    assert (result.exit_code, result.stderr) == (0, "")
    assert re.fullmatch(r"\d{3} inputs, 0 mismatches in \d layers: host\n", result.stdout)


@pytest.mark.slow
def test_verify_on_all_targets_and_samples(built: Path, data_file: Path) -> None:
    options = ("--calib", data_file, "--sanitize", "--simulate", 3, "--board", "cortex-m3")
    found = json.loads(mcugen("verify", built, *options, "--json").stdout)
    assert found["name"] == "net"
    for target, verified in found["verification"].items():
        assert verified["inputs"] == 3 or "host" in target
    assert all(v["mismatches"] == 0 for v in found["verification"].values())
    assert len(found["verification"]) + len(found["not_verified"]) == 3


def other_weight(folder: Path) -> str:
    """Change a bit of a layer's first number in the generated C; the layer's name."""
    path = folder / "net_weights.h"
    text = path.read_text()
    # weights alone, or packed with biases, as the kernel of the layer wants it
    pattern = r"int\d+_t net_(\w+)_(weight|packed)\[\d+\] = \{\s+(-?\d+)"
    match = re.search(pattern, text)
    assert match
    # a bit that no input hides: of an int8 weight, or of the bias that packed tables begin with
    other = int(match[3]) ^ (64 if match[2] == "weight" else 1 << 14)
    path.write_text(f"{text[: match.start(3)]}{other}{text[match.end(3) :]}")
    return match[1]


def test_one_other_weight_is_found(folder: Path) -> None:
    layer = other_weight(folder)
    with pytest.raises(MismatchError, match=rf"^host: layer {layer} .* differs first at"):
        verify_folder(folder, simulate=0)
    message = refused("verify", folder, "--simulate", 0, code=1)
    assert re.search(r"sample 0: expected -?\d+, got -?\d+ ", message)
    assert "unless a generated file was changed, this is a bug" in message


def test_debug_shows_the_traceback(folder: Path) -> None:
    from click.testing import CliRunner

    from mcugen.cli import main

    other_weight(folder)
    result = CliRunner().invoke(main, ["verify", str(folder), "--simulate", "0", "--debug"])
    assert (result.exit_code, "Traceback (most recent call last)" in result.stderr) == (1, True)


def test_verify_of_code_that_does_not_compile(folder: Path) -> None:
    (folder / "net.c").write_text("int main(void) { return nothing; }\n")
    assert " failed with 1:\n" in refused("verify", folder, "--simulate", 0)


COMMANDS: dict[str, tuple[object, ...]] = {
    "verify": (),
    "run": ("--input", "x.npy"),
    "profile": (),
}


@pytest.fixture(params=COMMANDS)
def command(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[str, tuple[object, ...]]:
    """Each command that takes a folder, with what it needs beside."""
    np.save(tmp_path / "x.npy", np.zeros(SHAPE, np.float32))
    options = tuple(tmp_path / o if o == "x.npy" else o for o in COMMANDS[request.param])
    return request.param, options


Command = tuple[str, tuple[object, ...]]


@pytest.mark.parametrize("file", ["net.c", "net_weights.h", "mcugen.h"])
def test_lost_source(command: Command, file: str, folder: Path) -> None:
    (folder / file).unlink()
    expected = f"error: {folder} lacks {file}, which `mcugen build` wrote; build it again\n"
    assert refused(command[0], folder, *command[1]) == expected


def test_lost_reference(command: Command, folder: Path) -> None:
    (folder / "reference.mcugen").unlink()
    assert f"{folder} lacks reference.mcugen" in refused(command[0], folder, *command[1])


def test_cut_reference(command: Command, folder: Path) -> None:
    path = folder / "reference.mcugen"
    path.write_bytes(path.read_bytes()[:1000])
    assert "build the folder again" in refused(command[0], folder, *command[1])


REPORTS = {
    "none": None,
    "empty": "",
    "cut": '{"name": "net"',
    "of another kind": "[1, 2]",
    "without keys": '{"name": "net"}',
    "with wrong values": '{"name": 1, "board": [], "core": 0, "arena_bytes": "x", "files": 3}',
    "with names that are none": '{"name":"n","board":"b","core":"c","arena_bytes":1,"files":[{}]}',
}


@pytest.mark.parametrize("report", REPORTS.values(), ids=REPORTS)
def test_folder_that_is_none_of_ours(command: Command, report: str | None, tmp_path: Path) -> None:
    folder = tmp_path / "other"
    folder.mkdir()
    (folder / "main.c").write_text("int main(void) { return 0; }\n")
    if report is not None:
        (folder / "report.json").write_text(report)
    before = contents(folder)
    message = refused(command[0], folder, *command[1])
    assert str(folder) in message
    assert contents(folder) == before


def test_folder_that_is_not_there(command: Command, tmp_path: Path) -> None:
    message = refused(command[0], tmp_path / "nowhere", *command[1])
    assert "is not a folder that `mcugen build` wrote" in message


def test_folder_that_is_a_file(command: Command, net_file: Path) -> None:
    assert "is not a folder" in refused(command[0], net_file, *command[1])


@pytest.mark.slow
def test_a_users_own_board_is_not_needed_again(root: Path, net_file: Path, tmp_path: Path) -> None:
    text = (root / "boards" / "stm32f407vg.toml").read_text("utf-8")
    text = re.sub(r'\nname = ".*"', '\nname = "my-board"', text, count=1)
    board = tmp_path / "my.toml"
    board.write_text(re.sub(r"\naliases = .*", "", text))
    folder = build(net_file, out=tmp_path / "out", board=str(board))
    assert json.loads((folder / "report.json").read_text())["board"] == "my-board"
    board.unlink()
    assert mcugen("verify", folder, "--simulate", 1).exit_code == 0


def test_an_unknown_core_asks_for_the_board_file(folder: Path) -> None:
    report = json.loads((folder / "report.json").read_text())
    (folder / "report.json").write_text(json.dumps(report | {"core": "my-core"}))
    assert "name that file with --board" in refused("verify", folder)


# run


def test_run_on_floats(built: Path, data_file: Path, tmp_path: Path) -> None:
    shown = mcugen("run", built, "--input", data_file)
    assert shown.stdout.startswith("float32 [12, 3]\n")
    target = tmp_path / "y.npy"
    result = mcugen("run", built, "--input", data_file, "--output", target)
    assert (result.exit_code, result.stdout) == (0, f"wrote {target}\n")
    x = np.load(data_file)["x"]
    with torch.no_grad():
        exact = small_net()(torch.from_numpy(x)).numpy()
    assert float(np.abs(np.load(target) - exact).max()) < 0.05 * float(np.abs(exact).max())


def test_run_on_int8_is_run_on_floats_without_the_scales(
    built: Path, data_file: Path, tmp_path: Path
) -> None:
    report = json.loads((built / "report.json").read_text())
    [taken], [given] = report["inputs"], report["outputs"]
    q = np.random.default_rng(0).integers(-128, 128, (4, *taken["shape"]), np.int8)
    real = (q.astype(np.float64) - taken["zero_point"]) * taken["scale"]
    np.save(tmp_path / "q.npy", q)
    np.save(tmp_path / "x.npy", real.transpose(0, 3, 1, 2).astype(np.float32))
    results = []
    for name in ("q", "x"):
        target = tmp_path / f"{name}_out.npy"
        assert mcugen("run", built, "--input", tmp_path / f"{name}.npy", "--output", target)
        results.append(np.load(target))
    steps = (results[0].astype(np.float64) - given["zero_point"]) * given["scale"]
    assert results[0].dtype == np.int8
    np.testing.assert_array_equal(steps.astype(np.float32), results[1])


def test_one_sample_needs_no_batch_axis(built: Path) -> None:
    x = np.ones(SHAPE, np.float32)
    with api.load(built) as network:
        one, batch = network(x[0]), network(x)
    assert isinstance(one, np.ndarray) and one.shape == (3,)
    np.testing.assert_array_equal(one, np.asarray(batch)[0])


WRONG_INPUTS: dict[str, tuple[NDArray[Any], str]] = {
    "shape": (np.zeros((2, 1, 6, 5)), "expected the model's own, float, [N, 1, 6, 6]"),
    "channels last": (np.zeros((2, 6, 6, 1)), "expected the model's own, float, [N, 1, 6, 6]"),
    "int8 shape": (np.zeros((2, 1, 6, 6), np.int8), "as in the header, [N, 6, 6, 1]"),
    "text": (np.full(SHAPE, "1"), "must hold finite real numbers, got dtype <U1"),
    "complex": (np.zeros(SHAPE, complex), "must hold finite real numbers"),
    "nan": (np.full(SHAPE, np.nan), "must hold finite real numbers"),
    "infinite": (np.full(SHAPE, np.inf), "must hold finite real numbers"),
    "number": (np.array(3.0), "has shape []"),
}


@pytest.mark.slow
@pytest.mark.parametrize(("x", "message"), WRONG_INPUTS.values(), ids=WRONG_INPUTS)
def test_run_on_wrong_arrays(x: NDArray[Any], message: str, built: Path, tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", x)
    assert message in refused("run", built, "--input", tmp_path / "x.npy")
    with api.load(built) as network, pytest.raises(CalibrationError):
        network(x)


def test_run_on_files_that_are_no_arrays(built: Path, data_file: Path, tmp_path: Path) -> None:
    path = tmp_path / "x.npz"
    message = f"{path} is no complete .npz or .npy file"
    for content in (b"", b"text", data_file.read_bytes()[:500]):
        path.write_bytes(content)
        assert message in refused("run", built, "--input", path)
    np.save(tmp_path / "pickled.npy", np.array([{}], object), allow_pickle=True)
    assert "is no complete" in refused("run", built, "--input", tmp_path / "pickled.npy")
    assert "cannot be read" in refused("run", built, "--input", tmp_path / "nowhere.npy")
    assert "a device or a pipe" in refused("run", built, "--input", "/dev/zero")


def test_run_on_too_many_arrays(built: Path, data_file: Path) -> None:
    message = refused("run", built, "--input", data_file, "--input", data_file)
    assert "the network takes 1 inputs, got 2" in message


def test_results_go_to_files_that_numpy_reads(built: Path, data_file: Path, tmp_path: Path) -> None:
    message = refused("run", built, "--input", data_file, "--output", tmp_path / "y.bin")
    assert "must end in .npy or .npz" in message
    nowhere = tmp_path / "nowhere" / "y.npy"
    assert "cannot write" in refused("run", built, "--input", data_file, "--output", nowhere)
    assert not list(tmp_path.iterdir())


class TwoInTwoOut(nn.Module):
    def forward(self, a: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
        return torch.relu(a) + b, a * b


@pytest.mark.slow
def test_run_with_several_inputs_and_outputs(tmp_path: Path) -> None:
    model = saved(exported(TwoInTwoOut(), (1, 4), (1, 4)), tmp_path / "net.pt2")
    folder = build(model, out=tmp_path / "out")
    x = {"a": np.eye(4, dtype=np.float32), "b": np.ones((4, 4), np.float32)}
    np.savez(tmp_path / "both.npz", **x)  # type: ignore[arg-type] # numpy's own stub is too narrow
    for name, array in x.items():
        np.save(tmp_path / f"{name}.npy", array)
    separate = [part for name in x for part in ("--input", tmp_path / f"{name}.npy")]
    target = tmp_path / "y.npz"
    for inputs in (["--input", tmp_path / "both.npz"], separate):
        assert mcugen("run", folder, *inputs, "--output", target).exit_code == 0
        y = np.load(target)
        np.testing.assert_allclose(y["arr_0"], np.eye(4) + 1, atol=0.1)
        np.testing.assert_allclose(y["arr_1"], np.eye(4), atol=0.2)

    assert "need a .npz file" in refused("run", folder, *separate, "--output", tmp_path / "y.npy")
    assert "takes 2 inputs, got 1" in refused("run", folder, *separate[:2])
    np.save(tmp_path / "b.npy", x["b"][:3])
    assert "different numbers of samples" in refused("run", folder, *separate)


# profile and boards


@pytest.mark.slow
def test_profile(built: Path, tool: Any) -> None:
    tool("qemu-system-arm")
    tool("arm-none-eabi-gcc")
    found = json.loads(mcugen("profile", built, "--json").stdout)
    report = json.loads((built / "report.json").read_text())
    assert [layer["name"] for layer in found["layers"]] == [n["name"] for n in report["layers"]]
    assert found["arena_bytes"] == report["arena_bytes"]
    assert found["flash_bytes"] == report["flash_bytes"]
    assert found["static_ram_bytes"] == 0
    assert all(layer["instructions"] > 0 for layer in found["layers"])
    assert found["cycles"] >= found["instructions"]


@pytest.mark.slow
def test_profile_sets_the_model_against_the_count(built: Path, tool: Any) -> None:
    tool("qemu-system-arm")
    tool("arm-none-eabi-gcc")
    found = json.loads(mcugen("profile", built, "--json").stdout)
    report = json.loads((built / "report.json").read_text())
    for layer, reported in zip(found["layers"], report["layers"], strict=True):
        assert layer["variant"] == reported["variant"]
        assert layer["model_cost"] == reported["model_cost"] > 0
    assert found["model_cost"] == sum(layer["model_cost"] for layer in found["layers"])
    shown = mcugen("profile", built).stdout
    assert re.search(r"(?m)^layer .* kernel +model cycles +model/cycles$", shown)
    ratio = f"{found['model_cost'] / found['cycles']:.2f}"
    assert re.search(rf"(?m)^total .* {found['model_cost']:,} +{ratio}$", shown)
    other = json.loads(mcugen("profile", built, "--board", "cortex-m3", "--json").stdout)
    assert other["model_cost"] is None
    assert "model" not in mcugen("profile", built, "--board", "cortex-m3").stdout


def test_boards() -> None:
    listed = mcugen("boards")
    assert listed.exit_code == 0
    assert len(re.findall(r"(?m)^\S+ .* MHz ", listed.stdout)) >= 7 + 12
    one = mcugen("boards", "stm32f407vg")
    assert "0x08000000" in one.stdout
    assert "unknown board 'nope'" in refused("boards", "nope")


# the command line itself


@pytest.mark.parametrize("arguments", [[], ["frobnicate"], ["build"], ["build", "--frobnicate"]])
def test_wrong_usage(arguments: list[str]) -> None:
    assert mcugen(*arguments).exit_code == 2


def test_version_and_help() -> None:
    assert mcugen("--version").stdout == f"mcugen, version {api.__version__}\n"
    for name in ("build", "inspect", "verify", "run", "profile", "boards"):
        assert mcugen(name, "-h").stdout.startswith("Usage: main " + name)
