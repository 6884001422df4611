# SPDX-License-Identifier: Apache-2.0
"""Fake quantization: the C's rounding forward, straight-through and learned step sizes backward."""

from __future__ import annotations

import numpy as np
import torch

from mcugen.fixed_point import round_half_up
from mcugen.train.fake_quantize import fake_quantize, round_bias


def test_it_rounds_half_up_and_saturates() -> None:
    scale = 0.25  # a power of two, so that ties are exact in float32
    x = np.concatenate([np.arange(-40, 40) * scale / 2, [1e9, -1e9]])
    wanted = np.clip(round_half_up(x / scale), -5, 7) * scale
    got = fake_quantize(torch.tensor(x, dtype=torch.float32), torch.tensor(scale), -5, 7)
    np.testing.assert_array_equal(got.numpy(), wanted.astype(np.float32))


def test_the_gradient_passes_where_nothing_saturates() -> None:
    x = torch.tensor([-9.0, -2.6, -2.4, 0.3, 3.4, 3.6], requires_grad=True)
    y = fake_quantize(x, torch.tensor(1.0), -2, 3)
    torch.autograd.backward(y, torch.arange(1.0, 7.0))
    assert x.grad is not None
    assert x.grad.tolist() == [0.0, 0.0, 3.0, 4.0, 5.0, 0.0]


def test_the_scale_learns_as_lsq_says() -> None:
    """Equation 3: -v + round(v) inside, the bounds outside; each over sqrt(N high)."""
    scale = torch.tensor(0.5, requires_grad=True)
    x = torch.tensor([0.6, -0.3, 9.0, -9.0])
    y = fake_quantize(x, scale, -4, 3)
    torch.autograd.backward(y, torch.tensor([1.0, 2.0, 1.0, 0.25]))
    wanted = ((1 - 1.2) + 2 * (-1 + 0.6) + 3 - 0.25 * 4) / np.sqrt(4 * 3)
    assert scale.grad is not None
    np.testing.assert_allclose(float(scale.grad), wanted, rtol=1e-6)


def test_each_channel_has_the_gradient_of_its_own_scale() -> None:
    x = torch.tensor([[0.3, 0.6], [1.3, 9.0]])
    scale = torch.ones(2, 1, requires_grad=True)
    torch.autograd.backward(fake_quantize(x, scale, -2, 2).sum())
    wanted = np.array([[-0.3 + 0.4], [-0.3 + 2.0]]) / np.sqrt(2 * 2)
    assert scale.grad is not None
    np.testing.assert_allclose(scale.grad.numpy(), wanted, rtol=1e-6)


def test_a_bias_is_rounded_to_accumulator_steps() -> None:
    bias = torch.tensor([0.3, -0.25, 1e6], requires_grad=True)
    got = round_bias(bias, torch.tensor([0.5, 0.5, 1e-3], dtype=torch.float64))
    assert got.tolist() == [0.5, 0.0, 1e6]
    torch.autograd.backward(got, torch.tensor([1.0, 2.0, 3.0]))
    assert bias.grad is not None
    assert bias.grad.tolist() == [1.0, 2.0, 3.0]
