# SPDX-License-Identifier: Apache-2.0
"""`mcugen.build` and `mcugen.load`: the whole tool from Python."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from mcugen.compiler import BuildResult
from mcugen.compiler import build as _build
from mcugen.config import BuildOptions, InputLayout, Optimize, Requant, Samples
from mcugen.errors import OptionError
from mcugen.network import CompiledNetwork
from mcugen.quantize.options import DEFAULT_METHOD, QuantOptions

if TYPE_CHECKING:
    import torch
    from torch.export import ExportedProgram

__all__ = ["BuildResult", "CompiledNetwork", "build", "load"]


def build(
    model: torch.nn.Module | ExportedProgram | str | Path,
    *,
    board: str | Path,
    calibration: Samples | None = None,
    evaluation: Samples | None = None,
    out: str | Path | None = None,
    name: str | None = None,
    input_shapes: Sequence[Sequence[int]] | None = None,
    arch: str | None = None,
    trust_pickle: bool = False,
    input_layout: InputLayout = "nhwc",
    requant: Requant = "single",
    quant: str = DEFAULT_METHOD,
    ranges: str | None = None,
    bias_correction: bool | None = None,
    per_tensor: bool = False,
    symmetric: bool = False,
    power_of_two: bool = False,
    optimize: Optimize = "balanced",
    skip_passes: Collection[str] = (),
    sanitize: bool = False,
    simulate: int = 16,
) -> BuildResult:
    """Compile a network to a folder of C and prove that the C equals its integer reference.

    model: a module, an exported program, or the path of a model file.
    board: a name of `mcugen boards`, a part number, or the path of a board file.
    calibration: samples [N, ...] in the model's own input shape, as array or .npz/.npy path, one
        for each input; without it ranges come from synthetic inputs, with a warning.
    evaluation: a .npz path with x and y, or the pair (x, y); gives `report["accuracy"]`.
    out: the folder, `build/NAME` by default; replaced in one step if mcugen wrote it.
    input_shapes: with batch axis, where the model does not say them.
    quant: integerize, estimate or mean_rounding; it and the options that follow are told
        of in docs/QUANTIZATION.md.
    ranges: minmax, moving_average[:C], percentile[:P], mse, entropy or output; None for the
        method's own.
    bias_correction: None for the method's own.
    per_tensor: one scale for all of a layer's weights.
    symmetric: activations with zero point 0.
    power_of_two: scales that are powers of two.
    optimize: what kernels are chosen for.
    simulate: how many inputs are compared on the simulated core; 0 for none.

    Raises McugenError (see mcugen.errors) for everything that the caller can mend, MismatchError
    where C and reference differ.
    """
    shapes = None if input_shapes is None else _shapes(input_shapes)
    options = BuildOptions(
        board=str(board),
        out=None if out is None else Path(out),
        name=name,
        calibration=calibration,
        evaluation=evaluation,
        input_shapes=shapes,
        arch=arch,
        trust_pickle=trust_pickle,
        input_layout=input_layout,
        requant=requant,
        quant=QuantOptions(
            method=quant,
            ranges=ranges,
            bias_correction=bias_correction,
            per_tensor=per_tensor,
            symmetric=symmetric,
            power_of_two=power_of_two,
        ),
        optimize=optimize,
        skip_passes=frozenset(skip_passes),
        sanitize=sanitize,
        simulate=simulate,
    )
    return _build(model, options)


def _shapes(given: Sequence[Sequence[int]]) -> tuple[tuple[int, ...], ...]:
    try:
        return tuple(tuple(int(size) for size in shape) for shape in given)
    except (TypeError, ValueError) as error:
        msg = f"input_shapes is {given!r}; expected one shape for each input: [(1, 1, 28, 28)]"
        raise OptionError(msg) from error


def load(folder: str | Path) -> CompiledNetwork:
    """The generated C of a folder as a callable on numpy arrays.

    Raises OutputError where the folder is none of ours, ToolchainError without a C compiler.
    """
    return CompiledNetwork(folder)
