# SPDX-License-Identifier: Apache-2.0
"""The checker is checked: every mutation of the generated C must be caught, and named."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from mcugen.emit.write import write_files
from mcugen.errors import MismatchError
from mcugen.pipeline import Compilation, CompileOptions, compile_graph
from mcugen.simulate.program import program_of
from mcugen.verify.compare import Verification, compare
from mcugen.verify.host import HostNetwork
from mcugen.verify.inputs import verification_inputs
from tests.ops.harness import export


@pytest.fixture(scope="module")
def compiled() -> Compilation:
    torch.manual_seed(1)
    module = nn.Sequential(
        nn.Conv2d(3, 6, 3, padding=1),
        nn.Conv2d(6, 6, 3, groups=6, padding=1),
        nn.Sigmoid(),
        nn.Conv2d(6, 4, 5),
    )
    graph = export(module, (1, 3, 8, 8))
    x = np.random.default_rng(0).normal(size=(16, 8, 8, 3)).astype(np.float32)
    return compile_graph(graph, [x], CompileOptions())


def verify(compiled: Compilation, files: Mapping[str, str], folder: Path) -> Verification:
    write_files(folder, files)
    with HostNetwork(program_of(folder, compiled.graph), compiled.plan.arena_bytes) as network:
        return compare(compiled.graph, network, verification_inputs(compiled.graph))


def test_the_code_as_generated_passes(compiled: Compilation, tmp_path: Path) -> None:
    found = verify(compiled, compiled.files, tmp_path)
    assert found.inputs >= 200
    assert found.tensors == len(compiled.graph.layers) == 4


MUTATIONS = [
    # file, pattern, replacement, first layer that must differ; ties, which no network is sure to
    # meet, are for the test of the fixed-point functions
    ("mcugen.h", r"half = \(int64_t\)1 << \(shift - 1\)", "half = 0", 0),
    ("mcugen.h", r"scaled \+ zero_point", "scaled - zero_point", 0),
    ("mcugen.h", r"value > high", "value >= high + 2", 0),
    ("mcugen_conv_typed.h", r"weight\[c\] \* p->pad_value", "weight[c] * 0", 0),
    ("mcugen_conv_typed.h", r"in_y < 0", "in_y <= 0", 0),
    ("mcugen_conv_typed.h", r"acc \+= tap \* p->pad_value", "acc += 0", 1),
    ("mcugen_table.h", r"middle = &p->table\[128\]", "middle = &p->table[127]", 2),
    ("net.c", r"(n3_conv2d_params = \{[^}]*\.zero_point = )(-?\d+)", r"\g<1>1 + \2", 3),
    ("net.c", r"(n1_conv2d_params = \{[^}]*\.pad_left = )1", r"\g<1>0", 1),
    ("net.c", r"(n1_conv2d_params = \{[^}]*\.high = )127", r"\g<1>126", 1),
]


@pytest.mark.parametrize(("name", "pattern", "replacement", "layer"), MUTATIONS)
def test_a_mutation_is_caught_at_its_layer(
    compiled: Compilation, tmp_path: Path, name: str, pattern: str, replacement: str, layer: int
) -> None:
    text, count = re.subn(pattern, replacement, compiled.files[name], count=1, flags=re.S)
    assert count == 1, "the mutation no longer applies; write it anew"
    expected = compiled.graph.layers[layer].name
    with pytest.raises(MismatchError, match=rf"host: layer {expected} .*expected -?\d+, got -?\d+"):
        verify(compiled, {**compiled.files, name: text}, tmp_path)


@pytest.mark.parametrize("suffix", ["n0_conv2d_weight", "n1_conv2d_bias", "n3_conv2d_multiplier"])
def test_one_wrong_number_in_a_table_is_caught(
    compiled: Compilation, tmp_path: Path, suffix: str
) -> None:
    text = compiled.files["net_weights.h"]
    head = text.index(f" net_{suffix}[")
    place = re.compile(r"-?\d+,").search(text, text.index("{", head))
    assert place is not None
    value = int(place.group()[:-1])
    # a multiplier is 2^30 or more: a change of one part in a thousand, a step for the others
    wrong = value + max(1, abs(value) // 1000)
    text = f"{text[: place.start()]}{wrong},{text[place.end() :]}"
    layer = suffix.rsplit("_", 1)[0]
    with pytest.raises(MismatchError, match=f"host: layer {layer} "):
        verify(compiled, {**compiled.files, "net_weights.h": text}, tmp_path)


def test_a_wrong_reference_is_caught_too(compiled: Compilation, tmp_path: Path) -> None:
    graph = compiled.graph
    last = graph.nodes[-1]
    op = last.op
    wrong = replace(op, pad_value=0, bias=op.bias + 400)  # type: ignore[type-var,union-attr]
    mutated = graph.with_nodes([*graph.nodes[:-1], replace(last, op=wrong)])
    write_files(tmp_path, compiled.files)
    with (
        HostNetwork(program_of(tmp_path, graph), compiled.plan.arena_bytes) as network,
        pytest.raises(MismatchError, match=f"layer {last.name}"),
    ):
        compare(mutated, network, verification_inputs(graph))


def test_an_output_read_from_the_wrong_place_is_caught(
    compiled: Compilation, tmp_path: Path
) -> None:
    pattern = r"(net_output\(void \*arena\)\s*\{.*?return &base\[)(\d+)"
    text, count = re.subn(pattern, r"\g<1>4 + \2", compiled.files["net.c"], count=1, flags=re.S)
    assert count == 1
    with pytest.raises(MismatchError, match="output 0 differs although every layer is equal"):
        verify(compiled, {**compiled.files, "net.c": text}, tmp_path)
