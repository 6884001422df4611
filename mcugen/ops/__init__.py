# SPDX-License-Identifier: Apache-2.0
"""The operators, one file each: this is their table of contents."""

from mcugen.ops.base import Input, IntOp, Op
from mcugen.ops.constant import Constant
from mcugen.ops.conv import Conv
from mcugen.ops.linear import Linear
from mcugen.ops.pointwise import (
    ELU,
    GELU,
    Clip,
    HardSigmoid,
    HardSwish,
    LeakyReLU,
    Sigmoid,
    SiLU,
    Tanh,
)
from mcugen.ops.reshape import Reshape
from mcugen.ops.transpose import Transpose
from mcugen.ops.window import Window

__all__ = [
    "ELU",
    "GELU",
    "Clip",
    "Constant",
    "Conv",
    "HardSigmoid",
    "HardSwish",
    "Input",
    "IntOp",
    "LeakyReLU",
    "Linear",
    "Op",
    "Reshape",
    "SiLU",
    "Sigmoid",
    "Tanh",
    "Transpose",
    "Window",
]
