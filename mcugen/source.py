# SPDX-License-Identifier: Apache-2.0
"""What the user passes as the network, whatever it is, as a float graph."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from mcugen.config import InputLayout
from mcugen.emit.names import check_name, default_name
from mcugen.errors import OptionError
from mcugen.evaluate import Inputs, check_import
from mcugen.frontend.export import to_graph
from mcugen.frontend.load import LoadOptions, load
from mcugen.ir.graph import Graph
from mcugen.ir.quantization import Quantization
from mcugen.quantize.options import QuantOptions
from mcugen.quantize.stated import is_stated
from mcugen.tuned import TunedNetwork, is_tuned, load_tuned

if TYPE_CHECKING:
    import torch
    from torch.export import ExportedProgram

Model: TypeAlias = "torch.nn.Module | ExportedProgram | TunedNetwork | str | Path"


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Source:
    """A network to compile: straight from torch, or tuned, with its quantization."""

    graph: Graph
    kind: str  # what was read, in words
    warnings: tuple[str, ...] = ()
    program: ExportedProgram | None = None  # None for a tuned network
    quantization: Quantization | None = None  # of a tuned network, whose passes are done

    @property
    def is_quantized(self) -> bool:
        """Whether the network brings its own quantization, which is used as it stands."""
        return self.quantization is not None or is_stated(self.graph)

    def check(self, samples: Inputs) -> None:
        """Compare the graph with torch's own run of the program, on samples in its axis order.

        Raises InternalError where they differ by more than float rounding.
        """
        if self.program is not None:
            check_import(self.program, self.graph, samples)

    def check_choice(self, quant: QuantOptions) -> None:
        """Raise OptionError where `quant` would choose what the network has chosen already."""
        if self.is_quantized and quant != QuantOptions():
            why = "was tuned for its" if self.quantization is not None else "brings its own"
            msg = (
                f"the network {why} quantization, which is used as it stands: leave out "
                f"the options of quantization ({quant.text()})"
            )
            raise OptionError(msg)

    def check_prunable(self) -> None:
        """Raise OptionError where weights are used as they stand, and so cannot be pruned."""
        if self.is_quantized:
            why = "was tuned" if self.quantization is not None else "brings its own quantization"
            msg = (
                f"the network {why}, and its weights are used as they stand: leave out --prune, "
                "and prune the float model that it was made of"
            )
            raise OptionError(msg)


def open_model(
    model: Model, options: LoadOptions, *, name: str | None = None, layout: InputLayout = "nhwc"
) -> Source:
    """Read a network, called `name` in C or after its file or class.

    Raises ModelError where it cannot be read, OutputError where the name cannot be used, and
    OptionError where options are given that a tuned network has settled.
    """
    tuned = _tuned(model)
    if tuned is not None:
        network, stem = tuned
        _check_settled(options, layout)
        graph = replace(network.graph, name=_name(name, stem))
        return Source(graph=graph, kind="tuned network", quantization=network.quantization)
    assert not isinstance(model, TunedNetwork)
    loaded = load(model, options)
    graph = to_graph(loaded.program, _name(name, loaded.name), layout)
    return Source(
        graph=graph,
        kind=f"{loaded.kind}, quantized" if is_stated(graph) else loaded.kind,
        warnings=loaded.warnings,
        program=loaded.program,
    )


def _tuned(model: Model) -> tuple[TunedNetwork, str] | None:
    """A tuned network and what it is called, None for any other kind of model."""
    if isinstance(model, TunedNetwork):
        return model, model.graph.name
    if isinstance(model, (str, Path)) and is_tuned(Path(model)):
        return load_tuned(Path(model)), Path(model).stem
    return None


def _name(given: str | None, stem: str) -> str:
    return default_name(stem) if given is None else check_name(given)


def _check_settled(options: LoadOptions, layout: InputLayout) -> None:
    given = {
        "--input-shape": options.input_shapes is not None,
        "--arch": options.arch is not None,
        "--input-layout": layout != "nhwc",
    }
    extra = [name for name, is_given in given.items() if is_given]
    if extra:
        msg = f"{', '.join(extra)} was settled when the network was tuned; leave it out"
        raise OptionError(msg)
