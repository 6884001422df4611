# SPDX-License-Identifier: Apache-2.0
"""Whole builds on what clumsy and hostile users pass: one clear message, and nothing destroyed."""

from __future__ import annotations

import importlib.util
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.export import Dim

import mcugen as api
from mcugen import compiler, toolchains
from mcugen.errors import BudgetError, CalibrationError, InternalError, ModelError, OutputError
from tests.command import build, contents, mcugen, refused
from tests.model_files import SHAPE, dynamic_batch, exported, saved, small_net

BOARD = ("--board", "cortex-m4", "--simulate", "0")


def build_module(module: nn.Module, out: Path, *shapes: tuple[int, ...], **more: Any) -> Any:
    """The report of a build of a module."""
    options: dict[str, Any] = {"board": "cortex-m4", "simulate": 0, "name": "net"} | more
    return api.build(module.eval(), input_shapes=shapes, out=out, **options).report


def compiles_strictly(folder: Path, cc: str) -> bool:
    """Whether the C of a folder compiles without a warning."""
    flags = ["-std=c99", "-pedantic", "-Wall", "-Wextra", "-Wconversion", "-Wshadow", "-Werror"]
    sources = [str(path) for path in folder.glob("*.c")]
    command = [cc, *flags, "-fsyntax-only", *sources]
    return subprocess.run(command, check=False).returncode == 0


# names of networks


BAD_NAMES = [
    "int",
    "main",
    "stdint",
    "mcugen",
    "mcugen_x",
    'a"b',
    "../x",
    "a/b",
    "a b",
    "a\nb",
    "Ab",
]
BAD_NAMES += ["été", "日本", "", "1a", "_a", "a-b", "a;", "*/", "$(id)", "x" * 200]


@pytest.mark.parametrize("name", BAD_NAMES)
def test_name_that_is_none(name: str, net_file: Path, tmp_path: Path) -> None:
    message = refused("build", net_file, *BOARD, "--out", tmp_path / "out", "--name", name)
    assert "pass another one with --name" in message
    assert len(message) < 250
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("stem", ["int", "日本", "--"])
def test_file_name_that_gives_none(stem: str, net_file: Path, tmp_path: Path) -> None:
    model = tmp_path / f"{stem}.pt2"
    model.write_bytes(net_file.read_bytes())
    assert "--name" in refused("build", model, *BOARD, "--out", tmp_path / "out")


