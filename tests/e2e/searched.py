# SPDX-License-Identifier: Apache-2.0
"""The network that the tests of search and of its allocation choose zeros for."""

from __future__ import annotations

import torch

from tests.model_files import TwoConvolutions, noise, spread_scores

SHAPE = (1, 4, 6, 6)


def samples() -> torch.Tensor:
    return noise(5, 64, *SHAPE[1:])


def net() -> TwoConvolutions:
    """Wide enough for sparse kernels to win."""
    torch.manual_seed(1)
    made = TwoConvolutions((4, 16, 64), classes=4).eval()
    spread_scores(made, made.head, samples())
    return made
