# SPDX-License-Identifier: Apache-2.0
"""Small networks, and model files made from them: sound, damaged and malicious."""

from __future__ import annotations

import json
import os
import pickle
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.export import Dim, ExportedProgram

JsonEdit = Callable[[dict[str, Any]], None]


class SmallNet(nn.Module):
    """Float32 [N, 1, 6, 6] to [N, 3]; `view` takes the batch from the input."""

    def __init__(self) -> None:
        super().__init__()
        self.features = nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.ReLU())
        self.fc = nn.Linear(32, 3)

    def forward(self, x: Tensor) -> Tensor:
        y = self.features(x)
        scores: Tensor = self.fc(y.view(y.shape[0], -1))
        return scores


SHAPE = (1, 1, 6, 6)


def small_net(seed: int = 0) -> SmallNet:
    torch.manual_seed(seed)
    return SmallNet().eval()


def exported(net: nn.Module, *shapes: tuple[int, ...], dynamic: Any = None) -> ExportedProgram:
    inputs = tuple(torch.zeros(shape) for shape in shapes)
    return torch.export.export(net, inputs, dynamic_shapes=dynamic)


def dynamic_batch(net: nn.Module, axis: int = 0, least: int | None = None) -> ExportedProgram:
    return exported(net, (5, 1, 6, 6), dynamic=({axis: Dim("batch", min=least)},))


def saved(program: ExportedProgram, path: Path) -> Path:
    with path.open("wb") as file:
        torch.export.save(program, file)
    return path


def members_of(path: Path) -> dict[str, bytes]:
    with zipfile.ZipFile(path) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def write_members(path: Path, members: dict[str, bytes], compression: int = 0) -> Path:
    with zipfile.ZipFile(path, "w", compression) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return path


def with_json(path: Path, out: Path, member: str, edit: JsonEdit) -> Path:
    """A copy of an archive in which `edit` has changed one JSON member."""
    members = members_of(path)
    [name] = [name for name in members if name.endswith(member)]
    content = json.loads(members[name])
    edit(content)
    members[name] = json.dumps(content).encode()
    return write_members(out, members)


def with_member(path: Path, out: Path, member: str, data: bytes) -> Path:
    """A copy of an archive with one member replaced or added."""
    members = members_of(path)
    root = next(iter(members)).partition("/")[0]
    members[f"{root}/{member}"] = data
    return write_members(out, members)


class Touch:
    """Pickles to something that makes a folder when it is loaded."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self.path),)


def malicious_pickle(mark: Path) -> bytes:
    return pickle.dumps({"weight": Touch(mark)}, protocol=2)


class TwoConvolutions(nn.Module):
    """Float32 [N, channels[0], H, W] to class scores [N, classes]."""

    def __init__(self, channels: tuple[int, int, int], classes: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(channels[0], channels[1], 3, padding=1)
        self.second = nn.Conv2d(channels[1], channels[2], 3, padding=1)
        self.head = nn.Linear(channels[2], classes)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Scores, without softmax."""
        y = self.second(self.first(x).relu()).relu()
        scores: torch.Tensor = self.head(y.mean((2, 3)))
        return scores


def noise(seed: int, *shape: int) -> torch.Tensor:
    """Normal samples, float32."""
    values = np.random.default_rng(seed).normal(size=shape)
    return torch.from_numpy(values.astype(np.float32))


def spread_scores(network: nn.Module, head: nn.Linear, samples: torch.Tensor) -> None:
    """Change an untrained network's head so that every class is found about as often."""
    with torch.no_grad():
        scores = network(samples)
        head.weight.div_(scores.std(0)[:, None])
        head.bias.sub_(scores.mean(0)).div_(scores.std(0))


def labelled(network: nn.Module, samples: torch.Tensor, path: Path) -> Path:
    """A file of samples, and the network's own classes for labels."""
    with torch.no_grad():
        y = network(samples).argmax(1).numpy()
    np.savez(path, x=samples.numpy(), y=y)
    return path
