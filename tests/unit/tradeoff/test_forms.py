# SPDX-License-Identifier: Apache-2.0
"""Which forms there are, and that losses of several networks lie beside each other."""

from __future__ import annotations

from pathlib import Path

import pytest

from mcugen.errors import OptionError
from mcugen.tradeoff.cache import Losses
from mcugen.tradeoff.forms import FormOptions
from mcugen.tradeoff.options import Form
from mcugen.tradeoff.problem import SearchOptions


def test_a_pattern_of_n_of_m_has_one_share_of_zeros() -> None:
    options = FormOptions(bits=(8,), patterns=("3:4", "block2x2"), sparsities=(0.5, 0.9))
    assert set(options.forms()) == {
        Form(),
        Form(pattern="3:4", sparsity=0.25),
        Form(pattern="block2x2", sparsity=0.5),
        Form(pattern="block2x2", sparsity=0.9),
    }


def test_single_weights_are_gentler_than_n_of_m_and_not_the_reverse() -> None:
    single = Form(pattern="unstructured", sparsity=0.5)
    assert single.gentler(Form(pattern="2:4", sparsity=0.5))
    assert not Form(pattern="2:4", sparsity=0.5).gentler(single)


@pytest.mark.parametrize("pattern", ["4:2", "0:4", "channel", "2x2"])
def test_other_patterns_are_refused(pattern: str) -> None:
    with pytest.raises(OptionError, match=r"is not searched; there are .* any n:m"):
        FormOptions(patterns=(pattern,))


def test_every_share_that_cannot_be_is_named() -> None:
    with pytest.raises(OptionError, match=r"(?s)channels 0: .*channels 1.5: .*"):
        SearchOptions(channels=(0.0, 0.5, 1.5))


def test_losses_of_several_networks_lie_in_one_file(tmp_path: Path) -> None:
    path = tmp_path / "losses.json"
    for key, loss in (("whole", 0.25), ("cut", 0.5)):
        held = Losses(key, path)
        held.put("layer", Form(), loss)
        held.save()
    assert Losses("whole", path).get("layer", Form()) == 0.25
    assert Losses("cut", path).get("layer", Form()) == 0.5
