# SPDX-License-Identifier: Apache-2.0
"""Weights of fewer bits through the whole compiler: integers, scales, C, report."""

from __future__ import annotations

import numpy as np
import pytest

from mcugen.errors import OptionError
from mcugen.ops.base import IntOp
from mcugen.pipeline import CompileOptions, compile_graph
from mcugen.quantize.options import QuantOptions
from mcugen.quantize.quantize import quantize
from tests.ops.harness import check_c, export, random_inputs, stored_inputs
from tests.unit.quantize.test_bits import Network


@pytest.mark.parametrize("method", ["integerize", "estimate", "mean_rounding"])
def test_every_method_gives_the_bits_asked_for(method: str) -> None:
    graph = export(Network(), (1, 3, 8, 8))
    samples = stored_inputs(graph, random_inputs(graph))
    options = QuantOptions(method=method, weights=("int4", "head=int2"), keep_int8=("depthwise",))
    found = quantize(graph, samples, options).weights
    modules = {graph.by_name[name].origin.module: of for name, of in found.items()}
    assert {module: of.bits for module, of in modules.items()} == {
        "stem": 4,
        "features.0": 8,
        "features.2": 4,
        "neck": 4,
        "head": 2,
    }
    for of in modules.values():
        assert np.abs(of.ints).max() <= 2 ** (of.bits - 1) - 1


def test_the_scale_of_few_bits_has_less_error_than_that_of_the_largest_weight() -> None:
    graph = export(Network(), (1, 3, 8, 8))
    samples = stored_inputs(graph, random_inputs(graph))
    options = QuantOptions(weights=("features.2=int2", "neck=int4"))
    for name, of in quantize(graph, samples, options).weights.items():
        if of.bits == 8:
            continue
        arrays = graph.by_name[name].op.weight_arrays  # type: ignore[union-attr]
        assert arrays is not None
        flat = arrays[0].reshape(len(of.ints), -1).astype(np.float64)
        most = 2 ** (of.bits - 1) - 1
        largest = np.abs(flat).max(axis=1) / most
        steps = np.clip(np.floor(flat / largest[:, None] + 0.5), -most, most)
        plain = ((steps * largest[:, None] - flat) ** 2).sum(axis=1)
        found = ((of.ints.reshape(flat.shape) * of.scales[:, None] - flat) ** 2).sum(axis=1)
        assert np.all(found <= plain)
        assert found.sum() < plain.sum()


def test_the_c_equals_the_reference() -> None:
    graph = export(Network(), (1, 3, 8, 8))
    samples = stored_inputs(graph, random_inputs(graph))
    options = QuantOptions(weights=("int4", "features.*=int2"), keep_int8=("none",))
    compiled = compile_graph(graph, samples, CompileOptions(quant=options))
    widths = [n.op.bits_per_weight for n in compiled.graph.nodes if isinstance(n.op, IntOp)]
    assert [width for width in widths if width is not None] == [4, 2, 2, 4, 4]
    check_c(compiled, tuple((x * 40).round().clip(-128, 127).astype(np.int8) for x in samples))
    int8 = compile_graph(graph, samples, CompileOptions())
    assert compiled.view.digest != int8.view.digest
    assert compiled.view.weight_bytes < int8.view.weight_bytes


def test_an_unknown_layer_is_told_before_anything_is_written() -> None:
    graph = export(Network(), (1, 3, 8, 8))
    samples = stored_inputs(graph, random_inputs(graph))
    options = CompileOptions(quant=QuantOptions(weights=("nek=int4",)))
    with pytest.raises(OptionError, match="no layer matches 'nek'; layers with weights: "):
        compile_graph(graph, samples, options)
