# SPDX-License-Identifier: Apache-2.0
"""Which weights go together: the groups that the kernels for mostly zero layers hold in an entry.

Weights are [out_ch, ..., in_ch]. A block is of neighbouring outputs and neighbouring input
channels at one tap; blocks at the border are smaller where the channels do not come out even.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mcugen.pruning.options import BLOCKS, parse_n_m

Scores = NDArray[np.float64]
Mask = NDArray[np.bool_]  # True where a weight stays


@dataclass(frozen=True, slots=True)
class Blocks:
    """Groups of `outs` outputs and `ins` input channels, which stay or go as a whole."""

    outs: int
    ins: int

    def groups(self, values: NDArray[np.generic]) -> Scores:
        """The sum over each group of values [out_ch, ..., in_ch]: [out groups, taps, in groups]."""
        summed: Scores = self._split(values.astype(np.float64)).sum(axis=(1, 4))
        return summed

    def spread(self, groups: NDArray[np.generic], shape: tuple[int, ...]) -> NDArray[np.generic]:
        """The value of each weight's group, in the shape of the weight."""
        wide = groups.repeat(self.outs, axis=0).repeat(self.ins, axis=2)
        return wide[: shape[0], :, : shape[-1]].reshape(shape)

    def inputs_of(self, rows: Scores, in_ch: int) -> Scores:
        """Weights of outputs [out_ch, taps * in_ch] as [out_ch, taps, in groups, ins]."""
        flat = rows.reshape(len(rows), -1, in_ch)
        full = np.pad(flat, ((0, 0), (0, 0), (0, -in_ch % self.ins)))
        return full.reshape(*full.shape[:2], -1, self.ins)

    def among_inputs(self, matrix: Scores, in_ch: int) -> Scores:
        """The parts of a matrix [taps * in_ch, taps * in_ch] that concern one output's group each.

        Gives [taps, in groups, ins, ins]; for channels that the last group does not have, the unit
        matrix.
        """
        own = np.einsum("tatb->tab", matrix.reshape(-1, in_ch, len(matrix) // in_ch, in_ch))
        more = -in_ch % self.ins
        full = np.pad(own, ((0, 0), (0, more), (0, more)))
        extra = np.arange(in_ch, in_ch + more)
        full[:, extra, extra] = 1.0
        count = full.shape[1] // self.ins
        parts = full.reshape(-1, count, self.ins, count, self.ins)
        found: Scores = np.einsum("tgagb->tgab", parts)
        return found

    def _split(self, values: Scores) -> Scores:
        flat = values.reshape(values.shape[0], -1, values.shape[-1])
        more = (-flat.shape[0] % self.outs, -flat.shape[2] % self.ins)
        full = np.pad(flat, ((0, more[0]), (0, 0), (0, more[1])))
        out_groups, in_groups = full.shape[0] // self.outs, full.shape[2] // self.ins
        return full.reshape(out_groups, self.outs, -1, in_groups, self.ins)


def blocks_of(pattern: str) -> Blocks:
    """The groups of a pattern; of n:m each weight by itself."""
    return Blocks(*BLOCKS.get(pattern, (1, 1)))


def best_of_each(scores: Scores, pattern: str) -> Mask:
    """The n weights of highest score among each m neighbouring input channels: n:m.

    Of equal scores the first ones stay.
    """
    n_m = parse_n_m(pattern)
    assert n_m is not None
    kept, of = n_m
    flat = scores.reshape(-1, scores.shape[-1])
    full = np.pad(flat, ((0, 0), (0, -flat.shape[1] % of)), constant_values=-np.inf)
    parts = full.reshape(len(full), -1, of)
    order = np.argsort(-parts, axis=2, kind="stable")
    mask = np.zeros(parts.shape, bool)
    np.put_along_axis(mask, order[..., :kept], values=True, axis=2)
    return mask.reshape(full.shape)[:, : flat.shape[1]].reshape(scores.shape)


def alike(masks: Mask) -> list[NDArray[np.intp]]:
    """The numbers of rows [rows, weights] that keep the same weights: a matrix serves them all."""
    found: dict[bytes, list[int]] = {}
    for number, row in enumerate(masks):
        found.setdefault(row.tobytes(), []).append(number)
    return [np.array(numbers, np.intp) for numbers in found.values()]
