# SPDX-License-Identifier: Apache-2.0
"""Batches: every sample once an epoch, in an order of the epoch's own, in stored layout."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from mcugen.errors import CalibrationError
from mcugen.ir.graph import Graph
from mcugen.train.batches import ArrayBatches, LoaderBatches
from mcugen.train.forward import to_model, to_stored
from tests.ops.harness import export


class Two(nn.Module):
    """An image and a vector."""

    def forward(self, image: torch.Tensor, vector: torch.Tensor) -> torch.Tensor:
        return nn.functional.max_pool2d(image, 2).mean((2, 3)) + vector


@pytest.fixture(scope="module")
def two() -> Graph:
    return export(Two(), (1, 3, 4, 6), (1, 3))


def numbered(count: int) -> ArrayBatches:
    x = torch.arange(count, dtype=torch.float32).reshape(count, 1)
    return ArrayBatches(inputs=(x,), targets=torch.arange(count), batch_size=4, seed=3)


def order(batches: ArrayBatches, epoch: int) -> list[int]:
    return [int(k) for _, y in batches.epoch(epoch) if y is not None for k in y]


def test_every_sample_comes_once_in_another_order_each_epoch() -> None:
    batches = numbered(10)
    assert len(batches) == 3
    assert [len(x[0]) for x, _ in batches.epoch(0)] == [4, 4, 2]
    assert sorted(order(batches, 0)) == list(range(10))
    assert order(batches, 0) == order(batches, 0)
    assert order(batches, 0) != order(batches, 1)


def test_inputs_and_targets_stay_together() -> None:
    for inputs, targets in numbered(10).epoch(5):
        assert targets is not None
        assert inputs[0].ravel().tolist() == targets.tolist()


def test_measuring_goes_in_order() -> None:
    assert [int(k) for x, _ in numbered(10).in_order() for k in x[0]] == list(range(10))


X = torch.arange(2 * 3 * 4 * 6, dtype=torch.float32).reshape(2, 3, 4, 6)
V = torch.ones(2, 3)
Y = torch.tensor([0, 1])


@pytest.mark.parametrize(
    ("item", "labelled"),
    [((X, V, Y), True), (((X, V), Y), True), ([[X, V], Y], True), ((X, V), False)],
)
def test_a_loader_may_yield_several_inputs(two: Graph, item: Any, labelled: bool) -> None:
    [(inputs, targets)] = LoaderBatches(loader=[item], graph=two).epoch(0)
    assert torch.equal(inputs[0], X.permute(0, 2, 3, 1))
    assert torch.equal(inputs[1], V)
    assert (targets is not None) == labelled


def test_numpy_arrays_will_do(two: Graph) -> None:
    item = ((X.numpy().astype(np.float64), V.numpy()), Y.numpy())
    [(inputs, targets)] = LoaderBatches(loader=[item], graph=two).epoch(0)
    assert inputs[0].dtype == torch.float32
    assert targets is not None and targets.tolist() == [0, 1]


@pytest.mark.parametrize(
    ("item", "message"),
    [
        (((X,), Y), "a batch has 1 inputs; the network takes 2"),
        ((X.permute(0, 2, 3, 1), V, Y), r"shape \[2, 4, 6, 3\]; expected \[N, 3, 4, 6\]"),
        (X, "a batch has 1 inputs"),
        (3, "a batch of the training data is a int"),
    ],
)
def test_what_does_not_fit_is_told(two: Graph, item: Any, message: str) -> None:
    with pytest.raises(CalibrationError, match=message):
        list(LoaderBatches(loader=[item], graph=two).epoch(0))


def test_a_loader_shuffles_alike_in_the_same_epoch_of_two_runs(two: Graph) -> None:
    data = TensorDataset(torch.randn(12, 3, 4, 6), torch.randn(12, 3), torch.arange(12))

    def labels(epoch: int, generator: torch.Generator | None = None) -> list[int]:
        torch.rand(3)
        loader = DataLoader(data, 4, shuffle=True, generator=generator)
        found = LoaderBatches(loader=loader, graph=two, seed=1).epoch(epoch)
        return [int(k) for _, y in found if y is not None for k in y]

    assert labels(2) == labels(2) != labels(3)
    assert labels(2, torch.Generator()) == labels(2, torch.Generator().manual_seed(9))


def test_a_callers_random_numbers_are_left_alone(two: Graph) -> None:
    torch.manual_seed(5)
    wanted = torch.rand(3)
    torch.manual_seed(5)
    list(LoaderBatches(loader=DataLoader(TensorDataset(X, V, Y)), graph=two).epoch(0))
    assert torch.equal(torch.rand(3), wanted)


@pytest.mark.parametrize("layout", [(0, 1, 2), (1, 2, 0), (2, 0, 1)])
def test_the_layouts_are_each_others_inverse(layout: tuple[int, ...]) -> None:
    x = torch.randn(2, 3, 4, 5)
    back = to_model(to_stored(x, layout), layout)
    assert torch.equal(back, x)
    assert back.stride() == x.stride()
