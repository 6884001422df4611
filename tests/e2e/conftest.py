# SPDX-License-Identifier: Apache-2.0
"""One small network for all tests of whole commands: its file, its data, a folder built from it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests.command import build
from tests.model_files import SHAPE, exported, saved, small_net


@pytest.fixture(scope="session")
def net_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A torch.export archive, float32 [1, 1, 6, 6] to [1, 3]."""
    return saved(exported(small_net(), SHAPE), tmp_path_factory.mktemp("model") / "net.pt2")


@pytest.fixture(scope="session")
def data_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twelve labelled samples (x, y) for it."""
    generator = np.random.default_rng(3)
    path = tmp_path_factory.mktemp("data") / "data.npz"
    x = generator.standard_normal((12, *SHAPE[1:])).astype(np.float32)
    np.savez(path, x=x, y=generator.integers(0, 3, 12))
    return path


@pytest.fixture(scope="session")
def built(net_file: Path, data_file: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a build, for reading only."""
    folder = tmp_path_factory.mktemp("built") / "net"
    return build(net_file, "--calib", data_file, "--eval", data_file, out=folder)
