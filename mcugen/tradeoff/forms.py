# SPDX-License-Identifier: Apache-2.0
"""The weights of each layer in every form that is tried: masked, refitted, rounded."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import torch
from numpy.typing import NDArray

from mcugen.errors import OptionError
from mcugen.ir.graph import Graph, Node
from mcugen.ir.quantization import WeightQuant
from mcugen.ops.base import Op
from mcugen.pruning.criteria import Data, score
from mcugen.pruning.masks import weight_of
from mcugen.pruning.options import BLOCKS, PruneOptions, is_n_m, parse_n_m
from mcugen.pruning.patterns import Mask, Scores, best_of_each, blocks_of
from mcugen.pruning.reconstruct import refitted
from mcugen.pruning.taps import Moment, Taps, moments
from mcugen.quantize.correct import corrected
from mcugen.quantize.options import QuantOptions
from mcugen.quantize.walk import LayerData
from mcugen.quantize.weights import quantize_weights
from mcugen.quantize.widths import WIDTHS
from mcugen.tradeoff.options import DENSE, Form
from mcugen.tradeoff.schedule import Schedule


@dataclass(frozen=True, slots=True, kw_only=True)
class FormOptions:
    """Which forms are tried: all widths with all patterns at all sparsities, and without zeros.

    A pattern n:m says its sparsity itself. criterion: what scores the weights, as `PruneOptions`
    takes it.
    """

    bits: tuple[int, ...] = (8, 4, 2)
    patterns: tuple[str, ...] = tuple(BLOCKS)
    sparsities: tuple[float, ...] = (0.5, 0.75, 0.9)
    criterion: str = "obs"

    def __post_init__(self) -> None:
        """Raise OptionError that lists every choice which is not possible."""
        problems = [
            f"bits {bits} are not known; there are {', '.join(map(str, WIDTHS.values()))}"
            for bits in self.bits
            if bits not in WIDTHS.values()
        ]
        problems += [
            f"pattern {pattern!r} is not searched; there are {', '.join(BLOCKS)} and any n:m; "
            "whole channels are cut across all layers: --channels 0.75,0.5"
            for pattern in self.patterns
            if pattern not in BLOCKS and not is_n_m(pattern)
        ]
        problems += [
            f"sparsity is {share}; expected shares of zeros above 0 and below 1"
            for share in self.sparsities
            if not 0.0 < share < 1.0
        ]
        if not self.bits:
            problems.append("bits: there is no width to choose from")
        try:
            PruneOptions(criterion=self.criterion, sparsity=0.5)
        except OptionError as error:
            problems.append(str(error))
        if problems:
            raise OptionError("\n".join(problems))

    def forms(self) -> tuple[Form, ...]:
        """All of them, from many bits and few zeros on."""
        dense = [Form(bits=bits) for bits in self.bits]
        sparse = [
            Form(bits=bits, pattern=pattern, sparsity=share)
            for bits in self.bits
            for pattern in self.patterns
            for share in self._shares(pattern)
        ]
        return tuple(sorted([*dense, *sparse], key=lambda f: (-f.bits, f.sparsity, f.pattern)))

    def _shares(self, pattern: str) -> tuple[float, ...]:
        n_m = parse_n_m(pattern)
        return self.sparsities if n_m is None else (1.0 - n_m[0] / n_m[1],)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Former:
    """Makes the forms of the layers of one network.

    samples: what weights are scored on and refitted to, float32 [N, *shape] of each input.
    operands: what each layer reads of them in the float network.
    """

    graph: Graph
    schedule: Schedule
    quant: QuantOptions
    criterion: str
    samples: Sequence[NDArray[np.float32]]
    operands: Mapping[str, torch.Tensor]
    _scores: dict[tuple[str, str], Scores] = field(default_factory=dict)
    _moments: dict[str, tuple[Taps, Moment, Moment]] = field(default_factory=dict)

    def layers(self, form: Form, allowed: Mapping[str, Collection[Form]]) -> tuple[Node, ...]:
        """The layers that can have the form."""
        nodes = (self.graph.by_name[name] for name in self.schedule.weighted)
        return tuple(
            node
            for node in nodes
            if form in allowed[node.name] and form.bits in _op(node).weight_widths
        )

    def score(self, wanted: Mapping[str, Collection[Form]]) -> None:
        """Find the worth of the weights of these layers for the patterns of these forms."""
        for pattern in sorted({form.pattern for forms in wanted.values() for form in forms}):
            layers = [
                self.graph.by_name[name]
                for name, forms in wanted.items()
                if any(form.pattern == pattern for form in forms)
                and (name, pattern) not in self._scores
            ]
            if pattern == DENSE or not layers:
                continue
            # how many zeros there are is each form's own
            share = None if is_n_m(pattern) else 0.5
            options = PruneOptions(criterion=self.criterion, pattern=pattern, sparsity=share)
            found = score(self.graph, layers, Data.of(self.samples), options)
            self._scores.update({(name, pattern): each for name, each in found.items()})

    def mask(self, name: str, form: Form) -> Mask | None:
        """Which weights stay, in the weight's shape; None for all. What was zero stays zero.

        Groups are of the channels that are left when dead ones are gone, as the kernels see them.
        Where the weights are not scored yet, those of least magnitude go: enough to tell costs by.
        """
        if form.pattern == DENSE:
            return None
        weight = weight_of(self.graph.by_name[name])
        scores = self._scores.get((name, form.pattern), np.abs(weight).astype(np.float64))
        places = self._kept(name)
        left = scores[places]
        mask: Mask = np.ones(scores.shape, bool)
        if is_n_m(form.pattern):
            mask[places] = best_of_each(left, form.pattern)
            return np.asarray(mask & (weight != 0.0))
        blocks = blocks_of(form.pattern)
        groups = blocks.groups(left)
        order = np.argsort(groups, axis=None, kind="stable")
        alive = order[groups.ravel()[order] > 0.0]
        kept = np.ones(groups.size, bool)
        kept[alive[: round(form.sparsity * len(alive))]] = False
        mask[places] = blocks.spread(kept.reshape(groups.shape), left.shape)
        return np.asarray(mask & (weight != 0.0))

    def _kept(self, name: str) -> tuple[NDArray[np.intp], ...]:
        """Where the weights are that are left, as an index into all of them."""
        node = self.graph.by_name[name]
        shape = weight_of(node).shape
        places = [np.arange(size) for size in shape]
        removal = self.schedule.removal
        if removal is not None:
            places[0] = removal.kept[name]
            source = removal.graph.by_name[name].inputs[0]
            if self.graph.by_name[node.inputs[0]].shape[-1] == shape[-1]:
                places[-1] = removal.kept[source]
        return np.ix_(*places)

    def op(self, name: str, form: Form, *, refit: bool) -> Op:
        """The float layer, masked; the weights that stay refitted to what it reads or not."""
        op = _op(self.graph.by_name[name])
        mask = self.mask(name, form)
        if mask is None:
            return op
        if refit:
            if name not in self._moments:
                x = self.operands[name]
                self._moments[name] = moments(op, x, x)
            return refitted(op, mask, *self._moments[name])
        assert op.weight_arrays is not None
        weight, bias = op.weight_arrays
        return op.with_weight_arrays(np.where(mask, weight, np.float32(0.0)), bias)

    def weights(
        self, form: Form, names: Collection[str], *, refit: bool
    ) -> tuple[Graph, dict[str, WeightQuant]]:
        """The layers with the form's zeros, and their weights as integers."""
        ops = {name: self.op(name, form, refit=refit) for name in names}
        nodes = [replace(n, op=ops[n.name]) if n.name in ops else n for n in self.graph.nodes]
        graph = self.graph.with_nodes(nodes)
        made = quantize_weights(
            graph, self.schedule.quantization.tensors, self.quant, dict.fromkeys(names, form.bits)
        )
        return graph, {name: made[name] for name in names}

    def repaired(self, name: str, made: WeightQuant) -> WeightQuant:
        """Without the mean error of each channel, where the method takes that out."""
        if not self.quant.corrects_bias:
            return made
        x = self.operands[name]
        node = self.graph.by_name[name]
        with torch.no_grad():
            layer = LayerData(node, x, x, self.schedule.quantization.tensors[name])
            return corrected(layer, made)


def _op(node: Node) -> Op:
    assert isinstance(node.op, Op)
    return node.op
