# SPDX-License-Identifier: Apache-2.0
"""The change of a tensor's quantization, for operators that keep the scale of their operands."""

from __future__ import annotations

import numpy as np

from mcugen.fixed_point import round_half_up
from mcugen.ir.graph import QParams
from mcugen.ops.pointwise import TableS8


def rescale(source: QParams, target: QParams) -> TableS8:
    """The integer operator that turns a tensor quantized as `source` into one as `target`."""
    real = (np.arange(-128, 128, dtype=np.float64) - source.zero_point) * source.scale
    steps = round_half_up(real / target.scale) + target.zero_point
    return TableS8(table=np.clip(steps, target.low, target.high).astype(np.int8))
