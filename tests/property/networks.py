# SPDX-License-Identifier: Apache-2.0
"""Random legal networks for property tests: a recipe that hypothesis can shrink, and its module."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import torch
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional

Step = Callable[[torch.Tensor], torch.Tensor]
MAX_CHANNELS = 24


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """What a network is made of: steps by name, each with numbers that settle its details."""

    seed: int
    channels: int
    size: int
    steps: tuple[tuple[str, int], ...]
    head: str


class Network(nn.Module):
    """The network of a recipe; steps that do not fit the tensor at hand are left out."""

    def __init__(self, recipe: Recipe) -> None:
        super().__init__()
        torch.manual_seed(recipe.seed)
        self.input_shape = (1, recipe.channels, recipe.size, recipe.size)
        self.layers = nn.ModuleList()
        self.plan: list[Step] = []
        x = torch.randn(self.input_shape)
        for name, number in recipe.steps:
            x = self._add(STEPS[name], number, x)
        self._add(HEADS[recipe.head], 0, x)
        for layer in self.layers:
            _randomize(layer)
        self.eval()

    def _add(self, make: Maker, number: int, x: torch.Tensor) -> torch.Tensor:
        with torch.no_grad():
            made = make(number, x)
            if made is None:
                return x
            modules, step = made
            self.layers.extend(modules)
            self.plan.append(step)
            for module in modules:
                module.eval()
            return step(x)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        for step in self.plan:
            x = step(x)
        return x


Maker = Callable[[int, torch.Tensor], "tuple[list[nn.Module], Step] | None"]


def _randomize(layer: nn.Module) -> None:
    """Batch norms as after training, some channels dead."""
    if isinstance(layer, nn.BatchNorm2d):
        assert layer.running_mean is not None
        assert layer.running_var is not None
        layer.running_mean.normal_()
        layer.running_var.uniform_(0.3, 2.0)
        nn.init.uniform_(layer.weight, 0.3, 1.5)
        nn.init.normal_(layer.bias)
    if isinstance(layer, nn.Conv2d) and layer.out_channels > 2:
        with torch.no_grad():
            layer.weight[1] = 0.0


def _one(module: nn.Module) -> tuple[list[nn.Module], Step]:
    return [module], module


def _conv(number: int, x: torch.Tensor) -> tuple[list[nn.Module], Step] | None:
    channels, size = x.shape[1], min(x.shape[2:])
    kernel, stride, padding = 1 + number % 3, 1 + number // 3 % 2, number // 6 % 3
    if kernel > size:
        return None
    out = 2 + number // 18 % (MAX_CHANNELS // 2)
    dilation = 2 if (kernel - 1) * 2 < size and number % 7 == 0 else 1
    return _one(nn.Conv2d(channels, out, kernel, stride, padding, dilation))


def _depthwise(number: int, x: torch.Tensor) -> tuple[list[nn.Module], Step]:
    channels = x.shape[1]
    return _one(nn.Conv2d(channels, channels, 3, 1 + number % 2, 1, groups=channels))


def _grouped(number: int, x: torch.Tensor) -> tuple[list[nn.Module], Step] | None:
    channels = x.shape[1]
    if channels % 2:
        return None
    return _one(nn.Conv2d(channels, 2 * (1 + number % 4), 1, groups=2))


def _batch_norm(_number: int, x: torch.Tensor) -> tuple[list[nn.Module], Step]:
    return _one(nn.BatchNorm2d(x.shape[1]))


def _activation(number: int, x: torch.Tensor) -> tuple[list[nn.Module], Step]:
    makers: list[Callable[[], nn.Module]] = [
        nn.ReLU,
        nn.ReLU6,
        nn.Sigmoid,
        nn.Tanh,
        nn.SiLU,
        nn.Hardswish,
        nn.Hardsigmoid,
        nn.GELU,
        nn.ELU,
        partial(nn.LeakyReLU, 0.1),
        partial(nn.PReLU, x.shape[1]),
        partial(nn.Hardtanh, -0.5, 1.5),
    ]
    return _one(makers[number % len(makers)]())


def _pool(number: int, x: torch.Tensor) -> tuple[list[nn.Module], Step] | None:
    kernel, ceil = 2 + number % 2, bool(number // 2 % 2)
    if kernel > min(x.shape[2:]):
        return None
    if number // 4 % 2:
        return _one(nn.MaxPool2d(kernel, 2, kernel // 2, ceil_mode=ceil))
    include = bool(number // 8 % 2)
    return _one(nn.AvgPool2d(kernel, 2, kernel // 2, ceil_mode=ceil, count_include_pad=include))


def _residual(_number: int, x: torch.Tensor) -> tuple[list[nn.Module], Step]:
    conv = nn.Conv2d(x.shape[1], x.shape[1], 3, padding=1)
    return [conv], lambda t: torch.relu(t + conv(t))


def _concat(_number: int, x: torch.Tensor) -> tuple[list[nn.Module], Step] | None:
    if x.shape[1] > MAX_CHANNELS:
        return None
    conv = nn.Conv2d(x.shape[1], 3, 1)
    return [conv], lambda t: torch.cat([t, conv(t)], 1)


def _squeeze_excite(_number: int, x: torch.Tensor) -> tuple[list[nn.Module], Step]:
    conv = nn.Conv2d(x.shape[1], x.shape[1], 1)
    return [conv], lambda t: t * torch.sigmoid(conv(t.mean((2, 3), keepdim=True)))


def _pad(number: int, x: torch.Tensor) -> tuple[list[nn.Module], Step] | None:
    if min(x.shape[2:]) < 2 or max(x.shape[2:]) > 12:
        return None
    mode = ("constant", "reflect", "replicate")[number % 3]
    return [], lambda t: functional.pad(t, (1, 0, 1, 1), mode=mode)


def _split(_number: int, x: torch.Tensor) -> tuple[list[nn.Module], Step] | None:
    if x.shape[1] < 4:
        return None
    return [], lambda t: torch.cat([t[:, 2:], torch.tanh(t[:, :2])], 1)


def _upsample(number: int, x: torch.Tensor) -> tuple[list[nn.Module], Step] | None:
    if max(x.shape[2:]) > 6:
        return None
    return _one(nn.Upsample(scale_factor=2, mode=("nearest", "bilinear")[number % 2]))


def _scale(number: int, _x: torch.Tensor) -> tuple[list[nn.Module], Step]:
    return [], lambda t: t * (0.5 + number % 3) - 0.25


def _transposed(_number: int, _x: torch.Tensor) -> tuple[list[nn.Module], Step]:
    return [], lambda t: t.transpose(2, 3)


STEPS: dict[str, Maker] = {
    "conv": _conv,
    "depthwise": _depthwise,
    "grouped": _grouped,
    "batch_norm": _batch_norm,
    "activation": _activation,
    "pool": _pool,
    "residual": _residual,
    "concat": _concat,
    "squeeze_excite": _squeeze_excite,
    "pad": _pad,
    "split": _split,
    "upsample": _upsample,
    "scale": _scale,
    "transposed": _transposed,
}


def _linear(_number: int, x: torch.Tensor) -> tuple[list[nn.Module], Step]:
    layer = nn.Linear(x[0].numel(), 4)
    return [layer], lambda t: layer(t.flatten(1))


def _softmax(_number: int, x: torch.Tensor) -> tuple[list[nn.Module], Step]:
    layer = nn.Linear(x.shape[1], 5)
    return [layer], lambda t: layer(t.mean((2, 3))).softmax(-1)


HEADS: dict[str, Maker] = {
    "none": lambda _number, _x: None,
    "linear": _linear,
    "softmax": _softmax,
}


def recipes(max_steps: int) -> st.SearchStrategy[Recipe]:
    """Networks of up to `max_steps` steps."""
    step = st.tuples(st.sampled_from(sorted(STEPS)), st.integers(0, 999))
    return st.builds(
        Recipe,
        seed=st.integers(0, 999),
        channels=st.integers(1, 5),
        size=st.integers(4, 9),
        steps=st.lists(step, min_size=1, max_size=max_steps).map(tuple),
        head=st.sampled_from(sorted(HEADS)),
    )
