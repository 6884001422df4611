# SPDX-License-Identifier: Apache-2.0
"""Model files that several tests read and none changes: exporting takes a second each."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from tests.model_files import SHAPE, SmallNet, dynamic_batch, exported, saved, small_net


@pytest.fixture(scope="session")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("models")


@pytest.fixture(scope="session")
def net() -> SmallNet:
    return small_net()


@pytest.fixture(scope="session")
def pt2(files: Path, net: SmallNet) -> Path:
    return saved(exported(net, SHAPE), files / "net.pt2")


@pytest.fixture(scope="session")
def dynamic_pt2(files: Path, net: SmallNet) -> Path:
    return saved(dynamic_batch(net), files / "dynamic.pt2")


@pytest.fixture(scope="session")
def scripted(files: Path, net: SmallNet) -> Path:
    path = files / "scripted.pt"
    torch.jit.script(net).save(str(path))  # type: ignore[no-untyped-call]
    return path


@pytest.fixture(scope="session")
def traced(files: Path, net: SmallNet) -> Path:
    path = files / "traced.pt"
    torch.jit.trace(net, torch.zeros(SHAPE)).save(str(path))  # type: ignore[no-untyped-call]
    return path


@pytest.fixture(scope="session")
def state(files: Path, net: SmallNet) -> Path:
    path = files / "state.pt"
    torch.save(net.state_dict(), path)
    return path


@pytest.fixture(scope="session")
def pickled(files: Path, net: SmallNet) -> Path:
    path = files / "whole.pt"
    torch.save(net, path)
    return path


@pytest.fixture(scope="session")
def arch() -> str:
    from tests import model_files

    return f"{model_files.__file__}:small_net"
