# SPDX-License-Identifier: Apache-2.0
"""Which layers get how many bits: patterns, exceptions, and what is said of mistakes."""

from __future__ import annotations

import re

import pytest
import torch
from torch import nn

from mcugen.errors import OptionError
from mcugen.ir.graph import Graph
from mcugen.ops.conv import Conv
from mcugen.passes import fold_batchnorm
from mcugen.quantize.bits import activation_bits, layer_bits
from mcugen.quantize.widths import WidthOptions, split_list
from tests.ops.harness import export


class Network(nn.Module):
    """Four convolutions, one of them depthwise, and a fully connected layer."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.stem = nn.Conv2d(3, 8, 3)
        self.features = nn.Sequential(
            nn.Conv2d(8, 8, 3, groups=8), nn.ReLU(), nn.Conv2d(8, 8, 1), nn.ReLU()
        )
        self.neck = nn.Conv2d(8, 4, 1)
        self.head = nn.Linear(4, 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = self.neck(self.features(self.stem(x)))
        z: torch.Tensor = self.head(y.mean((2, 3)))
        return z


@pytest.fixture(scope="module")
def graph() -> Graph:
    return fold_batchnorm.run(export(Network(), (1, 3, 8, 8)))


ALL = ("stem", "features.0", "features.2", "neck", "head")


def bits(graph: Graph, *weights: str, keep: tuple[str, ...] | None = None) -> list[int]:
    """Of the layers in `ALL`."""
    options = (
        WidthOptions(weights=weights)
        if keep is None
        else WidthOptions(weights=weights, keep_int8=keep)
    )
    found = layer_bits(graph, options)
    modules = {graph.by_name[name].origin.module: width for name, width in found.items()}
    return [modules[module] for module in ALL]


def test_int8_unless_asked_for(graph: Graph) -> None:
    assert bits(graph) == [8, 8, 8, 8, 8]


def test_the_first_the_last_and_depthwise_ones_are_kept(graph: Graph) -> None:
    assert bits(graph, "int4") == [8, 8, 4, 4, 8]
    assert bits(graph, "int4", keep=("depthwise",)) == [4, 8, 4, 4, 4]
    assert bits(graph, "int2", keep=("last", "features.*")) == [2, 8, 8, 2, 8]
    assert bits(graph, "int4", keep=("none",)) == [4, 4, 4, 4, 4]


def test_later_entries_win_and_full_names_are_meant(graph: Graph) -> None:
    assert bits(graph, "int4", "features.*=int2") == [8, 8, 2, 4, 8]
    assert bits(graph, "int4", "neck=int8") == [8, 8, 4, 8, 8]
    assert bits(graph, "features.0=int4", "head=int2") == [8, 4, 8, 8, 2]


def test_names_of_nodes_are_patterns_too(graph: Graph) -> None:
    name = next(node.name for node in graph.nodes if node.origin.module == "neck")
    assert bits(graph, f"{name}=int4") == [8, 8, 8, 4, 8]


def test_unknown_patterns_list_what_there_is(graph: Graph) -> None:
    with pytest.raises(OptionError) as caught:
        bits(graph, "feature.*=int4", "int4", keep=("haed",))
    lines = str(caught.value).splitlines()
    assert len(lines) == 2
    assert lines[0].startswith("weights: no layer matches 'feature.*'; layers with weights: ")
    assert lines[1].startswith("keep_int8: no layer matches 'haed'")
    assert all(module in lines[0] for module in ALL)


def test_unknown_widths_are_all_told_at_once() -> None:
    with pytest.raises(OptionError, match=re.escape("'int5' is not known; use int8, int4, int2")):
        WidthOptions(weights=("int5",))
    with pytest.raises(OptionError) as caught:
        WidthOptions(weights=("neck=int3", "int4", "=int4"))
    assert [line.split()[1] for line in str(caught.value).splitlines()] == [
        "'neck=int3'",
        "'=int4'",
    ]


def test_widths_that_an_operator_lacks(graph: Graph, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Conv, "weight_widths", (8, 4))
    assert bits(graph, "int2") == [8, 8, 8, 8, 8]
    with pytest.raises(OptionError, match="conv has no kernels for int2 weights; there are int8, "):
        bits(graph, "neck=int2")


def test_lists_come_with_commas_or_one_by_one() -> None:
    assert split_list(["int4, neck=int8", "head=int2"]) == ("int4", "neck=int8", "head=int2")


def tensor_bits(graph: Graph, *activations: str) -> dict[str, int]:
    """Of each tensor, by module, or by name where there is none."""
    found = activation_bits(graph, activations)
    return {graph.by_name[name].origin.module or name: width for name, width in found.items()}


def test_tensors_are_int8_unless_asked_for(graph: Graph) -> None:
    assert set(tensor_bits(graph).values()) == {8}
    assert set(tensor_bits(graph, "int16").values()) == {16}


def test_the_last_entry_that_matches_a_tensor_holds(graph: Graph) -> None:
    found = tensor_bits(graph, "int16", "features.*=int8", "features.2=int16")
    assert found["features.0"] == 8
    assert found["features.2"] == found["stem"] == found["x"] == 16
    assert tensor_bits(graph, "x=int16")["x"] == 16


def test_a_pattern_without_tensors_lists_what_there_is(graph: Graph) -> None:
    with pytest.raises(OptionError, match=r"no layer matches 'y'; inputs and layers: x, .*stem"):
        activation_bits(graph, ("y=int16",))
