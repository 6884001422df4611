# SPDX-License-Identifier: Apache-2.0
"""Groups and masks: what goes together, how much goes, and what is refused."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from mcugen.errors import ModelError, OptionError
from mcugen.ir.graph import Graph
from mcugen.pipeline import simplified
from mcugen.pruning.masks import (
    allocate,
    apply_masks,
    make_masks,
    prunable,
    weight_of,
    zero_shares,
)
from mcugen.pruning.options import N_M, PruneOptions, parse_criterion
from mcugen.pruning.patterns import Blocks, best_of_each, blocks_of
from mcugen.pruning.prune import prune_graph
from tests.ops.harness import export
from tests.unit.quantize.networks import graph_and_samples

GRAPH, SAMPLES = graph_and_samples(16)


def pruned(**choices: Any) -> Graph:
    return prune_graph(GRAPH, SAMPLES, PruneOptions(**choices))


def layer_names() -> list[str]:
    return list(zero_shares(GRAPH))


@pytest.mark.parametrize("shape", [(4, 3, 3, 8), (5, 1, 2, 6), (3, 7)])
@pytest.mark.parametrize("pattern", ["unstructured", "block1x4", "block2x2"])
def test_a_group_is_neighbouring_outputs_and_channels_of_one_tap(
    pattern: str, shape: tuple[int, ...]
) -> None:
    blocks = blocks_of(pattern)
    values = np.random.default_rng(0).normal(size=shape)
    groups = blocks.groups(values)
    spread = blocks.spread(groups, shape)
    flat, wide = values.reshape(shape[0], -1, shape[-1]), spread.reshape(shape[0], -1, shape[-1])
    for o, tap, i in np.ndindex(*flat.shape):
        rows = slice(o - o % blocks.outs, o - o % blocks.outs + blocks.outs)
        channels = slice(i - i % blocks.ins, i - i % blocks.ins + blocks.ins)
        assert wide[o, tap, i] == pytest.approx(flat[rows, tap, channels].sum())


def test_n_of_m_keeps_the_best_of_each_group() -> None:
    scores = np.array([[3.0, 1.0, 4.0, 1.0, 5.0, 9.0]])
    assert best_of_each(scores, "2:4").tolist() == [[True, False, True, False, True, True]]
    assert best_of_each(scores, "1:4").tolist() == [[False, False, True, False, False, True]]


@pytest.mark.parametrize("pattern", [*N_M, "3:5"])
def test_n_of_m_leaves_no_more_than_n_in_any_group(pattern: str) -> None:
    n, m = map(int, pattern.split(":"))
    graph = pruned(pattern=pattern, keep_dense=("first", "depthwise"))
    for node in prunable(graph, PruneOptions(pattern=pattern)):
        kept = weight_of(node) != 0.0
        full = np.pad(kept.reshape(-1, kept.shape[-1]), ((0, 0), (0, -kept.shape[-1] % m)))
        assert full.reshape(-1, m).sum(axis=1).max() == n


@pytest.mark.parametrize("pattern", ["unstructured", "block1x4", "block2x2"])
def test_each_layer_has_the_wanted_share_in_whole_groups(pattern: str) -> None:
    graph = pruned(pattern=pattern, sparsity=0.75)
    shares = zero_shares(graph)
    first, depthwise, third, last = layer_names()
    assert shares[first] == shares[depthwise] == 0.0
    assert shares[third] == pytest.approx(0.75, abs=0.02)
    # five outputs leave a row of half blocks
    assert shares[last] == pytest.approx(0.75, abs=0.06)
    blocks = blocks_of(pattern)
    for name in (third, last):
        zero = weight_of(graph.by_name[name]) == 0.0
        whole = blocks.groups(np.ones(zero.shape))
        assert set(np.unique(blocks.groups(zero) / whole)) == {0.0, 1.0}


def test_the_smallest_weights_go() -> None:
    name = layer_names()[2]
    before = np.abs(weight_of(GRAPH.by_name[name]))
    after = weight_of(pruned(sparsity=0.5).by_name[name])
    assert before[after == 0.0].max() < before[after != 0.0].min()


def test_a_threshold_is_what_the_weights_are_compared_with() -> None:
    """P(x) = x if |x| > threshold else 0."""
    for criterion in ("magnitude", "l2"):
        graph = pruned(criterion=criterion, threshold=0.02, keep_dense=("none",))
        for node in prunable(graph, PruneOptions(sparsity=0.5, keep_dense=("none",))):
            x = weight_of(GRAPH.by_name[node.name])
            np.testing.assert_array_equal(
                weight_of(node), np.where(np.abs(x) > np.float32(0.02), x, 0)
            )


def test_globally_the_whole_network_has_the_share() -> None:
    graph = pruned(sparsity=0.6, allocation="global", keep_dense=("none",))
    sizes = {n: weight_of(GRAPH.by_name[n]).size for n in layer_names()}
    shares = zero_shares(graph)
    whole = sum(shares[n] * sizes[n] for n in sizes) / sum(sizes.values())
    assert whole == pytest.approx(0.6, abs=1e-3)
    assert len({round(share, 2) for share in shares.values()}) > 1


def test_erk_gives_small_layers_more_and_keeps_the_whole() -> None:
    layers = prunable(GRAPH, PruneOptions(sparsity=0.8, keep_dense=("none",)))
    shares = allocate(layers, 0.8, "erk")
    sizes = {node.name: weight_of(node).size for node in layers}
    whole = sum(shares[n] * sizes[n] for n in sizes) / sum(sizes.values())
    assert whole == pytest.approx(0.8)
    assert all(0.0 <= share < 1.0 for share in shares.values())
    ratios = [
        (1.0 - shares[node.name]) * weight_of(node).size / sum(weight_of(node).shape)
        for node in layers
    ]
    assert ratios == pytest.approx([ratios[0]] * len(ratios))


def test_erk_leaves_no_layer_with_more_than_all_of_its_weights() -> None:
    layers = prunable(GRAPH, PruneOptions(sparsity=0.1, keep_dense=("none",)))
    shares = allocate(layers, 0.1, "erk")
    sizes = {node.name: weight_of(node).size for node in layers}
    whole = sum(shares[n] * sizes[n] for n in sizes) / sum(sizes.values())
    assert whole == pytest.approx(0.1)
    assert min(shares.values()) == 0.0


def test_zeros_that_are_there_stay() -> None:
    name = layer_names()[3]
    weight = weight_of(GRAPH.by_name[name])
    zeros = np.zeros(weight.shape, bool)
    zeros[:, ::2] = True
    graph = apply_masks(GRAPH, {name: ~zeros})
    done = prune_graph(graph, SAMPLES, PruneOptions(sparsity=0.6, criterion="random"))
    after = weight_of(done.by_name[name])
    assert not after[zeros].any()
    assert np.mean(after == 0.0) == pytest.approx(0.6, abs=0.01)


def test_layers_are_kept_dense_by_place_name_and_module() -> None:
    names = layer_names()
    every = PruneOptions(sparsity=0.5, keep_dense=("none",))
    assert [node.name for node in prunable(GRAPH, every)] == names
    some = PruneOptions(sparsity=0.5, keep_dense=("last", names[0], "4"))
    assert [node.name for node in prunable(GRAPH, some)] == [names[1]]


def test_what_cannot_be_meant_is_refused_all_at_once() -> None:
    with pytest.raises(OptionError) as caught:
        PruneOptions(criterion="size", pattern="block3x3", allocation="fair", sparsity=1.0)
    text = str(caught.value)
    assert "criterion 'size' is not known" in text and "importance (wanda, taylor" in text
    assert "pattern 'block3x3' is not known; the patterns are unstructured, block1x4" in text
    assert "there are uniform, global, erk" in text
    assert "sparsity is 1; expected a share of zeros above 0 and below 1" in text


@pytest.mark.parametrize(
    ("choices", "words"),
    [
        ({"sparsity": 0.0}, "0 prunes nothing"),
        ({"sparsity": float("nan")}, "sparsity is nan"),
        ({}, "either a sparsity or a threshold"),
        ({"sparsity": 0.5, "threshold": 0.1}, "and not both"),
        ({"threshold": -1.0}, "threshold is -1"),
        ({"threshold": 0.1, "allocation": "erk"}, "the same for all layers"),
        ({"pattern": "2:4", "sparsity": 0.5}, "says itself that 2 of 4 weights stay"),
        ({"pattern": "2:4", "allocation": "erk"}, "alike in all layers"),
        ({"sparsity": 0.5, "rounds": 0}, "rounds is 0; expected 1 or more"),
        ({"pattern": "channel", "macs": 0.5, "round_to": 0}, "round_to is 0; expected 1"),
        ({"pattern": "4:4"}, "pattern '4:4' is not known"),
        ({"pattern": "0:4"}, "pattern '0:4' is not known"),
        ({"criterion": "deviation", "sparsity": 0.5}, "deviation takes whole channels"),
    ],
)
def test_amounts_out_of_range_are_refused(choices: dict[str, Any], words: str) -> None:
    with pytest.raises(OptionError, match=words):
        PruneOptions(**choices)


def test_rounds_take_the_same_share_of_what_is_left() -> None:
    rounds = PruneOptions(criterion="obs", sparsity=0.9375, rounds=4).in_rounds()
    assert [part.sparsity for part in rounds] == pytest.approx([0.5, 0.75, 0.875, 0.9375])
    assert [part.allow_empty for part in rounds] == [True, True, True, False]
    rounds = PruneOptions(criterion="obs", pattern="1:8", rounds=3).in_rounds()
    assert [part.pattern for part in rounds] == ["4:8", "2:8", "1:8"]
    many = PruneOptions(criterion="obs", pattern="1:4", rounds=100).in_rounds()
    assert [part.pattern for part in many] == ["3:4", "2:4", "1:4"]
    assert len(PruneOptions(threshold=0.1).in_rounds()) == 1


def test_criteria_have_names_and_forms() -> None:
    assert parse_criterion("importance") == parse_criterion("wanda") == ("importance", "wanda")
    assert parse_criterion("importance:obs") == parse_criterion("obs") == ("importance", "obs")
    with pytest.raises(OptionError, match="'magnitude:obs' is not known"):
        parse_criterion("magnitude:obs")


def test_layers_that_would_be_empty_are_named() -> None:
    names = layer_names()
    with pytest.raises(ModelError) as caught:
        pruned(threshold=100.0)
    text = str(caught.value)
    assert names[2] in text and names[3] in text and names[0] not in text
    assert "threshold 100 leaves none of 96 weights" in text
    assert zero_shares(pruned(threshold=100.0, allow_empty=True))[names[2]] == 1.0
    with pytest.raises(ModelError, match=r"sparsity 0\.9999 leaves none"):
        pruned(sparsity=0.9999)


def test_layers_of_few_groups_keep_one_where_rounding_would_take_them_all() -> None:
    """90 % of four groups are all of them; 99.99 % of many are meant to be all."""
    weight = np.arange(1.0, 17.0, dtype=np.float32).reshape(4, 4)
    layer = nn.Linear(4, 4)
    layer.weight.data = torch.from_numpy(weight)
    graph = simplified(export(layer, (1, 4)))
    (name,) = zero_shares(graph)
    chosen = PruneOptions(sparsity=0.9, pattern="block1x4", keep_dense=("none",))
    some = prune_graph(graph, [np.ones((4, 4), np.float32)], chosen)
    assert zero_shares(some)[name] == 0.75
    assert weight_of(some.by_name[name])[3].tolist() == weight[3].tolist()
    with pytest.raises(ModelError, match=r"sparsity 0\.9999 leaves none"):
        pruned(sparsity=0.9999, pattern="block2x2")


@pytest.mark.parametrize("criterion", ["wanda", "obs"])
def test_globally_no_layer_is_emptied_by_scores_of_its_own_size(criterion: str) -> None:
    """The linear layer sees one position and has by far the smallest sums of squares."""
    graph = pruned(criterion=criterion, sparsity=0.9, allocation="global", keep_dense=("none",))
    assert max(zero_shares(graph).values()) < 1.0
    layers = prunable(GRAPH, PruneOptions(sparsity=0.9, keep_dense=("none",)))
    options = PruneOptions(
        criterion=criterion, sparsity=0.9, allocation="global", keep_dense=("none",)
    )
    rng = np.random.default_rng(0)
    scores = {node.name: rng.random(weight_of(node).shape) + 0.1 for node in layers}
    small = scores | {layers[-1].name: scores[layers[-1].name] * 1e-9}
    one, other = (make_masks(layers, given, options) for given in (scores, small))
    for node in layers:
        np.testing.assert_array_equal(one[node.name], other[node.name])


def test_patterns_that_match_nothing_and_networks_without_more_are_refused() -> None:
    with pytest.raises(OptionError, match="no layer matches 'head'; layers with weights: "):
        pruned(sparsity=0.5, keep_dense=("head",))
    with pytest.raises(OptionError, match="nothing is left to prune"):
        pruned(sparsity=0.5, keep_dense=("*",))


def test_masks_that_do_not_fit_are_refused() -> None:
    name = layer_names()[0]
    with pytest.raises(ModelError) as caught:
        apply_masks(GRAPH, {name: np.ones((2, 2), bool), "nowhere": np.ones(3, bool)})
    assert f"mask {name!r} has shape (2, 2); expected (8, 3, 3, 3)" in str(caught.value)
    assert "mask 'nowhere' is of no layer with weights" in str(caught.value)


def test_scores_that_are_no_numbers_are_refused() -> None:
    options = PruneOptions(sparsity=0.5)
    layers = prunable(GRAPH, options)
    scores = {node.name: np.full(weight_of(node).shape, np.nan) for node in layers}
    with pytest.raises(ModelError, match="some scores are no numbers"):
        make_masks(layers, scores, options)
    with pytest.raises(ModelError, match="scores have shape"):
        make_masks(layers, {node.name: np.ones(3) for node in layers}, options)


def test_blocks_of_one_weight_are_the_weights() -> None:
    values = np.arange(12.0).reshape(3, 4)
    np.testing.assert_array_equal(Blocks(1, 1).groups(values)[:, 0], values)


@pytest.mark.parametrize("pattern", ["unstructured", "block2x2"])
def test_the_shares_of_a_budget_are_those_of_the_layers(pattern: str) -> None:
    layers = prunable(GRAPH, PruneOptions(sparsity=0.5, keep_dense=("none",)))
    wanted = {node.name: 0.1 * number for number, node in enumerate(layers)}
    asked = PruneOptions(
        pattern=pattern, allocation="budget", shares=tuple(wanted.items()), keep_dense=("none",)
    )
    scores = {n.name: np.abs(weight_of(n)).astype(np.float64) for n in layers}
    masks = make_masks(layers, scores, asked)
    blocks = blocks_of(pattern)
    for node in layers:
        groups = blocks.groups(masks[node.name])
        assert (groups == 0.0).sum() == round(wanted[node.name] * groups.size)


def test_the_shares_of_a_budget_rise_in_rounds() -> None:
    asked = PruneOptions(allocation="budget", shares=(("a", 0.75), ("b", 0.0)), rounds=2)
    first, last = asked.in_rounds()
    assert dict(first.shares) == {"a": 0.5, "b": 0.0} and first.allow_empty
    assert last == asked
