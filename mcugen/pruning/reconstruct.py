# SPDX-License-Identifier: Apache-2.0
"""The weights that stay, refitted to calibration data: each layer makes what it made before."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray

from mcugen.ir.graph import Graph, Node
from mcugen.ops.base import FloatArray, Op
from mcugen.pruning.criteria import Data
from mcugen.pruning.masks import Masks
from mcugen.pruning.patterns import alike
from mcugen.pruning.second_order import damping
from mcugen.pruning.taps import Moment, Taps, moments

Progress = Callable[[int, int, str], None]  # steps done, steps in all, what is being done


def reconstruct(
    graph: Graph,
    masks: Masks,
    data: Data,
    progress: Progress = lambda _done, _total, _text: None,
) -> Graph:
    """The graph with zeros where a mask says so, and the other weights and biases refitted.

    In execution order: what a layer reads is what the layers before it now make. Weights are what
    makes |W' c - (W e + b)|^2 + d |W' - W|^2 least, c and e being what it reads now and read
    before, and d a small share of c's power. Source: Frantar and Alistarh, "SparseGPT", 2023,
    equation 2, which takes c for e and leaves the bias alone.
    """
    exact = dict(zip(graph.inputs, data.inputs(), strict=True))
    changed = dict(exact)
    readers = dict(graph.uses)
    nodes: list[Node] = []
    with torch.no_grad():
        for node in graph.nodes:
            assert isinstance(node.op, Op)
            made = node
            if node.name not in exact:
                before, now = ([held[n] for n in node.inputs] for held in (exact, changed))
                exact[node.name] = node.op.forward(before)
                if node.name in masks:
                    progress(len(nodes), len(graph.nodes), f"refitting {node.name}")
                    made = _refitted(node, masks[node.name], before[0], now[0])
                assert isinstance(made.op, Op)
                changed[node.name] = made.op.forward(now)
            nodes.append(made)
            _forget(node, readers, exact, changed)
    return graph.with_nodes(nodes)


def _forget(node: Node, readers: dict[str, int], *held: dict[str, torch.Tensor]) -> None:
    for name in node.inputs:
        readers[name] -= 1
        if not readers[name]:
            for values in held:
                del values[name]


def _refitted(
    node: Node, mask: NDArray[np.bool_], exact: torch.Tensor, changed: torch.Tensor
) -> Node:
    assert isinstance(node.op, Op)
    return replace(node, op=refitted(node.op, mask, *moments(node.op, exact, changed)))


def refitted(op: Op, mask: NDArray[np.bool_], taps: Taps, own: Moment, mixed: Moment) -> Op:
    """A layer with zeros where the mask says so, fitted to the moments of what it reads."""
    assert op.weight_arrays is not None
    weight, bias = op.weight_arrays
    rows = np.concatenate([weight.reshape(len(weight), -1), bias[:, None]], axis=1)
    kept = np.concatenate([mask.reshape(len(mask), -1), np.ones((len(mask), 1), bool)], axis=1)
    parts = zip(*(np.split(x, taps.groups) for x in (rows, kept)), own, mixed, strict=True)
    solved = np.concatenate([_solved(*part) for part in parts])
    made: FloatArray = solved[:, :-1].reshape(weight.shape).astype(np.float32)
    return op.with_weight_arrays(made, solved[:, -1].astype(np.float32))


def _solved(
    rows: NDArray[np.float32], kept: NDArray[np.bool_], own: NDArray[np.float64], mixed: Moment
) -> NDArray[np.float64]:
    """Rows [out_ch, taps + 1], zero where not kept, that make least error; the last is the bias."""
    wanted = rows.astype(np.float64) @ mixed
    more = damping(own)
    found = np.zeros(rows.shape)
    for numbers in alike(kept):
        chosen = np.flatnonzero(kept[numbers[0]])
        matrix = own[np.ix_(chosen, chosen)] + more * np.eye(len(chosen))
        right = (wanted + more * rows)[np.ix_(numbers, chosen)]
        found[np.ix_(numbers, chosen)] = np.linalg.solve(matrix, right.T).T
    return found
