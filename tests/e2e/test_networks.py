# SPDX-License-Identifier: Apache-2.0
"""Networks of unusual build: several inputs and outputs, two hundred layers, shared weights."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

import mcugen
from mcugen.api import BuildResult
from tests.ops.harness import check_module


def verified(result: BuildResult) -> bool:
    targets = result.report["verification"]
    return len(targets) == 3 and all(v["mismatches"] == 0 for v in targets.values())


class Fusion(nn.Module):
    """An image, a sequence and a vector in; classes and a signal out."""

    def __init__(self) -> None:
        super().__init__()
        self.image = nn.Sequential(nn.Conv2d(3, 8, 3, stride=2), nn.ReLU(), nn.AdaptiveAvgPool2d(1))
        self.sound = nn.Sequential(nn.Conv1d(4, 8, 5, padding=2), nn.ReLU())
        self.facts = nn.Linear(6, 8)
        self.head = nn.Linear(24, 5)
        self.signal = nn.Conv1d(8, 2, 1)

    def forward(
        self, image: torch.Tensor, sound: torch.Tensor, facts: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        heard = self.sound(sound)
        parts = [self.image(image).flatten(1), heard.mean(2), torch.tanh(self.facts(facts))]
        return self.head(torch.cat(parts, 1)).softmax(-1), self.signal(heard)


@pytest.mark.slow
def test_three_inputs_and_two_outputs(tmp_path: Path) -> None:
    torch.manual_seed(0)
    module = Fusion().eval()
    rng = np.random.default_rng(0)
    shapes = [(3, 12, 12), (4, 20), (6,)]
    samples = [rng.normal(size=(32, *shape)).astype(np.float32) for shape in shapes]
    result = mcugen.build(
        module,
        board="cortex-m4",
        calibration=samples,
        input_shapes=[(1, *shape) for shape in shapes],
        out=tmp_path / "fusion",
        sanitize=True,
        simulate=4,
    )
    assert verified(result)
    header = (result.folder / "fusion.h").read_text()
    for name, count in {
        "INPUT0": 432,
        "INPUT1": 80,
        "INPUT2": 6,
        "OUTPUT0": 5,
        "OUTPUT1": 40,
    }.items():
        assert f"#define FUSION_{name}_LEN {count}\n" in header
        assert f"#define FUSION_{name}_SCALE " in header
    arguments = "const int8_t *input0, const int8_t *input1, const int8_t *input2, int8_t *output0"
    assert arguments in " ".join(header.split())
    with mcugen.load(result.folder) as network, torch.no_grad():
        classes, signal = map(np.asarray, network(*samples))
        wanted = [module(*(torch.from_numpy(x[i : i + 1]) for x in samples)) for i in range(32)]
    assert signal.shape == (32, 2, 20)
    np.testing.assert_allclose(classes, torch.cat([y[0] for y in wanted]).numpy(), atol=0.03)
    np.testing.assert_allclose(signal, torch.cat([y[1] for y in wanted]).numpy(), atol=0.06)


@pytest.mark.slow
def test_two_hundred_layers(tmp_path: Path) -> None:
    torch.manual_seed(0)
    layers: list[nn.Module] = [nn.Conv2d(2, 6, 3, padding=1)]
    for k in range(199):
        conv = nn.Conv2d(6, 6, 3, padding=1, groups=6) if k % 2 else nn.Conv2d(6, 6, 1)
        # an orthogonal start keeps the signal alive through so many layers
        nn.init.orthogonal_(conv.weight) if not k % 2 else nn.init.dirac_(conv.weight, groups=6)
        layers.append(conv)
    x = np.random.default_rng(0).normal(size=(16, 2, 6, 6)).astype(np.float32)
    result = mcugen.build(
        nn.Sequential(*layers),
        board="cortex-m4",
        calibration=x,
        input_shapes=[(1, 2, 6, 6)],
        out=tmp_path / "deep",
        name="deep",
        sanitize=True,
        simulate=4,
    )
    assert len(result.report["layers"]) == 200
    assert verified(result)
    # RAM does not grow with depth: two tensors and scratch at most
    assert result.report["arena_bytes"] < 3 * 6 * 6 * 6


class Twice(nn.Module):
    """One convolution with one batch norm, used at two places."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.norm = nn.Conv2d(3, 3, 3, padding=1), nn.BatchNorm2d(3)
        self.other = nn.Conv2d(3, 3, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = torch.relu(self.norm(self.conv(x)))
        return torch.relu(self.norm(self.conv(self.other(x))))


@pytest.mark.slow
def test_a_module_that_is_used_twice(tmp_path: Path) -> None:
    torch.manual_seed(0)
    x = np.random.default_rng(0).normal(size=(16, 3, 6, 6)).astype(np.float32)
    result = mcugen.build(
        Twice(),
        board="cortex-m4",
        calibration=x,
        input_shapes=[(1, 3, 6, 6)],
        out=tmp_path / "twice",
        sanitize=True,
        simulate=4,
    )
    assert verified(result)


def test_shared_weights_stand_once_where_the_kernel_keeps_them_apart() -> None:
    """Kernels that pack weights with biases, which differ, have a table for each use."""
    torch.manual_seed(0)
    weights = check_module(Twice(), (1, 3, 6, 6)).files["net_weights.h"]
    assert weights.count("_weight[81]") == 1
    assert weights.count("_weight[9]") == 1