@pytest.mark.parametrize("stem", ['a"b', "a*_b", "x" * 200, "..x"])
def test_file_name_that_gives_one(
    stem: str, net_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    model = tmp_path / f"{stem}.pt2"
    model.write_bytes(net_file.read_bytes())
    assert mcugen("build", model, *BOARD).exit_code == 0
    [folder] = (tmp_path / "build").iterdir()
    assert re.fullmatch("[a-z_]{1,48}", folder.name)


# names of layers


class Chain(nn.Module):
    """Linear layers under names that no attribute could have, but a ModuleDict's key can."""

    def __init__(self, *names: str) -> None:
        super().__init__()
        for name in names:
            self._modules[name] = nn.Linear(4, 4)

    def forward(self, x: Tensor) -> Tensor:
        for layer in self._modules.values():
            assert layer is not None
            x = layer(x)
        return x


HOSTILE = ["int", "class", "a*/b", "*/ int x; /*", '"', "\\", "a\nb", "#include <a>", "??/", " "]
HOSTILE += ["été", "日本", "1", "x" * 200, "\x1b[31m", "%s{{ net }}", "a_b", "a-b", "A/B"]


@pytest.mark.slow
def test_names_of_layers_never_reach_the_c(tmp_path: Path, tool: Callable[[str], str]) -> None:
    out = tmp_path / "out"
    report = build_module(Chain(*HOSTILE), out, (1, 4))
    names = [layer["name"] for layer in report["layers"]]
    assert len(set(names)) == len(HOSTILE)
    assert all(re.fullmatch("[a-z][a-z0-9_]{0,47}", name) for name in names)
    assert all(layer["origin"].isprintable() for layer in report["layers"])
    generated = "".join((out / f"net{end}").read_text() for end in (".h", ".c", "_weights.h"))
    assert generated.isascii()
    assert "int x;" not in generated
    assert compiles_strictly(out, tool("gcc"))


@pytest.mark.slow
@pytest.mark.parametrize("name", ["class", '"', "\\", "a\nb"])
def test_name_that_breaks_source_text(name: str, tmp_path: Path) -> None:
    report = build_module(Chain(name), tmp_path / "out", (1, 4))
    assert len(report["layers"]) == 1


def test_long_names_that_begin_alike(tmp_path: Path) -> None:
    report = build_module(Chain("x" * 200 + "a", "x" * 200 + "b"), tmp_path / "out", (1, 4))
    one, other = (layer["name"] for layer in report["layers"])
    assert one != other


class TakenName(nn.Module):
    def forward(self, cat_in0: Tensor, b: Tensor) -> Tensor:
        return torch.cat([cat_in0, b * 100], 1)


def test_input_called_as_a_rescaled_operand_would_be(tmp_path: Path) -> None:
    report = build_module(TakenName(), tmp_path / "out", (1, 4), (1, 4))
    assert {"cat_in0_2", "cat"} <= {layer["name"] for layer in report["layers"]}


class Keywords(nn.Module):
    def forward(self, int: Tensor, base: Tensor) -> Tensor:
        return int + base


def test_inputs_called_like_words_of_c(tmp_path: Path, tool: Callable[[str], str]) -> None:
    build_module(Keywords(), tmp_path / "out", (1, 4), (1, 4))
    assert compiles_strictly(tmp_path / "out", tool("gcc"))


# boards


HOSTILE_BOARDS = [("name", "a*/b"), ("name", "../x"), ("name", ""), ("name", "x" * 200)]
HOSTILE_BOARDS += [("title", "a */ int x; /*"), ("title", 'a\\"b'), ("title", "été")]


@pytest.mark.parametrize(("key", "text"), HOSTILE_BOARDS)
def test_hostile_board(key: str, text: str, root: Path, net_file: Path, tmp_path: Path) -> None:
    shipped = (root / "boards" / "stm32f407vg.toml").read_text("utf-8")
    lines = re.sub(rf"\n{key} = .*", lambda _: f'\n{key} = "{text}"', shipped, count=1)
    board = tmp_path / "board.toml"
    board.write_text(lines, encoding="utf-8")
    out = tmp_path / "out"
    message = refused("build", net_file, "--board", board, "--out", out)
    assert f"has 1 problem:\n  {key}: expected " in message
    assert not out.exists()


@pytest.mark.parametrize("board", ["", "nope", "../x", "/dev/zero", "nowhere.toml", "x" * 200])
def test_board_that_is_none(board: str, net_file: Path, tmp_path: Path) -> None:
    refused("build", net_file, "--board", board, "--out", tmp_path / "out")


class Large(nn.Module):
    """Three million weights, and one layer that holds more than all others."""

    def __init__(self) -> None:
        super().__init__()
        self.wide = nn.Linear(1000, 300)
        self.narrow = nn.Linear(300, 10)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.narrow(torch.relu(self.wide(x)))
        return y


def test_network_that_does_not_fit_in_flash(tmp_path: Path) -> None:
    with pytest.raises(BudgetError) as caught:
        build_module(Large(), tmp_path / "out", (1, 1000), board="stm32f030r8")
    lines = str(caught.value).splitlines()
    assert lines[0] == "the network does not fit stm32f030r8:"
    assert re.fullmatch(
        r"  flash: needed 3\d{5} bytes, available 65536; layer wide_linear "
        r"\(wide \(test_bad_input.py:\d+\)\) is the largest with 30\d{4} bytes",
        lines[1],
    )
    assert not list(tmp_path.iterdir())


def test_network_that_does_not_fit_in_ram(tmp_path: Path) -> None:
    model = saved(exported(nn.Conv2d(3, 16, 3).eval(), (1, 3, 64, 64)), tmp_path / "net.pt2")
    options = ("--board", "stm32f030r8", "--out", tmp_path / "out")
    message = refused("build", model, *options)
    needed = re.search(r"RAM: needed (\d+) bytes of arena, available 8192; layer conv2d ", message)
    assert needed and int(needed[1]) >= 62 * 62 * 16
    assert "binds, its tensors are " in message
    assert message.endswith("nothing was written\n")
    assert not (tmp_path / "out").exists()


# model files


def bad_files(net_file: Path) -> dict[str, bytes]:
    data = net_file.read_bytes()
    middle = len(data) // 2
    flipped = [data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :] for at in (45, middle)]
    return {
        "empty": b"",
        "cut": data[:middle],
        "without its end": data[:-1000],
        "one bit": flipped[0],
        "another bit": flipped[1],
        "text": b"import torch\n",
        "zeros": bytes(1000),
    }


