# SPDX-License-Identifier: Apache-2.0
"""A model's own quantization: used as it stands, filled in, or refused."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from numpy.typing import NDArray

from mcugen.errors import ModelError
from mcugen.ir.graph import Graph, QParams
from mcugen.ir.quantization import WeightGrid
from mcugen.lower.integer import to_integer
from mcugen.ops import Add, Clip, Concat, Conv, FakeQuantize, Linear, MaxPool, Softmax, Window
from mcugen.ops.base import Op
from mcugen.pipeline import simplified
from mcugen.quantize.stated import Settled, is_stated, settle
from mcugen.quantize.walk import real_weight
from tests.unit.passes.moves import Line, chain, graph_of

SHAPE = (4, 4, 2)
SCALES = np.array([0.01, 0.02, 0.04])
INPUT, OUTPUT, OTHER = (
    FakeQuantize(qparams=QParams(scale=float(np.float32(scale)), zero_point=zero_point))
    for scale, zero_point in ((0.02, 3), (0.3, -7), (0.05, 100))
)


def samples(graph: Graph) -> list[NDArray[np.float32]]:
    rng = np.random.default_rng(0)
    [name] = graph.inputs
    return [rng.standard_normal((16, *graph.by_name[name].shape)).astype(np.float32)]


def settled(graph: Graph) -> Settled:
    return settle(graph, samples(graph))


def ints(seed: int = 0, low: int = -127, high: int = 127) -> NDArray[np.float64]:
    return np.random.default_rng(seed).integers(low, high + 1, (3, 1, 1, 2)).astype(np.float64)


def conv(steps: NDArray[np.float64], high: int = 127, bias: Sequence[float] = (0.5, 0, -1)) -> Conv:
    return Conv(
        weight=(steps * SCALES[:, None, None, None]).astype(np.float32),
        bias=np.array(bias, np.float32),
        window=Window(kernel=(1, 1)),
        grid=WeightGrid(scales=SCALES, high=high),
    )


def test_a_float_network_states_nothing() -> None:
    assert not is_stated(chain(SHAPE, Clip(low=0.0)))
    assert is_stated(chain(SHAPE, INPUT))
    assert is_stated(chain(SHAPE, conv(ints())))


def test_scales_and_integers_are_used_as_they_stand() -> None:
    steps = ints()
    made = settled(chain(SHAPE, INPUT, conv(steps), OUTPUT))
    assert [node.name for node in made.graph.nodes] == ["x", "n1"]
    assert made.graph.outputs == ("n1",)
    assert made.quantization.tensors == {"x": INPUT.qparams, "n1": OUTPUT.qparams}
    layer = made.quantization.weights["n1"]
    np.testing.assert_array_equal(layer.ints, steps)
    np.testing.assert_array_equal(layer.scales, SCALES)
    np.testing.assert_array_equal(layer.bias, np.array([0.5, 0, -1], np.float32))
    assert layer.bits == 8
    assert made.observed == () and made.notes == ()
    assert not is_stated(made.graph)


def test_what_moves_or_clamps_takes_its_operands_quantization() -> None:
    pool = MaxPool(window=Window(kernel=(2, 2)))
    made = settled(chain(SHAPE, INPUT, pool, Clip(low=-0.1, high=0.2)))
    assert set(made.quantization.tensors.values()) == {INPUT.qparams}
    assert made.observed == ()


def test_a_concatenation_of_two_scales_holds_both() -> None:
    lines: list[Line] = [
        ("left", INPUT, ("x",)),
        ("sum", Add(), ("x", "x")),
        ("right", OTHER, ("sum",)),
        ("both", Concat(axis=2), ("left", "right")),
    ]
    made = settled(graph_of(SHAPE, lines, ["both"]))
    q = made.quantization.tensors["both"]
    for own in (INPUT.qparams, OTHER.qparams):
        assert (q.high - q.zero_point) * q.scale >= (own.high - own.zero_point) * own.scale * 0.99
        assert (q.low - q.zero_point) * q.scale <= (own.low - own.zero_point) * own.scale * 0.99


def test_ranges_of_tensors_that_the_model_leaves_come_from_samples() -> None:
    graph = chain(SHAPE, INPUT, conv(ints()), Clip(low=0.0), Softmax())
    made = settled(simplified(graph))
    assert made.observed == ("n1",)
    q = made.quantization.tensors["n1"]
    assert q.zero_point == -128, "a ReLU's range begins at 0"
    assert made.quantization.tensors["n3"] == QParams(scale=1 / 256, zero_point=-128)


def test_weights_that_the_model_leaves_are_rounded_and_told() -> None:
    plain = conv(ints())
    made = settled(chain(SHAPE, INPUT, plain.with_weight_arrays(plain.weight, plain.bias), OUTPUT))
    assert np.abs(made.quantization.weights["n1"].ints).max(axis=(1, 2, 3)).tolist() == [127] * 3
    [note] = made.notes
    assert "does not quantize these layers' weights" in note and note.endswith(": n1")


def test_weights_of_minus_128_become_minus_127_and_are_told() -> None:
    steps = ints()
    steps[1, 0, 0, 0] = -128
    made = settled(chain(SHAPE, INPUT, conv(steps), OUTPUT))
    np.testing.assert_array_equal(
        made.quantization.weights["n1"].ints, np.where(steps == -128, -127, steps)
    )
    [note] = made.notes
    assert "quant_min=-127" in note and note.endswith(": n1")


@pytest.mark.parametrize(
    ("low", "high", "limit", "bits", "told"),
    [(-7, 7, 7, 4, False), (-8, 7, 7, 8, True), (-1, 1, 1, 2, False), (-7, 7, 127, 8, False)],
)
def test_narrow_weights_are_packed_where_they_can_be(
    low: int, high: int, limit: int, bits: int, told: bool
) -> None:
    steps = ints(low=low, high=high)
    steps[0, 0, 0] = low, high
    made = settled(chain(SHAPE, INPUT, conv(steps, limit), OUTPUT))
    assert made.quantization.weights["n1"].bits == bits
    np.testing.assert_array_equal(made.quantization.weights["n1"].ints, steps)
    assert [("quant_min=-7" in note) for note in made.notes] == [True] * told


def test_weights_off_the_middle_are_refused_all_at_once() -> None:
    steps = ints()
    steps[0, 0, 0, 0] = 200
    graph = chain(SHAPE, INPUT, conv(steps), OUTPUT, conv_of_three(-180.0))
    with pytest.raises(ModelError) as caught:
        settled(graph)
    lines = str(caught.value).splitlines()
    assert [line.partition(":")[0] for line in lines] == ["n1", "n3"]
    assert "to 200 steps" in lines[0] and "-180" in lines[1]
    assert all("symmetrically, with zero point 0" in line for line in lines)


def conv_of_three(extreme: float) -> Linear:
    return Linear(
        weight=np.array([[extreme, 1, 2]], np.float32) * np.float32(0.01),
        bias=np.zeros(1, np.float32),
        grid=WeightGrid(scales=np.array([0.01])),
    )


def test_a_channel_of_zeros_needs_no_scale_and_keeps_its_bias() -> None:
    steps = ints()
    steps[2] = 0
    op = conv(steps, bias=(0.5, 0.0, 20.0))
    assert op.grid is not None
    scales = SCALES * np.array([1.0, 1.0, 1e-9])
    graph = chain(SHAPE, INPUT, Conv(
        weight=op.weight, bias=op.bias, window=op.window, grid=WeightGrid(scales=scales)
    ), OUTPUT)  # fmt: skip
    made = settled(graph)
    integer = to_integer(made.graph, made.quantization, "single")
    node = integer.by_name["n1"]
    from mcugen.ops import IntOp

    assert isinstance(node.op, IntOp)
    y = node.op.reference([np.zeros((1, *SHAPE), np.int64)])
    assert np.all(y[..., 2] == round(20.0 / 0.3) - 7)


def test_a_tensor_that_is_rounded_in_two_ways_holds_the_wider() -> None:
    lines: list[Line] = [
        ("wide", OUTPUT, ("x",)),
        ("narrow", INPUT, ("x",)),
        ("a", conv(ints()), ("wide",)),
        ("b", conv(ints(1)), ("narrow",)),
        ("sum", Add(), ("a", "b")),
    ]
    made = settled(graph_of(SHAPE, lines, ["sum"]))
    assert made.quantization.tensors["x"] == OUTPUT.qparams
    assert made.graph.by_name["a"].inputs == ("x",)
    assert made.graph.by_name["b"].inputs == ("narrow",)
    assert made.quantization.tensors["narrow"] == INPUT.qparams
    assert any("in several ways" in note and note.endswith(": x") for note in made.notes)


def test_a_tensor_that_some_read_unrounded_is_told() -> None:
    lines: list[Line] = [("r", INPUT, ("x",)), ("sum", Add(), ("x", "r"))]
    made = settled(graph_of(SHAPE, lines, ["sum"]))
    assert made.graph.by_name["sum"].inputs == ("x", "x")
    assert any("for some of their readers only" in note for note in made.notes)


def test_an_activation_that_is_no_part_of_its_layer_is_told() -> None:
    graph = chain(SHAPE, INPUT, conv(ints()), OUTPUT, Clip(low=0.0), OTHER)
    made = settled(simplified(graph))
    assert [n.op.kind for n in made.graph.nodes] == ["input", "conv", "clip"]
    assert any("a layer of its own" in note and note.endswith(": n1") for note in made.notes)


@pytest.mark.parametrize("layer", [conv(ints()), conv_of_three(-100.0)])
def test_grids_follow_what_folds_into_their_weights(layer: Conv | Linear) -> None:
    count, within = len(layer.weight), layer.weight.shape[-1]
    factors = np.linspace(-2.0, 3.0, count).astype(np.float32)
    one = np.array([0.5], np.float32)
    behind = layer.absorb_scale_shift(factors, np.zeros_like(factors))
    before = layer.absorb_input_scale_shift(one, one)
    assert behind is not None and before is not None
    for folded in (behind, before):
        on_grid(folded)
    uneven = np.linspace(1.0, 2.0, within).astype(np.float32)
    assert layer.absorb_input_scale_shift(uneven, np.zeros_like(uneven)) is None


def test_grids_follow_outputs_that_are_put_in_another_order() -> None:
    weight = np.array([[1, 2], [50, -127], [3, 127]], np.float32)
    scales = np.array([0.1, 0.2, 0.4])
    layer = Linear(
        weight=weight * scales[:, None].astype(np.float32),
        bias=np.zeros(3, np.float32),
        grid=WeightGrid(scales=scales),
    )
    on_grid(layer.permute_outputs(np.array([2, 0, 1])))
    on_grid(layer.permute_inputs(np.array([1, 0])))


def on_grid(op: Op) -> None:
    """Assert that the layer's weights are integers on its grid, and are taken as such."""
    assert op.weight_arrays is not None and op.weight_grid is not None
    shape = (*SHAPE[:-1], op.weight_arrays[0].shape[-1])
    made = settled(chain(shape, INPUT, op, OUTPUT)).quantization.weights["n1"]
    np.testing.assert_array_equal(made.scales, op.weight_grid.scales)
    np.testing.assert_allclose(real_weight(made), op.weight_arrays[0], rtol=1e-6)
