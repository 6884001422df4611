# SPDX-License-Identifier: Apache-2.0
"""What a search is asked, and what it looks at: both checked before any work is done."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mcugen.boards import Board
from mcugen.errors import CalibrationError, OptionError
from mcugen.evaluate import float_outputs
from mcugen.ir.graph import Graph
from mcugen.ir.quantization import Quantization
from mcugen.pipeline import CompileOptions
from mcugen.quantize.bits import layer_bits
from mcugen.quantize.widths import WidthOptions
from mcugen.tradeoff.budget import Budget
from mcugen.tradeoff.forms import FormOptions
from mcugen.tradeoff.options import Form

Arrays = Sequence[NDArray[np.float32]]
Labelled = tuple[Arrays, NDArray[np.generic]]
Allowed = Mapping[str, tuple[Form, ...]]  # the forms that a layer may have, by its name


@dataclass(frozen=True, slots=True, kw_only=True)
class SearchOptions:
    """What is looked for, and how far.

    budget: what the finished network may cost; the least loss within it is looked for.
    max_drop: instead, or beside it, how many points of accuracy may be lost at most; the least
        flash is then looked for, or with `--optimize speed` the fewest cycles.
    forms: what the weights of a layer may become. keep: layers that stay as int8 without new
        zeros: `first`, `last`, `depthwise`, patterns, or `none`. by_layer: what the weights of each
        layer may become, in the place of both. channels: shares of all products that the network is
        cut to as well, each searched by itself.
    samples: of the calibration data, on which losses are measured. points: of the front, 0 for
        none. runners: choices behind the best one that are measured as well. complete: measure
        forms that cannot pay too, for curves. cache: a file for the losses.
    """

    budget: Budget | None = None
    max_drop: float | None = None
    forms: FormOptions = field(default_factory=FormOptions)
    keep: tuple[str, ...] = ("none",)
    by_layer: Allowed | None = None
    channels: tuple[float, ...] = ()
    samples: int = 64
    points: int = 8
    runners: int = 3
    complete: bool = False
    cache: Path | None = None

    def __post_init__(self) -> None:
        """Raise OptionError that lists every choice which is not possible."""
        problems = []
        if self.max_drop is not None and not 0.0 <= self.max_drop < 100.0:
            problems.append(
                f"max drop is {self.max_drop}; expected points of accuracy, from 0 to below 100"
            )
        if self.samples < 1:
            problems.append(f"samples is {self.samples}; expected 1 or more")
        for name in ("points", "runners"):
            if getattr(self, name) < 0:
                problems.append(f"{name} is {getattr(self, name)}; expected 0 or more")
        problems += [
            f"channels {share:g}: expected shares of the products to leave, above 0 and below 1"
            for share in self.channels
            if not 0.0 < share < 1.0
        ]
        if problems:
            raise OptionError("\n".join(problems))


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Problem:
    """One network on one board.

    graph: float, after the exact passes. calibration: float32 [N, *shape] of each input, stored
    layout. evaluation: such samples with their labels. quantization: of a tuned network, of which
    the kernels alone are to be chosen. parent: what losses are told against, where `graph` is that
    network with less in it; None where it is `graph` itself.
    """

    graph: Graph
    calibration: Arrays
    evaluation: Labelled | None
    board: Board
    compiling: CompileOptions
    quantization: Quantization | None = None
    parent: Graph | None = None

    @property
    def truth(self) -> Graph:
        """The float network that losses and drops are told against."""
        return self.parent or self.graph

    def allowed(self, options: SearchOptions) -> Allowed:
        """The forms that each layer may have. Raises OptionError for unknown patterns."""
        if options.by_layer is not None:
            return options.by_layer
        if options.keep == ("none",):
            return {name: options.forms.forms() for name in layer_bits(self.graph, WidthOptions())}
        widths = WidthOptions(weights=("int4",), keep_int8=options.keep)
        bits = layer_bits(self.graph, widths)
        widest = max(options.forms.bits)
        return {
            name: options.forms.forms() if width < 8 else (Form(bits=widest),)
            for name, width in bits.items()
        }

    @property
    def classes(self) -> bool:
        """The labels are class indices."""
        return self.evaluation is not None and self.evaluation[1].dtype.kind != "f"

    def judges(self) -> tuple[Labelled, str]:
        """Samples with classes to count right answers on, and what they are.

        Without labels the float network's own classes on the calibration data: a drop is then
        disagreement, which no drop of accuracy on the same samples can exceed. Raises
        CalibrationError where there are no classes, or one alone.
        """
        if self.evaluation is not None and not self.classes:
            msg = (
                "max drop is in points of accuracy, but the evaluation labels 'y' are real "
                "targets; give a --budget instead"
            )
            raise CalibrationError(msg)
        labelled, what = self.evaluation, "accuracy on the evaluation data"
        if labelled is None:
            output = self.graph.by_name[self.graph.outputs[0]].shape
            if len(output) != 1 or output[0] < 2:
                msg = (
                    "max drop needs labels: pass samples x and class indices y with --eval; the "
                    f"output of shape {list(output)} does not tell classes by itself"
                )
                raise CalibrationError(msg)
            scores = float_outputs(self.truth, self.calibration)[0]
            labelled = self.calibration, scores.reshape(len(scores), -1).argmax(1)
            what = "agreement with the float network on the calibration data"
        if len(np.unique(labelled[1])) < 2:
            msg = (
                f"all {len(labelled[1])} samples are of class {labelled[1][0]}: a drop cannot be "
                "told on one class alone; pass samples of every class with --eval"
            )
            raise CalibrationError(msg)
        return labelled, what