@pytest.mark.parametrize("command", ["build", "inspect"])
@pytest.mark.parametrize(
    "kind", ["empty", "cut", "without its end", "one bit", "another bit", "text", "zeros"]
)
def test_damaged_model(command: str, kind: str, net_file: Path, tmp_path: Path) -> None:
    path = tmp_path / "net.pt2"
    path.write_bytes(bad_files(net_file)[kind])
    options = (*BOARD, "--out", tmp_path / "out") if command == "build" else ()
    assert refused(command, path, *options).startswith(f"error: {path}: ")
    assert list(tmp_path.iterdir()) == [path]


def test_model_that_is_no_file(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path / "nowhere", tmp_path, tmp_path / "pipe", Path("/dev/zero")):
        refused("inspect", path)


@pytest.mark.slow
def test_dynamic_batch_is_pinned_with_a_warning(tmp_path: Path) -> None:
    model = saved(dynamic_batch(small_net()), tmp_path / "net.pt2")
    result = mcugen("build", model, *BOARD, "--out", tmp_path / "out", "--quiet")
    assert result.exit_code == 0
    assert "warning: the dynamic batch of x is compiled as 1" in result.stderr


class Pooled(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return nn.functional.adaptive_avg_pool2d(x, 1).flatten(1)


def test_other_dynamic_axis(tmp_path: Path) -> None:
    shape = (1, 2, 8, 8)
    program = exported(Pooled().eval(), shape, dynamic=({2: Dim("height")},))
    model = saved(program, tmp_path / "net.pt2")
    message = refused("build", model, *BOARD, "--out", tmp_path / "out")
    assert "dynamic size on axis 2; only the batch, axis 0, may be dynamic" in message


def test_axis_of_size_zero(tmp_path: Path) -> None:
    model = saved(exported(nn.ReLU(), (1, 0, 8)), tmp_path / "net.pt2")
    assert "holds no axis or no value" in refused("inspect", model)


def test_script_as_arch_cannot_end_the_command(tmp_path: Path) -> None:
    torch.save(nn.Linear(4, 3).state_dict(), tmp_path / "net.pt")
    (tmp_path / "train.py").write_text("import sys\nsys.exit(0)\n")
    arch = ("--arch", f"{tmp_path / 'train.py'}:Net", "--input-shape", "1,4")
    assert "cannot be imported: SystemExit" in refused("inspect", tmp_path / "net.pt", *arch)


class Branches(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.fc = nn.Linear(4, 4)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.fc(x) if x.sum() > 0 else -x
        return y


def test_data_dependent_branch_gives_one_message(capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(ModelError, match=r"torch\.export cannot trace the network"):
        build_module(Branches(), Path("nowhere"), (1, 4))
    assert capfd.readouterr() == ("", "")  # torch would print its unfinished graph


# calibration data


def noise(count: int = 4) -> NDArray[np.float32]:
    return np.random.default_rng(1).standard_normal((count, *SHAPE[1:])).astype(np.float32)


def with_value(value: float) -> NDArray[np.float32]:
    x = noise()
    x[2, 0, 1, 3] = value
    return x


BAD_DATA: dict[str, tuple[NDArray[Any], str]] = {
    "shape": (noise()[:, :, :5], "expected [N, 1, 6, 6]"),
    "channels last": (noise().transpose(0, 2, 3, 1), "x.transpose(0, 3, 1, 2)"),
    "flat": (noise().reshape(4, -1), "x.reshape(-1, 1, 6, 6)"),
    "no samples": (noise(0), "holds no samples"),
    "text": (noise().astype(str), "expected real numbers"),
    "complex": (noise().astype(complex), "expected real numbers"),
    "nan": (with_value(np.nan), "first: nan at sample 2, index [0, 1, 3]"),
    "infinite": (with_value(np.inf), "first: inf at sample 2, index [0, 1, 3]"),
    "beyond float32": (noise().astype(float) * 1e300, "not finite"),
}


@pytest.mark.parametrize(("x", "message"), BAD_DATA.values(), ids=BAD_DATA)
@pytest.mark.filterwarnings("ignore:overflow:RuntimeWarning")
def test_unfit_calibration(x: NDArray[Any], message: str, net_file: Path, tmp_path: Path) -> None:
    path = tmp_path / "x.npz"
    np.savez(path, x=x)
    out = tmp_path / "out"
    assert message in refused("build", net_file, *BOARD, "--calib", path, "--out", out)
    assert not out.exists()


@pytest.mark.slow
@pytest.mark.parametrize("option", ["--calib", "--eval"])
def test_data_that_cannot_be_read(
    option: str, net_file: Path, data_file: Path, tmp_path: Path
) -> None:
    (tmp_path / "empty.npz").touch()
    (tmp_path / "cut.npz").write_bytes(data_file.read_bytes()[:700])
    for path in (tmp_path / "empty.npz", tmp_path / "cut.npz", tmp_path, "nowhere", "/dev/zero"):
        refused("build", net_file, *BOARD, option, path, "--out", tmp_path / "out")


LABELS = {
    "missing": np.zeros(3),
    "negative": np.array([-1, 0, 1, 2]),
    "too large": np.array([0, 1, 2, 3]),
    "text": np.array(["a", "b", "c", "d"]),
    "fractions": np.array([0.5, 0, 1, 2]),
}


@pytest.mark.slow
@pytest.mark.parametrize("y", LABELS.values(), ids=LABELS)
def test_unfit_labels(y: NDArray[Any], net_file: Path, tmp_path: Path) -> None:
    path = tmp_path / "data.npz"
    np.savez(path, x=noise(), y=y)
    out = tmp_path / "out"
    assert "labels" in refused("build", net_file, *BOARD, "--eval", path, "--out", out)
    assert not out.exists()


EXTREME: dict[str, NDArray[np.float32]] = {
    "zeros": np.zeros((3, *SHAPE[1:]), np.float32),
    "one value": np.full(SHAPE, 3.0, np.float32),
    "one negative value": np.full(SHAPE, -7.5, np.float32),
    "huge": noise() * np.float32(1e30),
    "tiny": noise() * np.float32(1e-30),
    "subnormal": noise() * np.float32(1e-42),
    "huge and tiny": np.concatenate([noise() * np.float32(1e25), noise() * np.float32(1e-25)]),
}


@pytest.mark.slow
@pytest.mark.parametrize("x", EXTREME.values(), ids=EXTREME)
@pytest.mark.parametrize("ranges", ["minmax", "percentile:99"])
def test_extreme_calibration(x: NDArray[np.float32], ranges: str, tmp_path: Path) -> None:
    module = nn.Sequential(small_net(), nn.Softmax(1))
    report = build_module(module, tmp_path / "out", SHAPE, calibration=x, ranges=ranges)
    assert report["verification"]["host"]["mismatches"] == 0
    text = (tmp_path / "out" / "report.json").read_text()
    assert "NaN" not in text and "Infinity" not in text
    scales = [layer["scale"] for layer in report["layers"]]
    assert all(np.isfinite(scale) and scale > 0 for scale in scales)


@pytest.mark.filterwarnings("ignore:overflow:RuntimeWarning")
def test_network_that_overflows_on_the_data(tmp_path: Path) -> None:
    module = nn.Linear(6, 4)
    nn.init.constant_(module.weight, 10.0)
    x = np.full((2, 6), 3e38, np.float32)
    with pytest.raises(CalibrationError, match="gives NaN or infinity on calibration data"):
        build_module(module, tmp_path / "out", (1, 6), calibration=x)


class Dead(nn.Module):
    """Channels that are constant, and outputs that are always zero."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(1, 4, 3)
        with torch.no_grad():
            self.conv.weight[1:3] = 0.0

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        y = self.conv(x)
        return torch.relu(y) * 0.0, torch.relu(-torch.relu(y))


def test_constant_channels_and_outputs_that_are_all_zero(tmp_path: Path) -> None:
    report = build_module(Dead(), tmp_path / "out", SHAPE)
    assert report["verification"]["host"]["mismatches"] == 0
    assert [output["sqnr_db"] for output in report["outputs"]] == [None, None]
    with api.load(tmp_path / "out") as network:
        for y in network(noise()):
            assert not np.any(y)


@pytest.mark.slow
@pytest.mark.parametrize("factor", [1e30, 1e-30, 1e-42, 0.0])
def test_extreme_weights(factor: float, tmp_path: Path) -> None:
    torch.manual_seed(0)
    module = nn.Linear(6, 4)
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.mul_(factor)
    report = build_module(module, tmp_path / "out", (1, 6))
    assert report["verification"]["host"]["mismatches"] == 0


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_weights_that_are_not_finite(value: float, tmp_path: Path) -> None:
    module = small_net()
    with torch.no_grad():
        module.fc.bias[1] = value
    with pytest.raises(ModelError, match=r"not finite .* in: fc\.bias"):
        build_module(module, tmp_path / "out", SHAPE)


# tools that are missing


@pytest.fixture
def no_packages(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """No compiler on the PATH and no package that brings a tool."""
    find = importlib.util.find_spec
    hidden = ("ziglang", "unicorn")
    monkeypatch.setattr(importlib.util, "find_spec", lambda n: None if n in hidden else find(n))
    monkeypatch.delenv("MCUGEN_CC", raising=False)
    monkeypatch.delenv("MCUGEN_ENGINE", raising=False)
    for cached in (toolchains.host_compiler, toolchains.cross_compiler):
        cached.cache_clear()
    yield
    for cached in (toolchains.host_compiler, toolchains.cross_compiler):
        cached.cache_clear()


@pytest.mark.usefixtures("no_packages")
def test_no_compiler(
    net_file: Path, built: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    message = refused("build", net_file, "--board", "cortex-m4", "--out", tmp_path / "out")
    assert message.splitlines()[-1].startswith("error: no C compiler for this machine: none of cc,")
    assert "pip install 'mcugen[sim]'" in message
    assert not list(tmp_path.iterdir())
    assert "no C compiler" in refused("verify", built)


@pytest.mark.usefixtures("no_packages")
def test_no_simulator_is_a_warning_and_no_silence(
    net_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tool: Callable[[str], str]
) -> None:
    tools = tmp_path / "bin"
    tools.mkdir()
    for name in ("cc", "as", "ld"):
        (tools / name).symlink_to(tool(name))
    monkeypatch.setenv("PATH", str(tools))
    out = tmp_path / "out"
    result = mcugen("build", net_file, "--board", "cortex-m4", "--out", out)
    assert result.exit_code == 0
    assert "warning: not verified on the simulated core: cortex-m4: no simulator" in result.stderr
    assert "not verified: cortex-m4: no simulator for cortex-m4: install qemu" in result.stdout
    assert "code not measured (no compiler)" in result.stdout
    report = json.loads((out / "report.json").read_text())
    assert list(report["verification"]) == ["host"]
    assert len(report["not_verified"]) == 1
    assert (report["flash_bytes"], report["compiler"]) == (None, None)
    assert "no simulator for cortex-m4" in refused("profile", out)


def test_an_unknown_engine_is_no_missing_one(
    net_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MCUGEN_ENGINE", "qmeu")
    message = refused("build", net_file, "--board", "cortex-m4", "--out", tmp_path / "out")
    assert "MCUGEN_ENGINE is 'qmeu'; expected one of qemu, unicorn" in message
    assert not (tmp_path / "out").exists()


@pytest.mark.usefixtures("no_packages")
@pytest.mark.parametrize("command", ["false", "no-such-command", "'"])
def test_compiler_of_the_environment_that_fails(
    command: str, net_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MCUGEN_CC", command)
    refused("build", net_file, *BOARD, "--out", tmp_path / "out")
    assert not list(tmp_path.iterdir())


# the output folder


@pytest.fixture
def old(built: Path, tmp_path: Path) -> Path:
    """A finished build that must survive."""
    return Path(shutil.copytree(built, tmp_path / "work" / "net"))


def test_failure_leaves_the_old_folder(
    net_file: Path, old: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> None:
        msg = "something impossible"
        raise InternalError(msg)

    before = contents(old.parent)
    monkeypatch.setattr(compiler, "verify_everywhere", fail)
    message = refused("build", net_file, *BOARD, "--out", old, code=1)
    assert message.splitlines()[-2:] == [
        "internal error: something impossible",
        "this is a bug of mcugen; please report it with the output of --debug",
    ]
    assert contents(old.parent) == before


def test_bug_of_ours_is_no_traceback(
    net_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    nothing: dict[str, str] = {}
    monkeypatch.setattr(compiler, "compile_graph", lambda *_: nothing["key"])
    message = refused("build", net_file, *BOARD, "--out", tmp_path / "out", code=1)
    assert "internal error: KeyError: 'key'\n" in message


def test_success_replaces_the_old_folder(net_file: Path, old: Path) -> None:
    build(net_file, "--name", "other", out=old)
    assert (old / "other.c").is_file() and not (old / "net.c").exists()
    assert list(old.parent.iterdir()) == [old]


FOREIGN: dict[str, Callable[[Path], object]] = {
    "a file": lambda folder: (folder / "main.c").write_text("mine"),
    "a hidden file": lambda folder: (folder / ".git").write_text("mine"),
    "a folder": lambda folder: (folder / "src").mkdir(),
}


@pytest.mark.parametrize("add", FOREIGN.values(), ids=FOREIGN)
def test_folder_with_a_foreign_file_is_refused(
    add: Callable[[Path], object], net_file: Path, old: Path
) -> None:
    add(old)
    before = contents(old)
    message = refused("build", net_file, *BOARD, "--out", old)
    assert "holds files that mcugen did not write" in message
    assert contents(old) == before


def test_folders_that_are_not_ours(net_file: Path, tmp_path: Path) -> None:
    for out in (net_file, net_file.parent, Path("/"), Path("/dev/null")):
        assert "another" in refused("build", net_file, *BOARD, "--out", out)


def test_current_folder_is_not_replaced(
    net_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for out in (".", "", tmp_path):
        assert "is the current folder" in refused("build", net_file, *BOARD, "--out", out)
    assert not list(tmp_path.iterdir())


def test_place_that_cannot_be_written(net_file: Path) -> None:
    message = refused("build", net_file, *BOARD, "--out", "/proc/mcugen/net")
    assert message.splitlines()[-1].startswith("error: cannot write output folder /proc/mcugen/net")


def test_out_through_python(net_file: Path, old: Path) -> None:
    (old / "mine.txt").touch()
    with pytest.raises(OutputError, match=r"mine\.txt"):
        api.build(net_file, board="cortex-m4", out=old)


# the process


def start(*arguments: object, cwd: Path, **more: Any) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "mcugen", *map(str, arguments)]
    pipe = subprocess.PIPE
    return subprocess.Popen(command, cwd=cwd, stdout=pipe, stderr=pipe, text=True, **more)


@pytest.mark.slow
@pytest.mark.parametrize("blocks", [2, 8, 24])
def test_full_disk(blocks: int, net_file: Path, old: Path) -> None:
    """A limit of the size of files stands for it: ours, or one of the compiler's, is cut short."""
    import resource

    limit = (blocks * 512, blocks * 512)
    before = contents(old.parent)
    process = start(
        "build",
        net_file,
        "--name",
        "other",
        *BOARD,
        "--out",
        old,
        cwd=old.parent,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, limit),
    )
    _, errors = process.communicate()
    assert process.returncode == 2
    assert errors.startswith("error: ")
    assert "Traceback" not in errors
    assert contents(old.parent) == before


@pytest.mark.slow
@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGKILL, -9)]
)
def test_end_in_the_middle(
    number: signal.Signals, code: int, net_file: Path, old: Path, tmp_path: Path
) -> None:
    """The signal comes while the compiler runs, which is told to wait."""
    slow = tmp_path / "slow-cc"
    slow.write_text(f"#!/bin/sh\ntouch '{tmp_path}/started'\nexec sleep 60\n")
    slow.chmod(0o755)
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    before = contents(old)
    process = start(
        "build",
        net_file,
        "--name",
        "other",
        *BOARD,
        "--out",
        old,
        cwd=old.parent,
        env=os.environ | {"MCUGEN_CC": str(slow), "TMPDIR": str(temporary)},
    )
    for _ in range(600):
        if (tmp_path / "started").exists():
            break
        time.sleep(0.05)
    process.send_signal(number)
    _, errors = process.communicate(timeout=30)
    assert process.returncode == code
    assert "Traceback" not in errors
    assert contents(old) == before
    if number != signal.SIGKILL:  # which leaves no time to clean up
        assert [*old.parent.iterdir(), *temporary.iterdir()] == [old]
    build(net_file, out=old)  # and what is left is in nobody's way


@pytest.mark.slow
def test_reader_that_goes_away(built: Path, data_file: Path, tmp_path: Path) -> None:
    for arguments in (("boards",), ("verify", built, "--simulate", 0), ("inspect", "--help")):
        process = start(*arguments, cwd=tmp_path)
        assert process.stdout is not None and process.stderr is not None
        process.stdout.close()
        errors = process.stderr.read()
        process.wait()
        assert errors == ""


@pytest.mark.slow
def test_output_that_is_full(built: Path, tmp_path: Path) -> None:
    with Path("/dev/full").open("w") as full:
        command = [sys.executable, "-m", "mcugen", "boards"]
        done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert (done.returncode, "Traceback" in done.stderr) == (2, False)
    assert done.stderr.startswith("error: No space left on device")
