# SPDX-License-Identifier: Apache-2.0
"""Batch norm at inference: folded where it can be, a linear form for each channel where not."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from mcugen.errors import ModelError
from mcugen.frontend.export import to_graph
from mcugen.ir.graph import QParams
from mcugen.ops import ScaleShift
from mcugen.ops.base import Clamp, Lowering, Operand
from mcugen.ops.scale_shift import ScaleShiftS8
from mcugen.pipeline import Compilation
from tests.ops.harness import check_module, check_op

FIXED = frozenset({"fold_batchnorm"})


def trained(*layers: nn.Module) -> nn.Sequential:
    """Layers whose batch norms have statistics and factors as after training."""
    torch.manual_seed(1)
    for layer in layers:
        if isinstance(layer, nn.modules.batchnorm._BatchNorm):
            assert layer.running_mean is not None and layer.running_var is not None
            layer.running_mean.normal_()
            layer.running_var.uniform_(0.3, 3.0)
            if layer.affine:
                nn.init.normal_(layer.weight)
                nn.init.normal_(layer.bias)
    return nn.Sequential(*layers)


def kinds(compiled: Compilation) -> list[str]:
    return [node.op.kind for node in compiled.graph.layers]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("layers", "shape", "left"),
    [
        ((nn.Conv2d(3, 5, 3, padding=1), nn.BatchNorm2d(5)), (1, 3, 6, 6), ["conv"]),
        ((nn.Conv2d(4, 8, 3, groups=2), nn.BatchNorm2d(8)), (1, 4, 6, 6), ["conv"]),
        ((nn.Conv2d(4, 4, 3, groups=4), nn.BatchNorm2d(4), nn.ReLU()), (1, 4, 6, 6), ["conv"]),
        ((nn.Conv1d(3, 5, 3), nn.BatchNorm1d(5, affine=False)), (1, 3, 9), ["conv"]),
        ((nn.Linear(7, 5), nn.BatchNorm1d(5), nn.ReLU6()), (1, 7), ["linear"]),
        ((nn.BatchNorm2d(4), nn.Conv2d(4, 6, 3, groups=2)), (1, 4, 6, 6), ["conv"]),
        ((nn.BatchNorm1d(7), nn.Linear(7, 5)), (1, 7), ["linear"]),
        ((nn.BatchNorm2d(3), nn.Conv2d(3, 5, 3, padding=1)), (1, 3, 6, 6), ["scale_shift", "conv"]),
        ((nn.Conv2d(3, 5, 3), nn.ReLU(), nn.BatchNorm2d(5)), (1, 3, 6, 6), ["conv", "scale_shift"]),
    ],
)
def test_batch_norm_folds_where_it_can(
    layers: tuple[nn.Module, ...], shape: tuple[int, ...], left: list[str]
) -> None:
    assert kinds(check_module(trained(*layers), shape)) == left


@pytest.mark.parametrize("layout", ["nhwc", "nchw"])
def test_batch_norm_alone_runs_as_a_linear_form(layout: str) -> None:
    module = trained(nn.BatchNorm2d(5), nn.ReLU())
    compiled = check_module(module, (1, 5, 4, 3), layout=layout)  # type: ignore[arg-type]
    assert "scale_shift" in kinds(compiled)
    assert "table" not in kinds(compiled)


def test_batch_norm_can_be_kept_unfolded() -> None:
    module = trained(nn.Conv2d(3, 5, 3), nn.BatchNorm2d(5))
    assert kinds(check_module(module, (1, 3, 6, 6), skip_passes=FIXED)) == ["conv", "scale_shift"]


def lowered(channels: int, clamp: Clamp, seed: int) -> ScaleShiftS8:
    rng = np.random.default_rng(seed)
    op = ScaleShift(
        scale=rng.normal(0.0, 2.0, channels).astype(np.float32),
        shift=rng.normal(0.0, 2.0, channels).astype(np.float32),
        clamp=clamp,
    )
    ctx = Lowering(
        inputs=(Operand(shape=(channels,), qparams=QParams(scale=0.03, zero_point=-20)),),
        output=Operand(shape=(channels,), qparams=QParams(scale=0.05, zero_point=11)),
        requant="single",
        where="test",
    )
    made = op.lower(ctx)
    assert isinstance(made, ScaleShiftS8)
    return made


@pytest.mark.parametrize("shape", [(5,), (1, 5), (3, 4, 5)])
@pytest.mark.parametrize("clamp", [Clamp(), Clamp(low=0.0, high=2.0)])
def test_kernel_equals_reference(shape: tuple[int, ...], clamp: Clamp) -> None:
    check_op(lowered(5, clamp, 0), [shape], shape)


def test_linear_form_is_the_real_one_rounded() -> None:
    op = ScaleShift(scale=np.array([1.7, -0.4], np.float32), shift=np.array([0.3, 5], np.float32))
    source, target = QParams(scale=0.03, zero_point=-20), QParams(scale=0.06, zero_point=11)
    made = op.lower(
        Lowering(
            inputs=(Operand(shape=(2,), qparams=source),),
            output=Operand(shape=(2,), qparams=target),
            requant="single",
            where="test",
        )
    )
    x = np.repeat(np.arange(-128, 128)[:, None], 2, axis=1)
    real = op.scale * ((x - source.zero_point) * source.scale) + op.shift
    exact = real / target.scale + target.zero_point
    inside = (exact > -128) & (exact < 127)
    assert inside.any()
    assert np.abs(made.reference((x,)) - exact)[inside].max() <= 0.5 + 1e-3


def test_ties_round_up_in_both_worlds() -> None:
    one = Operand(shape=(2,), qparams=QParams(scale=1.0, zero_point=0))
    op = ScaleShift(scale=np.array([0.5, -0.5], np.float32), shift=np.zeros(1, np.float32))
    made = op.lower(Lowering(inputs=(one,), output=one, requant="single", where="test"))
    x = np.repeat(np.array([-3, -1, 1])[:, None], 2, axis=1)
    assert made.reference((x,)).tolist() == [[-1, 2], [0, 1], [1, 0]]
    check_op(made, [(2,)], (2,))


def test_bounds_are_reached() -> None:
    op = lowered(6, Clamp(), 3)
    low, high = op.bounds([(np.full(6, -7), np.full(6, 90))], (6,))
    every = op.reference((np.repeat(np.arange(-7, 91)[:, None], 6, axis=1),))
    assert np.array_equal(low, every.min(axis=0))
    assert np.array_equal(high, every.max(axis=0))


def refusal(module: nn.Module, shape: tuple[int, ...]) -> str:
    with pytest.raises(ModelError) as caught:
        to_graph(torch.export.export(module, (torch.zeros(shape),)), "net")
    return str(caught.value)


def test_training_mode_is_refused() -> None:
    module = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4)).train()
    assert "model.eval()" in refusal(module, (1, 3, 6, 6))


def test_batch_norm_without_statistics_is_refused() -> None:
    module = nn.BatchNorm2d(4, track_running_stats=False).eval()
    assert "track_running_stats" in refusal(module, (1, 4, 6, 6))


@pytest.mark.parametrize(
    "module", [nn.LayerNorm(6), nn.GroupNorm(2, 4), nn.InstanceNorm2d(4)], ids=lambda m: str(m)
)
def test_run_time_statistics_are_refused(module: nn.Module) -> None:
    assert "only batch norm is supported" in refusal(module.eval(), (1, 4, 6, 6))
