# SPDX-License-Identifier: Apache-2.0
"""The operators, one file each: this is their table of contents."""

from mcugen.ops.add import Add
from mcugen.ops.avg_pool import AdaptiveAvgPool, AvgPool
from mcugen.ops.base import Input, IntOp, Op
from mcugen.ops.concat import Concat
from mcugen.ops.constant import Constant
from mcugen.ops.conv import Conv
from mcugen.ops.fake_quantize import FakeQuantize
from mcugen.ops.gather import Gather
from mcugen.ops.linear import Linear
from mcugen.ops.max_pool import AdaptiveMaxPool, MaxPool
from mcugen.ops.mean import Mean, Sum
from mcugen.ops.mul import Mul
from mcugen.ops.pad import Pad
from mcugen.ops.pointwise import (
    ELU,
    GELU,
    Abs,
    Clip,
    Exp,
    HardSigmoid,
    HardSwish,
    LeakyReLU,
    Sigmoid,
    SiLU,
    Square,
    Tanh,
)
from mcugen.ops.prelu import PReLU
from mcugen.ops.reshape import Reshape
from mcugen.ops.resize import LinearResize, Taps
from mcugen.ops.scale_shift import ScaleShift
from mcugen.ops.slice import Slice
from mcugen.ops.softmax import LogSoftmax, Softmax
from mcugen.ops.transpose import Transpose
from mcugen.ops.window import AxisWindows, Window

__all__ = [
    "ELU",
    "GELU",
    "Abs",
    "AdaptiveAvgPool",
    "AdaptiveMaxPool",
    "Add",
    "AvgPool",
    "AxisWindows",
    "Clip",
    "Concat",
    "Constant",
    "Conv",
    "Exp",
    "FakeQuantize",
    "Gather",
    "HardSigmoid",
    "HardSwish",
    "Input",
    "IntOp",
    "LeakyReLU",
    "Linear",
    "LinearResize",
    "LogSoftmax",
    "MaxPool",
    "Mean",
    "Mul",
    "Op",
    "PReLU",
    "Pad",
    "Reshape",
    "ScaleShift",
    "SiLU",
    "Sigmoid",
    "Slice",
    "Softmax",
    "Square",
    "Sum",
    "Tanh",
    "Taps",
    "Transpose",
    "Window",
]
