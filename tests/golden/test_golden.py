# SPDX-License-Identifier: Apache-2.0
"""The generated text, byte for byte: a change of it is seen in review, or is a mistake."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
import torch

from mcugen.verify.inputs import verification_inputs
from tests.golden.network import SAMPLES, SHAPE, Tiny, compile_tiny, spread
from tests.ops.harness import check_c

HERE = Path(__file__).resolve().parent
UPDATE = "pytest tests/golden --update-golden"


@pytest.fixture(scope="module")
def generated() -> Mapping[str, str]:
    return compile_tiny().files


@pytest.mark.parametrize("name", ["tiny.h", "tiny.c", "tiny_weights.h"])
def test_the_text_is_the_golden_one(
    generated: Mapping[str, str], name: str, pytestconfig: pytest.Config
) -> None:
    path = HERE / name
    if pytestconfig.getoption("--update-golden"):
        path.write_bytes(generated[name].encode())
    if not path.exists():
        pytest.fail(f"tests/golden/{name} is missing; `{UPDATE}` writes it")
    golden = path.read_bytes().decode()
    assert generated[name] == golden, f"`{UPDATE}` takes the new text over; read the diff"


def test_the_golden_code_computes_what_the_reference_does() -> None:
    compiled = compile_tiny()
    check_c(compiled, verification_inputs(compiled.graph))


def test_no_sum_of_the_network_is_rounded() -> None:
    """In float32 and in float64 the classifier's scores are the same numbers."""
    values = spread(SAMPLES * int(np.prod(SHAPE)), 8, 37).reshape(SAMPLES, *SHAPE) / 8
    with torch.no_grad():
        seen: list[torch.Tensor] = []
        for dtype in (torch.float32, torch.float64):
            network = Tiny().to(dtype)
            network.classes.register_forward_hook(lambda _m, _x, y: seen.append(y.double()))
            network(torch.from_numpy(values).to(dtype))
    assert seen[0].abs().max() > 1
    assert torch.equal(*seen)
