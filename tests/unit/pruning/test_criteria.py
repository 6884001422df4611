# SPDX-License-Identifier: Apache-2.0
"""Scores against their definitions, computed the long way, and what refitting brings."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from mcugen.evaluate import float_outputs
from mcugen.ir.graph import Graph
from mcugen.ops.base import Op
from mcugen.pipeline import simplified
from mcugen.pruning.criteria import Data, score
from mcugen.pruning.masks import apply_masks, prunable, weight_of
from mcugen.pruning.options import CRITERIA, PruneOptions
from mcugen.pruning.patterns import Scores, blocks_of
from mcugen.pruning.prune import choose_masks, prune_graph
from mcugen.pruning.reconstruct import reconstruct
from mcugen.pruning.taps import Taps, moments
from mcugen.train.forward import forward
from mcugen.train.objective import Objective
from tests.ops.harness import export
from tests.unit.quantize.networks import graph_and_samples

GRAPH, SAMPLES = graph_and_samples(24)
EVERY = ("none",)
FORMS = [f for forms in CRITERIA.values() for f in forms if f != "bn_scale"]  # it has no norms


def options(criterion: str, **choices: Any) -> PruneOptions:
    amount = {"threshold": 0.05} if criterion == "deviation" else {"sparsity": 0.5}
    return PruneOptions(criterion=criterion, keep_dense=EVERY, **{**amount, **choices})


def scores(criterion: str, graph: Graph = GRAPH) -> dict[str, Scores]:
    chosen = options(criterion)
    return score(graph, prunable(graph, chosen), Data.of(SAMPLES), chosen)


def tensors(graph: Graph) -> dict[str, torch.Tensor]:
    seen: dict[str, torch.Tensor] = {}
    with torch.no_grad():
        forward(graph, [torch.from_numpy(x) for x in SAMPLES], seen.__setitem__)
    return seen


@pytest.mark.parametrize("form", FORMS)
def test_every_weight_has_a_score_that_is_0_for_a_zero(form: str) -> None:
    name = prunable(GRAPH, options(form))[2].name
    mask = np.ones(weight_of(GRAPH.by_name[name]).shape, bool)
    mask[0], mask[1, ..., 2] = False, False
    graph = apply_masks(GRAPH, {name: mask})
    found = scores(form, graph)
    for node in prunable(graph, options(form)):
        assert found[node.name].shape == weight_of(node).shape
        assert np.isfinite(found[node.name]).all()
        assert found[node.name].min() >= 0.0 and found[node.name].max() > 0.0
    gone = found[name][0] if form == "deviation" else found[name][~mask]
    assert not gone.any()


@pytest.mark.parametrize("form", FORMS)
def test_the_same_seed_gives_the_same_scores(form: str) -> None:
    one, two = scores(form), scores(form)
    assert all(np.array_equal(one[name], two[name]) for name in one)


def test_taps_times_weights_are_the_layer() -> None:
    seen = tensors(GRAPH)
    for node in prunable(GRAPH, options("magnitude")):
        assert isinstance(node.op, Op) and node.op.weight_arrays is not None
        weight, bias = node.op.weight_arrays
        x = seen[node.inputs[0]]
        taps = Taps.of(node.op, x.shape[-1])
        parts = np.split(weight.reshape(len(weight), -1), taps.groups)
        read = taps.read(x).numpy()
        got = np.concatenate([r @ w.T for r, w in zip(read, parts, strict=True)], axis=1) + bias
        wanted = node.op.without_clamp().forward([x]).numpy()
        np.testing.assert_allclose(got.reshape(wanted.shape), wanted, atol=1e-4)


def test_wanda_is_the_weight_times_the_norm_of_its_operand() -> None:
    found, seen = scores("wanda"), tensors(GRAPH)
    for node in prunable(GRAPH, options("wanda")):
        assert isinstance(node.op, Op)
        x = seen[node.inputs[0]]
        taps = Taps.of(node.op, x.shape[-1])
        norms = np.sqrt((taps.read(x).double() ** 2).sum(1).numpy())
        weight = weight_of(node)
        wide = np.repeat(norms, len(weight) // taps.groups, axis=0).reshape(weight.shape)
        np.testing.assert_allclose(found[node.name], np.abs(weight) * wide, rtol=1e-4)


def test_obs_is_the_error_that_is_left_after_refitting() -> None:
    """Removing one weight and refitting all others costs w^2 / [H^-1]_ii in squared error."""
    seen, found = tensors(GRAPH), scores("obs")
    node = prunable(GRAPH, options("obs"))[2]
    assert isinstance(node.op, Op) and node.op.weight_arrays is not None
    x = seen[node.inputs[0]]
    _, own, _ = moments(node.op, x, x)
    hessian = own[0] + 0.01 * np.diagonal(own[0]).mean() * np.eye(len(own[0]))
    weight = node.op.weight_arrays[0].reshape(12, -1)
    for row, gone in ((0, 0), (5, 3), (11, 7)):
        rest = np.delete(np.arange(len(hessian)), gone)
        w = float(weight[row, gone])
        step = np.linalg.solve(hessian[np.ix_(rest, rest)], hessian[rest, gone] * w)
        change = np.zeros(len(hessian))
        change[rest], change[gone] = step, -w
        least = 0.5 * change @ hessian @ change
        assert found[node.name].reshape(12, -1)[row, gone] == pytest.approx(least, rel=1e-6)


@pytest.mark.parametrize("pattern", ["block1x4", "block2x2"])
def test_obs_of_a_block_is_the_error_of_its_weights_together(pattern: str) -> None:
    """Zeros that are there already are not refitted; channels 8 to 10 of 11 are a smaller block."""
    layer, blocks = nn.Conv2d(11, 4, 1), blocks_of(pattern)
    graph = simplified(export(layer, (1, 11, 6, 6)))
    name = graph.nodes[-1].name
    mask = np.ones(weight_of(graph.by_name[name]).shape, bool)
    mask[:2, ..., 0] = False
    graph = apply_masks(graph, {name: mask})
    x = np.random.default_rng(0).normal(size=(20, 6, 6, 11)).astype(np.float32)
    mixed = np.cumsum(x, axis=-1).astype(np.float32)  # neighbours are alike
    chosen = options("obs", pattern=pattern)
    found = score(graph, [graph.by_name[name]], Data.of([mixed]), chosen)[name]
    c = np.concatenate([mixed.reshape(-1, 11), np.ones((720, 1), np.float32)], axis=1)
    hessian = c.T.astype(np.float64) @ c
    hessian += 0.01 * np.diagonal(hessian).mean() * np.eye(12)
    weight = weight_of(graph.by_name[name]).reshape(4, 11).astype(np.float64)
    groups = blocks.groups(found)
    for row, channel in np.ndindex(groups.shape[0], groups.shape[2]):
        total = 0.0
        for output in range(row * blocks.outs, (row + 1) * blocks.outs):
            lost = np.zeros(12, bool)
            lost[channel * blocks.ins : min((channel + 1) * blocks.ins, 11)] = True
            zero = np.append(weight[output] == 0.0, False)
            rest = ~(lost | zero)
            w = np.append(weight[output], 0.0)
            change = np.where(lost, -w, 0.0)
            right = -hessian[np.ix_(rest, lost)] @ change[lost]
            change[rest] = np.linalg.solve(hessian[np.ix_(rest, rest)], right)
            total += 0.5 * float(change @ hessian @ change)
        assert groups[row, 0, channel] == pytest.approx(total, rel=1e-4)


def test_stability_is_the_change_of_the_outputs_under_perturbation() -> None:
    """Against f(w + e) - f(w) itself, one weight at a time, e being a small share of w."""
    chosen = options("stability")
    layers = prunable(GRAPH, chosen)
    node = layers[2]
    found = [
        score(GRAPH, layers, Data.of(SAMPLES), replace(chosen, seed=seed))[node.name]
        for seed in range(8)
    ]
    estimated = np.mean(found, axis=0).ravel()
    before = float_outputs(GRAPH, SAMPLES)[0].astype(np.float64)
    weight, exact, small = weight_of(node), [], 1e-2
    assert isinstance(node.op, Op) and node.op.weight_arrays is not None
    for place in range(weight.size):
        moved = weight.copy()
        moved.flat[place] *= 1.0 + small
        op = node.op.with_weight_arrays(moved, node.op.weight_arrays[1])
        after = float_outputs(GRAPH.substitute({node.name: replace(node, op=op)}, {}), SAMPLES)[0]
        exact.append(((after - before) ** 2).sum() / len(before) / small**2)
    assert np.corrcoef(estimated, exact)[0, 1] > 0.98
    assert estimated.sum() == pytest.approx(np.sum(exact), rel=0.1)


def test_deviation_takes_channels_whose_weights_are_alike() -> None:
    node = prunable(GRAPH, options("magnitude"))[0]
    weight = weight_of(node)
    spread = weight.reshape(len(weight), -1).std(axis=1)
    graph = prune_graph(GRAPH, SAMPLES, options("deviation", threshold=0.01))
    assert spread[0] < 0.01 < spread[1:].min()
    after = weight_of(graph.by_name[node.name])
    assert not after[0].any()
    np.testing.assert_array_equal(after[1:], weight[1:])


def test_labels_change_what_taylor_says() -> None:
    chosen = options("taylor")
    layers, blind = prunable(GRAPH, chosen), Data.of(SAMPLES)
    labels = [torch.arange(len(x[0])) % 5 for x, _ in blind.batches]
    batches = [(x, y) for (x, _), y in zip(blind.batches, labels, strict=True)]
    told = Data(batches=batches, loss=Objective(GRAPH).loss)
    one, two = (score(GRAPH, layers, data, chosen) for data in (blind, told))
    assert not np.allclose(one[layers[0].name], two[layers[0].name])


def error(graph: Graph) -> float:
    return float(
        np.mean((float_outputs(graph, SAMPLES)[0] - float_outputs(GRAPH, SAMPLES)[0]) ** 2)
    )


@pytest.mark.parametrize("pattern", ["unstructured", "block2x2", "2:4"])
def test_refitting_keeps_the_zeros_and_mends_the_outputs(pattern: str) -> None:
    amount: dict[str, Any] = {} if pattern == "2:4" else {"sparsity": 0.6}
    chosen = PruneOptions(pattern=pattern, keep_dense=EVERY, **amount)
    data = Data.of(SAMPLES)
    masks = choose_masks(GRAPH, data, chosen)
    refitted = reconstruct(GRAPH, masks, data)
    for name, mask in masks.items():
        assert not weight_of(refitted.by_name[name])[~mask].any()
    assert error(refitted) < 0.5 * error(apply_masks(GRAPH, masks))


@pytest.mark.slow
@pytest.mark.parametrize("pattern", ["unstructured", "block2x2", "1:4"])
def test_rounds_lose_less_than_all_at_once(pattern: str) -> None:
    amount = {"sparsity": None} if pattern == "1:4" else {"sparsity": 0.75}
    chosen = options("obs", pattern=pattern, **amount)
    once, often = (prune_graph(GRAPH, SAMPLES, replace(chosen, rounds=n)) for n in (1, 8))
    for node in prunable(once, chosen):
        zeros, other = (weight_of(g.by_name[node.name]) == 0.0 for g in (once, often))
        assert zeros.mean() == pytest.approx(other.mean(), abs=0.01)
    assert error(often) < error(once)


@pytest.mark.slow
def test_second_order_beats_chance() -> None:
    made = {form: error(prune_graph(GRAPH, SAMPLES, options(form))) for form in ("obs", "random")}
    assert made["obs"] < 0.2 * made["random"]


def test_nothing_pruned_is_nothing_changed() -> None:
    node = prunable(GRAPH, options("magnitude"))[3]
    same = reconstruct(GRAPH, {node.name: np.ones(weight_of(node).shape, bool)}, Data.of(SAMPLES))
    np.testing.assert_allclose(weight_of(same.by_name[node.name]), weight_of(node), atol=1e-5)
