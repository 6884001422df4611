# SPDX-License-Identifier: Apache-2.0
"""Integer layers: which multipliers are short."""

from __future__ import annotations

import numpy as np
import pytest

from mcugen.fixed_point import IntArray, RequantMode
from mcugen.ir.graph import QParams
from mcugen.ir.quantization import WeightQuant
from mcugen.ops.base import Clamp, Lowering, Operand
from mcugen.ops.weights import integer_layer

CHANNELS = 64


def step(scale: float, bits: int) -> QParams:
    return QParams(scale=scale, zero_point=3) if bits == 8 else QParams.int16(scale)


def multipliers(requant: RequantMode, operand_bits: int, output_bits: int) -> IntArray:
    rng = np.random.default_rng(1)
    source, target = step(0.013, operand_bits), step(0.027, output_bits)
    ctx = Lowering(
        inputs=(Operand(shape=(8,), qparams=source),),
        output=Operand(shape=(CHANNELS,), qparams=target),
        requant=requant,
        where="here",
        weights=WeightQuant(
            ints=rng.integers(-127, 128, (CHANNELS, 8), np.int8),
            scales=rng.uniform(0.001, 0.1, CHANNELS),
            bias=np.zeros(CHANNELS, np.float32),
            bits=8,
        ),
    )
    return integer_layer(Clamp(), ctx).requantize.multiplier


def test_multipliers_of_int8_layers_are_short() -> None:
    made = multipliers("single", 8, 8)
    assert np.all(made % 2**15 == 0) and np.all(made >= 2**30)
    assert len(np.unique(made)) > CHANNELS // 2


@pytest.mark.parametrize(
    ("requant", "operand_bits", "output_bits"),
    [("double", 8, 8), ("single", 16, 8), ("single", 8, 16), ("single", 16, 16)],
)
def test_others_have_all_bits(requant: RequantMode, operand_bits: int, output_bits: int) -> None:
    assert np.any(multipliers(requant, operand_bits, output_bits) % 2**15)
