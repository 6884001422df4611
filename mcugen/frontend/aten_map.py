# SPDX-License-Identifier: Apache-2.0
"""The table from ATen operators to ours. One row each; the handlers stand in aten_<family>.py.

A handler takes the builder and the operator's arguments in ATen's order, tensors of the network
as `Value` and constant tensors as `torch.Tensor`, and returns the value it made (or a tuple of
them, with `Unavailable` for what the graph does not hold). It raises ModelError where an attribute
is not supported, saying what is.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from mcugen.frontend import (
    aten_arith,
    aten_conv,
    aten_move,
    aten_pointwise,
    aten_pool,
    aten_quantized,
    aten_reduce,
    aten_resize,
    aten_shape,
)
from mcugen.frontend.builder import Quantized, Unavailable, Value

Handler = Callable[..., "Value | Quantized | tuple[Value | Unavailable, ...]"]

HANDLERS: dict[str, Handler] = {
    **aten_arith.HANDLERS,
    **aten_conv.HANDLERS,
    **aten_move.HANDLERS,
    **aten_pointwise.HANDLERS,
    **aten_pool.HANDLERS,
    **aten_quantized.HANDLERS,
    **aten_reduce.HANDLERS,
    **aten_resize.HANDLERS,
    **aten_shape.HANDLERS,
}

__all__ = ["HANDLERS", "Any", "Handler"]
