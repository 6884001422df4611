# SPDX-License-Identifier: Apache-2.0
"""Two networks that between them call every kernel, compiled into one folder of C."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from mcugen.emit.write import write_files
from mcugen.fixed_point import RequantMode
from mcugen.ir.graph import Shape
from mcugen.ir.interp import run
from mcugen.ops.base import PORTABLE, Target
from mcugen.pipeline import Compilation, CompileOptions, compile_graph
from mcugen.quantize.options import QuantOptions
from mcugen.resources import data_dir
from mcugen.verify.inputs import Batch
from tests.ops.harness import export, random_inputs, stored_inputs

PLAIN = re.compile(r"^static inline void (mcugen_\w+_s(?:8|16))\(const \1_params_t", re.MULTILINE)
TYPED = re.compile(
    r"^static inline void\s+MCUGEN_TYPED\((mcugen_\w+)\)\(\s*const MCUGEN_TYPED_PARAMS\(\1\)",
    re.MULTILINE,
)
TYPES = re.compile(
    r"^#define MCUGEN_TYPES MCUGEN_TYPES_(\w+)\n#include \"mcugen_types.h\"\n"
    r"((?:#include \"mcugen_\w+_typed.h\"\n)+)",
    re.MULTILINE,
)


def kernels() -> set[str]:
    """Every portable kernel of runtime_c/, those that are written once for several types too."""
    texts = {path.name: path.read_text("utf-8") for path in data_dir("runtime_c").glob("*.h")}
    found = {name for text in texts.values() for name in PLAIN.findall(text)}
    for text in texts.values():
        for types, headers in TYPES.findall(text):
            bodies = re.findall(r'"(\w+_typed.h)"', headers)
            names = [name for body in bodies for name in TYPED.findall(texts[body])]
            found |= {f"{name}_{types.lower()}" for name in names}
    return found


def reads_or_makes_int16(kernel: str) -> bool:
    """Whether a kernel's name says so."""
    return "_s16" in kernel


class Picture(nn.Module):
    """Images: windows, borders, broadcasting. Two inputs, two outputs."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(3, 8, 3, padding=1)
        self.norm = nn.BatchNorm2d(8)
        self.second = nn.Conv2d(8, 8, 3, padding=1)
        self.depthwise = nn.Conv2d(8, 8, 3, stride=2, padding=1, groups=8)
        self.grouped = nn.Conv2d(8, 8, 1, groups=2)
        self.slopes = nn.PReLU(8)
        self.squeeze = nn.Conv2d(8, 8, 1)
        self.last = nn.Conv2d(12, 4, 3, dilation=2)
        nn.init.uniform_(self.norm.weight, 0.5, 2.0)
        nn.init.uniform_(self.slopes.weight, 0.1, 0.5)
        self.first.weight.data[1] = 0  # a constant channel, whose share differs at the borders
        assert self.first.bias is not None
        self.first.bias.data[1] = 0.7

    def forward(self, image: torch.Tensor, mask: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        x = self.second(torch.relu(self.first(image)))
        x = self.norm(torch.relu(x))
        half = self.slopes(self.grouped(self.depthwise(functional.pad(x, (1, 1), value=0.5))))
        gate = torch.sigmoid(self.squeeze(half.mean((2, 3), keepdim=True)))
        half = functional.pad(half * gate, (1, 0, 1, 0), mode="reflect")
        pooled = functional.max_pool2d(half, 2) + functional.avg_pool2d(
            half, 2, padding=1, ceil_mode=True, count_include_pad=False
        ).narrow(2, 0, 3).narrow(3, 0, 3)
        wide = functional.interpolate(pooled, size=(8, 8), mode="bilinear")
        y = self.last(torch.cat([wide, mask], 1))
        return y.softmax(1), pooled


class Rows(nn.Module):
    """Matrices: axes in other orders, rows of probabilities."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.last = nn.Linear(10, 12), nn.Linear(6, 9)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = torch.sigmoid(x.transpose(1, 2)).reshape(1, 6, 10)
        y = self.first(x).reshape(1, 6, 2, 3, 2).permute(0, 3, 1, 4, 2)
        y = torch.tanh(y.reshape(1, 12, 6).transpose(1, 2)[:, :, ::2])
        return self.last(y.transpose(1, 2)).log_softmax(-1)  # type: ignore[no-any-return]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Folder:
    """A folder with the C of both networks, which share the runtime's headers."""

    path: Path
    networks: Mapping[str, Compilation]

    @property
    def sources(self) -> list[str]:
        """The C files, by name."""
        return [f"{name}.c" for name in self.networks]


def compiled(
    name: str,
    module: nn.Module,
    *shapes: Shape,
    target: Target = PORTABLE,
    requant: RequantMode = "single",
    weights: tuple[str, ...] = (),
) -> Compilation:
    """A network under a name of its own, some of its weights narrower than int8."""
    graph = replace(export(module, *shapes), name=name)
    samples = stored_inputs(graph, random_inputs(graph))
    quant = QuantOptions(weights=weights)
    options = CompileOptions(requant=requant, target=target, quant=quant)
    return compile_graph(graph, samples, options)


def write_both(path: Path, target: Target = PORTABLE) -> Folder:
    """Compile both networks into `path`, with kernels for a target."""
    path.mkdir(exist_ok=True)
    torch.manual_seed(0)
    shapes = (1, 3, 12, 10), (1, 4, 8, 8)
    networks = {
        "picture": compiled(
            "picture",
            Picture(),
            *shapes,
            target=target,
            weights=("second=int4", "squeeze=int2"),
        ),
        "rows": compiled(
            "rows", Rows(), (1, 6, 10), target=target, requant="double", weights=("first=int4",)
        ),
    }
    for network in networks.values():
        write_files(path, network.files)
    return Folder(path=path, networks=networks)


def reference(network: Compilation, samples: int, seed: int) -> tuple[Batch, Batch]:
    """Random int8 inputs [N, *shape] and what the integer reference makes of them."""
    rng = np.random.default_rng(seed)
    graph = network.graph
    shapes = [graph.by_name[name].shape for name in graph.inputs]
    inputs = tuple(rng.integers(-128, 128, (samples, *shape), np.int8) for shape in shapes)
    return inputs, tuple(y.astype(np.int8) for y in run(graph, inputs))
