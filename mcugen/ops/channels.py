# SPDX-License-Identifier: Apache-2.0
"""How channels of neighbouring tensors hang together, for removing dead ones and for pruning."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mcugen.fixed_point import IntArray
from mcugen.ir.graph import Shape

ChannelIds = NDArray[np.int64]
PINNED = -1


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ChannelLinks:
    """Which channels (entries of the last axis) of one node can only go together.

    Channels of operands and output with the same id go together; PINNED ones cannot go at all.
    `reads[i]` is bool [out_ch, in_ch], true where the output channel depends on the channel of
    operand i; None where that is so exactly between equal ids. `blocks` are numbers of neighbouring
    channels, of the operands and of the output, that hold weights together: constant ones go in
    whole blocks, so that the others keep theirs.
    """

    inputs: tuple[ChannelIds, ...]
    output: ChannelIds
    reads: tuple[NDArray[np.bool_] | None, ...]
    blocks: tuple[int, int] = (1, 1)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Kept:
    """What is left of a node's channels, and what the removed ones would have held.

    `inputs[i]` and `output` are ascending indices into the old channels. `values[i]` is
    int64 [*shape] of operand i; only its removed channels mean something, and they are constant
    or read with zero weight alone. `shapes` are the operands' old shapes.
    """

    inputs: tuple[NDArray[np.intp], ...]
    output: NDArray[np.intp]
    values: tuple[IntArray, ...]
    shapes: tuple[Shape, ...]


def linked(operands: int, channels: int) -> ChannelLinks:
    """Channel c of every operand and of the output are one group: element-wise operators."""
    ids = np.arange(channels)
    return ChannelLinks(inputs=(ids,) * operands, output=ids, reads=(None,) * operands)


def dense(reads: NDArray[np.bool_], blocks: tuple[int, int] = (1, 1)) -> ChannelLinks:
    """Operand and output channels are free of each other: `reads` is bool [out_ch, in_ch]."""
    out_ch, in_ch = reads.shape
    return ChannelLinks(
        inputs=(np.arange(in_ch),),
        output=in_ch + np.arange(out_ch),
        reads=(reads,),
        blocks=blocks,
    )
