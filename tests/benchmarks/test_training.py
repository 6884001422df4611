# SPDX-License-Identifier: Apache-2.0
"""What training for the rounding has to bring, on networks trained here."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch

from benchmarks.training import rows


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.mark.slow
@pytest.mark.usefixtures("shared")
@pytest.mark.parametrize("network", ["motions", "names"])
def test_weights_of_four_bits_lose_half_a_point_at_most(network: str) -> None:
    [row] = rows([network], ["int4"], epochs=5)
    assert row.float_score > 85.0
    assert row.tuned >= row.float_score - 0.5


@pytest.mark.slow
@pytest.mark.usefixtures("shared")
def test_weights_of_two_bits_come_back() -> None:
    [row] = rows(["motions"], ["int2"], epochs=5)
    assert row.quantized < row.float_score == row.tuned
