# SPDX-License-Identifier: Apache-2.0
"""The networks that are measured: some that this checkout holds all of, and public trained ones.

The bundled ones have the layers and sizes of the MLPerf Tiny reference networks and random
weights; what a layer costs does not depend on the values of its weights.
Source of the shapes: https://github.com/mlcommons/tiny, benchmark/training.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

ROOT = Path(__file__).resolve().parents[1]
EXAMPLE = ROOT / "examples" / "mnist"
MODELS = ROOT.parent / "shared" / "models"
SEED = 1
SAMPLES = 8

Samples = NDArray[np.float32]


@dataclass(frozen=True, slots=True, kw_only=True)
class Network:
    """A model, and the samples that set its ranges."""

    name: str  # in C
    title: str
    model: Callable[[], nn.Module | Path]
    samples: Callable[[], Samples | Path]
    input_shapes: tuple[tuple[int, ...], ...] | None = None


class Residual(nn.Module):
    """Two 3x3 convolutions and a way around them, 1x1 where the size changes."""

    def __init__(self, in_ch: int, out_ch: int, stride: int) -> None:
        super().__init__()
        self.main = nn.Sequential(
            *_conv(in_ch, out_ch, 3, stride), *_conv(out_ch, out_ch, 3, relu=False)
        )
        same = in_ch == out_ch and stride == 1
        self.around = nn.Identity() if same else nn.Conv2d(in_ch, out_ch, 1, stride)

    def forward(self, x: Tensor) -> Tensor:
        """The sum of both ways, rectified."""
        y: Tensor = torch.relu(self.main(x) + self.around(x))
        return y


def _conv(
    in_ch: int, out_ch: int, kernel: int, stride: int = 1, *, groups: int = 1, relu: bool = True
) -> list[nn.Module]:
    conv = nn.Conv2d(in_ch, out_ch, kernel, stride, kernel // 2, groups=groups, bias=False)
    return [conv, nn.BatchNorm2d(out_ch), *([nn.ReLU()] if relu else [])]


def _separable(in_ch: int, out_ch: int, stride: int = 1) -> list[nn.Module]:
    """A depthwise 3x3 convolution, then a 1x1 one."""
    return [*_conv(in_ch, in_ch, 3, stride, groups=in_ch), *_conv(in_ch, out_ch, 1)]


def _classifier(in_ch: int, classes: int) -> list[nn.Module]:
    return [nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(in_ch, classes), nn.Softmax(-1)]


def resnet() -> nn.Module:
    """Image classification: [N, 3, 32, 32] to 10 classes."""
    blocks = (Residual(16, 16, 1), Residual(16, 32, 2), Residual(32, 64, 2))
    return nn.Sequential(*_conv(3, 16, 3), *blocks, *_classifier(64, 10))


def dscnn() -> nn.Module:
    """Keyword spotting: [N, 1, 49, 10] to 12 classes."""
    same = nn.ZeroPad2d((1, 1, 4, 5))
    first = [same, nn.Conv2d(1, 64, (10, 4), 2, bias=False), nn.BatchNorm2d(64), nn.ReLU()]
    blocks = [layer for _ in range(4) for layer in _separable(64, 64)]
    return nn.Sequential(*first, *blocks, *_classifier(64, 12))


def mobilenet() -> nn.Module:
    """Person detection: [N, 3, 96, 96] to 2 classes, a quarter of MobileNetV1's width."""
    widths = [(8, 16, 1), (16, 32, 2), (32, 32, 1), (32, 64, 2), (64, 64, 1), (64, 128, 2)]
    widths += [(128, 128, 1)] * 5 + [(128, 256, 2), (256, 256, 1)]
    blocks = [layer for width in widths for layer in _separable(*width)]
    return nn.Sequential(*_conv(3, 8, 3, 2), *blocks, *_classifier(256, 2))


def autoencoder() -> nn.Module:
    """Anomaly detection: [N, 640] to the same."""
    widths = [640, 128, 128, 128, 128, 8, 128, 128, 128, 128]
    layers: list[nn.Module] = []
    for width, after in pairwise(widths):
        layers += [nn.Linear(width, after, bias=False), nn.BatchNorm1d(after), nn.ReLU()]
    return nn.Sequential(*layers, nn.Linear(widths[-1], 640))


def _seeded(make: Callable[[], nn.Module]) -> Callable[[], nn.Module]:
    """The network with the same random weights and statistics every time."""

    def build() -> nn.Module:
        network = make().eval()
        rng = np.random.default_rng(SEED)
        for module in network.modules():
            if isinstance(module, nn.Conv2d | nn.Linear):
                fan_in = module.weight[0].numel()
                _fill(module.weight, rng.standard_normal(module.weight.shape) * fan_in**-0.5)
                if module.bias is not None:
                    _fill(module.bias, 0.1 * rng.standard_normal(module.bias.shape))
            elif isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d):
                _fill(module.weight, rng.uniform(0.9, 1.7, module.weight.shape))
                _fill(module.bias, 0.2 * rng.standard_normal(module.bias.shape))
        return network

    return build


def _fill(parameter: Tensor, values: NDArray[np.float64]) -> None:
    with torch.no_grad():
        parameter.copy_(torch.from_numpy(values))


def _noise(*shape: int) -> Callable[[], Samples]:
    def samples() -> Samples:
        rng = np.random.default_rng(SEED)
        return rng.standard_normal((SAMPLES, *shape)).astype(np.float32)

    return samples


def _bundled(name: str, title: str, make: Callable[[], nn.Module], *shape: int) -> Network:
    return Network(
        name=name,
        title=title,
        model=_seeded(make),
        samples=_noise(*shape),
        input_shapes=((1, *shape),),
    )


def _reference(name: str, title: str, file: str) -> Network:
    return Network(
        name=name,
        title=title,
        model=lambda: MODELS / f"{file}.pt2",
        samples=lambda: MODELS / f"{file}_golden.npz",
    )


BUNDLED = (
    Network(
        name="mnist",
        title="the example's network",
        model=lambda: EXAMPLE / "model.pt",
        samples=lambda: EXAMPLE / "calibration.npz",
    ),
    _bundled("autoencoder", "as MLPerf Tiny AD", autoencoder, 640),
    _bundled("dscnn", "as MLPerf Tiny KWS", dscnn, 1, 49, 10),
    _bundled("resnet", "as MLPerf Tiny IC", resnet, 3, 32, 32),
    _bundled("mobilenet", "as MLPerf Tiny VWW", mobilenet, 3, 96, 96),
)
REFERENCE = (
    _reference("ad", "MLPerf Tiny AD, trained", "ad_autoencoder_asdeployed"),
    _reference("kws", "MLPerf Tiny KWS, trained", "kws_dscnn_asdeployed"),
    _reference("ic", "MLPerf Tiny IC, trained", "ic_resnet8"),
    _reference("vww", "MLPerf Tiny VWW, trained", "vww_mobilenet_v1_025"),
)


def networks() -> dict[str, Network]:
    """All that can be measured here, by name: the trained ones where ../shared/models is there."""
    found = (*BUNDLED, *(REFERENCE if MODELS.is_dir() else ()))
    return {network.name: network for network in found}
