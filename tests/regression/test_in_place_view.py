# SPDX-License-Identifier: Apache-2.0
"""A view taken before an in-place change was read with its old values."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.nn import functional

from mcugen.errors import UnsupportedOpError
from tests.ops.harness import check_module, export


class ViewThenAdd(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = x * 2
        view = y.view(1, -1)
        y.add_(1)
        return view


class AssignSlice(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = x * 2
        y[:, 0] = 0
        return y


class InPlaceOnly(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = x * 2
        copy = y.clone()
        y += 1
        functional.relu_(y)
        return y * copy


@pytest.mark.parametrize("module", [ViewThenAdd(), AssignSlice()])
def test_a_view_of_what_is_changed_in_place_is_refused(module: nn.Module) -> None:
    with pytest.raises(UnsupportedOpError, match=r"test_in_place_view.py:\d+.*in place"):
        export(module, (1, 4))


def test_changes_in_place_that_nobody_else_sees_compile() -> None:
    check_module(InPlaceOnly(), (1, 4))
