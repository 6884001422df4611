# SPDX-License-Identifier: Apache-2.0
"""Whole channels: what hangs together goes together, and the network is really smaller."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from mcugen.errors import ModelError, OptionError
from mcugen.ir.graph import Graph
from mcugen.pipeline import CompileOptions, compile_graph, cost_of, simplified
from mcugen.pruning.channels import needed
from mcugen.pruning.criteria import Data
from mcugen.pruning.masks import weight_of
from mcugen.pruning.norms import norm_scales
from mcugen.pruning.options import CRITERIA, PruneOptions
from mcugen.pruning.prune import choose_masks
from tests.ops.harness import export

SHAPE = (1, 3, 8, 8)


class Residual(nn.Module):
    """A residual block, a depthwise layer, a concatenation and a flattening."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(3, 8, 3, padding=1)
        self.inner = nn.Conv2d(8, 12, 3, padding=1)
        self.back = nn.Conv2d(12, 8, 1)
        self.depthwise = nn.Conv2d(8, 8, 3, padding=1, groups=8)
        self.left, self.right = nn.Conv2d(8, 6, 1), nn.Conv2d(8, 6, 1)
        self.head = nn.Linear(12 * 4, 5)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.first(x).relu()
        x = (x + self.back(self.inner(x).relu())).relu()
        x = self.depthwise(x).relu()
        x = torch.cat([self.left(x).relu(), self.right(x).relu()], 1)
        y: torch.Tensor = self.head(nn.functional.max_pool2d(x, 4).flatten(1))
        return y


def graph() -> Graph:
    torch.manual_seed(0)
    return simplified(export(Residual().eval(), SHAPE))


GRAPH = graph()
SAMPLES = [np.random.default_rng(0).normal(size=(16, 8, 8, 3)).astype(np.float32)]
NAMES = {
    node.origin.module: node.name for node in GRAPH.nodes if getattr(node.op, "weight_arrays", None)
}


FORMS = [f for forms in CRITERIA.values() for f in forms if f != "bn_scale"]  # it has no norms


def gone(**choices: Any) -> dict[str, list[int]]:
    """The channels that go, by module."""
    chosen = {"macs": 0.5, "round_to": 1, "keep_dense": ("none",), **choices}
    masks = choose_masks(GRAPH, Data.of(SAMPLES), PruneOptions(pattern="channel", **chosen))
    found = {}
    for module, name in NAMES.items():
        mask = masks.get(name, np.ones(weight_of(GRAPH.by_name[name]).shape, bool))
        rows = mask.reshape(len(mask), -1)
        assert (rows.all(axis=1) | ~rows.any(axis=1)).all()
        found[module] = np.flatnonzero(~rows.any(axis=1)).tolist()
    return found


@pytest.mark.parametrize("form", FORMS)
def test_what_hangs_together_goes_together(form: str) -> None:
    found = gone(criterion=form)
    assert found["first"] == found["back"] == found["depthwise"]
    assert found["head"] == []
    assert sum(map(len, found.values())) > 0
    assert all(len(rows) < len(weight_of(GRAPH.by_name[NAMES[m]])) for m, rows in found.items())


@pytest.mark.parametrize("macs", [0.9, 0.5, 0.2])
def test_the_compiled_network_is_as_small_as_wanted(macs: float) -> None:
    prune = PruneOptions(pattern="channel", macs=macs, round_to=1, keep_dense=("none",))
    small = compile_graph(GRAPH, SAMPLES, CompileOptions(prune=prune))
    whole = compile_graph(GRAPH, SAMPLES, CompileOptions())
    share = cost_of(small.graph).macs / cost_of(whole.graph).macs
    assert macs - 0.15 < share <= macs
    shapes = {node.name: node.shape for node in small.graph.nodes}
    assert shapes[NAMES["inner"]][-1] < 12 or shapes[NAMES["first"]][-1] < 8


@pytest.mark.parametrize("round_to", [2, 4, 5])
def test_what_stays_of_a_layer_is_a_multiple(round_to: int) -> None:
    """`left` and `right` have 6 channels: all of them where 5 or less would not come out even."""
    found = gone(macs=0.4, round_to=round_to)
    assert found["first"] == found["back"] == found["depthwise"]
    sizes = {module: len(weight_of(GRAPH.by_name[name])) for module, name in NAMES.items()}
    left = {module: sizes[module] - len(rows) for module, rows in found.items()}
    assert all(left[m] % round_to == 0 or left[m] == sizes[m] for m in left)
    assert any(found.values())


