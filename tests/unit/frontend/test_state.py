# SPDX-License-Identifier: Apache-2.0
"""State dicts and checkpoints, and the classes or factories that they belong to."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from mcugen.errors import ModelError
from mcugen.frontend.load import LoadOptions, load
from mcugen.frontend.state import make_module
from tests.model_files import SHAPE, members_of, small_net, write_members

SOURCE = """
from __future__ import annotations
from dataclasses import dataclass
import helper_of_net
from torch import nn

@dataclass
class Width:
    value: int = 2

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(4, helper_of_net.WIDTH)
    def forward(self, x):
        return self.fc(x)

class Sized(Net):
    def __init__(self, size):
        super().__init__()

def broken():
    raise KeyError("no data")

def number():
    return 3

ready = Net()
"""


@pytest.fixture
def source(tmp_path: Path) -> Path:
    (tmp_path / "helper_of_net.py").write_text("WIDTH = 3\n")
    path = tmp_path / "net.py"
    path.write_text(SOURCE)
    return path


@pytest.mark.parametrize("name", ["Net", "ready"])
def test_class_or_network_of_a_file(name: str, source: Path) -> None:
    before = list(sys.path)
    assert make_module(f"{source}:{name}").get_parameter("fc.weight").shape == (3, 4)
    assert sys.path == before


@pytest.mark.parametrize(
    ("name", "pattern"),
    [
        ("Missing", r"no class or function 'Missing'; it has Width, Net, Sized, broken, number"),
        ("Sized", r"cannot be called without arguments: TypeError"),
        ("broken", r"cannot be called without arguments: KeyError: 'no data'"),
        ("number", r"gives a int, expected an nn\.Module"),
    ],
)
def test_what_is_no_network(name: str, pattern: str, source: Path) -> None:
    with pytest.raises(ModelError, match=pattern):
        make_module(f"{source}:{name}")


@pytest.mark.parametrize("arch", ["net.py", ":Net", "gone.py:Net", "Net"])
def test_malformed_arch(arch: str) -> None:
    with pytest.raises(ModelError, match=r"expected file\.py:Name of an existing file"):
        make_module(arch)


def test_file_that_fails_on_import(tmp_path: Path) -> None:
    path = tmp_path / "net.py"
    path.write_text("import no_such_package_anywhere\n")
    with pytest.raises(ModelError, match="cannot be imported: ModuleNotFoundError"):
        make_module(f"{path}:Net")
    other = tmp_path / "net.txt"
    other.write_text("")
    with pytest.raises(ModelError, match="is no Python file"):
        make_module(f"{other}:Net")


def load_content(content: Any, path: Path, arch: str | None) -> nn.Module:
    torch.save(content, path)
    loaded = load(path, LoadOptions(input_shapes=(SHAPE,), arch=arch))
    return loaded.program.module()


@pytest.mark.parametrize("key", ["state_dict", "model_state_dict", "model"])
def test_checkpoint_with_a_state_dict(key: str, tmp_path: Path, arch: str) -> None:
    net = small_net(7)
    checkpoint = {"epoch": 3, key: net.state_dict(), "loss": 0.1}
    module = load_content(checkpoint, tmp_path / "n.pt", arch)
    x = torch.randn(SHAPE)
    assert torch.equal(module(x), net(x))


def test_state_of_a_parallel_network(tmp_path: Path, arch: str) -> None:
    net = small_net(7)
    state = {f"module.{name}": tensor for name, tensor in net.state_dict().items()}
    module = load_content(state, tmp_path / "n.pt", arch)
    x = torch.randn(SHAPE)
    assert torch.equal(module(x), net(x))


def test_legacy_format(tmp_path: Path, arch: str) -> None:
    net = small_net(7)
    torch.save(net.state_dict(), tmp_path / "n.pt", _use_new_zipfile_serialization=False)
    loaded = load(tmp_path / "n.pt", LoadOptions(input_shapes=(SHAPE,), arch=arch))
    x = torch.randn(SHAPE)
    assert torch.equal(loaded.program.module()(x), net(x))


def test_mismatched_names_and_shapes_are_all_listed(tmp_path: Path, arch: str) -> None:
    state = small_net().state_dict()
    state["fc.extra"] = state.pop("fc.bias")
    state["fc.weight"] = torch.zeros(5, 32)
    with pytest.raises(ModelError) as caught:
        load_content(state, tmp_path / "n.pt", arch)
    text = str(caught.value)
    assert "missing in the file: fc.bias" in text
    assert "unexpected in the file: fc.extra" in text
    assert "fc.weight: expected [3, 32], got [5, 32]" in text


def test_arch_is_asked_for(state: Path) -> None:
    with pytest.raises(ModelError, match=r"weights only .a state dict.*--arch net\.py:Net"):
        load(state, LoadOptions(input_shapes=(SHAPE,)))


@pytest.mark.parametrize("content", [torch.zeros(3), [1, 2], {"a": 1}, {}])
def test_file_without_network(content: Any, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="neither a network nor a state dict"):
        load_content(content, tmp_path / "n.pt", None)


def test_pickled_class_that_cannot_be_found(pickled: Path, tmp_path: Path) -> None:
    members = {
        name: data.replace(b"tests.model_files", b"tests.model_filez")
        for name, data in members_of(pickled).items()
    }
    path = write_members(tmp_path / "n.pt", members)
    with pytest.raises(ModelError, match=r"ModuleNotFoundError.*needs the Python files"):
        load(path, LoadOptions(input_shapes=(SHAPE,), trust_pickle=True))
