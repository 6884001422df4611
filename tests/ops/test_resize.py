# SPDX-License-Identifier: Apache-2.0
"""Resizing: nearest positions and linear interpolation, to any size and by any factor."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

from mcugen.errors import ModelError
from mcugen.frontend.export import InputLayout
from mcugen.ir.graph import Shape
from mcugen.ops import LinearResize, Taps
from mcugen.ops.resize import LINEAR_BITS, LinearResizeS8
from tests.ops.harness import check_forward, check_module, check_op, export
from tests.ops.movers import Apply, Function, check_removal, conv, kinds

IMAGE, SEQUENCE = (1, 3, 5, 6), (1, 3, 7)


def resize(**kwargs: object) -> Function:
    return lambda x: functional.interpolate(x, **kwargs)  # type: ignore[arg-type]


FUNCTIONS: dict[str, tuple[Function, Shape]] = {
    "nearest by 2": (resize(scale_factor=2), IMAGE),
    "nearest by 1.7": (resize(scale_factor=1.7), IMAGE),
    "nearest by 2.3, scale recomputed": (
        resize(scale_factor=2.3, recompute_scale_factor=True),
        IMAGE,
    ),
    "nearest to a size": (resize(size=(8, 4)), IMAGE),
    "nearest down": (resize(scale_factor=(0.5, 0.4)), IMAGE),
    "nearest-exact": (resize(scale_factor=1.5, mode="nearest-exact"), IMAGE),
    "nearest-exact to a size": (resize(size=(3, 11), mode="nearest-exact"), IMAGE),
    "nearest, sequence": (resize(scale_factor=3), SEQUENCE),
    "nearest-exact, sequence": (resize(size=4, mode="nearest-exact"), SEQUENCE),
    "bilinear by 2": (resize(scale_factor=2, mode="bilinear"), IMAGE),
    "bilinear by 2.3": (resize(scale_factor=2.3, mode="bilinear"), IMAGE),
    "bilinear by 2.3, scale recomputed": (
        resize(scale_factor=2.3, mode="bilinear", recompute_scale_factor=True),
        IMAGE,
    ),
    "bilinear by 2, corners": (resize(scale_factor=2, mode="bilinear", align_corners=True), IMAGE),
    "bilinear to a size": (resize(size=(9, 3), mode="bilinear"), IMAGE),
    "bilinear to a size, corners": (
        resize(size=(1, 13), mode="bilinear", align_corners=True),
        IMAGE,
    ),
    "bilinear to one pixel": (resize(size=1, mode="bilinear"), IMAGE),
    "bilinear from one pixel": (resize(size=(3, 4), mode="bilinear"), (1, 2, 1, 1)),
    "linear": (resize(scale_factor=2.5, mode="linear"), SEQUENCE),
    "linear, corners": (resize(size=4, mode="linear", align_corners=True), SEQUENCE),
    "Upsample": (nn.Upsample(scale_factor=2), IMAGE),
    "UpsamplingBilinear2d": (nn.UpsamplingBilinear2d(scale_factor=2), IMAGE),
    "ATen's plain overloads": (
        lambda x: torch.ops.aten.upsample_bilinear2d(
            torch.ops.aten.upsample_nearest2d(x, [7, 9], None, 1.5), [4, 12], False
        ),
        IMAGE,
    ),
}


@pytest.mark.parametrize("layout", ["nhwc", "nchw"])
@pytest.mark.parametrize("name", FUNCTIONS)
def test_it_means_what_torch_means(name: str, layout: InputLayout) -> None:
    function, shape = FUNCTIONS[name]
    check_forward(Apply(function), shape, layout=layout)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_c_equals_the_reference(name: str) -> None:
    function, shape = FUNCTIONS[name]
    check_module(Apply(function), shape, tolerance=0.005)


def integer(rows: Taps, cols: Taps) -> LinearResizeS8:
    return LinearResizeS8(
        row=rows.first, row_weight=rows.steps(), col=cols.first, col_weight=cols.steps()
    )


ROWS = Taps(first=(0, 0, 1, 2, 2), weight=(0.0, 0.9999, 0.5, 0.3, 1.0))
COLS = Taps(first=(3, 0, 2), weight=(1.0, 0.25, 0.7))


@pytest.mark.parametrize("channels", [1, 3])
def test_the_kernel_equals_the_reference_at_every_end(channels: int) -> None:
    check_op(integer(ROWS, COLS), [(3, 4, channels)], (5, 3, channels), minimum=200)
    check_op(integer(Taps(first=(0,), weight=(0.0,)), COLS), [(4, channels)], (3, channels))


def test_the_reference_is_the_nearest_step_but_for_the_weights() -> None:
    """Off by half a step at most, and what weights in steps of 2^-11 can miss."""
    x = np.random.default_rng(0).integers(-128, 128, (50, 3, 4, 2))
    exact = LinearResize(rows=ROWS, cols=COLS).forward([torch.from_numpy(x.astype(np.float64))])
    missed = 2 * 255 * 0.5 / 2**LINEAR_BITS
    error = np.abs(integer(ROWS, COLS).reference([x]) - exact.numpy())
    assert error.max() <= 0.5 + missed
    assert error.max() > 0.4


@pytest.mark.parametrize("value", [-128, -1, 0, 127])
def test_a_flat_image_stays_what_it_is(value: int) -> None:
    flat = np.full((1, 3, 4, 2), value)
    assert np.all(integer(ROWS, COLS).reference([flat]) == value)


def test_no_sum_leaves_int32() -> None:
    assert 128 * 2 ** (2 * LINEAR_BITS) + 2 ** (2 * LINEAR_BITS - 1) < 2**31


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (resize(size=(3, 3), mode="bilinear", antialias=True), "_upsample_bilinear2d_aa"),
        (resize(size=(3, 3), mode="bicubic"), "upsample_bicubic2d"),
    ],
)
def test_what_is_not_supported_says_so(
    make: Callable[[torch.Tensor], torch.Tensor], message: str
) -> None:
    with pytest.raises(ModelError, match=message):
        export(Apply(make), IMAGE)


def test_a_batch_is_an_error() -> None:
    with pytest.raises(ModelError, match="expected 1 spatial axes"):
        export(Apply(lambda x: functional.interpolate(x[0], scale_factor=2.0)), IMAGE)


def test_positions_outside_are_an_error() -> None:
    with pytest.raises(ValueError, match="holds nothing at"):
        LinearResize(rows=ROWS, cols=COLS).infer([(2, 4, 1)])


@pytest.mark.parametrize("mode", ["nearest", "bilinear"])
def test_dead_channels_go(mode: str) -> None:
    class Resized(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.head, self.tail = conv(2, 4, 3, dead=[1]), conv(4, 2, 3, padding=1)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            y: torch.Tensor = self.tail(
                functional.interpolate(self.head(x), scale_factor=2, mode=mode)
            )
            return y

    cut = check_removal(Resized(), (1, 2, 5, 5))
    assert [node.shape[-1] for node in cut.graph.layers] == [3, 3, 2]
    assert kinds(cut)[1] == {"nearest": "gather", "bilinear": "linear_resize"}[mode]
