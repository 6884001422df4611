# SPDX-License-Identifier: Apache-2.0
"""Random networks: C equals the reference, the passes change no bit or nothing, bytes repeat."""

from __future__ import annotations

from random import Random

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mcugen.fixed_point import RequantMode
from mcugen.frontend.export import InputLayout
from mcugen.ir.interp import run
from mcugen.ops.base import Optimize, Target
from mcugen.pipeline import FLOAT_PASSES, CompileOptions, compile_graph, simplified
from mcugen.quantize.options import QuantOptions
from mcugen.train.forward import forward
from mcugen.verify.inputs import verification_inputs
from tests.ops.harness import check_c, check_module, export, random_inputs, stored_inputs
from tests.property.networks import Network, Recipe, recipes

SETTINGS = {"deadline": None, "suppress_health_check": list(HealthCheck), "derandomize": True}


@pytest.mark.slow
@settings(max_examples=60, **SETTINGS)  # type: ignore[arg-type]
@given(recipes(8), st.sampled_from(["single", "double"]), st.sampled_from(["nhwc", "nchw"]))
def test_c_equals_the_reference_and_is_near_to_torch(
    recipe: Recipe, requant: RequantMode, layout: InputLayout
) -> None:
    network = Network(recipe)
    # eight layers of int8 on random weights; a wrong operator is off by far more
    check_module(
        network, network.input_shape, requant=requant, layout=layout, tolerance=0.1, minimum=24
    )


@pytest.mark.slow
@settings(max_examples=25, **SETTINGS)  # type: ignore[arg-type]
@given(recipes(8), st.randoms(use_true_random=False), st.sampled_from(["balanced", "ram"]))
def test_widths_of_tensors_mix_in_every_way(
    recipe: Recipe, random: Random, optimize: Optimize
) -> None:
    """With the kernels of a core, and with chains where these save RAM."""
    network = Network(recipe)
    nodes = simplified(export(network, network.input_shape)).nodes
    narrow = [node.name for node in nodes if random.random() < 0.4]
    check_module(
        network,
        network.input_shape,
        tolerance=0.1,
        minimum=16,
        target=Target(core="cortex-m4", features=frozenset({"dsp"}), optimize=optimize),
        activations=("int16", *(f"{name}=int8" for name in narrow)),
    )


@pytest.mark.slow
@settings(max_examples=25, **SETTINGS)  # type: ignore[arg-type]
@given(recipes(10), st.sampled_from([(), ("int16",)]))
def test_removing_channels_changes_no_bit(recipe: Recipe, activations: tuple[str, ...]) -> None:
    network = Network(recipe)
    graph = export(network, network.input_shape)
    stored = stored_inputs(graph, random_inputs(graph))
    quant = QuantOptions(activations=activations)
    skip = CompileOptions(quant=quant, skip_passes=frozenset({"remove_channels"}))
    cut = compile_graph(graph, stored, CompileOptions(quant=quant))
    whole = compile_graph(graph, stored, skip)
    inputs = verification_inputs(cut.graph, minimum=24)
    for got, want in zip(run(cut.graph, inputs), run(whole.graph, inputs), strict=True):
        np.testing.assert_array_equal(got, want)
    check_c(cut, inputs)


@pytest.mark.slow
@settings(max_examples=15, **SETTINGS)  # type: ignore[arg-type]
@given(recipes(10))
def test_float_passes_keep_the_function(recipe: Recipe) -> None:
    network = Network(recipe)
    source = graph = export(network, network.input_shape)
    stored = [torch.from_numpy(x) for x in stored_inputs(graph, random_inputs(graph))]
    with torch.no_grad():
        wanted = forward(source, stored)
        for name, run_pass in FLOAT_PASSES.items():
            graph = run_pass(graph)
            for got, want in zip(forward(graph, stored), wanted, strict=True):
                scale = max(1.0, float(want.abs().max()))
                error = float((got - want).abs().max()) / scale
                assert error < 1e-4, f"{name} changes the function by {error:g}"


@pytest.mark.slow
@settings(max_examples=8, **SETTINGS)  # type: ignore[arg-type]
@given(recipes(6))
def test_the_same_network_gives_the_same_bytes(recipe: Recipe) -> None:
    made = []
    for _ in range(2):
        network = Network(recipe)
        graph = export(network, network.input_shape)
        made.append(
            compile_graph(graph, stored_inputs(graph, random_inputs(graph)), CompileOptions())
        )
    assert made[0].files == made[1].files