@pytest.mark.parametrize("round_to", [1, 4])
def test_no_more_goes_than_has_to(round_to: int) -> None:
    """The last channels to go save much; so others need not, of which the best come back."""
    cost = {"small": 1, "large": 10}
    gone = [[("small", n * round_to + k) for k in range(round_to)] for n in range(4)]
    gone.append([("large", k) for k in range(round_to)])

    def enough(some: Sequence[Any]) -> bool:
        return sum(cost[rows[0][0]] for rows in some) >= 12

    assert needed(gone, enough) == [*gone[:2], gone[4]]


class Normed(nn.Module):
    """Two layers with a batch norm, and one without that has to go with the second."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.norm = nn.Conv2d(3, 8, 3, padding=1), nn.BatchNorm2d(8)
        self.second, self.other = nn.Conv2d(8, 6, 1), nn.BatchNorm2d(6)
        self.around = nn.Conv2d(8, 6, 1)
        self.head = nn.Linear(6, 5)
        rng = np.random.default_rng(0)
        for norm in (self.norm, self.other):
            norm.weight.data = torch.from_numpy(rng.normal(size=norm.weight.shape)).float()
            assert norm.running_var is not None
            norm.running_var.uniform_(0.1, 9.0)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.norm(self.first(x)).relu()
        x = (self.other(self.second(x)) + self.around(x)).relu()
        y: torch.Tensor = self.head(x.mean((2, 3)))
        return y


def test_bn_scale_takes_channels_of_small_factors() -> None:
    torch.manual_seed(0)
    network = Normed().eval()
    source = export(network, SHAPE)
    normed = simplified(source)
    names = {n.origin.module: n.name for n in normed.nodes if getattr(n.op, "weight_arrays", None)}
    data = Data.of(SAMPLES, norm_scales(source))
    fixed: dict[str, Any] = {"criterion": "bn_scale", "keep_dense": ("none",)}
    cut = PruneOptions(pattern="channel", macs=0.6, round_to=1, **fixed)
    masks = choose_masks(normed, data, cut)
    assert set(masks) <= {names["first"], names["second"], names["around"]} and masks
    for module, norm in (("first", network.norm), ("second", network.other)):
        factor = norm.weight.detach().abs().numpy()
        mask = masks.get(names[module], np.ones((len(factor), 1), bool))
        kept = mask.reshape(len(factor), -1).any(axis=1)
        assert factor[kept].min() > factor[~kept].max(initial=0.0)
    only = PruneOptions(threshold=0.4, **fixed | {"keep_dense": ("around", "head")})
    kept = choose_masks(normed, data, only)[names["first"]].reshape(8, -1).all(axis=1)
    assert kept.tolist() == (network.norm.weight.detach().abs() > 0.4).tolist()
    assert 0 < kept.sum() < 8
    with pytest.raises(OptionError, match=r"bn_scale: no batch norm directly behind .*around"):
        choose_masks(normed, data, PruneOptions(threshold=0.4, **fixed))
    with pytest.raises(OptionError, match="bn_scale: no batch norm"):
        choose_masks(normed, Data.of(SAMPLES), cut)


def test_layers_that_are_kept_dense_keep_all_that_hangs_on_them() -> None:
    found = gone(macs=0.8, keep_dense=("first", "depthwise"))
    assert found["first"] == found["back"] == found["depthwise"] == []
    assert found["inner"]


def test_what_is_not_possible_is_refused() -> None:
    with pytest.raises(
        ModelError, match=r"macs 0\.001: removing all \d+ channels .* leaves 0\.\d+"
    ):
        gone(macs=0.001)
    with pytest.raises(OptionError, match=r"no channel of .* can go"):
        gone(keep_dense=("first", "inner", "left", "right", "depthwise"))
    with pytest.raises(OptionError, match="channel needs macs, and neither"):
        PruneOptions(pattern="channel", sparsity=0.5)
    with pytest.raises(OptionError, match="macs is 1; expected the share"):
        PruneOptions(pattern="channel", macs=1.0)
    with pytest.raises(OptionError, match="macs goes with the pattern channel"):
        PruneOptions(sparsity=0.5, macs=0.5)
