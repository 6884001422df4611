# SPDX-License-Identifier: Apache-2.0
"""Networks that torch has pruned: masks beside the weights, folded, or as parametrizations."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import nn
from torch.nn.utils import parametrize, prune

from mcugen.errors import ModelError
from mcugen.frontend.export import to_graph
from mcugen.frontend.load import LoadOptions, load
from mcugen.pipeline import simplified
from mcugen.pruning.masks import zero_shares
from tests.model_files import exported, saved

SHAPE = (1, 1, 6, 6)
SHARES = [0.0, 0.75, 0.5]
SOURCE = """
from torch import nn
def net():
    layers = nn.Conv2d(1, 8, 3), nn.BatchNorm2d(8), nn.ReLU(), nn.Conv2d(8, 8, 3)
    return nn.Sequential(*layers, nn.Flatten(), nn.Linear(32, 4))
"""


class Half(nn.Module):
    """Every other weight, as a parametrization."""

    def forward(self, weight: torch.Tensor) -> torch.Tensor:
        mask = torch.arange(weight.numel()).reshape(weight.shape) % 2
        return weight * mask


def network(masks: str) -> nn.Sequential:
    torch.manual_seed(0)
    first, second, last = nn.Conv2d(1, 8, 3), nn.Conv2d(8, 8, 3), nn.Linear(32, 4)
    net = nn.Sequential(first, nn.BatchNorm2d(8), nn.ReLU(), second, nn.Flatten(), last)
    prune.l1_unstructured(second, "weight", 0.75)  # type: ignore[no-untyped-call] # torch's
    if masks == "parametrized":
        parametrize.register_parametrization(last, "weight", Half())
    else:
        prune.random_structured(last, "weight", 0.5, dim=1)  # type: ignore[no-untyped-call]
    if masks == "folded":
        for layer in (second, last):
            prune.remove(layer, "weight")  # type: ignore[no-untyped-call]
    return net.eval()


def shares(model: object, options: LoadOptions) -> list[float]:
    loaded = load(model, options)  # type: ignore[arg-type]
    return list(zero_shares(simplified(to_graph(loaded.program, "net", "nhwc"))).values())


@pytest.mark.filterwarnings("ignore::UserWarning")  # export says that it saw the masked weight
@pytest.mark.parametrize("masks", ["beside", "folded", "parametrized"])
@pytest.mark.parametrize("form", ["module", "archive", "torchscript"])
def test_the_zeros_are_there(form: str, masks: str, tmp_path: Path) -> None:
    net = network(masks)
    model: object = net
    if form == "archive":
        model = saved(exported(net, SHAPE), tmp_path / "net.pt2")
    elif form == "torchscript":
        model = tmp_path / "net.pt"
        torch.jit.save(torch.jit.trace(net, torch.zeros(SHAPE)), model)  # type: ignore[no-untyped-call]
    assert shares(model, LoadOptions(input_shapes=(SHAPE,))) == SHARES


@pytest.mark.parametrize("masks", ["beside", "folded"])
def test_a_state_dict_keeps_them(masks: str, tmp_path: Path) -> None:
    (tmp_path / "arch.py").write_text(SOURCE)
    torch.save(network(masks).state_dict(), tmp_path / "state.pt")
    options = LoadOptions(input_shapes=(SHAPE,), arch=f"{tmp_path / 'arch.py'}:net")
    assert shares(tmp_path / "state.pt", options) == SHARES


def test_masks_of_the_wrong_shape_are_named(tmp_path: Path) -> None:
    (tmp_path / "arch.py").write_text(SOURCE)
    state = dict(network("beside").state_dict())
    state["3.weight_mask"] = torch.ones(8, 8)
    torch.save(state, tmp_path / "state.pt")
    options = LoadOptions(input_shapes=(SHAPE,), arch=f"{tmp_path / 'arch.py'}:net")
    with pytest.raises(ModelError, match=r"3\.weight_mask: expected \[8, 8, 3, 3\], got \[8, 8\]"):
        load(tmp_path / "state.pt", options)
