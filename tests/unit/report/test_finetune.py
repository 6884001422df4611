# SPDX-License-Identifier: Apache-2.0
"""The table that ends a training run."""

from __future__ import annotations

from typing import Any

from mcugen.report.finetune import finetune_text


def found(**changes: Any) -> dict[str, Any]:
    epochs = [
        {"epoch": 0, "loss": None, "score": 92.1},
        {"epoch": 1, "loss": 0.25, "score": 94.85},
        {"epoch": 2, "loss": 0.125, "score": 94.8},
    ]
    held = {"out": "t.mcugen", "metric": "top-1", "float": 95.05, "best_epoch": 1}
    return held | {"epochs": epochs} | changes


def test_the_epochs_and_the_best_of_them() -> None:
    assert finetune_text(found()).splitlines() == [
        " epoch   loss    top-1",
        "before         92.10 %",
        "     1   0.25  94.85 %",
        "     2  0.125  94.80 %",
        "top-1 float 95.05 %, quantized 92.10 %, tuned 94.85 % (epoch 1)",
        "wrote t.mcugen: mcugen build t.mcugen --board BOARD",
    ]


def test_training_in_vain_says_what_to_try() -> None:
    text = finetune_text(found(best_epoch=0))
    assert "tuned 92.10 % (epoch 0)" in text
    assert "no epoch was better" in text and "--learning-rate" in text


def test_without_evaluation_data() -> None:
    text = finetune_text(found(metric=None, float=None, out=None))
    assert "top-1" not in text and "wrote" not in text
    assert text.endswith("without --eval none is known to be better")


def test_a_loss_has_no_percent() -> None:
    assert "evaluation loss float 95.05, quantized 92.1" in finetune_text(
        found(metric="evaluation loss")
    )
