# SPDX-License-Identifier: Apache-2.0
"""TorchScript with loops, branches and lists, which are gone once traced."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from mcugen.errors import ModelError
from mcugen.frontend.export import to_graph
from mcugen.frontend.load import LoadOptions, load


class Branching(nn.Module):
    """Float32 [1, 2, 8, 8] to [1, 3] and [1, 3]; the second layer is used twice."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.ModuleList([nn.Conv2d(2, 2, 3, padding=1) for _ in range(2)])
        self.register_buffer("scale", torch.full((2, 1, 1), 2.0))

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor]:
        found: list[Tensor] = []
        for layer in self.layers:
            image = functional.relu(layer(image) * self.scale)
            found.append(image)
        image = torch.cat(found, 1)
        if image.size(1) > 3:
            image = image[:, :3]
        rest = 0
        while rest < 2:
            image = image + image
            rest += 1
        return image.mean([2, 3]), functional.adaptive_max_pool2d(image, 1).flatten(1)


SHAPE = (1, 2, 8, 8)


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("script") / "branching.pt"
    torch.jit.script(Branching()).save(str(path))  # type: ignore[no-untyped-call]
    return path


def test_control_flow_is_followed(path: Path) -> None:
    program = load(path, LoadOptions(input_shapes=(SHAPE,))).program
    script = torch.jit.load(path)  # type: ignore[no-untyped-call]
    for seed in range(3):
        torch.manual_seed(seed)
        x = torch.randn(SHAPE)
        for got, wanted in zip(program.module()(x), script(x), strict=True):
            assert torch.equal(got, wanted)


def test_names_of_weights_and_inputs_are_kept(path: Path) -> None:
    program = load(path, LoadOptions(input_shapes=(SHAPE,))).program
    names = {spec.target for spec in program.graph_signature.input_specs if spec.target}
    assert names == {f"layers.{i}.{n}" for i in (0, 1) for n in ("weight", "bias")} | {"scale"}
    assert [n.name for n in program.graph.nodes if n.op == "placeholder"][-1] == "image"


def test_non_finite_weight_is_named(path: Path, tmp_path: Path) -> None:
    script = torch.jit.load(path)  # type: ignore[no-untyped-call]
    with torch.no_grad():
        dict(script.named_parameters())["layers.1.bias"][0] = float("nan")
    script.save(str(tmp_path / "n.pt"))
    with pytest.raises(ModelError, match=r"in: layers\.1\.bias$"):
        load(tmp_path / "n.pt", LoadOptions(input_shapes=(SHAPE,)))


def test_half_network_is_taken_as_float_and_left_as_it_is() -> None:
    script = torch.jit.script(nn.Sequential(nn.Linear(4, 2), nn.Dropout()).half())
    loaded = load(script, LoadOptions(input_shapes=((1, 4),)))
    assert loaded.warnings == ("tensors of type float16 are taken as float32",)
    assert {t.dtype for t in loaded.program.state_dict.values()} == {torch.float32}
    assert script.training and {t.dtype for t in script.parameters()} == {torch.float16}


@pytest.mark.parametrize("batch", [1, 8])
def test_traced_convolution(batch: int, tmp_path: Path) -> None:
    """A trace names convolutions otherwise than a script, and may stem from a larger batch."""
    net = nn.Sequential(nn.Conv2d(2, 3, 3), nn.ReLU(), nn.Flatten(), nn.Linear(108, 2)).eval()
    traced = torch.jit.trace(net, torch.zeros(batch, *SHAPE[1:]))  # type: ignore[no-untyped-call]
    traced.save(str(tmp_path / "n.pt"))
    loaded = load(tmp_path / "n.pt", LoadOptions(input_shapes=(SHAPE,)))
    x = torch.randn(SHAPE)
    assert torch.equal(loaded.program.module()(x), net(x))
    graph = to_graph(loaded.program, "n")
    assert graph.by_name[graph.outputs[0]].shape == (2,)
