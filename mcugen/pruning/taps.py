# SPDX-License-Identifier: Apache-2.0
"""What each weight of a layer is multiplied by, and the moments of that over calibration data."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from mcugen.ops.base import Op
from mcugen.pruning.patterns import Scores

Moment = NDArray[np.float64]  # [groups, taps + 1, taps + 1], the last tap being 1 for the bias

BATCH = 8
MAX_POSITIONS = 32768  # more change little, and a large layer would take minutes


@dataclass(frozen=True, slots=True, eq=False)
class Taps:
    """A layer as a matrix: its outputs are weight.reshape(out_ch, taps) times these, plus bias.

    A layer of several groups has that many such matrices, for as many equal parts of its outputs.
    """

    op: Op
    groups: int
    count: int  # weights of an output

    @classmethod
    def of(cls, op: Op, channels: int) -> Taps:
        """The taps of a layer over an operand of so many channels."""
        assert op.weight_arrays is not None
        weight = op.weight_arrays[0]
        return cls(op.without_clamp(), channels // weight.shape[-1], int(weight[0].size))

    def read(self, x: torch.Tensor) -> torch.Tensor:
        """float32 [groups, positions, taps] of an operand [N, *shape], position after position.

        The layer itself copies each tap to an output of its own: its weight is the unit matrix.
        """
        assert self.op.weight_arrays is not None
        shape = self.op.weight_arrays[0].shape[1:]
        unit = torch.eye(self.count).repeat(self.groups, 1).reshape(-1, *shape)
        arrays: Any = (unit, torch.zeros(len(unit)))
        y = self.op.with_weight_arrays(*arrays).forward([x])
        return y.reshape(-1, self.groups, self.count).transpose(0, 1)


def moments(op: Op, exact: torch.Tensor, changed: torch.Tensor) -> tuple[Taps, Moment, Moment]:
    """The layer's taps, sum of c c^T, and sum of e c^T over samples and positions.

    exact, changed: operand of the layer [N, *shape] in the network as it was and as it is now; c
    and e are its taps [taps + 1] with a 1 at the end.
    """
    taps = Taps.of(op, exact.shape[-1])
    size = taps.count + 1
    own, mixed = (np.zeros((taps.groups, size, size)) for _ in range(2))
    with torch.no_grad():
        for part, twin in _batches(taps, exact, changed):
            e, c = _with_one(taps.read(part)), _with_one(taps.read(twin))
            own += (c.transpose(1, 2) @ c).double().numpy()
            mixed += (e.transpose(1, 2) @ c).double().numpy()
    return taps, own, mixed


def _batches(
    taps: Taps, exact: torch.Tensor, changed: torch.Tensor
) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    positions = taps.read(exact[:1]).shape[1]
    most = max(BATCH, MAX_POSITIONS // max(positions, 1))
    chosen = np.linspace(0, len(exact) - 1, min(len(exact), most)).astype(np.int64)
    for start in range(0, len(chosen), BATCH):
        part = torch.from_numpy(chosen[start : start + BATCH])
        yield exact[part], changed[part]


def _with_one(x: torch.Tensor) -> torch.Tensor:
    return torch.cat([x, torch.ones(*x.shape[:-1], 1)], dim=-1)


def square_sums(op: Op, x: torch.Tensor) -> Scores:
    """For each weight the sum of squares of what it is multiplied by, in the weight's shape.

    The layer is linear: the derivative of its outputs' sum by a weight is the sum of its operands,
    which are squared before.
    """
    assert op.weight_arrays is not None
    weight, bias = (torch.from_numpy(a.copy()) for a in op.weight_arrays)
    total = torch.zeros(weight.shape, dtype=torch.float64)
    for start in range(0, len(x), BATCH):
        variable = weight.clone().requires_grad_()
        arrays: Any = (variable, bias)
        y = op.without_clamp().with_weight_arrays(*arrays)
        summed = y.forward([x[start : start + BATCH].square()]).sum()
        total += torch.autograd.grad(summed, variable)[0].double()
    found: Scores = total.numpy()
    return found
